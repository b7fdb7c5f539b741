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

from weirtest import Client, exchange, get, is_nginx, post, proc, response, run, until

SIZE = 300_000
CONF = '''
    client_max_body_size 0; client_body_buffer_size 8k;
    location = /n { return 200 @version@; }
    location /ws { proxy_pass http://@ws@; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
                   proxy_set_header Connection upgrade; }
    location /static/ { alias @root@/; }
    location / { proxy_pass http://@backend@; }
'''


class Load:
    """Clients that ask without pause. A failure is what was not answered completely and rightly."""

    def __init__(self, site, server, clients=6):
        self.server, self.stopping = server, threading.Event()
        self.failures, self.done, self.retried, self.lock = [], 0, 0, threading.Lock()
        self.kinds = [('n', get('/n'), None), ('down', get('/static/big'), SIZE), ('up', post('/up', b'x' * SIZE), str(SIZE)),
                      ('proxied', get('/p'), '0')]
        self.threads = [threading.Thread(target=self.run, args=(i,), daemon=True) for i in range(clients)]

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *unused):
        self.stopping.set()
        for t in self.threads:
            t.join(60)
            assert not t.is_alive(), 'a request hangs'

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
                    self.failures.append((start, time.monotonic(), name, 'new' if fresh else 'kept', why))
            if kept and (r is None or r.closes() or (i % 2 == 0 and turn % 3 == 0)):
                kept.close()
                kept = None


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
    site.backend(answer=lambda q: response(str(len(q.body))))

    echo = Echo()

    def start(**how):
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
    """A hundred: nothing fails, no connection is closed, and 200 WebSockets go on."""
    server = served()
    tunnels = [Tunnel(server.port) for _ in range(200)]
    with Load(site, server) as load:
        for i in range(100):
            reload(server, i)
            assert exchange(server.port, get('/n'))[0].text == str(i + 1)
            for t in tunnels[i % 10::10]:
                t.ask()
        until(lambda: load.done > 200, 'some load')
    assert load.failures == [] and load.retried == 0
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
    """Ten new binaries: nothing fails but what met an idle connection that was just being closed."""
    server = served(main='daemon on;', foreground=False)
    until(server.workers, 'workers')
    with Load(site, server) as load:
        for _ in range(10):
            old = read_pid(server.pid_path)
            os.kill(old, signal.SIGUSR2)
            until(lambda: read_pid(server.pid_path) not in (None, old), 'the new binary')
            new = read_pid(server.pid_path)
            until(lambda: len(proc.tree(new)) > 1, 'its worker')
            os.kill(old, signal.SIGQUIT)
            until(lambda: not proc.living(old), 'the old one to end')
            server.pid = new
    assert load.failures == []
    assert load.done > 50


@pytest.mark.weir_only('a kill takes one of several workers of nginx')
def test_kills(site, served):
    """Ten times: only what was in flight fails, and no connection is refused."""
    server = served()
    server.alerts.append('exited on signal 9')
    times = []
    with Load(site, server) as load:
        for _ in range(10):
            before = load.done
            until(lambda: load.done > before + 20, 'some load')
            worker = proc.tree(server.pid)[1]
            start = time.monotonic()
            os.kill(worker, signal.SIGKILL)
            until(lambda: not proc.living(worker), 'the worker to be dead')
            times.append((start, time.monotonic()))
            until(lambda: proc.tree(server.pid)[1:] not in ([], [worker]), 'the next worker')
    for start, end, name, kind, why in load.failures:
        assert 'refused' not in why
        assert any(start <= dead and end >= kill for kill, dead in times), (name, kind, why)
    assert len(load.failures) <= 10 * len(load.threads)
    assert server.alive() and load.done > 200


def test_listening_queue_is_never_lost(site, served):
    """Connections that wait while the worker is dead are served by the next one."""
    server = served(workers=1)
    server.alerts.append('exited on signal 9')
    exchange(server.port, get('/n'))
    worker = proc.tree(server.pid)[1]
    os.kill(worker, signal.SIGSTOP)
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
    server = served(http='http2 on; keepalive_requests 100000000;')
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
