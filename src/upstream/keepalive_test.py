"""Kept connections to back ends: shared by all threads, and what a back end that closes them costs."""
import collections
import random
import select
import socket
import threading
import time

import pytest

from weirtest import NGINX, Client, exchange, get, post, run
from weirtest import ports

HEAD = 'location / { proxy_pass http://g; proxy_http_version 1.1; proxy_set_header Connection ""; }'


class Closing:
    """A back end that closes each connection some time after an answer, in the middle of whatever comes. `executed` counts
    the requests that it read whole, by target."""

    def __init__(self, least, most, announce=None):
        self.least, self.most, self.announce = least, most, announce
        self.executed = collections.Counter()
        self.connections = 0
        self.port = ports.take()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(('127.0.0.1', self.port))
        self.listener.listen(512)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                c, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(c,), daemon=True).start()

    def serve(self, c):
        c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = b''
        try:
            while True:
                while b'\r\n\r\n' not in data or len(data.partition(b'\r\n\r\n')[2]) < self.length(data):
                    more = c.recv(65536)
                    if not more:
                        return
                    data += more
                head, _, rest = data.partition(b'\r\n\r\n')
                data = rest[self.length(data):]
                self.executed[head.split(b' ')[1].decode()] += 1
                said = f'Keep-Alive: timeout={self.announce}\r\n' if self.announce else ''
                c.sendall(f'HTTP/1.1 200 OK\r\n{said}Content-Length: 2\r\n\r\nok'.encode())
                pause = random.uniform(self.least, self.most)
                if pause > 0.1:
                    if select.select([c], [], [], pause)[0]:
                        continue
                else:
                    time.sleep(pause)
                return
        except OSError:
            pass
        finally:
            c.close()

    @staticmethod
    def length(data):
        for line in data.partition(b'\r\n\r\n')[0].split(b'\r\n'):
            name, _, value = line.partition(b':')
            if name.lower() == b'content-length':
                return int(value)
        return 0

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        ports.give(self.port)


@pytest.fixture
def closing(request):
    backend = Closing(*request.param)
    yield backend
    backend.close()


