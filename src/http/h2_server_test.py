"""HTTP/2 towards clients: requests and answers side by side with nginx, and what weir does better: floods, priorities, trailers,
closing, reloading."""
import re
import signal
import struct
import subprocess
import threading
import time

import pytest

from weirtest import Client, Close, Pause, ReadRequest, Wait, get, response, until
from weirtest.h2 import (CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, H2, HEADERS, PADDED, PING, PREFACE, PRIORITY, RST_STREAM, SETTINGS,
                         WINDOW_UPDATE, frame, settings)
from weirtest.server import NGINX, WEIR
from weirtest.site import Site

weir_only = pytest.mark.weir_only
U32 = struct.Struct('>I').pack

# --- side by side ----------------------------------------------------------------------------------------------------------------

CONF = '''
server {
    listen 127.0.0.1:@port@ http2;
    server_name first.test;
    root @root@;
    error_page 404 /missing;
    large_client_header_buffers 2 1k;
    client_header_buffer_size 1k;
    location /echo { return 200 "$request_method $uri $args $host $http_host $scheme $server_protocol $http2 $http_x_a $http_cookie"; }
    location /missing { return 404 "none"; }
    location /moved { return 301 /there; }
    location /away { return 302 https://other.test/x; }
    location /empty { return 204; }
    location /close { return 444; }
    location /nobody { return 403; }
    location /field { add_header X-Mine "a value"; add_header X-Other $request_id always; return 200 ok; }
    location /proxy { client_max_body_size 1k; proxy_http_version 1.1; proxy_pass http://@backend@; }
    location /host { proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_set_header X-Proto $scheme; proxy_pass http://@backend@; }
    location /buffered { client_max_body_size 1m; proxy_http_version 1.1; proxy_pass http://@backend@; }
}
server { listen 127.0.0.1:@port@; server_name second.test; location / { return 200 "second"; } }
'''
LOG = '$request|$status|$body_bytes_sent|$http_user_agent|$request_completion|$server_protocol'


def fields(*f, **how):
    return lambda c: c.ask(*f, **how)


# name, what to do
SAME = [
    ('a request', fields('/echo?a=b')),
    ('many fields', fields('/echo', 'GET', ('x-a', 'one'), ('cookie', 'a=1'), ('cookie', 'b=2'), ('user-agent', 'me'))),
    ('HEAD', fields('/echo', 'HEAD')),
    ('OPTIONS', fields('/echo', 'OPTIONS')),
    ('an unknown method', fields('/echo', 'FOO')),
    ('a file', fields('/file')),
    ('HEAD of a file', fields('/file', 'HEAD')),
    ('a range', fields('/file', 'GET', ('range', 'bytes=2-5'))),
    ('an empty file', fields('/zero')),
    ('a large file', fields('/large')),
    ('not modified', fields('/file', 'GET', ('if-modified-since', 'Tue, 14 Nov 2023 22:13:20 GMT'))),
    ('error_page', fields('/nothing/here')),
    ('a redirect made absolute', fields('/moved')),
    ('a redirect elsewhere', fields('/away')),
    ('no body', fields('/empty')),
    ('a built-in page', fields('/nobody')),
    ('fields of the configuration', lambda c: c.ask('/field')),
    ('another server', fields('/x', authority='second.test')),
    ('an authority with a port', fields('/echo', authority='FIRST.test:1234')),
    ('escapes', fields('/echo/%41%20b//c/../d?x=%20')),
    ('a path out of the root', fields('/../x')),
    ('a bad escape', fields('/echo/%zz')),
    ('proxied', fields('/proxy/x?y=z', 'GET', ('x-a', 'b'), ('te', 'trailers'), ('accept', '*/*'))),
    ('proxied with a body', fields('/proxy', 'POST', ('content-length', '3'), body=b'abc')),
    ('proxied with a body of unknown length', fields('/proxy', 'POST', body=b'abcdef')),
    ('proxied with an empty body', fields('/proxy', 'POST', body=b'')),
    ('proxied with cookies', fields('/proxy', 'GET', ('cookie', 'a=1'), ('x-a', 'b'), ('cookie', 'c=2'))),
    ('Host passed on', fields('/host', authority='first.test:99')),
    ('a large body', fields('/buffered', 'POST', body=bytes(300000))),
    ('a body above the limit', fields('/proxy', 'POST', ('content-length', '2000'), body=bytes(2000))),
    ('TRACE', fields('/echo', 'TRACE')),
    ('underscores in a name', fields('/echo', 'GET', ('x_a', 'one'))),
    ('several requests', lambda c: [c.ask(f'/echo/{i}') for i in range(5)]),
]


