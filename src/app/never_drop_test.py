"""Constant load of new and kept connections, uploads and downloads, while the configuration, the binary or the worker is
replaced: what may fail then, and what must not."""
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from weirtest import WEIR, Client, exchange, get, is_nginx, post, proc, response, run, until
from weirtest.h2 import H2

SIZE = 300_000
PIECE = 20_000
CONF = '''
    client_max_body_size 0; client_body_buffer_size 8k;
    location = /n { return 200 @version@; }
    location /ws { proxy_pass http://@ws@; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
                   proxy_set_header Connection upgrade; }
    location /static/ { alias @root@/; }
    location /bytes { proxy_pass http://@backend@; proxy_buffers 4 8k; proxy_max_temp_file_size 0; }
    location / { proxy_pass http://@backend@; }
'''


class Load:
    """Clients that ask without pause, over HTTP/1 and HTTP/2. A failure is what was not answered completely and rightly."""

    def __init__(self, site, server, clients=6, h2_clients=3):
        self.server, self.stopping = server, threading.Event()
        self.failures, self.done, self.retried, self.lock = [], 0, 0, threading.Lock()
        self.kinds = [('n', get('/n'), None), ('down', get('/static/big'), SIZE), ('up', post('/up', b'x' * SIZE), str(SIZE)),
                      ('proxied', get('/p'), '0')]
        h2_clients = 0 if is_nginx(server.binary) else h2_clients    # nginx 1.22 has no HTTP/2 beside HTTP/1 on a port without TLS
        self.threads = [threading.Thread(target=self.run, args=(i,), daemon=True) for i in range(clients)]
        self.threads += [threading.Thread(target=self.run_h2, daemon=True) for _ in range(h2_clients)]
        self.h2_done = self.h2_connections = 0

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *unused):
        self.stopping.set()
        for t in self.threads:
            t.join(60)
            assert not t.is_alive(), 'a request hangs'

    def fail(self, start, name, kind, why):
        with self.lock:
            self.failures.append((start, time.monotonic(), name, kind, why))

    def run(self, i):
        kept, turn = None, i
        while not self.stopping.is_set():
            turn += 1
            name, data, want = self.kinds[turn % len(self.kinds)]
            fresh = kept is None
            start = time.monotonic()
            try:
                kept = kept or Client(self.server.port)
                r = kept.ask(data)
                good = r.status == 200 and r.complete and (want is None or want in (len(r.body), r.text))
                why = None if good else repr(r)
            except (OSError, AssertionError, IndexError) as e:
                r, why = None, f'{type(e).__name__}: {e}'
                # An idle connection may be closed just when the next request is sent on it: then the client asks again.
                if not fresh and not kept.received[kept.used:]:
                    with self.lock:
                        self.retried += 1
                    why = None
            with self.lock:
                self.done += 1
            if why:
                self.fail(start, name, 'new' if fresh else 'kept', why)
            if kept and (r is None or r.closes() or (i % 2 == 0 and turn % 3 == 0)):
                kept.close()
                kept = None

    def run_h2(self):
        """Four requests at once on a connection that stays as long as the server lets it."""
        c = None
        while not self.stopping.is_set():
            start, kept = time.monotonic(), c is not None
            try:
                if c is None:
                    c = H2(self.server.port)
                    self.h2_connections += 1
                streams = [(c.request('/n'), None), (c.request('/static/big'), SIZE), (c.request('/p'), '0'),
                           (c.request('/up', 'POST', end=False), str(SIZE))]
                c.body(streams[-1][0], b'x' * SIZE)
                answers = [(c.wait(stream), want, stream) for stream, want in streams]
            except (OSError, AssertionError) as e:
                self.fail(start, 'connection', 'h2', f'{type(e).__name__}: {e}')
                c = None
                continue
            gone = kept and c.closed and not any(a.heads for a, _, _ in answers)
            for a, want, stream in answers:
                # What lies behind the last stream of GOAWAY was not looked at, and is asked for again; and so what is sent just when
                # a connection without requests is closed.
                retry = gone or (c.goaway is not None and stream > c.goaway.last) or a.reset == 'REFUSED_STREAM'
                good = a.ended and a.reset is None and a.status == 200 and (want is None or want in (len(a.body), a.body.decode()))
                if not good and not retry:
                    self.fail(start, 'stream', 'h2', f'{stream}: {a!r:.200} closed={c.closed} goaway={c.goaway and c.goaway.last}')
                with self.lock:
                    self.done += 1
                    self.h2_done += good
                    self.retried += retry
            c.answers.clear()
            c.frames.clear()
            if c.goaway is not None or c.closed:
                c.socket.close()
                c = None
        if c:
            c.socket.close()


