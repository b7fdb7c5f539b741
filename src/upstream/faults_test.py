"""The fault matrix: what a back end can do wrong, alone and beside a healthy one; what the client gets, what the logs say."""
import re
import socket
import threading
import time

import pytest

from weirtest import Client, Close, Pause, ReadRequest, Reset, UntilClosed, exchange, get, post, request, response, until

pytestmark = pytest.mark.weir_only('weir says more than nginx, and refuses more')

HEAD = b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n'
LOG = "log_format t '$status $termination $upstream_status'; access_log @dir@/t.log t;"
LIMITS = ('proxy_connect_timeout 300ms; proxy_read_timeout 300ms; proxy_send_timeout 300ms; proxy_buffer_size 4k; proxy_buffers 2 4k; '
          'proxy_busy_buffers_size 4k; ')

# name: (what the back end does, status, termination, the error log's words, whether the client has seen nothing of it)
FAULTS = {
    'refuses': (None, 502, 'SC', r'connect\(\) failed \(111: Connection refused\) while connecting to upstream', True),
    'closes at once': ([ReadRequest(head=True), Close()], 502, 'SH', 'upstream prematurely closed connection while reading response header', True),
    'resets at once': ([ReadRequest(head=True), Reset()], 502, 'SH', r'(recv|writev)\(\) failed \(104', True),
    'silent': ([b'', UntilClosed()], 504, 'sH', r'upstream timed out \(110: Connection timed out\) while reading response header from upstream '
               r'\(proxy_read_timeout 300 ms\)', True),
    'half a head': ([b'HTTP/1.1 200 OK\r\nContent-', UntilClosed()], 504, 'sH', 'upstream timed out', True),
    'closes in the head': ([b'HTTP/1.1 200 OK\r\nContent-', Close()], 502, 'SH', 'upstream prematurely closed connection', True),
    'garbage': ([b'\x00\x01garbage that is no HTTP\r\n\r\n', UntilClosed()], 502, 'PH', 'upstream sent no valid HTTP/1.0 header', True),
    'HTTP/0.9': ([b'<html>hello</html>', Close()], 502, 'PH', 'upstream sent no valid HTTP/1.0 header', True),
    'status 000': ([b'HTTP/1.1 000 Zero\r\n\r\n', Close()], 502, 'PH', 'upstream sent no valid HTTP/1.0 header', True),
    'status 99': ([b'HTTP/1.1 99 Low\r\n\r\n', Close()], 502, 'PH', 'upstream sent no valid HTTP/1.0 header', True),
    'status 1000': ([b'HTTP/1.1 1000 High\r\n\r\n', Close()], 502, 'PH', 'upstream sent no valid HTTP/1.0 header', True),
    'too large a head': ([b'HTTP/1.1 200 OK\r\nX: ' + b'y' * 20000 + b'\r\n\r\n', UntilClosed()], 502, 'PH',
                         r'upstream sent too big header while reading response header from upstream \(\d+ bytes seen, limit 8192', True),
    'two lengths': ([b'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab', Close()], 502, 'PH', 'duplicate header line', True),
    'a length that is none': ([b'HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nab', Close()], 502, 'PH', 'invalid "Content-Length" header', True),
    'length and chunks': ([b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', Close()], 502, 'PH',
                          '"Content-Length" and "Transfer-Encoding"', True),
    'unknown coding': ([b'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n', Close()], 502, 'PH', 'unknown "Transfer-Encoding"', True),
    'unasked 101': ([b'HTTP/1.1 101 Switching Protocols\r\n\r\n', UntilClosed()], 502, 'PH', 'switched protocols without being asked to', True),
    'a broken first chunk': ([b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n', UntilClosed()], 502, 'PH',
                             'upstream sent invalid chunked response', True),
    'a field without a colon': ([b'HTTP/1.1 200 OK\r\nno colon here\r\n\r\n', UntilClosed()], 502, 'PH', 'upstream sent invalid header', True),
    'endless 100': ([b'HTTP/1.1 100 Continue\r\nX: ' + b'y' * 500 + b'\r\n\r\n'] * 40 + [UntilClosed()], 502, 'PH', 'too many interim responses', True),
    'closes in the body': ([HEAD, Pause(0.05), b'part', Pause(0.05), Close()], 200, 'SD', 'upstream prematurely closed connection while reading upstream', False),
    'resets in the body': ([HEAD + b'part', Pause(0.1), Reset()], 200, 'SD', r'recv\(\) failed \(104', False),
    'stops in the body': ([HEAD + b'part', UntilClosed()], 200, 'sD', r'upstream timed out .* while reading upstream \(proxy_read_timeout 300 ms\)', False),
    'a broken chunk later': ([b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n', Pause(0.1), b'zz\r\n', UntilClosed()], 200, 'PD',
                             'upstream sent invalid chunked response while reading upstream', False),
    'chunks cut short': ([b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n', Pause(0.1), Close()], 200, 'SD', 'prematurely closed', False),
}


def place(site, name, second=''):
    answer = FAULTS[name][0]
    bad = '@dead@' if answer is None else '@bad@'
    if answer is not None:
        site.backend('bad', answer=list(answer))
    return site.server(f'location / {{ proxy_pass http://group; {LIMITS} proxy_next_upstream error timeout invalid_header; }}',
                       http=f'{LOG} upstream group {{ server {bad} max_fails=0; {second} }}')


@pytest.mark.parametrize('name', FAULTS)
def test_alone(site, name):
    """The client sees a clean error, or that the answer is cut; the log names peer, phase, limit and what to look at."""
    _, status, termination, words, whole = FAULTS[name]
    server = place(site, name)
    with Client(server.port) as c:
        c.send(get('/x'))
        c.read_to_end() if not whole else None
        r = c.responses(1)[0]
    assert r.status == status and r.complete == whole
    line = server.wait_error('error', words).message
    assert re.search(r', client: 127.0.0.1, server: [^,]*, request: "GET /x HTTP/1.1", upstream: "http://127.0.0.1:\d+/x", host: "localhost"', line), line
    if status != 502 or termination != 'PH':
        assert re.search(r', hint: "after \d+ ms; ', line) or termination == 'PD', line
    assert server.wait_lines(1, 't.log')[0] == f'{status} {termination} {status}'


@pytest.mark.parametrize('name', [n for n, f in FAULTS.items() if f[4]])
def test_with_a_healthy_second(site, name):
    """While the client has seen nothing, the next peer answers."""
    site.backend('good', answer=response(b'well'))
    server = place(site, name, 'server @good@ backup;')
    for _ in range(3):
        r = exchange(server.port, get('/x'))[0]
        assert (r.status, r.body) == (200, b'well')
    want = '504, 200' if FAULTS[name][1] == 504 else '502, 200'
    assert server.wait_lines(3, 't.log') == [f'200 -- {want}'] * 3
    if FAULTS[name][0]:
        assert exchange(server.port, request('PUT', '/x', body=b'again'))[0].status == 200
        assert site.backend('good').requests[-1].body == b'again', 'the buffered body is sent again'


@pytest.mark.parametrize('name', ['closes at once', 'silent', 'garbage', 'too large a head'])
def test_posts_are_not_repeated(site, name):
    """Who has sent something of a POST does not send it twice; non_idempotent allows it."""
    site.backend('good', answer=response(b'well'))
    server = place(site, name, 'server @good@ backup;')
    assert exchange(server.port, post('/x', b'once'))[0].status == FAULTS[name][1]
    assert not site.backend('good').requests


@pytest.mark.parametrize('name', ['refuses', 'closes at once', 'closes in the body', 'stops in the body'])
def test_http_1_0_clients_see_a_cut(site, name):
    """An answer cut short must not look whole to a client that knows no chunks: the connection is reset."""
    server = place(site, name)
    with Client(server.port) as c:
        c.send(request('GET', '/x', version='1.0'))
        data = c.read_to_end()
    assert c.ended == 'reset' or b' 502 ' in data or b'Content-Length: 100' in data


def test_unasked_100_and_103_are_skipped(site):
    site.backend(answer=[b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n', response(b'ok')])
    server = site.server('location / { proxy_pass http://@backend@; }', http=LOG)
    for _ in range(2):
        assert exchange(server.port, get('/'))[0].body == b'ok'
    assert server.wait_lines(2, 't.log') == ['200 -- 200'] * 2


def test_connect_timeout(site):
    """A back end whose queue of connections is full does not answer: 504 after proxy_connect_timeout."""
    full = socket.socket()
    full.bind(('127.0.0.1', 0))
    full.listen(0)
    address = full.getsockname()
    fillers = []
    for _ in range(4):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(address)
        fillers.append(s)
    server = site.server(f'location / {{ proxy_pass http://127.0.0.1:{address[1]}; {LIMITS} }}', http=LOG)
    begin = time.monotonic()
    assert exchange(server.port, get('/'))[0].status == 504
    assert 0.25 < time.monotonic() - begin < 5
    server.wait_error('error', r'upstream timed out \(110: Connection timed out\) while connecting to upstream \(proxy_connect_timeout 300 ms\).*'
                      r'hint: "after \d+ ms; the address does not answer at all')
    assert server.wait_lines(1, 't.log')[0] == '504 sC 504'
    for s in fillers + [full]:
        s.close()


def test_send_timeout(site):
    """A back end that takes nothing of a large request."""
    site.backend(answer=[ReadRequest(head=True), Pause(2), Close()])
    server = site.server(f'location / {{ proxy_pass http://@backend@; {LIMITS} client_max_body_size 0; }}', http=LOG)
    with Client(server.port) as c:
        c.send(post('/', b'x' * (16 << 20)))
        assert c.response().status == 504
    server.wait_error('error', r'upstream timed out .* \(proxy_send_timeout 300 ms\)')
    assert server.wait_lines(1, 't.log')[0].startswith('504 sH')


@pytest.mark.parametrize('when, termination', [('head', 'CH'), ('body', 'CD')])
def test_clients_that_leave(site, when, termination):
    site.backend(answer=[b'', Pause(1), UntilClosed()] if when == 'head' else [b'HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n' + b'x' * 3000000, UntilClosed()])
    server = site.server('location / { proxy_pass http://@backend@; }', http=LOG)
    c = Client(server.port)
    c.send(get('/'))
    if when == 'head':
        site.backend().wait_requests(1)
    else:
        c.wait_for(b'xxx')
    c.reset()
    assert server.wait_lines(1, 't.log')[0].split()[:2] == ['499' if when == 'head' else '200', termination]


def test_client_side_terminations(site):
    server = site.server('client_header_timeout 300ms; client_body_timeout 300ms; client_max_body_size 10; location / { proxy_pass http://@backend@; }', http=LOG)
    for data in (b'GET / HTTP/1.1\r\nHos', b'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab', b'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n', b'BAD\r\n\r\n'):
        with Client(server.port) as c:
            c.send(data)
            c.read_to_end()
    assert sorted(line.split()[1] for line in server.wait_lines(4, 't.log')) == ['PR', 'PR', 'cR', 'cR']
    server.wait_error('error', r'client intended to send too large body: 50 bytes \(limit: client_max_body_size 10 in location "/"\).*hint: "a larger client_max_body_size')


def test_dies_and_comes_back_under_load(site):
    """One of two peers is stopped and started again while clients ask all the time: no client sees an error."""
    for name in ('one', 'two'):
        site.backend(name, answer=response(name.encode()))
    server = site.server('location / { proxy_pass http://group; }', http='upstream group { server @one@ fail_timeout=1s; server @two@ fail_timeout=1s; keepalive 8; }')
    statuses, stop = [], threading.Event()

    def load():
        while not stop.is_set():
            statuses.append(exchange(server.port, get('/'))[0].status)
    threads = [threading.Thread(target=load) for _ in range(4)]
    for t in threads:
        t.start()
    one = site.backend('one')
    for _ in range(3):
        time.sleep(0.3)
        one.stop_listening()
        one.close_idle()
        time.sleep(0.3)
        one.start()
    time.sleep(1.2)
    before = len(one.requests)
    until(lambda: len(one.requests) > before, 'the peer to be asked again')
    stop.set()
    for t in threads:
        t.join()
    assert len(statuses) > 50 and set(statuses) == {200}
