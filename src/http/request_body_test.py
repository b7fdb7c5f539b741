"""Bodies of requests: every size and framing, limits, 100-continue, and that they arrive as they were."""
import hashlib
import random
import threading

import pytest

from weirtest import ANY, Client, Close, ReadRequest, Table, UntilClosed, exchange, get, post, request, response

SIZES = (0, 1, 2, 1023, 1024, 1025, 4095, 4096, 8191, 8192, 8193, 16383, 16384, 16385, 65536, 100000, 1048576)


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


bodies = Table('''
    location / { proxy_pass http://@backend@; }
    location /small/ { proxy_pass http://@backend@; client_body_buffer_size 1k; }
    location /large/ { proxy_pass http://@backend@; client_body_buffer_size 2m; }
    location /here { return 200 "here"; }
    location /old/ { proxy_pass http://@backend@; proxy_http_version 1.0; }
    location /unix/ { proxy_pass http://@unix@; }
''', http='proxy_http_version 1.1; client_max_body_size 0;')
for size in SIZES:
    for path in ('/', '/small/', '/large/'):
        bodies.case(f'{path} length {size}', post(path, noise(size)))
    bodies.case(f'one chunk of {size}', request('POST', '/', chunks=[noise(size)]))
    bodies.case(f'small buffer, one chunk of {size}', request('POST', '/small/', chunks=[noise(size)]))
bodies.case('PUT', request('PUT', '/', body=b'put'))
bodies.case('GET with a body', request('GET', '/', body=b'get'))
bodies.case('DELETE with a body', request('DELETE', '/', body=b'delete'))
bodies.case('POST without a length', request('POST', '/'))
bodies.case('chunked to HTTP/1.0', request('POST', '/old/', chunks=[b'abc', b'de']))
bodies.case('length to HTTP/1.0', post('/old/', b'abcde'))
bodies.case('Unix socket', post('/unix/', noise(50000)))
bodies.case('many small chunks', request('POST', '/', chunks=[bytes([i % 256]) * (i % 7 + 1) for i in range(3000)]))
bodies.case('chunks of growing size', request('POST', '/small/', chunks=[noise(i * 100) for i in range(1, 60)]))
bodies.case('body in two writes', post('/', b'0123456789'), pieces=[-5], delay=0.02)
bodies.case('head and body apart', post('/', noise(3000)), pieces=[-3000], delay=0.02)
bodies.case('body in many writes', post('/', noise(1000)), pieces=range(100, 1050, 13))
bodies.case('two bodies', post('/', noise(5000)) + post('/', noise(5000, 2)), [200, 200])
bodies.case('two big bodies', post('/', noise(200000)) + post('/small/', noise(200000, 2)), [200, 200])
bodies.case('content type stays', post('/', b'{}', 'Content-Type: application/json', 'Content-Encoding: identity'))
bodies.case('trailers of a request', request('POST', '/', 'Transfer-Encoding: chunked')
            + b'3\r\nabc\r\n0\r\nX: y\r\n\r\n')
bodies.case('discarded then kept', post('/here', noise(300000)) + get('/here'), [200, 200])
test_bodies = bodies.tests()