def posts(server, n, clients=1, pause=0.004):
    """How many of n POSTs were not answered with 200."""
    lost, lock = [], threading.Lock()

    def run(k):
        c = Client(server.port)
        for i in range(n // clients):
            c.send(post(f'/{k}-{i}', b'body'))
            if c.response().status != 200:
                with lock:
                    lost.append((k, i))
            time.sleep(random.uniform(0, pause))
        c.close()
    threads = [threading.Thread(target=run, args=(k,)) for k in range(clients)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return len(lost)


@pytest.mark.weir_only('nginx loses about 40 of 100')
@pytest.mark.parametrize('closing', [(0, 0.004)], indirect=True)
@pytest.mark.parametrize('clients', [1, 4])
def test_posts_against_a_back_end_that_closes(site, closing, clients):
    server = site.server(HEAD, http=f'upstream g {{ server 127.0.0.1:{closing.port}; }}', workers=2)
    lost = posts(server, 300, clients)
    print(f'{lost} of 300 lost')
    assert lost <= 2, f'{lost} of 300'
    assert max(closing.executed.values()) == 1, 'executed twice'
    assert sum(closing.executed.values()) >= 300 - lost


@pytest.mark.parametrize('closing', [(0, 0.004)], indirect=True)
def test_gets_lose_nothing(site, closing):
    server = site.server(HEAD, http=f'upstream g {{ server 127.0.0.1:{closing.port}; keepalive 8; }}', workers=2)
    with Client(server.port) as c:
        for i in range(300):
            assert c.ask(get(f'/{i}')).status == 200
            time.sleep(random.uniform(0, 0.004))


@pytest.mark.weir_only('nginx does not read Keep-Alive')
@pytest.mark.parametrize('closing', [(30, 30, 2)], indirect=True)
def test_announced_time_is_obeyed(site, closing):
    """Keep-Alive: timeout=2: the connection is given up before that, by weir."""
    server = site.server(HEAD, http=f'upstream g {{ server 127.0.0.1:{closing.port}; }}', workers=1)
    assert exchange(server.port, get('/1'))[0].status == 200
    time.sleep(1)
    assert exchange(server.port, get('/2'))[0].status == 200
    assert closing.connections == 1
    time.sleep(1.7)
    assert exchange(server.port, get('/3'))[0].status == 200
    assert closing.connections == 2


@pytest.mark.weir_only('nginx does not learn')
@pytest.mark.parametrize('closing', [(1.5, 1.5)], indirect=True)
def test_time_is_learnt(site, closing):
    """A back end that closes idle connections after 1.5 s: after two of them weir closes first."""
    server = site.server(HEAD, http=f'upstream g {{ server 127.0.0.1:{closing.port}; }}', workers=1)
    for i in range(2):
        assert exchange(server.port, post(f'/{i}', b'x'))[0].status == 200
        time.sleep(1.8)
    assert exchange(server.port, post('/2', b'x'))[0].status == 200
    time.sleep(1.2) # retired half a second before
    assert exchange(server.port, post('/3', b'x'))[0].status == 200
    assert closing.connections == 4
    time.sleep(0.6)
    assert exchange(server.port, post('/4', b'x'))[0].status == 200
    assert closing.connections == 4, 'a young one is used'


@pytest.mark.weir_only('came with nginx 1.29.7')
@pytest.mark.parametrize('local, connections', [('', 1), ('local', 2)])
def test_locations_share_connections_or_not(site, local, connections):
    """keepalive ... local: a location uses only its own; an `if` in it, and it after a reload, are the same location."""
    server = site.server('location /a { if ($arg_x) { proxy_pass http://g; } proxy_pass http://g; }\nlocation /b { proxy_pass http://g; }',
                         http=f'upstream g {{ server @back@; keepalive 8 {local}; }}', workers=1)
    for i in range(6):
        assert exchange(server.port, get('/a'))[0].status == exchange(server.port, get('/b'))[0].status == exchange(server.port, get('/a?x=1'))[0].status == 200
        if i == 3:
            done = run('-p', server.directory + '/', '-c', server.conf_path, '-e', server.error_log_path, '-s', 'reload', binary=server.binary)
            assert done.returncode == 0, done.stderr
    assert site.backend('back').connections == connections


def storm(port, connections, requests):
    """Many clients at once, each asking and waiting for its answer; returns how many answers came."""
    clients = []
    for _ in range(connections):
        s = socket.create_connection(('127.0.0.1', port))
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        clients.append(s)
    poll, got, left = select.epoll(), 0, {s.fileno(): requests for s in clients}
    by_fd, data = {s.fileno(): s for s in clients}, collections.defaultdict(bytes)
    line = get('/x')
    for s in clients:
        poll.register(s, select.EPOLLIN)
        s.sendall(line)
    deadline = time.monotonic() + 60
    while left and time.monotonic() < deadline:
        for fd, _ in poll.poll(1):
            data[fd] += by_fd[fd].recv(65536)
            while b'\r\n\r\nok' in data[fd]:
                data[fd] = data[fd].partition(b'\r\n\r\nok')[2]
                got += 1
                left[fd] -= 1
                if left[fd] > 0:
                    by_fd[fd].sendall(line)
                else:
                    del left[fd]
    for s in clients:
        s.close()
    return got


class Quick:
    """A back end of one thread that keeps connections and counts them.

    It answers what came in 5 ms together, so that many requests are under way at once however fast the machine is."""

    def __init__(self):
        self.connections = 0
        self.port = ports.take()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(('127.0.0.1', self.port))
        self.listener.listen(1024)
        self.poll, self.open, self.stopping = select.epoll(), {}, False
        self.poll.register(self.listener, select.EPOLLIN)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        answer = b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
        asked, answer_at = collections.Counter(), None
        while not self.stopping:
            if asked and time.monotonic() >= answer_at:
                for fd, count in asked.items():
                    self.open[fd].sendall(answer * count)
                asked.clear()
            for fd, _ in self.poll.poll(0.001 if asked else 0.2):
                if fd == self.listener.fileno():
                    c, _ = self.listener.accept()
                    c.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self.connections += 1
                    self.open[c.fileno()] = c
                    self.poll.register(c, select.EPOLLIN)
                    continue
                try:
                    data = self.open[fd].recv(65536)
                except OSError:
                    data = b''
                if data:
                    if not asked:
                        answer_at = time.monotonic() + 0.005
                    asked[fd] += data.count(b'\r\n\r\n')
                else:
                    asked.pop(fd, None)
                    self.poll.unregister(fd)
                    self.open.pop(fd).close()

    def close(self):
        self.stopping = True
        self.thread.join()
        for c in self.open.values():
            c.close()
        self.listener.close()
        ports.give(self.port)


def opened(site, binary):
    backend = Quick()
    try:
        server = site.server(HEAD, binary=binary, http=f'upstream g {{ server 127.0.0.1:{backend.port}; keepalive 32; }}', workers=4)
        assert storm(server.port, 200, 40) == 8000
        server.stop()
        return backend.connections
    finally:
        backend.close()


def test_threads_share_connections(site):
    """200 clients, 4 threads: at most a third of the connections that nginx opens with 4 workers."""
    nginx, weir = opened(site, NGINX), opened(site, None)
    print(f'connections opened: nginx {nginx}, weir {weir}')
    assert weir * 3 <= nginx, f'nginx {nginx}, weir {weir}'