def describe(answers, server):
    lines = []
    for a in answers if isinstance(answers, list) else [answers]:
        for n, v in a.head or []:
            if n == 'date':
                v = '@date@'
            elif n == 'server':
                v = '@server@'
            elif n == 'x-other':
                v = '@id@'
            elif n == 'content-length' and b'<hr><center>' in a.body:
                v = '@page@'
            lines.append(f'{n}: {v}'.replace(str(server.port), '@port@'))
        body = re.sub(rb'<hr><center>[^<]*', b'<hr><center>', a.body).replace(str(server.port).encode(), b'@port@')
        lines += [f'{len(body)} bytes, {body[:300]!r}', f'ended={a.ended} reset={a.reset}']
    return lines


def prepare(site):
    site.file('file', b'0123456789')
    site.file('zero', b'')
    site.file('large', bytes(range(256)) * 1000)
    site.backend(answer=lambda r: response(f'{r.method} {r.target} {len(r.body)}'.encode(), 'X-Back: yes'))


@pytest.fixture(scope='module')
def both():
    site = Site()
    prepare(site)
    http = f"log_format h2test '{LOG}'; access_log @dir@/cases.log h2test;"
    servers = [site.server(CONF, NGINX, 'reference', http), site.server(CONF, WEIR, 'tested', http)]
    servers[0].backend = site.backend()
    yield servers
    site.close()


@pytest.mark.parametrize('name, ask', SAME, ids=[name for name, _ in SAME])
def test_as_nginx(both, name, ask):
    seen = []
    backend = both[0].backend
    for server in both:
        before, logged_before = len(backend.requests), len(server.lines('cases.log'))
        with H2(server.port, timeout=5) as c:
            answers = ask(c)
            lines = describe(answers, server)
        for r in backend.requests[before:]:
            head = [line for line in r.head.decode('latin-1').split('\r\n') if line.lower() != 'connection: close']
            lines += ['back end:', *[line.replace(str(server.port), '@port@') for line in head], f'{len(r.body)} bytes']

        wanted = len(answers) if isinstance(answers, list) else 1
        until(lambda: len(server.lines('cases.log')) >= logged_before + wanted, 'the log line')
        page = answers.body if not isinstance(answers, list) and b'<hr><center>' in answers.body else None
        for line in server.lines('cases.log')[logged_before:]:    # pages of errors name the server
            lines.append(line.replace(str(server.port), '@port@').replace(f'|{len(page)}|' if page else '||', '|@page@|'))
        seen.append(lines)
    assert seen[1] == seen[0]


# --- what both sides of a port speak -----------------------------------------------------------------------------------------------

