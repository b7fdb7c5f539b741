// A gRPC server of grpc-js with methods of all four kinds: node grpc_server.js PORT, NODE_PATH names the modules. Messages are
// plain bytes; the methods are those of tests/weirtest/grpc_server.py. /test.Echo/State tells what was seen so far, as JSON.
const grpc = require('@grpc/grpc-js');

const state = { cancelled: 0, calls: 0, metadata: {} };
const same = (bytes) => bytes;
const method = (path, requestStream, responseStream) => ({
  path, requestStream, responseStream,
  requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same,
});

function note(call) {
  state.calls++;
  state.metadata = call.metadata.toJSON();
  const initial = new grpc.Metadata();
  initial.set('x-initial', 'one');
  call.sendMetadata(initial);
  const trailing = new grpc.Metadata();
  trailing.set('x-trailing', 'two');
  trailing.set('x-bytes-bin', Buffer.from([0, 255]));
  return trailing;
}

const handlers = {
  Unary(call, reply) { reply(null, Buffer.from(call.request).reverse(), note(call)); },
  Fail(call, reply) {
    reply({ code: grpc.status.FAILED_PRECONDITION, details: 'not now: ü', metadata: note(call) });
  },
  Slow(call) { note(call); call.on('cancelled', () => state.cancelled++); },
  State(call, reply) { reply(null, Buffer.from(JSON.stringify(state))); },
  async Down(call) {
    const trailing = note(call);
    const [count, size] = call.request.toString().split(' ').map(Number);
    for (let i = 0; i < count; i++) {
      const message = Buffer.alloc(size, '.');
      message.write(String(i));
      if (!call.write(message)) await new Promise((go) => call.once('drain', go));
    }
    call.end(trailing);
  },
  Up(call, reply) {
    const trailing = note(call);
    let sum = 0;
    call.on('data', (m) => { sum += m.length; });
    call.on('end', () => reply(null, Buffer.from(String(sum)), trailing));
  },
  Both(call) {
    const trailing = note(call);
    call.on('data', (m) => call.write(Buffer.from(m.toString().toUpperCase())));
    call.on('end', () => call.end(trailing));
  },
};

const kinds = { Down: [false, true], Up: [true, false], Both: [true, true] };
const service = {};
for (const name of Object.keys(handlers)) service[name] = method(`/test.Echo/${name}`, ...(kinds[name] || [false, false]));
const large = { 'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1 };
const server = new grpc.Server(large);
server.addService(service, handlers);
server.bindAsync(`127.0.0.1:${process.argv[2]}`, grpc.ServerCredentials.createInsecure(), (error) => {
  if (error) throw error;
});
process.on('SIGTERM', () => { server.forceShutdown(); process.exit(0); });
