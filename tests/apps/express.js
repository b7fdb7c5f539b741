// An Express application that tells what it was asked: node express.js PORT, NODE_PATH names the modules.
const express = require('express');
const app = express();
app.set('trust proxy', true);
app.use(express.raw({ type: () => true, limit: '200mb' }));

function told(req) {
  return {
    method: req.method, url: req.originalUrl, path: req.path, query: req.query, host: req.headers.host,
    hostname: req.hostname, ip: req.ip, ips: req.ips, protocol: req.protocol, secure: req.secure,
    headers: req.headers, raw: req.rawHeaders, length: Buffer.isBuffer(req.body) ? req.body.length : 0,
    connection: req.socket.remotePort, port: req.socket.localPort, version: req.httpVersion,
  };
}

app.get(/\/go$/, (req, res) => res.redirect('/elsewhere?from=' + encodeURIComponent(req.path)));
app.get(/\/slow$/, (req, res) => setTimeout(() => res.json(told(req)), 300));
app.get(/\/stream$/, (req, res) => {
  res.type('text/plain');
  for (let i = 0; i < 5; i++) res.write(`line ${i}\n`);
  res.end();
});
app.get(/\/big$/, (req, res) => res.type('application/octet-stream').send(Buffer.alloc(3 << 20, 'x')));
app.get(/\/fail$/, () => { throw new Error('on purpose'); });
app.all('*', (req, res) => res.json(told(req)));
app.use((error, req, res, next) => res.status(500).json({ error: error.message }));
const server = app.listen(Number(process.argv[2]), '127.0.0.1', () => console.log('listening'));
process.on('SIGTERM', () => { server.close(); server.closeAllConnections(); });
