"""A real browser, headless: a page over HTTP/2, WebSocket over HTTP/2 (RFC 8441), event streams, uploads, and the client of gRPC-Web
that people use. The page gathers what it sees and reports it as JSON."""
import json
import os
import re
import shutil
import signal
import subprocess

import pytest

from weirtest import response, until
from weirtest.apps import node_modules, socketio
from weirtest.grpc_server import GrpcServer
from weirtest.site import Site

pytestmark = [pytest.mark.weir_only('nginx knows no WebSocket over HTTP/2'), pytest.mark.xdist_group('chromium')]

CONF = '''
log_format protocol '$request_method $uri $server_protocol $status $bytes_sent';
upstream app { server 127.0.0.1:%(app)d; }
upstream rpc { server 127.0.0.1:%(rpc)d; }
server {
    listen 127.0.0.1:@port@ ssl http2;
    access_log @dir@/protocol.log protocol;
    ssl_certificate @certs@/server.pem;
    ssl_certificate_key @certs@/server.key;
    client_max_body_size 64m;
    root @root@;
    types { text/html html; text/javascript js; image/gif gif; }
    location /ws { proxy_pass http://app; }
    location /stream/ { proxy_pass http://app; }
    location /report { proxy_pass http://@backend@; }
    location /upload { proxy_pass http://@backend@; }
    location /early { early_hints 1; proxy_pass http://@backend@; }
    location /test.Echo/ { grpc_web on; grpc_pass rpc; }
    location = /favicon.ico { return 204; }
}
'''

PAGE = '''<!doctype html><title>page</title><link rel=stylesheet href=/none.css>
<script>var exports = {}, module = { exports };</script><script src=/grpc-web.js></script><script>
const out = {};
const bytes = (m) => m, deadline = (p) => Promise.race([p, new Promise((d) => setTimeout(() => d('too slow'), 15000))]);
const text = (b) => new TextDecoder().decode(b);

async function images() {
  const load = (i) => new Promise((d) => { const g = new Image(); g.onload = () => d(1); g.onerror = () => d(0); g.src = `/dot.gif?${i}`; });
  const all = await Promise.all(Array.from({ length: 200 }, (_, i) => load(i)));
  const entries = performance.getEntriesByType('resource').filter((e) => e.name.includes('dot.gif'));
  return [all.reduce((a, b) => a + b), [...new Set(entries.map((e) => e.nextHopProtocol))]];
}
function socket() {
  const big = 'x'.repeat(1 << 20);
  return new Promise((done) => {
    const s = new WebSocket(`wss://${location.host}/ws`), got = [];
    s.onerror = () => done('error');
    s.onopen = () => { s.send('hello'); s.send(big); s.send(new Uint8Array([0, 1, 255])); };
    s.onmessage = async (e) => {
      got.push(e.data === big ? 'big' : e.data instanceof Blob ? [...new Uint8Array(await e.data.arrayBuffer())] : e.data);
      if (got.length === 3) s.close(1000);
    };
    s.onclose = (e) => done([got, e.code, e.wasClean]);
  });
}
function events() {
  return new Promise((done) => {
    const s = new EventSource('/stream/events'), got = [];
    s.onmessage = (e) => { got.push(e.data.split(' ')[0]); if (got.length === 10) { s.close(); done(got.join()); } };
    s.onerror = () => done('error');
  });
}
const upload = async () => (await fetch('/upload', { method: 'POST', body: new Uint8Array(3000000) })).text();
const early = async () => (await fetch('/early')).text();
async function cancel() {
  const stop = new AbortController();
  const answer = await fetch('/large.bin', { signal: stop.signal });
  await answer.body.getReader().read();
  stop.abort();
  return (await fetch('/dot.gif?after')).status;
}
function rpc(format) {
  const client = new exports.GrpcWebClientBase({ format });
  const method = (name, kind) => new exports.MethodDescriptor(`/test.Echo/${name}`, kind, Uint8Array, Uint8Array, bytes, bytes);
  const unary = (name, message) => new Promise((done) => {
    const got = {};
    const call = client.rpcCall(`${location.origin}/test.Echo/${name}`, message, { 'x-mine': 'a' }, method(name, 'unary'), (error, reply) => {
      if (error) done([error.code, error.message]);
      else got.reply = text(reply);
    });
    call.on('metadata', (m) => { got.initial = m['x-initial']; });
    call.on('status', (s) => { got.code = s.code; got.trailing = s.metadata['x-trailing']; });
    call.on('end', () => done(got));
  });
  const down = () => new Promise((done) => {
    const call = client.serverStreaming(`${location.origin}/test.Echo/Down`, new TextEncoder().encode('20 1000'), {}, method('Down', 'server_streaming'));
    let count = 0;
    call.on('data', () => { count++; });
    call.on('error', (e) => done(e.message));
    call.on('end', () => done(count));
  });
  return Promise.all([unary('Unary', new TextEncoder().encode('hello')), unary('Fail', new Uint8Array(1)), down()]);
}

(async () => {
  out.page = performance.getEntriesByType('navigation')[0].nextHopProtocol;
  for (const [name, f] of Object.entries({ images, socket, events, upload, early, cancel, text: () => rpc('text'), binary: () => rpc('binary') })) {
    try { out[name] = await deadline(f()); } catch (e) { out[name] = String(e); }
  }
  await fetch('/report', { method: 'POST', body: JSON.stringify(out) });
})();
</script>'''
GIF = bytes.fromhex('47494638396101000100800000000000ffffff21f90401000000002c000000000100010000020144003b')


