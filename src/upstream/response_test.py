"""Answers of back ends: framing, heads, 1xx, and everything that a bad one can send."""
import random

import pytest

from weirtest import (Client, Close, Drip, Pause, Reset, ShutdownWrite, Table, UntilClosed, chunked, exchange, get, request,
                      response)


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


answers = Table('''
    location / { proxy_pass http://@backend@; }
    location /small/ { proxy_pass http://@backend@; proxy_buffer_size 1k; proxy_buffers 4 1k; }
    location /big/ { proxy_pass http://@backend@; proxy_buffer_size 64k; proxy_buffers 8 64k; proxy_busy_buffers_size 128k; }
    location /old/ { proxy_pass http://@backend@; proxy_http_version 1.0; }
    location /unix/ { proxy_pass http://@unix@; }
''', http='proxy_http_version 1.1;')
until_close = b'HTTP/1.1 200 OK\r\nContent-Type: text/x\r\n\r\n'
for size in (0, 1, 2, 100, 1023, 1024, 4095, 4096, 4097, 8192, 16384, 32768, 65535, 65536, 65537, 300000, 1048577):
    body = noise(size)
    for path in ('/', '/small/', '/big/'):
        answers.case(f'{path} length {size}', get(path), answer=response(body))
        answers.case(f'{path} one chunk of {size}', get(path), answer=chunked(*([body] if body else [])))
    answers.case(f'until the close {size}', get('/'), answer=[until_close, body, Close()])
    answers.case(f'until the close {size} to HTTP/1.0', request('GET', '/', version='1.0'), answer=[until_close, body, Close()])
    answers.case(f'HEAD {size}', request('HEAD', '/'), answer=response(body)[:-size or None])
    answers.case(f'from HTTP/1.0 {size}', get('/old/'), answer=[response(body, version='1.0'), Close()])
    answers.case(f'Unix socket {size}', get('/unix/'), answer=response(body))
