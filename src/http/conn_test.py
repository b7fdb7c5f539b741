"""Connections of clients: keep-alive, pipelining, HTTP/1.0, time-outs, and what a client that leaves costs."""
import socket
import threading
import time

import pytest

from weirtest import Client, Table, UntilClosed, Wait, chunked, exchange, get, post, request, response, until

CONF = '''
    location /here { return 200 "here"; }
    location / { proxy_pass http://@backend@; }
'''
keep = Table(CONF, http='proxy_http_version 1.1;', log='request=$request|status=$status|n=$connection_requests')
for target in ('/here', '/there'):
    keep.case(f'HTTP/1.1 {target}', get(target))
    keep.case(f'HTTP/1.1 close {target}', get(target, 'Connection: close'))
    keep.case(f'HTTP/1.1 Close {target}', get(target, 'Connection: CLOSE'))
    keep.case(f'HTTP/1.1 keep-alive {target}', get(target, 'Connection: keep-alive'))
    keep.case(f'HTTP/1.1 a list {target}', get(target, 'Connection: x, close'))
    keep.case(f'HTTP/1.0 {target}', request('GET', target, version='1.0'))
    keep.case(f'HTTP/1.0 keep-alive {target}', request('GET', target, 'Connection: keep-alive', version='1.0'))
    keep.case(f'HTTP/1.0 Keep-Alive {target}', request('GET', target, 'Connection: Keep-Alive', version='1.0'))
    keep.case(f'HTTP/1.0 keep-alive twice {target}',
              request('GET', target, 'Connection: keep-alive', version='1.0') * 2, [200, 200])
    keep.case(f'two {target}', get(target) + get(target + '/2'), [200, 200])
    keep.case(f'twenty {target}', b''.join(get(f'{target}/{i}') for i in range(20)), [200] * 20)
    keep.case(f'close ends the pipeline {target}', get(target) + get(target, 'Connection: close') + get('/never'), [200, 200])
    keep.case(f'empty lines between {target}', get(target) + b'\r\n\r\n' + get(target), [200, 200])
    keep.case(f'a chunked POST, then much {target}', request('POST', target, chunks=[b'y' * 17000]) + post(target, b'x' * 40000) + get(target),
              [200, 200, 200])
    keep.case(f'POST then GET {target}', post(target, b'body') + get(target), [200, 200])
    keep.case(f'chunked then GET {target}', request('POST', target, chunks=[b'ab', b'cd']) + get(target), [200, 200])
    keep.case(f'GET with a body then GET {target}', request('GET', target, body=b'GET /evil HTTP/1.1\r\n\r\n') + get(target), [200, 200])
    keep.case(f'HEAD then GET {target}', request('HEAD', target) + get(target), [200, 200])
    keep.case(f'bad after good {target}', get(target) + b'BAD\r\n\r\n', [200, 400])
    keep.case(f'mixed {target}', get(target) + request('HEAD', target) + post(target, b'x' * 3000) + get(target), [200] * 4)
keep.case('chunked to HTTP/1.0', request('GET', '/x', version='1.0'), answer=chunked(b'abc', b'def'))
keep.case('chunked to HTTP/1.0 keep-alive', request('GET', '/x', 'Connection: keep-alive', version='1.0'),
          answer=chunked(b'abc', b'def'))
keep.case('length to HTTP/1.0 keep-alive', request('GET', '/x', 'Connection: keep-alive', version='1.0'), answer=response(b'abc'))
test_keep = keep.tests()

limits = Table('server { listen 127.0.0.1:@port@; keepalive_requests 3; keepalive_timeout 60s 30s; '
               'location / { return 200 "$connection_requests"; } location /off { keepalive_timeout 0; return 200 off; } }')
limits.case('the third is the last', get('/1') + get('/2') + get('/3') + get('/4'), [200, 200, 200])
limits.case('off', get('/off') + get('/1'), [200])
test_limits = limits.tests()


def test_idle_connections_are_closed(site):
    server = site.server('keepalive_timeout 300ms; location / { return 200 ok; }')
    with Client(server.port) as c:
        assert c.ask(get('/')).status == 200
        start = time.monotonic()
        c.wait_closed()
        assert 0.2 < time.monotonic() - start < 5


def test_slow_header_times_out(site):
    """client_header_timeout: a head that does not come closes the connection; however many bytes trickle in."""
    server = site.server('client_header_timeout 400ms; location / { return 200 ok; }')
    with Client(server.port) as c:
        c.send(b'GET / HT')
        c.wait_closed()
    with Client(server.port) as c:
        stop = time.monotonic() + 10
        for byte in b'GET / HTTP/1.1\r\nHost: x\r\nX: ' + b'y' * 1000:
            if not c.send(bytes([byte])) or time.monotonic() > stop:
                break
            c.socket.settimeout(0.05)
            if not c.receive() and c.ended != 'timeout':
                break
        assert c.ended in ('eof', 'reset')


def test_silent_client_times_out(site):
    server = site.server('client_header_timeout 300ms; location / { return 200 ok; }')
    with Client(server.port) as c:
        c.wait_closed()


def test_slow_body_times_out(site):
    server = site.server('client_body_timeout 300ms; location / { proxy_pass http://@backend@; }')
    with Client(server.port) as c:
        c.send(b'POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc')
        found = c.responses(1)
        assert [r.status for r in found] in ([], [408])
        assert c.ended == 'eof'
    assert server.wait_lines(1)[0].split('"')[2].split()[0] == '408'
    assert not [q for q in site.backend().requests if q.complete]