class Slow:
    """Downloads and uploads that are under way all the time: a piece of each whenever step() is called."""

    def __init__(self, port, count=5, steps=100):
        self.steps, self.size = steps, steps * PIECE
        self.downs, self.ups = [Client(port, room=PIECE) for _ in range(count)], [Client(port) for _ in range(count)]
        self.got = [b''] * count
        for c in self.downs:
            c.send(get(f'/bytes/{self.size}'))
        for c in self.ups:
            c.send(f'POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: {self.size}\r\n\r\n'.encode())

    def step(self):
        for i, c in enumerate(self.downs):
            want = len(self.got[i]) + PIECE
            while len(self.got[i]) < want and (piece := c.socket.recv(want - len(self.got[i]))):
                self.got[i] += piece
        for c in self.ups:
            c.socket.sendall(b'u' * PIECE)

    def finish(self):
        for i, c in enumerate(self.downs):
            while not self.got[i].endswith(b'the end'):
                piece = c.socket.recv(1 << 20)
                assert piece, f'a download was cut after {len(self.got[i])} bytes'
                self.got[i] += piece
            head, _, body = self.got[i].partition(b'\r\n\r\n')
            assert head.startswith(b'HTTP/1.1 200') and len(body) == self.size + 7
            c.close()
        for c in self.ups:
            assert c.response().text == str(self.size)
            c.close()