REPORTS = []


def backend(r):
    if r.target == '/report':
        REPORTS.append(r.body)
    if r.target.startswith('/early'):
        return b'HTTP/1.1 103 Early Hints\r\nLink: </none.css>; rel=preload; as=style\r\n\r\n' + response(b'after hints')
    return response(str(len(r.body)).encode())


@pytest.fixture(scope='module')
def seen():
    """What the page reported, and the server."""
    site, rpc = Site(), GrpcServer()
    app = socketio(site.directory)
    for name, data in (('index.html', PAGE.encode()), ('dot.gif', GIF), ('large.bin', bytes(8 << 20))):
        site.file(name, data)
    shutil.copy(os.path.join(node_modules(), 'grpc-web', 'index.js'), os.path.join(site.root, 'grpc-web.js'))
    site.backend(answer=backend)
    server = site.server(CONF % {'app': app.port, 'rpc': rpc.port})
    browser = subprocess.Popen(
        ['chromium', '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--ignore-certificate-errors',
         '--disable-background-networking', '--no-first-run', f'--user-data-dir={site.directory}/chromium',
         f'https://127.0.0.1:{server.port}/'],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        until(lambda: REPORTS or browser.poll() is not None, 'the report of the page', 100)
        yield json.loads(REPORTS[0]), server
    finally:
        browser.terminate()
        try:
            browser.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(browser.pid, signal.SIGKILL)
            browser.wait()
        site.close()
        app.stop()
        rpc.stop()


def test_the_page_comes_over_http2(seen):
    page, server = seen
    assert page['page'] == 'h2' and any('GET /index.html HTTP/2.0 200' in line for line in server.lines('protocol.log'))
    assert page['images'] == [200, ['h2']]


def test_websocket_over_http2(seen):
    page, server = seen
    assert page['socket'] == [['hello', 'big', [0, 1, 255]], 1000, True]
    until(lambda: any(re.match(r'GET /ws HTTP/2\.0 200 \d{7}', line) for line in server.lines('protocol.log')), 'its line of the log')


def test_event_stream(seen):
    assert seen[0]['events'] == ','.join(str(i) for i in range(10))


def test_upload(seen):
    assert seen[0]['upload'] == '3000000'


def test_an_answer_behind_early_hints(seen):
    assert seen[0]['early'] == 'after hints'


def test_a_download_that_is_given_up(seen):
    assert seen[0]['cancel'] == 200


@pytest.mark.parametrize('form', ['text', 'binary'])
def test_the_client_of_grpc_web(seen, form):
    unary, fail, down = seen[0][form]
    assert unary == {'reply': 'olleh', 'initial': 'one', 'code': 0, 'trailing': 'two'}
    assert fail == [9, 'not now: ü']
    assert down == 20