limits = Table('''
    location / { proxy_pass http://@backend@; }
    location /ten/ { client_max_body_size 10; proxy_pass http://@backend@; }
    location /tenhere/ { client_max_body_size 10; return 200 here; }
    location /k/ { client_max_body_size 1k; proxy_pass http://@backend@; }
    location /off/ { client_max_body_size 0; proxy_pass http://@backend@; }
    location /outer/ { client_max_body_size 5; location /outer/in/ { proxy_pass http://@backend@; }
        location /outer/own/ { client_max_body_size 10; proxy_pass http://@backend@; } }
''', http='proxy_http_version 1.1;')
for path, limit in (('/ten/', 10), ('/tenhere/', 10), ('/k/', 1024), ('/', 1048576), ('/outer/in/', 5), ('/outer/own/', 10)):
    for size in (limit - 1, limit, limit + 1):
        status = 413 if size > limit else 200
        limits.case(f'{path} {size}', post(path, b'x' * size), status, lingers=True)
        if path != '/tenhere/':
            limits.case(f'{path} {size} chunked', request('POST', path, chunks=[b'x' * size]), status, lingers=True)
            limits.case(f'{path} {size} in two chunks', request('POST', path, chunks=[b'x' * (size // 2), b'x' * (size - size // 2)]),
                        status, lingers=True)
limits.case('no limit', post('/off/', b'x' * 3000000))
limits.case('declared only', b'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n', 413, lingers=True)
limits.case('declared only, with expectation', b'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\nExpect: 100-continue\r\n\r\n',
            413, lingers=True)
test_limits = limits.tests()


def expecting(body, **how):
    head = request('POST', how.pop('target', '/'), f'Content-Length: {len(body)}', 'Expect: 100-continue', **how)

    def send(client):
        client.send(head)
        client.interim(100)
        client.send_raw(body)
    return send


continues = Table('''
    location / { proxy_pass http://@backend@; }
    location /here { return 200 "here"; }
    location /file { root @root@; }
    location /ten/ { client_max_body_size 10; proxy_pass http://@backend@; }
''', http='proxy_http_version 1.1;', files={'file': 'x'}, log='status=$status')    # nginx counts the 100 as body bytes
continues.case('the client waits', expecting(b'the body'))
continues.case('the client waits, large', expecting(noise(300000)))
continues.case('not waited for', post('/', b'body', 'Expect: 100-continue'))
continues.case('in capitals', post('/', b'body', 'Expect: 100-CONTINUE'))
continues.case('another expectation', post('/', b'body', 'Expect: something'))
continues.case('HTTP/1.0', post('/', b'body', 'Expect: 100-continue', version='1.0'))
continues.case('too large', b'POST /ten/ HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n', 413, lingers=True)
continues.case('chunked', request('POST', '/', 'Expect: 100-continue', chunks=[b'abc']))
def final(head, body):
    """The client waits, gets the final answer, and sends its body all the same: the connection goes on behind it."""
    def send(client):
        client.send(head)
        client.wait_for(b'</html>')
        client.send_raw(body + get('/here'))
        client.methods.append('GET')
    return send


continues.case('refused', final(request('POST', '/file', 'Content-Length: 3', 'Expect: 100-continue'), b'abc'), [405, 200])
continues.case('refused, chunked', final(request('POST', '/file', 'Transfer-Encoding: chunked', 'Expect: 100-continue'), b'3\r\nabc\r\n0\r\n\r\n'), [405, 200])
continues.case('refused, the body is there', request('POST', '/file', 'Expect: 100-continue', body=b'abc') + get('/here'), [405, 200])
test_continues = continues.tests()

# What nobody reads may be larger than client_max_body_size, if the answer was there before it was seen.
unread = Table('location / { client_max_body_size 10; return 200 "$uri"; } location /file { client_max_body_size 10; root @root@; }', files={'file': 'x'}, log='status=$status')
for target in ('/x', '/file'):
    for method in ('POST', 'GET'):
        unread.case(f'{method} {target}', request(method, target, chunks=[b'x' * 50, b'y' * 5000]) + get('/next'), [ANY, 200])
test_unread = unread.tests()


@pytest.mark.parametrize('how', ['length', 'chunked'])
@pytest.mark.parametrize('size', [5 << 20, (16 << 20) + 1])
def test_several_mib(site, size, how):
    """Large bodies arrive whole, the memory stays bounded, the temporary file is gone afterwards."""
    seen = []

    def answer(q):
        seen.append((len(q.body), hashlib.sha256(q.body).hexdigest()))
        return response(b'ok')
    site.backend(answer=answer)
    server = site.server('client_max_body_size 0; location / { proxy_pass http://@backend@; proxy_http_version 1.1; }')
    body = noise(size)
    exchange(server.port, post('/', b'warm'))
    before = server.memory()['private']
    data = post('/', body) if how == 'length' else request('POST', '/', chunks=[body[i:i + 30000] for i in range(0, size, 30000)])
    assert exchange(server.port, data)[0].text == 'ok'
    assert seen[1] == (size, hashlib.sha256(body).hexdigest())
    assert server.memory()['private'] - before < server.allowance(4 << 20)


def test_body_is_replayed_for_the_next_peer(site):
    """A body that the first peer took and did not answer goes whole to the second, for idempotent methods."""
    site.backend('one', [ReadRequest(), Close()])
    server = site.server('location / { proxy_pass http://g; proxy_http_version 1.1; client_body_buffer_size 4k; }',
                         http='upstream g { server @one@; server @two@; }')
    body = noise(100000)
    for _ in range(2):
        assert exchange(server.port, request('PUT', '/', body=body))[0].text == 'two: PUT /\n'
    assert all(q.body == body for q in site.backend('two').requests) and len(site.backend('two').requests) == 2
    assert site.backend('one').requests


def test_early_answer(site):
    """A back end that answers and closes before it read the body: the client gets the answer."""
    site.backend(answer=[response(b'early', 'Connection: close', status='403 Forbidden'), UntilClosed()])
    server = site.server('client_max_body_size 0; location / { proxy_pass http://@backend@; proxy_http_version 1.1; }')
    with Client(server.port) as c:
        c.send(post('/', noise(2_000_000)))
        assert c.response().status == 403


def test_client_that_leaves_in_its_body(site):
    """Half a body and gone: the back end sees no whole request; the log says 400 as nginx does."""
    server = site.server('access_log @dir@/x.log f; location / { proxy_pass http://@backend@; }',
                         http="log_format f '$status $request_length';")
    with Client(server.port) as c:
        c.send(post('/', b'x' * 100)[:-50])
    assert server.wait_lines(1, 'x.log')[0].split()[0] == '400'
    assert not site.backend().requests


def test_slow_uploads_do_not_hold_the_back_end(site):
    """Request buffering: the back end is asked when the body is there, not before."""
    server = site.server('location / { proxy_pass http://@backend@; }')
    with Client(server.port) as c:
        c.send(post('/', b'x' * 100)[:-1])
        assert exchange(server.port, get('/other'))[0].status == 200
        assert [q.target for q in site.backend().requests] == ['/other']
        c.send_raw(b'x')
        assert c.response().status == 200


def test_parallel_uploads(site):
    """Many uploads at once, each with a body of its own."""
    site.backend(answer=lambda q: response(hashlib.sha256(q.body).hexdigest()))
    server = site.server('client_max_body_size 0; location / { proxy_pass http://@backend@; client_body_buffer_size 8k; }')
    bad = []

    def upload(i):
        body = noise(20000 * i + i, i)
        r = exchange(server.port, post('/', body))
        if not r or r[0].text != hashlib.sha256(body).hexdigest():
            bad.append((i, r))
    threads = [threading.Thread(target=upload, args=(i,)) for i in range(20)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not bad