class Echo:
    """A back end that agrees to any upgrade and then sends back what it gets."""

    def __init__(self):
        self.socket = socket.create_server(('127.0.0.1', 0), backlog=300)
        self.address = '127.0.0.1:%d' % self.socket.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                s, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    @staticmethod
    def serve(s):
        with s:
            head = b''
            while not head.endswith(b'\r\n\r\n'):
                piece = s.recv(4096)
                if not piece:
                    return
                head += piece
            s.sendall(b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')
            try:
                while piece := s.recv(4096):
                    s.sendall(piece)
            except OSError:
                pass


class Tunnel:
    def __init__(self, port):
        self.client, self.sent = Client(port), 0
        self.client.send(get('/ws', 'Upgrade: websocket', 'Connection: Upgrade'))
        self.client.wait_for(b'\r\n\r\n')
        assert self.client.received.startswith(b'HTTP/1.1 101'), self.client.received
        self.client.received.clear()

    def ask(self):
        self.sent += 1
        text = b'message %d.' % self.sent
        self.client.socket.sendall(text)
        self.client.wait_for(text)
        self.client.received.clear()


@pytest.fixture
def served(site):
    site.file('big', b'y' * SIZE)

    def answer(q):
        if q.target.startswith('/bytes/'):
            return response(b'd' * int(q.target[7:]) + b'the end')
        return response(str(len(q.body)))
    site.backend(answer=answer)
    echo = Echo()

    def start(http='', **how):
        # nginx 1.22 does not know http2 as a directive
        how['http'] = http + ('keepalive_requests 1000000;' if is_nginx(WEIR) else 'http2 on; keepalive_requests 1000000;')
        return site.server(CONF.replace('@version@', '0').replace('@ws@', echo.address), **how)
    yield start
    echo.socket.close()


def reload(server, i):
    with open(server.conf_path) as f:
        text = f.read()
    with open(server.conf_path, 'w') as f:
        f.write(text.replace(f'return 200 {i};', f'return 200 {i + 1};'))
    r = run('-p', server.directory + '/', '-c', server.conf_path, '-e', server.error_log_path, '-s', 'reload', binary=server.binary)
    assert r.returncode == 0, r.stderr


@pytest.mark.weir_only('nginx closes kept connections at a reload')
def test_reloads(site, served):
    """A hundred: nothing fails, no connection is closed, and 200 WebSockets, downloads and uploads go on."""
    server = served()
    tunnels = [Tunnel(server.port) for _ in range(200)]
    slow = Slow(server.port)
    with Load(site, server) as load:
        for i in range(100):
            reload(server, i)
            assert exchange(server.port, get('/n'))[0].text == str(i + 1)
            slow.step()
            for t in tunnels[i % 10::10]:
                t.ask()
        until(lambda: load.done > 200 and load.h2_done > 50, 'some load')
    assert load.failures == [] and load.retried == 0
    assert load.h2_connections == 3
    slow.finish()
    for t in tunnels:
        t.ask()
        t.client.close()


def read_pid(path):
    try:
        with open(path) as f:
            text = f.read()
    except FileNotFoundError:
        return None
    return int(text) if text.endswith('\n') else None


def test_upgrades(site, served):
    """Ten new binaries: nothing fails but what met an idle connection that was just being closed. WebSockets, downloads and
    uploads stay with the old one until they end; then it does."""
    server = served(main='daemon on;', foreground=False)
    until(server.workers, 'workers')
    with Load(site, server) as load:
        for _ in range(10):
            tunnels, slow = [Tunnel(server.port) for _ in range(20)], Slow(server.port, count=2, steps=3)
            old = read_pid(server.pid_path)
            os.kill(old, signal.SIGUSR2)
            until(lambda: read_pid(server.pid_path) not in (None, old), 'the new binary')
            new = read_pid(server.pid_path)
            until(lambda: len(proc.tree(new)) > 1, 'its worker')
            slow.step()
            os.kill(old, signal.SIGQUIT)
            until(lambda: said_goodbye(server, old), 'the old one to stop accepting')
            for _ in range(2):
                slow.step()
                for t in tunnels:
                    t.ask()
            assert proc.living(old)
            slow.finish()
            for t in tunnels:
                t.client.close()
            until(lambda: not proc.living(old), 'the old one to end')
            server.pid = new
        if not is_nginx(server.binary):
            assert load.h2_done > 20 and load.h2_connections >= 10
    assert load.failures == []
    assert load.done > 50


def said_goodbye(server, pid):
    """Whether the workers of this supervisor have said that they end."""
    tree = proc.tree(pid)
    return any(line.pid in tree for line in server.errors('notice') if line.message.startswith('gracefully shutting down'))


@pytest.mark.weir_only('a kill takes one of several workers of nginx')
def test_kills(site, served):
    """Ten times: only what was in flight fails, and no connection is refused."""
    server = served()
    server.alerts.append('exited on signal 9')
    times = []
    with Load(site, server) as load:
        for _ in range(10):
            before, before_h2 = load.done, load.h2_done
            until(lambda: load.done > before + 20 and load.h2_done > before_h2 + 4, 'some load')
            tunnels = [Tunnel(server.port) for _ in range(20)]
            worker = proc.tree(server.pid)[1]
            start = time.monotonic()
            os.kill(worker, signal.SIGKILL)
            until(lambda: not proc.living(worker), 'the worker to be dead')
            times.append((start, time.monotonic()))
            until(lambda: proc.tree(server.pid)[1:] not in ([], [worker]), 'the next worker')
            for t in tunnels:
                t.client.wait_closed()
                t.client.close()
    for start, end, name, kind, why in load.failures:
        assert 'refused' not in why
        assert any(start <= dead and end >= kill for kill, dead in times), (name, kind, why)
    assert len(load.failures) <= 10 * (len(load.threads) + 3 * 3)    # four streams of each connection of HTTP/2
    assert server.alive() and load.done > 200


def test_listening_queue_is_never_lost(site, served):
    """Connections that wait while the worker is dead are served by the next one."""
    server = served(workers=1)
    server.alerts.append('exited on signal 9')
    exchange(server.port, get('/n'))
    worker = proc.tree(server.pid)[1]
    proc.stop(worker)
    waiting = []
    for _ in range(50):
        s = socket.create_connection(('127.0.0.1', server.port))
        s.sendall(get('/n', 'Connection: close'))
        waiting.append(s)
    os.kill(worker, signal.SIGKILL)
    for s in waiting:
        s.settimeout(15)
        data = b''
        while piece := s.recv(4096):
            data += piece
        assert data.startswith(b'HTTP/1.1 200') and data.endswith(b'0')
        s.close()
    assert is_nginx(server.binary) or server.workers() != [worker]


@pytest.mark.skipif(not shutil.which('h2load'), reason='needs h2load')
@pytest.mark.weir_only('nginx 1.22 closes HTTP/2 connections at a reload')
def test_http2_over_reloads(site, served):
    """Connections with many streams stay, and every request is answered."""
    server = served()
    load = subprocess.Popen(['h2load', '-D', '4', '-c', '8', '-m', '10', f'http://127.0.0.1:{server.port}/p'],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    i = 0
    while load.poll() is None:
        reload(server, i)
        i += 1
    out = load.communicate()[0]
    done = re.search(r'requests: (\d+) total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored', out)
    assert done and i > 5, out
    assert done[4] == done[5] == '0' and int(done[3]) == int(done[2]) > 100, out
