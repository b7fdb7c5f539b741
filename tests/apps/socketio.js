// Express and Socket.IO on one port, a plain WebSocket echo at /ws, and server-sent events at /stream/events: node socketio.js
// PORT, NODE_PATH names the modules.
const http = require('http');
const express = require('express');
const { Server } = require('socket.io');
const { WebSocketServer } = require('ws');

const app = express();
const server = http.createServer(app);
const io = new Server(server);
const ws = new WebSocketServer({ noServer: true });

app.get('/stream/events', (req, res) => {
  res.set({ 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
  res.flushHeaders();
  let n = 0;
  const timer = setInterval(() => {
    res.write(`data: ${n} ${Date.now()}\n\n`);
    if (++n === 10) { clearInterval(timer); res.end(); }
  }, 100);
  req.on('close', () => clearInterval(timer));
});
app.get('*', (req, res) => res.json({ url: req.originalUrl, host: req.headers.host, upgrade: req.headers.upgrade || null }));

io.on('connection', (socket) => {
  socket.emit('hello', { transport: socket.conn.transport.name, host: socket.handshake.headers.host, ip: socket.handshake.headers['x-real-ip'] });
  socket.on('echo', (data, done) => done(data));
  socket.on('many', (n) => { for (let i = 0; i < n; i++) socket.emit('one', i); });
});
server.on('upgrade', (req, socket, head) => {
  if (req.url === '/ws') ws.handleUpgrade(req, socket, head, (s) => s.on('message', (data, binary) => s.send(data, { binary })));
});
server.listen(Number(process.argv[2]), '127.0.0.1', () => console.log('listening'));
process.on('SIGTERM', () => { io.close(); server.closeAllConnections(); process.exit(0); });