answers.case('many chunks', get('/'), answer=chunked(*[noise(i % 300 + 1, i) for i in range(2000)]))
answers.case('byte by byte', get('/'), answer=[b'', Drip(response(b'drip by drip', 'X: y'))])
answers.case('chunks byte by byte', get('/'), answer=[b'', Drip(chunked(b'abc', b'defgh'))])
answers.case('head and body apart', get('/'), answer=[b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n', Pause(0.05), b'abc'])
answers.case('half-closed after the answer', get('/'), answer=[response(b'x', 'Connection: close'), ShutdownWrite(), UntilClosed()])
answers.case('two in turn', get('/a') + get('/b'), [200, 200], answer=response(b'same'))
answers.case('HEAD with chunked', request('HEAD', '/'), answer=b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
answers.case('HEAD then GET', request('HEAD', '/') + get('/'), [200, 200], answer=lambda q: response(b'abc')[:-3 if q.method == 'HEAD' else None])
answers.case('HTTP/1.0 answer, keep-alive', get('/'), answer=[response(b'abc', 'Connection: keep-alive', version='1.0'), Close()])
answers.case('trailers of an answer', get('/'), answer=chunked(b'abc', headers=['Trailer: X'], trailers=['X: y']))
for status in (201, 202, 203, 206, 207, 226, 300, 301, 304, 400, 401, 404, 418, 451, 499, 500, 503, 599, 204, 205):
    plain = response(b'', status=f'{status} Any Reason', length=status not in (204, 304))
    answers.case(f'status {status}', get('/'), status, answer=plain)
    answers.case(f'status {status} to HEAD', request('HEAD', '/'), status, answer=plain)
answers.case('304 with a length', get('/', 'If-None-Match: "x"'), 304,
             answer=b'HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\nETag: "x"\r\n\r\n')
answers.case('no reason', get('/'), answer=b'HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n')
answers.case('empty reason', get('/'), answer=b'HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n')
answers.case('odd reason', get('/'), answer=b'HTTP/1.1 200 caf\xe9 (x) "y"\r\nContent-Length: 0\r\n\r\n')
answers.case('bare LF', get('/'), answer=b'HTTP/1.1 200 OK\nContent-Length: 3\nX: y\n\nabc')
for name, lines in {
        'plain': ['A: 1', 'B: 2'], 'repeated': ['A: 1', 'B: 2', 'A: 3'], 'cookies': ['Set-Cookie: a=1', 'Set-Cookie: b=2; Path=/'],
        'server and date': ['Server: Behind', 'Date: Thu, 01 Jan 1970 00:00:00 GMT'], 'empty value': ['X:', 'Y: '],
        'spaces': ['X:    a  b   '], 'case': ['x-LOWER: V'], 'connection': ['Connection: keep-alive', 'Keep-Alive: timeout=5'],
        'cache': ['Cache-Control: no-cache', 'Expires: 0', 'Pragma: no-cache'],
        'validators': ['ETag: W/"x"', 'Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT'], 'ranges': ['Accept-Ranges: bytes'],
        'type': ['Content-Type: text/html; charset=utf-8'], 'encoding': ['Content-Encoding: gzip'], 'language': ['Content-Language: de'],
        'x-accel': ['X-Accel-Buffering: no', 'X-Accel-Expires: 10', 'X-Accel-Charset: utf-8', 'X-Accel-Limit-Rate: 0'],
        'status field': ['Status: 404 x'], 'p3p and via': ['Via: 1.1 x', 'P3P: x'], 'high bytes': ['X: caf\u00e9'],
        'odd names': ["A1!#$%&'*+-.^`|~: x"], 'underscore': ['X_Y: 1'], 'long': ['X: ' + 'y' * 3000], 'many': [f'X-{i}: {i}' for i in range(100)],
        'authenticate': ['WWW-Authenticate: Basic realm="x"'], 'vary': ['Vary: Accept', 'Vary: Cookie'],
        'te': ['Trailer: X'], 'link': ['Link: <a>; rel=preload', 'Link: <b>'], 'content disposition': ['Content-Disposition: attachment; filename="x"']}.items():
    answers.case(f'fields: {name}', get('/'), answer=response(b'abc', *lines))
answers.case('more than the length', get('/'), answer=[response(b'abc') + b'more', Close()])
answers.case('cut body', get('/'), answer=[b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc', Close()])
answers.case('cut chunk', get('/'), answer=[b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nabc', Close()])
answers.case('no last chunk', get('/'), answer=[b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n', Close()])
test_answers = answers.tests()

bad = Table('location / { proxy_pass http://@backend@; proxy_read_timeout 1s; }', http='proxy_http_version 1.1;')
for name, answer in {
        'nothing': [b'', Close()], 'reset': [b'', Reset()], 'half a status line': [b'HTTP/1.1 2', Close()],
        'half a head': [b'HTTP/1.1 200 OK\r\nContent-Len', Close()], 'head without end': [b'HTTP/1.1 200 OK\r\nX: y\r\n', Close()],
        'NUL in a field': b'HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n',
        'space in a name': b'HTTP/1.1 200 OK\r\nX Y: a\r\nContent-Length: 0\r\n\r\n',
        'too big a head': response(b'', *['X: ' + 'y' * 1000] * 80)}.items():
    bad.case(name, get('/'), 502, answer=answer)
bad.case('silence', get('/'), 504, answer=[b'', UntilClosed()])
bad.case('half a head and silence', get('/'), 504, answer=[b'HTTP/1.1 200 OK\r\n', UntilClosed()])
test_bad = bad.tests()

GARBAGE = {
    'garbage': b'hello, I am no HTTP server\r\n', 'HTML': b'<html><body>hi</body></html>', 'binary': bytes(range(256)),
    'HTTP/0.9-like': b'just text', 'SSH': b'SSH-2.0-x\r\n', 'HTTP/2': b'HTTP/2 200\r\n\r\n', 'HTTP/3.0': b'HTTP/3.0 200 OK\r\n\r\n',
    'small http': b'http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', 'ICY': b'ICY 200 OK\r\n\r\n',
    'status 000': b'HTTP/1.1 000 X\r\nContent-Length: 0\r\n\r\n', 'status 99': b'HTTP/1.1 99 X\r\nContent-Length: 0\r\n\r\n',
    'status 099': b'HTTP/1.1 099 X\r\nContent-Length: 0\r\n\r\n', 'status 1000': b'HTTP/1.1 1000 X\r\nContent-Length: 0\r\n\r\n',
    'status 20x': b'HTTP/1.1 20x X\r\nContent-Length: 0\r\n\r\n', 'no status': b'HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n',
    'unasked 101': b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\ntunnel',
    'bad first chunk': b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnothex\r\nabc\r\n0\r\n\r\n',
    'huge first chunk': b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n' + b'f' * 17 + b'\r\nabc',
    'two lengths': b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd',
    'bad length': b'HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n', 'negative length': b'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n',
    'length and chunked': b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'unknown encoding': b'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n',
    'field without a colon': b'HTTP/1.1 200 OK\r\nnocolon\r\nContent-Length: 0\r\n\r\n'}


@pytest.mark.weir_only('nginx passes it on, or answers nothing')
@pytest.mark.parametrize('name', GARBAGE)
def test_garbage_is_a_bad_gateway(site, name):
    """What is no HTTP/1 answer is a 502 with a log line; never HTTP/0.9, a made-up status or a tunnel."""
    site.backend(answer=[b'', GARBAGE[name], ShutdownWrite(), UntilClosed()])
    server = site.server('location / { proxy_pass http://@backend@; }')
    with Client(server.port) as c:
        c.send(get('/'))
        assert c.response().status == 502
        site.backend(answer=response(b'fine'))
        assert c.ask(get('/')).text == 'fine'
    server.wait_error('error', 'upstream')


@pytest.mark.weir_only('an unasked 100 makes nginx wait for ever')
@pytest.mark.parametrize('count', [1, 2, 5])
def test_unasked_100_is_skipped(site, count):
    site.backend(answer=b'HTTP/1.1 100 Continue\r\n\r\n' * count + response(b'final'))
    server = site.server('location / { proxy_pass http://@backend@; proxy_read_timeout 2s; }')
    for _ in range(2):
        assert exchange(server.port, get('/'))[0].text == 'final'


@pytest.mark.weir_only('nginx takes 1xx answers for the final one')
def test_early_hints_are_not_the_answer(site):
    """102 and 103 come before the answer; whether they are passed on or not, the final answer arrives."""
    site.backend(answer=b'HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n' + response(b'final'))
    server = site.server('location / { proxy_pass http://@backend@; proxy_read_timeout 2s; }')
    assert exchange(server.port, get('/'))[0].text == 'final'


@pytest.mark.weir_only('1xx without end')
def test_endless_1xx_is_cut(site):
    site.backend(answer=[b'', *[b'HTTP/1.1 100 Continue\r\n\r\n' * 1000] * 50, UntilClosed()])
    server = site.server('location / { proxy_pass http://@backend@; proxy_read_timeout 2s; }')
    assert exchange(server.port, get('/'))[0].status in (502, 504)


@pytest.mark.weir_only('nginx fails heads of more than proxy_buffer_size')
def test_heads_of_8_kib_pass(site):
    """Buffers grow up to the configured total: a head of 5 to 8 KB is not an error with the defaults."""
    site.backend(answer=response(b'x', *[f'X-{i}: ' + 'y' * 1000 for i in range(7)]))
    server = site.server('location / { proxy_pass http://@backend@; }')
    assert exchange(server.port, get('/'))[0].header('X-6') == 'y' * 1000


@pytest.mark.weir_only('nginx passes them on')
@pytest.mark.parametrize('line', ['Upgrade: h2c', 'Proxy-Connection: close', 'Connection: X-Hop'])
def test_fields_of_the_back_ends_hop_stay_here(site, line):
    """RFC 9110 7.6.1: fields of that hop, and those that its Connection names, are not passed on."""
    site.backend(answer=response(b'', line, 'X-Hop: 1', 'X-Kept: 1'))
    server = site.server('location / { proxy_pass http://@backend@; }')
    r = exchange(server.port, get('/'))[0]
    name, value = line.split(': ')
    assert r.header('X-Kept') == '1' and value not in r.all(name)
    assert bool(r.all('X-Hop')) == (name != 'Connection')


@pytest.mark.weir_only('nginx passes it on')
def test_204_has_no_length(site):
    """RFC 9110 8.6."""
    site.backend(answer=response(b'', status='204 No Content'))
    server = site.server('location / { proxy_pass http://@backend@; }')
    r = exchange(server.port, get('/'))[0]
    assert r.status == 204 and not r.all('Content-Length')


@pytest.mark.weir_only("nginx ends the client's answer as if it were whole")
def test_cut_answer_is_not_whole_for_http_1_0(site):
    """A chunked answer cut short must not look complete: HTTP/1.0 has no framing for it, so the connection is reset."""
    site.backend(answer=[b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n', Pause(0.1), Close()])
    server = site.server('location / { proxy_pass http://@backend@; }')
    with Client(server.port) as c:
        c.send(request('GET', '/', version='1.0'))
        c.read_to_end()
        assert c.ended == 'reset' or b' 502 ' in c.received.split(b'\r\n')[0]


def test_every_cut_of_an_answer(site):
    """An answer cut at each byte: 502 before its head is whole, a cut answer after that; never a complete one, never a hang."""
    whole = response(b'0123456789', 'X-Field: value')
    head = len(whole) - 10
    server = site.server('location / { proxy_pass http://@backend@; }')
    for at in range(len(whole)):
        site.backend(answer=[b'', whole[:at], Close()])
        with Client(server.port) as c:
            c.send(get('/', 'Connection: close'))
            c.read_to_end()
            assert c.ended == 'eof', at
            status = c.received.split(b' ')[1]
            if at < head:
                assert status == b'502', at
            else:
                assert status in (b'200', b'502') and not c.received.endswith(b'9'), at
    server.stop()
    assert len(server.errors('error')) >= len(whole) - 11


def test_every_split_of_an_answer(site):
    """The same answer in two writes, cut at each byte."""
    whole = chunked(b'abc', b'0123456789abcdef', headers=['X-Field: value'])
    server = site.server('location / { proxy_pass http://@backend@; proxy_http_version 1.1; }')
    with Client(server.port) as c:
        for at in range(1, len(whole)):
            site.backend(answer=[b'', whole[:at], Pause(0.002), whole[at:]])
            r = c.ask(get('/'))
            assert r.status == 200 and r.body == b'abc0123456789abcdef' and r.header('X-Field') == 'value', at


@pytest.mark.parametrize('framing', ['length', 'chunked', 'close'])
def test_20_mib_in_bounded_memory(site, framing):
    """A large answer to a slow reader: whole, and the memory of the server stays bounded."""
    body = noise(20 << 20)
    pieces = [body[i:i + 65536] for i in range(0, len(body), 65536)]
    site.backend(answer={'length': response(body), 'chunked': chunked(*pieces),
                         'close': [until_close, body, Close()]}[framing])
    server = site.server('location /warm { return 200; } location / { proxy_pass http://@backend@; proxy_http_version 1.1; }')
    exchange(server.port, get('/warm'))
    before = server.memory()['private']
    with Client(server.port) as c:
        c.send(get('/'))
        c.wait_for(b'\r\n\r\n')
        assert server.memory()['private'] - before < server.allowance(4 << 20)
        assert c.response().body == body
