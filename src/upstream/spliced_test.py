"""Bodies that go from socket to socket inside the kernel: what they must do as those that are read do."""
import socket
import threading
import time

import pytest

from weirtest import Client, Close, Pause, Reset, UntilClosed, Wait, chunked, exchange, get, is_nginx, request, response, until

SIZES = [24 << 10, 64 << 10, 300_000, 3 << 20]


def noise(size):
    return (b'%07d\n' * (size // 8 + 1) % tuple(range(size // 8 + 1)))[:size]


def split(body, at=1000, pause=0.0):
    """The head with the first bytes, and then the rest."""
    whole = response(body)
    at += len(whole) - len(body)
    return [whole[:at], Pause(pause), whole[at:]]


@pytest.fixture
def served(site):
    def serve(answer, more=''):
        site.backend(answer=answer)
        return site.server(f'proxy_http_version 1.1; upstream u {{ server @backend@; keepalive 4; }} '
                           f'log_format l "$status $body_bytes_sent $upstream_response_length $upstream_bytes_received"; access_log @dir@/access.log l; '
                           f'server {{ listen 127.0.0.1:@port@; location / {{ proxy_pass http://u; '
                           f'proxy_set_header Connection ""; {more} }} }}')
    return serve


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('pause', [0, 0.05])
def test_whole(site, served, size, pause):
    """Again and again over the same two connections, and the log counts them."""
    body = noise(size)
    server = served(lambda r: split(body, pause=pause))
    with Client(server.port) as c:
        for _ in range(5):
            assert c.ask(get('/')).body == body
        c.send(get('/1') + get('/2') + request('HEAD', '/3') if pause else get('/1') + get('/2'))
        assert c.response().body == c.response().body == body
    assert site.backend('backend').connections == 1
    head = len(response(body)) - size
    assert set(server.wait_lines(7)[:7]) == {f'200 {size} {size} {size + head}'}


@pytest.mark.parametrize('size', SIZES)
def test_bytes_behind_the_end(site, served, size):
    """They belong to nobody: the next request is not answered by them."""
    body = noise(size)
    evil = response(b'evil')
    server = served(lambda r: split(body)[:-1] + [split(body)[-1] + evil] if r.target == '/1' else response(b'good'))
    for _ in range(10):
        with Client(server.port) as c:
            assert c.ask(get('/1')).body == body
            assert c.ask(get('/2')).text == 'good'


@pytest.mark.parametrize('end', [Close(), Reset()], ids=['closed', 'reset'])
@pytest.mark.parametrize('after', [2_000, 40_000, 500_000])
def test_cut(served, after, end):
    body = noise(3 << 20)
    head = response(body)[:-len(body)]
    server = served([b'', head + body[:1000], Pause(0.02), body[1000:after], Pause(0.05), end])
    with Client(server.port) as c:
        c.send(get('/'))
        seen = c.read_to_end()
    got = seen.partition(b'\r\n\r\n')[2]
    assert body.startswith(got) and (len(got) == after or isinstance(end, Reset) and is_nginx(server.binary))  # it drops what it holds
    server.wait_error('error', 'prematurely closed connection' if isinstance(end, Close) else r'recv\(\) failed|readv\(\) failed')


def test_silence(served):
    body = noise(100_000)
    whole = response(body)
    server = served([b'', whole[:-50_000], UntilClosed()], 'proxy_read_timeout 1s;')
    with Client(server.port) as c:
        c.send(get('/'))
        began = time.monotonic()
        seen = c.read_to_end()
        assert 0.8 < time.monotonic() - began < 6
    assert len(seen.partition(b'\r\n\r\n')[2]) == 50_000 or is_nginx(server.binary)  # it drops what it holds
    server.wait_error('error', 'upstream timed out')


def test_pieces_come_as_they_are_sent(served):
    """Nothing waits for the rest."""
    go = threading.Event()
    body = noise(200_000)
    server = served([b'', response(body)[:-100_000], Wait(go), body[-100_000:]], 'proxy_buffering off;')
    with Client(server.port) as c:
        c.send(get('/'))
        c.wait_for(body[90_000:99_000])
        go.set()
        assert c.response().body == body


def test_slow_client(served):
    """The back end is free long before the client has it all."""
    body = noise(8 << 20)
    done = threading.Event()

    server = served(lambda r: [*split(body), lambda r: done.set()])
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(('127.0.0.1', server.port))
        s.sendall(get('/', 'Connection: close'))
        assert done.wait(15)
        seen = b''
        while piece := s.recv(1 << 16):
            seen += piece
    assert seen.partition(b'\r\n\r\n')[2] == body


@pytest.mark.parametrize('kind', ['length', 'chunked'])
def test_a_client_that_is_a_little_slower(site, kind):
    """It takes something all the time, and yet the back end does not wait for it."""
    body = noise(20 << 20)
    done = threading.Event()
    site.backend(answer=lambda r: [response(body) if kind == 'length' else chunked(*[body[i:i + 65536] for i in range(0, len(body), 65536)]),
                                   lambda r: done.set()])
    server = site.server('server { listen 127.0.0.1:@port@ sndbuf=128k; location / { proxy_pass http://@backend@; proxy_http_version 1.1; } }')
    with Client(server.port, room=65536) as c:
        c.send(get('/'))
        while len(c.received) < 10 << 20:
            before = len(c.received)
            while len(c.received) < before + 65536:
                assert c.receive()
            time.sleep(0.005)
        assert done.is_set()
        assert c.response().body == body


def test_more_slow_clients_than_pipes(served):
    body = noise(1 << 20)
    server = served(lambda r: split(body), 'proxy_buffering off;')
    clients = []
    for _ in range(100):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(('127.0.0.1', server.port))
        s.sendall(get('/', 'Connection: close'))
        clients.append(s)
    assert exchange(server.port, get('/'))[0].body == body
    for s in clients:
        seen = b''
        while piece := s.recv(1 << 16):
            seen += piece
        assert seen.partition(b'\r\n\r\n')[2] == body
        s.close()


def test_client_leaves(site, served):
    body = noise(64 << 20)
    server = served(lambda r: split(body), 'proxy_buffering off;')
    back = site.backend('backend')
    for _ in range(3):
        with Client(server.port) as c:
            c.send(get('/'))
            c.wait_for(body[49_000:50_000])
        until(lambda: all(b.closed for b in back.open), 'the back end to see it')
