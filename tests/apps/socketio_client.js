// Socket.IO's own client, and a WebSocket: node socketio_client.js PORT HOST MODE, MODE one of polling, websocket, upgrade, ws.
// Prints what happened as JSON.
const [port, host, mode] = process.argv.slice(2);
const url = `http://127.0.0.1:${port}`;
const fail = (what) => { console.log(JSON.stringify({ error: String(what) })); process.exit(1); };
setTimeout(() => fail('too slow'), 20000).unref();

if (mode === 'ws') {
  const WebSocket = require('ws');
  const s = new WebSocket(`ws://127.0.0.1:${port}/ws`, { headers: { Host: host }, perMessageDeflate: true });
  const big = Buffer.alloc(1 << 20, 'x');
  const got = [];
  s.on('error', fail);
  s.on('open', () => { s.send('text'); s.send(big); s.ping(); });
  s.on('pong', () => got.push('pong'));
  s.on('message', (data, binary) => {
    got.push(binary ? data.length : data.toString());
    if (got.filter((g) => g !== 'pong').length === 2) s.close(1000, 'done');
  });
  s.on('close', (code, reason) => { console.log(JSON.stringify({ got, code, reason: reason.toString() })); process.exit(0); });
} else {
  const { io } = require('socket.io-client');
  const transports = { polling: ['polling'], websocket: ['websocket'], upgrade: ['polling', 'websocket'] }[mode];
  const s = io(url, { transports, extraHeaders: { Host: host }, reconnection: false });
  const result = { ones: 0 };
  s.on('connect_error', fail);
  s.on('hello', async (hello) => {
    Object.assign(result, hello);
    result.echo = await s.timeout(15000).emitWithAck('echo', { a: [1, 2, 3], text: 'grüße' });
    result.big = (await s.timeout(15000).emitWithAck('echo', 'y'.repeat(200000))).length;
    if (mode === 'upgrade' && s.io.engine.transport.name !== 'websocket') await new Promise((done) => s.io.engine.on('upgrade', done));
    s.on('one', () => {
      if (++result.ones === 100) { result.last = s.io.engine.transport.name; s.close(); console.log(JSON.stringify(result)); process.exit(0); }
    });
    s.emit('many', 100);
  });
}
