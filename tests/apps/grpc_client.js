// A client of grpc-js: node grpc_client.js PORT [CA], NODE_PATH names the modules. Makes calls of all kinds to the methods of
// tests/weirtest/grpc_server.py, over TLS when CA names a file, and prints what came of each as JSON.
const fs = require('fs');
const grpc = require('@grpc/grpc-js');

const [port, ca] = process.argv.slice(2);
const credentials = ca ? grpc.credentials.createSsl(fs.readFileSync(ca)) : grpc.credentials.createInsecure();
const client = new grpc.Client(`${ca ? 'localhost' : '127.0.0.1'}:${port}`, credentials, {
  'grpc.max_receive_message_length': -1, 'grpc.max_send_message_length': -1, 'grpc.enable_retries': 0,
});
const same = (bytes) => bytes;
const soon = (ms) => ({ deadline: Date.now() + ms });
const says = (metadata) => Object.fromEntries(Object.entries(metadata ? metadata.toJSON() : {}).map(
  ([name, values]) => [name, values.map((v) => (Buffer.isBuffer(v) ? v.toString('hex') : v)).join()]));
const failed = (error) => ({ code: error.code, details: error.details, trailing: says(error.metadata) });
setTimeout(() => { console.error('too slow'); process.exit(1); }, 90000).unref();

function unary(path, message, { ms = 30000, metadata = new grpc.Metadata(), cancel } = {}) {
  return new Promise((done) => {
    const result = {};
    const call = client.makeUnaryRequest(path, same, same, message, metadata, soon(ms), (error, reply) => {
      Object.assign(result, error ? failed(error) : { reply });
      setImmediate(() => done(result));
    });
    call.on('metadata', (m) => { result.initial = says(m); });
    call.on('status', (s) => { result.trailing = says(s.metadata); });
    if (cancel) setTimeout(() => call.cancel(), cancel);
  });
}

function collect(call) {
  return new Promise((done) => {
    const got = [];
    call.on('data', (m) => got.push(m));
    call.on('error', (error) => done({ got, ...failed(error) }));
    call.on('status', (s) => { if (s.code === 0) done({ got, trailing: says(s.metadata) }); });
  });
}

function up(messages) {
  return new Promise((done) => {
    const call = client.makeClientStreamRequest('/test.Echo/Up', same, same, new grpc.Metadata(), soon(30000),
      (error, reply) => done(error ? failed(error) : reply.toString()));
    (async () => {
      for (const m of messages) if (!call.write(m)) await new Promise((go) => call.once('drain', go));
      call.end();
    })();
  });
}

async function inStep(words) {
  const call = client.makeBidiStreamRequest('/test.Echo/Both', same, same, new grpc.Metadata(), soon(30000));
  const got = [];
  call.write(Buffer.from(words[0]));
  return new Promise((done) => {
    call.on('data', (m) => {
      got.push(m.toString());
      if (got.length < words.length) call.write(Buffer.from(words[got.length]));
      else call.end();
    });
    call.on('error', (error) => done(failed(error)));
    call.on('status', () => done(got));
  });
}

(async () => {
  const large = Buffer.alloc(1 << 24, 'abcdefg');
  const metadata = new grpc.Metadata();
  metadata.set('x-mine', 'a');
  metadata.set('x-mine-bin', Buffer.from([1, 0, 254]));
  const out = {};
  const one = await unary('/test.Echo/Unary', Buffer.from('hello'), { metadata });
  out.unary = { ...one, reply: one.reply && one.reply.toString() };
  out.empty = (await unary('/test.Echo/Unary', Buffer.alloc(0))).reply.length;
  const all = await collect(client.makeServerStreamRequest('/test.Echo/Down', same, same, Buffer.from('100 1000')));
  out.down = { count: all.got.length, last: all.got[99].toString().replace(/\.+$/, ''), trailing: all.trailing };
  out.up = await up(Array.from({ length: 200 }, (_, i) => Buffer.alloc(i, 'x')));
  out.both = await inStep(['one', 'two', 'three']);
  const back = await unary('/test.Echo/Unary', large);
  out.large = back.reply ? Buffer.from(back.reply).reverse().equals(large) : back;
  out.largeUp = await up([large, large]);
  const many = await collect(client.makeServerStreamRequest('/test.Echo/Down', same, same, Buffer.from('2 16777216')));
  out.largeDown = many.got.map((m) => m.length);
  out.fail = await unary('/test.Echo/Fail', Buffer.from('x'));
  out.unknown = (await unary('/test.Echo/Nothing', Buffer.from('x'))).code;
  out.deadline = (await unary('/test.Echo/Slow', Buffer.from('x'), { ms: 500 })).code;
  out.cancelled = (await unary('/test.Echo/Slow', Buffer.from('x'), { cancel: 300 })).code;
  const calls = Array.from({ length: 300 }, (_, i) => unary('/test.Echo/Unary', Buffer.from(String(i))));
  out.many = (await Promise.all(calls)).filter((r, i) => r.reply && r.reply.toString() === String(i).split('').reverse().join('')).length;
  out.gone = await unary('/test.Gone/Unary', Buffer.from('x'));
  console.log(JSON.stringify(out));
  process.exit(0);
})();