@weir_only('nginx 1.22 has no http2 directive')
def test_http1_and_http2_on_one_port(site):
    server = site.server('server { listen 127.0.0.1:@port@; http2 on; location / { return 200 "$server_protocol $http2"; } }')
    with H2(server.port) as c:
        assert c.ask('/').body == b'HTTP/2.0 h2c'
    with Client(server.port) as c:
        assert c.ask(get('/')).body == b'HTTP/1.1 '
        assert c.ask(get('/')).body == b'HTTP/1.1 '
    with Client(server.port) as c:
        c.send(b'PRI')
        time.sleep(0.05)
        c.send(b'CE /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
        assert c.responses(1)[0].status == 200


@weir_only('nginx 1.22 has no http2 directive')
def test_http2_off_is_http1(site):
    server = site.server('location / { return 200 ok; }')
    with Client(server.port) as c:
        c.send(b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
        assert c.responses(1)[0].status in (400, 505)


def test_curl(site):
    site.file('file', bytes(100000))
    server = site.server('server { listen 127.0.0.1:@port@ http2; root @root@; location /up { client_max_body_size 10m; '
                         'proxy_pass http://@backend@; } }')
    site.backend(answer=lambda r: response(str(len(r.body)).encode()))
    curl = ['curl', '-s', '--max-time', '20', '--http2-prior-knowledge']
    # One request each: curl 7.88 cannot repeat itself on a connection that began with prior knowledge, with any server.
    out = subprocess.run(curl + [f'http://127.0.0.1:{server.port}/file', '-w', ' %{http_version} %{http_code}'],
                         capture_output=True, check=True).stdout
    assert len(out) == 100000 + 6 and out.endswith(b' 2 200')
    path = site.file('upload', bytes(3000000))
    out = subprocess.run(curl + ['--data-binary', f'@{path}', f'http://127.0.0.1:{server.port}/up'], capture_output=True, check=True)
    assert out.stdout == b'3000000'


@weir_only('the figures are weir\'s')
def test_nghttp(site):
    """A page and what it names, over one connection, and again after an upgrade of 10 requests at once."""
    site.file('page.html', b'<html><link rel="stylesheet" href="/a.css"><script src="/b.js"></script><img src="/c.png"></html>')
    for name in ('a.css', 'b.js', 'c.png'):
        site.file(name, name.encode() * 10000)
    server = site.server('server { listen 127.0.0.1:@port@ http2; root @root@; types { text/html html; } }')
    for options in (['-a'], ['-m10'], ['--no-dep', '-w30', '-W30'], ['-H', 'te: trailers', '--expect-continue', '-d', '/etc/services']):
        done = subprocess.run(['nghttp', '-nv', *options, f'http://127.0.0.1:{server.port}/page.html'], capture_output=True, text=True, timeout=30)
        codes = re.findall(r':status: (\d+)', done.stdout)
        want = {'-a': ['200'] * 4, '-m10': ['200'] * 10, '-H': ['405']}.get(options[0], ['200'])
        assert done.returncode == 0 and [c for c in codes if c != '100'] == want, done.stdout + done.stderr
        assert 'error_code=NO_ERROR(0x00)' in done.stdout or 'GOAWAY' not in done.stdout
        assert 'INVALID' not in done.stdout


@pytest.mark.parametrize('streams', [1, 100, 1000])
def test_h2load_sees_no_error(site, streams):
    """Also with more streams at once than are allowed: what is refused before our settings came is repeated by nobody, so only
    the allowed ones are opened."""
    site.file('file', bytes(3000))
    server = site.server('server { listen 127.0.0.1:@port@ http2; keepalive_requests 100000; root @root@; }')
    done = subprocess.run(['h2load', '-n', '4000', '-c', '4', '-m', str(streams), f'http://127.0.0.1:{server.port}/file'],
                          capture_output=True, text=True, timeout=60)
    assert '4000 succeeded, 0 failed, 0 errored, 0 timeout' in done.stdout, done.stdout


# --- bodies and trailers -----------------------------------------------------------------------------------------------------------------

STREAM = '''server { listen 127.0.0.1:@port@ http2; client_max_body_size 10m; location / { proxy_http_version 1.1;
            proxy_request_buffering off; proxy_buffering off; proxy_pass http://@backend@; } }'''


def test_a_request_body_streams(site):
    server = site.server(STREAM)
    with H2(server.port) as c:
        s = c.request('/', 'POST', end=False)
        c.send(frame(DATA, 0, s, b'first'))
        r = site.backend().wait_requests(1)[0]
        until(lambda: b'first' in r.raw or r.body, 'the first piece')
        c.send(frame(DATA, END_STREAM, s, b'second'))
        assert c.wait(s).status == 200
        assert r.body == b'firstsecond'


def test_a_response_streams(site):
    go = threading.Event()
    site.backend(answer=[b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n', Wait(go), b'3\r\nend\r\n0\r\n\r\n'])
    server = site.server(STREAM)
    with H2(server.port) as c:
        s = c.request('/')
        while not c.answer(s).body:
            c.read(5)
        assert c.answer(s).body == b'first' and not c.answer(s).ended
        go.set()
        assert c.wait(s).body == b'firstend'


@weir_only('nginx ends the connection at trailers')
def test_trailers_both_ways(site):
    site.backend(answer=[ReadRequest(), b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n'])
    server = site.server(STREAM)
    with H2(server.port) as c:
        s = c.request('/', 'POST', end=False)
        c.body(s, b'hello', end=False)
        c.head([('x-trailer', 'y')], stream=s)
        a = c.wait(s)
        assert a.body == b'abc' and a.trailers in ([], [[('x-sum', '7')]])
        assert site.backend().requests[0].body == b'hello'


def test_a_body_that_is_not_wanted(site):
    """An answer before the body has come: the rest is not needed, the connection goes on."""
    server = site.server('server { listen 127.0.0.1:@port@ http2; location / { return 200 ok; } }')
    with H2(server.port) as c:
        s = c.request('/', 'POST', ('content-length', '100000'), end=False)
        c.body(s, bytes(1000), end=False)
        a = c.wait(s)
        assert a.status == 200 and a.body == b'ok'
        assert c.ask('/').status == 200


def test_a_back_end_that_breaks_off(site):
    site.backend(answer=[b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf', Close()])
    server = site.server(STREAM)
    with H2(server.port) as c:
        a = c.ask('/')
        assert a.reset is not None and not a.ended, a
        site.backend().answer = response(b'whole')
        assert c.ask('/').body == b'whole'


def test_a_client_that_resets_frees_the_back_end(site):
    go = threading.Event()
    site.backend(answer=[b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf', Wait(go)])
    server = site.server(STREAM)
    with H2(server.port) as c:
        s = c.request('/')
        while not c.answer(s).body:
            c.read(5)
        c.reset(s)
        assert c.ping()
        until(lambda: '499' in ''.join(server.lines('access.log')) or server.lines('access.log'), 'the end of the request')
    go.set()


# --- priorities --------------------------------------------------------------------------------------------------------------------------

@weir_only('RFC 9218')
def test_urgent_streams_come_first(site):
    site.file('file', bytes(400000))
    server = site.server('server { listen 127.0.0.1:@port@ http2; root @root@; }', workers=1)
    with H2(server.port, window=1 << 20) as c:
        low = [c.request('/file', 'GET', ('priority', 'u=6')) for _ in range(3)]
        assert c.ping()
        high = c.request('/file', 'GET', ('priority', 'u=0'))
        c.window(0, 1 << 22)
        assert c.wait(high).ended
        assert all(not c.answer(s).ended for s in low)
        for s in low:
            assert len(c.wait(s).body) == 400000


@weir_only('RFC 9218')
def test_incremental_streams_take_turns(site):
    site.file('file', bytes(300000))
    server = site.server('server { listen 127.0.0.1:@port@ http2; root @root@; }', workers=1)
    with H2(server.port, window=1 << 20) as c:
        streams = [c.request('/file', 'GET', ('priority', 'u=3, i')) for _ in range(3)]
        assert c.ping()
        c.window(0, 1 << 22)
        first = c.until(lambda f: f.kind == DATA and f.flags & END_STREAM).stream
        assert all(len(c.answer(s).body) > 150000 for s in streams if s != first)


@weir_only('RFC 9218')
def test_a_priority_may_change(site):
    site.file('file', bytes(300000))
    server = site.server('server { listen 127.0.0.1:@port@ http2; root @root@; }', workers=1)
    with H2(server.port, window=1 << 20) as c:
        one, two = c.request('/file'), c.request('/file')
        c.send(frame(16, 0, 0, U32(two) + b'u=0'))
        assert c.ping()
        c.window(0, 1 << 22)
        c.window(one, 1)
        assert c.wait(two).ended and not c.answer(one).ended


@weir_only('RFC 9218')
def test_a_priority_that_comes_before_its_stream(site):
    """RFC 9218 7.1: it is kept, and counts more than the field of the request."""
    site.file('file', bytes(300000))
    server = site.server('server { listen 127.0.0.1:@port@ http2; root @root@; }', workers=1)
    with H2(server.port, window=1 << 20) as c:
        c.send(frame(16, 0, 0, U32(3) + b'u=6') + frame(16, 0, 0, U32(3) + b'u=0') + frame(16, 0, 0, U32(99) + b'u=0'))
        one, two = c.request('/file'), c.request('/file', 'GET', ('priority', 'u=7'))
        assert c.ping()
        c.window(0, 1 << 22)
        assert c.wait(two).ended and len(c.answer(one).body) < 200000, 'the first 64 KiB, and what was on the way'
        assert len(c.wait(one).body) == 300000


# --- abuse -----------------------------------------------------------------------------------------------------------------------------------

SIMPLE = ('server { listen 127.0.0.1:@port@ http2; location / { return 200 ok; } location /large { root @root@; } '
          'location /p { proxy_pass http://@backend@; } }')


def flood(server, pieces, why):
    """Sends pieces until the server cuts the connection, and looks for the reason in the log."""
    with H2(server.port, timeout=10) as c:
        try:
            for piece in pieces(c):
                c.socket.sendall(piece)
        except OSError:
            pass
        assert c.wait_closed() in ('ENHANCE_YOUR_CALM', 'reset', 'closed')
        assert c.closed
    until(lambda: any(re.search(why, line) for line in server.lines('error.log')), f'"{why}" in the log')


def rapid_reset(c):
    for i in range(5000):
        s = c.next
        c.next += 2
        yield frame(HEADERS, END_HEADERS | END_STREAM, s, c.block(c.fields('/p'))) + frame(RST_STREAM, 0, s, U32(8))


def made_you_reset(c):
    for i in range(5000):
        s = c.next
        c.next += 2
        yield frame(HEADERS, END_HEADERS, s, c.block(c.fields('/p', 'POST'))) + frame(WINDOW_UPDATE, 0, s, U32(0))


def continuations(c):
    yield frame(HEADERS, END_STREAM, 1, c.block(c.fields()))
    for i in range(1000):
        yield frame(CONTINUATION, 0, 1, b'')


def large_continuations(c):
    yield frame(HEADERS, END_STREAM, 1, c.block(c.fields()))
    for i in range(100):
        yield frame(CONTINUATION, 0, 1, c.block([(f'x-{i}', 'y' * 8000)], huffman=False))


def empty_data(c):
    yield frame(HEADERS, END_HEADERS, 1, c.block(c.fields('/p', 'POST')))
    for i in range(20000):
        yield frame(DATA, 0, 1)


def drip(c):
    """Room for one byte at a time: a DATA frame for each."""
    yield settings(window=0) + frame(HEADERS, END_HEADERS | END_STREAM, 1, c.block(c.fields('/large')))
    for i in range(400):
        yield frame(WINDOW_UPDATE, 0, 1, U32(1)) * 50


def padding_alone(c):
    yield frame(HEADERS, END_HEADERS, 1, c.block(c.fields('/p', 'POST')))
    for i in range(200):
        yield frame(DATA, PADDED, 1, b'\0') * 100


def closed(kind, payload, reset_by_us=False):
    """Frames for a stream that is gone: it ended, or a rule was broken on it."""
    def pieces(c):
        yield frame(HEADERS, END_HEADERS | END_STREAM, 1, c.block(c.fields()))
        if reset_by_us:
            yield frame(HEADERS, END_HEADERS, 3, c.block(c.fields('/p', 'POST'))) + frame(WINDOW_UPDATE, 0, 3, U32(0))
        assert c.ping()
        for i in range(300):
            yield frame(kind, 0, 3 if reset_by_us else 1, payload) * 100
    return pieces


def goaways(c):
    """Beside a request that goes on: without one, the first is obeyed."""
    yield frame(HEADERS, END_HEADERS, 1, c.block(c.fields('/p', 'POST')))
    for i in range(200):
        yield frame(GOAWAY, 0, 0, bytes(8)) * 100


def repeat(data, n=20000):
    return lambda c: (data * 100 for _ in range(n // 100))


@weir_only('nginx does not count these, or has other limits')
@pytest.mark.parametrize('pieces, why', [
    (rapid_reset, r'flood detected.*resets.*, \d+ of a budget of 4000'),
    (made_you_reset, r'flood detected.*resets.*, \d+ of a budget of 4000'),
    (continuations, r'too many CONTINUATION.*: 65, limit 64\)'),
    (large_continuations, r'too large header block, in bytes \(ENHANCE_YOUR_CALM: \d+, limit \d+\)'),
    (padding_alone, r'flood detected.*empty.*, \d+ of a budget of 4000'),
    (empty_data, r'flood detected.*empty.*, \d+ of a budget of 4000'),
    (repeat(frame(PING, 0, 0, bytes(8))), r'flood detected.*PING.*, \d+ of a budget of 4000'),
    (repeat(settings()), r'flood detected.*SETTINGS.*, \d+ of a budget of 4000'),
    (repeat(frame(PRIORITY, 0, 1, U32(3) + b'\x10')), r'flood detected.*PRIORITY.*, \d+ of a budget of 4000'),
    (repeat(frame(WINDOW_UPDATE, 0, 0, U32(1))), r'flood detected.*WINDOW_UPDATE.*, \d+ of a budget of 4000'),
    (closed(RST_STREAM, U32(8)), 'flood detected'),
    (closed(WINDOW_UPDATE, U32(100)), 'flood detected.*WINDOW_UPDATE'),
    (closed(DATA, b'x', reset_by_us=True), 'flood detected'),
    (repeat(frame(PING, 1, 0, bytes(8))), 'flood detected.*PING'),
    (repeat(frame(SETTINGS, 1, 0)), 'flood detected.*SETTINGS'),
    (goaways, 'flood detected'),
    (repeat(frame(16, 0, 0, U32(1) + b'u=1')), 'flood detected.*PRIORITY'),
    (drip, r'flood detected.*WINDOW_UPDATE.*, \d+ of a budget of 4000'),
    (repeat(frame(0x30, 0, 0, b'')), r'flood detected.*others.*, \d+ of a budget of 4000'),
], ids=['rapid reset', 'made you reset', 'empty CONTINUATION', 'large CONTINUATION', 'padding alone', 'empty DATA', 'PING', 'SETTINGS', 'PRIORITY',
        'WINDOW_UPDATE', 'RST_STREAM of a closed stream', 'WINDOW_UPDATE of a closed stream', 'DATA of a stream that was reset',
        'answers to PING', 'answers to SETTINGS', 'GOAWAY', 'PRIORITY_UPDATE', 'a drip of windows', 'unknown'])
def test_floods_are_cut(site, pieces, why):
    site.file('large', bytes(60000))
    server = site.server(SIMPLE)
    flood(server, pieces, why)
    with H2(server.port) as c:
        assert c.ask('/').status == 200


@weir_only('nginx passes them all on at once')
def test_reset_requests_do_not_pile_up_at_the_back_end(site):
    """A stream's place is free when its back end is, not when it was reset."""
    go = threading.Event()
    site.backend(answer=[Wait(go), response(b'x')])
    server = site.server('server { listen 127.0.0.1:@port@ http2; http2_max_concurrent_streams 10; location / { '
                         'proxy_ignore_client_abort on; proxy_pass http://@backend@; } }', workers=1)
    with H2(server.port) as c:
        for _ in range(60):
            s = c.request('/')
            c.reset(s)
        assert c.ping()
        time.sleep(0.3)
        assert len(site.backend().requests) <= 10
        go.set()


@weir_only('nginx has other words')
def test_header_limits(site):
    server = site.server('server { listen 127.0.0.1:@port@ http2; large_client_header_buffers 4 2k; location / { return 200 ok; } }')
    with H2(server.port) as c:
        assert c.ask('/', 'GET', ('x', 'y' * 1900)).status == 200
        a = c.ask('/', 'GET', ('x', 'y' * 2100))
        assert a.status == 400 and b'Request Header Or Cookie Too Large' in a.body
        assert c.ask('/' + 'p' * 2100).status == 414
        a = c.ask('/', 'GET', *[(f'x-{i}', 'y' * 1000) for i in range(12)])
        assert a.status == 400 and b'Too Large' in a.body
        assert c.ask('/').status == 200    # the table is still in step
    until(lambda: any('limit: large_client_header_buffers 2048' in line for line in server.lines('error.log')), 'the limit in the log')


@weir_only('an HPACK bomb')
def test_a_block_that_grows_without_measure(site):
    server = site.server(SIMPLE)
    with H2(server.port) as c:
        big = [(':method', 'GET'), (':scheme', 'http'), (':path', '/'), ('x-bomb', 'z' * 3900)]
        c.head(big)
        c.send(frame(HEADERS, END_HEADERS | END_STREAM, c.next, b'\x82\x86\x84' + b'\xbe' * 16000))
        assert c.wait_closed() == 'ENHANCE_YOUR_CALM'
    until(lambda: any(re.search(r'grows without measure, in bytes \(ENHANCE_YOUR_CALM: \d{5,}, limit \d{5,}\)', line)
                      for line in server.lines('error.log')), 'what was seen, and the limit')


def test_a_window_that_never_opens(site):
    """send_timeout ends a stream whose client takes nothing; the connection goes on."""
    site.file('file', bytes(200000))
    server = site.server('server { listen 127.0.0.1:@port@ http2; send_timeout 400ms; root @root@; location /ok { return 200 ok; } }')
    with H2(server.port, window=1000) as c:
        s = c.request('/file')
        c.until(lambda f: f.kind == DATA)
        until(lambda: any('timed out' in line for line in server.lines('error.log')), 'the time-out')


@pytest.mark.parametrize('news', [frame(WINDOW_UPDATE, 0, 0, U32(1000)), settings(window=2 << 20) + frame(WINDOW_UPDATE, 0, 0, U32(1000))],
                         ids=['window', 'settings'])
def test_a_reset_before_the_window_of_the_connection_opens(site, news):
    """An answer that waits for the connection's window, and is not wanted any more when it opens, is not asked for its frames."""
    site.file('big', b'b' * 300000)
    gate = threading.Event()
    site.backend(answer=[b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n', Wait(gate), b'p' * 1000])
    server = site.server('location / { root @root@; } location /p { proxy_pass http://@backend@; proxy_buffering off; }', http='http2 on;',
                         workers=1)
    with H2(server.port, window=1 << 20) as c:
        waits = c.request('/p')
        c.until(lambda f: f.kind == HEADERS)
        big = c.request('/big')
        c.until(lambda f: f.kind == DATA and len(c.answer(big).body) == 65535)
        gate.set()
        time.sleep(0.3)     # it is read, and waits; if it is not yet, the test sees less
        c.send(frame(RST_STREAM, 0, waits, U32(8)) + news)
        assert c.ping()
        with H2(server.port) as other:
            assert len(other.ask('/big').body) == 300000


@weir_only('client_body_timeout of nginx ends the connection')
def test_a_body_that_does_not_come(site):
    server = site.server('server { listen 127.0.0.1:@port@ http2; client_body_timeout 300ms; location / { proxy_pass '
                         'http://@backend@; } }')
    with H2(server.port) as c:
        s = c.request('/', 'POST', end=False)
        assert c.wait(s).reset is not None
        assert c.ping()


# --- keeping and ending ------------------------------------------------------------------------------------------------------------------------

def test_keepalive_requests_end_with_goaway(site):
    server = site.server('server { listen 127.0.0.1:@port@ http2; keepalive_requests 3; location / { return 200 ok; } }')
    with H2(server.port) as c:
        for _ in range(3):
            assert c.ask('/').status == 200
        assert c.wait_closed() == 'NO_ERROR'


@weir_only('nginx ends the connection with the last answer')
def test_the_last_stream_of_goaway_never_grows(site):
    """RFC 9113 6.8. A stream that comes behind it is refused, and may be repeated elsewhere."""
    site.backend(answer=[Pause(0.5), response(b'x')])
    server = site.server('server { listen 127.0.0.1:@port@ http2; keepalive_requests 1; location / { proxy_pass http://@backend@; } }')
    with H2(server.port) as c:
        first = c.request('/')
        second = c.request('/')
        assert c.until(lambda f: f.kind == GOAWAY).last == first
        assert c.wait(second).reset == 'REFUSED_STREAM'
        c.send(frame(PING, 0, 1, bytes(8)))
        assert c.wait_closed() == 'PROTOCOL_ERROR' and [f.last for f in c.frames if f.kind == GOAWAY] == [first, first]


@weir_only('nginx ends the connection with the last answer')
def test_blocks_behind_goaway_are_decoded(site):
    """RFC 9113 6.8: else the table would not have what the last of them refers to, and an unknown index is COMPRESSION_ERROR."""
    site.backend(answer=[Pause(1), response(b'x')])
    server = site.server('server { listen 127.0.0.1:@port@ http2; keepalive_requests 1; location / { proxy_pass http://@backend@; } }')
    with H2(server.port) as c:
        first = c.request('/')
        assert c.until(lambda f: f.kind == GOAWAY).last == first
        second = c.request('/', 'POST', ('x-own', 'a value of its own'), end=False)
        c.send(frame(DATA, END_STREAM, second, b'x'))
        third = c.request('/', 'GET', ('x-own', 'a value of its own'))
        assert [c.wait(s).reset for s in (second, third)] == ['REFUSED_STREAM'] * 2
        assert c.wait(first).body == b'x' and c.wait_closed() == 'NO_ERROR'


@weir_only('nginx refuses such a stream')
def test_a_small_window_is_not_known_before_it_is_acknowledged(site):
    """RFC 9113 6.9.3: what a client sends before it has seen our SETTINGS fills the window of 65535; what comes behind its ACK does not."""
    site.backend(answer=lambda r: response(str(len(r.body)).encode()))
    server = site.server('server { listen 127.0.0.1:@port@ http2; http2_body_preread_size 0; location / { proxy_pass http://@backend@; }'
                         ' location /none { return 200 ok; } }')
    with H2(server.port, hello=None) as c:
        block = c.block(c.fields('/', 'POST'))
        c.send(PREFACE + settings() + frame(HEADERS, END_HEADERS, 1, block) + b''.join(
            frame(DATA, END_STREAM if i == 3 else 0, 1, bytes(16383)) for i in range(4)))
        assert c.wait(1).body == b'65532'


def test_idle_connections_end_with_goaway(site):
    server = site.server('server { listen 127.0.0.1:@port@ http2; keepalive_timeout 300ms; location / { return 200 ok; } }')
    with H2(server.port) as c:
        assert c.ask('/').status == 200
        start = time.monotonic()
        assert c.wait_closed() == 'NO_ERROR'
        assert 0.2 < time.monotonic() - start < 5


@weir_only('a graceful stop while a request runs')
def test_graceful_stop_answers_what_runs(site):
    go = threading.Event()
    site.backend(answer=[Wait(go), response(b'late')])
    server = site.server(SIMPLE)
    with H2(server.port) as c, H2(server.port) as idle:
        assert idle.ask('/').status == 200
        s = c.request('/p')
        site.backend().wait_requests(1)
        server.send_signal(signal.SIGQUIT)
        assert idle.wait_closed() == 'NO_ERROR'
        assert c.until(lambda f: f.kind == GOAWAY) is not None
        go.set()
        assert c.wait(s).body == b'late'
        assert c.wait_closed() == 'NO_ERROR'
    assert server.wait_exit() == 0
    server.check()
    server.stopped = True


@weir_only('memory of weir')
def test_idle_connections_are_small(site):
    """An idle connection keeps its tables and no buffer, no task."""
    server = site.server(SIMPLE, workers=1)
    agent = ('user-agent', 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36')

    def connect(n):
        conns = [H2(server.port) for _ in range(n)]
        for c in conns:
            assert c.ask('/', 'GET', agent, ('accept', '*/*')).status == 200
        return conns
    first = connect(50)
    before = server.memory()['rss']
    more = connect(400)
    assert server.memory()['rss'] - before < server.allowance(400 * 4096)
    for c in first + more:
        c.socket.close()