def test_client_that_does_not_read_times_out(site):
    """send_timeout: a client that takes nothing for that long loses the connection."""
    site.file('big', b'x' * 20_000_000)
    server = site.server('send_timeout 500ms; root @root@;')
    before = server.settled_descriptors()
    with Client(server.port) as c:
        c.send(get('/big'))
        until(lambda: server.descriptors() > before, 'the file to be open')
        server.wait_lines(1)
        until(lambda: server.descriptors() <= before, 'the connection to be closed')


def test_slow_reader_gets_all(site):
    body = bytes(range(256)) * 8000
    site.backend(answer=response(body))
    server = site.server('location / { proxy_pass http://@backend@; }')
    with Client(server.port, room=65536) as c:
        c.send(get('/'))
        c.wait_for(b'HTTP/1.1 200')
        time.sleep(0.3)    # the server's and the kernel's buffers fill meanwhile
        assert c.response().body == body


def test_client_abort_frees_the_back_end(site):
    """The back end's connection is closed when the client leaves, in each phase; the log says 499."""
    server = site.server('access_log @dir@/x.log f; location / { proxy_pass http://@backend@; proxy_buffering off; }',
                         http="log_format f '$status';")
    phases = {'before the head': [b'', UntilClosed()],
              'in the head': [b'HTTP/1.1 200 OK\r\n', UntilClosed()],
              'in the body': [b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc', UntilClosed()]}
    for i, (phase, steps) in enumerate(phases.items()):
        site.backend(answer=steps)
        with Client(server.port) as c:
            c.send(get('/'))
            site.backend().wait_requests(i + 1)
            if phase == 'in the body':
                c.wait_for(b'abc')
        until(lambda: not site.backend().busy(), f'the back end to be left, {phase}')
    server.stop()
    assert server.lines('x.log') == ['499', '499', '200']


def test_abort_with_reset(site):
    site.backend(answer=[b'', UntilClosed()])
    server = site.server('access_log @dir@/x.log f; location / { proxy_pass http://@backend@; }', http="log_format f '$status';")
    c = Client(server.port)
    c.send(get('/'))
    site.backend().wait_requests(1)
    c.reset()
    until(lambda: not site.backend().busy(), 'the back end to be left')
    assert server.wait_lines(1, 'x.log') == ['499']


def test_half_closed_client_is_gone(site):
    """nginx takes FIN of a waiting client for its leaving: 499."""
    site.backend(answer=[b'', UntilClosed()])
    server = site.server('access_log @dir@/x.log f; location / { proxy_pass http://@backend@; }', http="log_format f '$status';")
    with Client(server.port) as c:
        c.send(get('/'))
        site.backend().wait_requests(1)
        c.shutdown_write()
        assert server.wait_lines(1, 'x.log') == ['499']


def test_answers_come_in_order(site):
    """A slow first answer of a pipeline is not overtaken by a quick second one."""
    gate = threading.Event()
    site.backend(answer=lambda q: [b'', Wait(gate), response(b'slow')] if q.target == '/slow' else response(b'quick'))
    server = site.server('location / { proxy_pass http://@backend@; }')
    with Client(server.port) as c:
        c.send(get('/slow') + get('/quick'))
        site.backend().wait_requests(1)
        gate.set()
        assert [r.text for r in c.responses(2)] == ['slow', 'quick']


def test_many_connections(site):
    """300 connections at once, each with requests of its own; all answers belong to their connection; nothing leaks."""
    server = site.server('location / { proxy_pass http://@backend@; }', main='events { worker_connections 4096; }')
    assert exchange(server.port, get('/warm'))[0].status == 200
    site.backend().close_idle()
    before = server.settled_descriptors()
    clients = [Client(server.port) for _ in range(300)]
    for turn in range(3):
        for i, c in enumerate(clients):
            c.send(get(f'/{i}/{turn}'))
        for i, c in enumerate(clients):
            assert c.response().text == f'backend: GET /{i}/{turn}\n'
    for c in clients:
        c.close()
    site.backend().close_idle()
    until(lambda: server.descriptors() <= before, f'{server.descriptors()} descriptors to be {before} again')


def test_connections_spread_over_workers_and_stay_alive(site):
    server = site.server('location / { return 200 "$connection"; }', workers=2)
    clients = [Client(server.port) for _ in range(20)]
    numbers = [c.ask(get('/')).text for c in clients]
    assert len(set(numbers)) == 20
    assert [c.ask(get('/')).text for c in clients] == numbers
    for c in clients:
        c.close()


def test_streaming_is_not_held_back(site):
    """What the back end sends in a slow answer reaches the client while the answer goes on."""
    gate = threading.Event()
    site.backend(answer=[b'', b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n', Wait(gate),
                         b'6\r\nsecond\r\n0\r\n\r\n'])
    server = site.server('location / { proxy_pass http://@backend@; proxy_http_version 1.1; proxy_buffering off; }')
    with Client(server.port) as c:
        c.send(get('/'))
        c.wait_for(b'first')
        gate.set()
        assert c.response().text == 'firstsecond'


@pytest.mark.parametrize('workers', [1, 2])
def test_ipv6_and_unix_listeners(site, workers):
    server = site.server('server { listen [::1]:@port@; listen unix:@dir@/l.sock; listen 127.0.0.1:@port@; '
                         'return 200 "$server_addr $server_port $remote_addr"; }', workers=workers)
    assert exchange(('::1', server.port), get('/'))[0].text == f'::1 {server.port} ::1'
    assert exchange(server.directory + '/l.sock', get('/'))[0].text.startswith('unix:')
    assert exchange(server.port, get('/'))[0].text == f'127.0.0.1 {server.port} 127.0.0.1'
