"""Short of descriptors, of disk for logs and bodies: a clear line, what can be served is served, and it recovers by itself."""
import os
import resource
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

from weirtest import WEIR, Client, Wait, exchange, get, is_nginx, post, proc, response, run, until

root_only = pytest.mark.root


def asks(port, target='/'):
    """The status of a new connection's request; None when it gets none."""
    try:
        with Client(port, timeout=2) as c:
            return c.ask(get(target)).status
    except (OSError, IndexError, AssertionError):
        return None


def test_descriptors_run_out(site):
    """Who is connected is served; who waits is served when others have gone; one line says so, not one for each."""
    server = site.server('location / { return 200; }', main='worker_rlimit_nofile 64;', workers=1)
    server.alerts.append('accept4')
    clients = []
    for _ in range(90):
        clients.append(Client(server.port))
    served = [c for c in clients if answered(c)]
    assert 20 <= len(served) < 90
    server.wait_error('crit', r'\Aaccept4\(\) failed.* \(24: Too many open files\)')
    for c in served[:10]:
        assert c.ask(get('/')).status == 200
    for c in served:
        c.close()
    waiting = [c for c in clients if c not in served]
    for c in waiting[:20]:
        c.timeout = 15
        c.socket.settimeout(15)
        assert c.response().status == 200
    for c in clients:
        c.close()
    until(lambda: asks(server.port) == 200, 'new connections')
    if not is_nginx(server.binary):
        assert len([line for line in server.errors('crit') if 'accept4' in line.message]) == 1


def test_descriptors_run_out_under_load(site):
    """Requests that need one more (a back end, a file) are answered 500 while there is none, the log says which call had none, no
    peer is blamed, and when clients have gone everything is as before."""
    site.backend(answer=lambda q: response('b' * 1000, 'Connection: close'))
    site.file('f', 'f' * 100000)
    server = site.server('location /f { root @root@; } location / { proxy_pass http://@backend@; proxy_http_version 1.0; }',
                         main='worker_rlimit_nofile 64;', workers=1)
    server.alerts += ['accept4', r'\(24: Too many open files\)']
    assert asks(server.port, '/p') == asks(server.port, '/f') == 200
    before = server.settled_descriptors()
    stop, seen, lock = threading.Event(), set(), threading.Lock()

    def ask(i):
        while not stop.is_set():
            try:
                with Client(server.port, timeout=5) as c:
                    for n in range(20):
                        r = c.ask(get('/f' if (i + n) % 2 else '/p'))
                        with lock:
                            seen.add(r.status)
                        if r.closes():
                            break
                    time.sleep(0.01)
            except (OSError, IndexError, AssertionError):
                pass    # it waited too long to be let in
    threads = [threading.Thread(target=ask, args=(i,), daemon=True) for i in range(80)]
    for t in threads:
        t.start()
    until(lambda: any('(24: Too many open files)' in e.message for e in server.errors()), 'a line about descriptors')
    time.sleep(2)
    stop.set()
    for t in threads:
        t.join(30)
        assert not t.is_alive()
    for path in ('/p', '/f'):
        until(lambda: asks(server.port, path) == 200, path)
    until(lambda: server.descriptors() <= before, 'descriptors to be given back')
    assert {500} <= seen <= {200, 500}
    assert any(e.message.startswith('socket() failed (24: Too many open files) while connecting to upstream') for e in server.errors())


@pytest.mark.weir_only('nginx starts new processes')
def test_descriptors_run_out_within_a_reload(site):
    """More worker_processes than there are descriptors for: the new configuration is in force, on the threads that are there, and the
    next reload makes the others."""
    server = site.server('location / { return 200 one; }', main='worker_rlimit_nofile 64;', workers=1)
    server.alerts += ['accept4', 'event loop cannot be made']
    pid = until(server.workers, 'workers')
    clients = [Client(server.port) for _ in range(60)]
    served = [c for c in clients if answered(c)]
    server.wait_error('crit', r'\Aaccept4\(\) failed.* \(24: Too many open files\)')
    for c in clients:
        if c not in served or c in served[-4:]:    # so that a few are left for reading the configuration
            c.close()
    until(lambda: asks(server.port) == 200, 'new connections')
    threads = proc.threads(pid[0])
    with open(server.conf_path) as f:
        text = f.read()
    with open(server.conf_path, 'w') as f:
        f.write(text.replace('worker_processes 1;', 'worker_processes 4;').replace('return 200 one', 'return 200 two'))
    r = run('-p', server.directory + '/', '-c', server.conf_path, '-e', server.error_log_path, '-s', 'reload', binary=server.binary)
    server.wait_error('alert', r'\Aevent loop cannot be made \(24: Too many open files\)')
    assert r.returncode == 0 and server.workers() == pid and proc.threads(pid[0]) < threads + 3
    for c in served[:10]:
        assert c.ask(get('/')).text == 'two'
    for c in clients:
        c.close()
    until(lambda: asks(server.port) == 200, 'new connections')
    server.send_signal(signal.SIGHUP)
    until(lambda: proc.threads(pid[0]) == threads + 3, 'the other threads')
    assert asks(server.port) == 200


def answered(c):
    c.send(get('/'))
    c.socket.settimeout(0.3)
    try:
        return len(c.responses(1)) == 1
    finally:
        c.ended = None if c.ended == 'timeout' else c.ended
        c.socket.settimeout(15)


@pytest.fixture
def small_disk(site):
    """A file system of 256 KiB."""
    place = site.directory_for('small')
    r = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=256k,mode=777', 'weirtest', place], capture_output=True, text=True)
    if r.returncode != 0:
        pytest.skip('cannot mount: ' + r.stderr)
    yield place
    subprocess.run(['umount', '-l', place], check=True)


def fill(place):
    with open(f'{place}/filler', 'wb', buffering=0) as f:
        try:
            while f.write(b'x' * 4096):
                pass
        except OSError:
            pass


@root_only
@pytest.mark.weir_only('nginx says it for each line, to the same disk')
def test_disk_for_logs_is_full(site, small_disk):
    """Serving goes on; the error log says it once; lines come again when there is room, and the count of those that are lost."""
    server = site.server(f'access_log {small_disk}/access.log; location / {{ return 200; }}')
    server.alerts.append('No space left')
    assert asks(server.port) == 200
    until(lambda: os.path.getsize(f'{small_disk}/access.log') > 0, 'a line')
    fill(small_disk)
    for _ in range(200):
        assert asks(server.port, '/' + 'x' * 200) == 200
    until(lambda: any('No space left' in line.message for line in server.errors()), 'a line in the error log')
    time.sleep(0.3)
    said = [line for line in server.errors() if 'No space left' in line.message]
    assert len(said) <= 2, said
    os.unlink(f'{small_disk}/filler')

    def last_line():
        assert asks(server.port, '/again') == 200
        with open(f'{small_disk}/access.log') as f:
            return '/again' in f.read()
    until(last_line, 'lines again')


@pytest.mark.weir_only('the signal ends workers of nginx')
def test_files_have_a_limit(site):
    """ulimit -f: a log and a temporary file at their limit are errors of writing, not the worker's end."""
    site.backend(answer=lambda q: response(str(len(q.body))))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100000, before[1]))
    try:
        server = site.server('access_log @dir@/limited.log; client_max_body_size 0; client_body_buffer_size 8k; client_body_in_file_only clean; '
                             'location = / { return 200; } location / { proxy_pass http://@backend@; }', workers=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    server.alerts.append('File too large')
    worker = until(server.workers, 'workers')
    with Client(server.port) as c:
        for _ in range(300):
            assert c.ask(get('/?' + 'x' * 500)).status == 200
    server.wait_error('crit', r'limited\.log" failed.* \(27: File too large\)')
    with Client(server.port) as c:
        c.send(post('/up', b'x' * 300000))
        assert c.response().status == 500
    assert exchange(server.port, post('/up', b'x' * 50000))[0].text == '50000'
    os.truncate(f'{server.directory}/limited.log', 0)

    def last_line():
        assert asks(server.port, '/?again') == 200
        return any('again' in line for line in server.lines('limited.log'))
    until(last_line, 'lines again')
    assert server.workers() == worker


@root_only
def test_disk_for_request_bodies_is_full(site, small_disk):
    """The request is refused with 500, the next small one is served, and a large one again when there is room."""
    site.backend(answer=lambda q: response(str(len(q.body))))
    server = site.server(f'client_max_body_size 0; client_body_buffer_size 8k; client_body_in_file_only clean; client_body_temp_path {small_disk};'
                         ' location / { proxy_pass http://@backend@; }')
    server.alerts.append('No space left')
    server.temporary = []
    assert exchange(server.port, post('/', b'x' * 100000))[0].text == '100000'
    fill(small_disk)
    big = post('/', b'x' * 500000)
    with Client(server.port) as c:
        c.send(big)
        assert c.response().status == 500
    server.wait_error('crit', r'\(28: No space left on device\)')
    assert asks(server.port) in (200, 500)
    os.unlink(f'{small_disk}/filler')
    assert exchange(server.port, post('/', b'x' * 100000))[0].text == '100000'


@root_only
@pytest.mark.weir_only('nginx cuts the answer')
def test_disk_for_responses_is_full(site, small_disk):
    """A slow client of a large answer gets all of it, at the back end's expense."""
    size = 8 << 20
    site.backend(answer=lambda q: response(b'z' * size))
    server = site.server(f'proxy_buffers 4 4k; proxy_temp_path {small_disk}; location / {{ proxy_pass http://@backend@; }}')
    server.alerts.append('No space left')
    server.temporary = []
    fill(small_disk)
    with Client(server.port) as c:
        c.send(get('/'))
        time.sleep(1)
        r = c.response()
        assert r.status == 200 and len(r.body) == size
    assert asks(server.port) == 200


@pytest.mark.weir_only('one process')
def test_worker_connections_run_out(site):
    server = site.server('location / { return 200; }', main='events { worker_connections 8; }', workers=1)
    clients = [Client(server.port) for _ in range(20)]
    served = [c for c in clients if answered(c)]
    assert len(served) == 8
    server.wait_error('crit', r'\A8 worker_connections are not enough')
    for c in served:
        c.close()
    waiting = [c for c in clients if c not in served]
    for c in waiting[:8]:
        assert c.response().status == 200
    for c in clients:
        c.close()
    assert len([line for line in server.errors('crit')]) == 1


# --- zones -----------------------------------------------------------------------------------------------------------------


def test_zone_of_limit_conn_is_full(site):
    """Who finds no place in it is refused with a line that names the zone; others are served, and he is when there is room."""
    gate = threading.Event()
    site.backend(answer=[b'', Wait(gate), response(b'late')])
    server = site.server('limit_conn_zone $arg_k zone=small:32k; server { listen 127.0.0.1:@port@; location = /free { return 200; } '
                         'location / { limit_conn small 10; proxy_pass http://@backend@; } }', workers=1, main='events { worker_connections 4096; }')
    clients = [Client(server.port) for _ in range(400)]
    for i, c in enumerate(clients):
        c.send(get(f'/?k={i:08}' + 'x' * 100))
    server.wait_error('crit', r'\Angx_slab_alloc\(\) failed: no memory in limit_conn_zone "small"')
    assert asks(server.port, '/free') == 200
    gate.set()
    answers = [c.response() for c in clients]
    assert {r.status for r in answers} == {200, 503} and all(r.text == 'late' for r in answers if r.status == 200)
    assert sum(r.status == 200 for r in answers) > 50
    for c in clients:
        c.close()
    until(lambda: asks(server.port, '/?k=new') == 200, 'room in the zone')


def test_zone_of_limit_req_is_full(site):
    """Keys that nobody used for longest go: nobody is refused for want of room, and the zone does not grow."""
    server = site.server('limit_req_zone $arg_k zone=small:32k rate=1000r/s; server { listen 127.0.0.1:@port@; '
                         'location / { limit_req zone=small; empty_gif; } }', workers=1)
    with Client(server.port) as c:
        for i in range(900):
            assert c.ask(get(f'/?k={i:08}' + 'x' * 100)).status == 200
        before = server.memory()['private']
    for n in range(4):
        with Client(server.port) as c:
            for i in range(900):
                assert c.ask(get(f'/?k={n}{i:08}' + 'x' * 100)).status == 200
    if 'build-asan' not in WEIR and 'build-tsan' not in WEIR:    # a sanitizer keeps what is freed
        assert server.memory()['private'] < before + server.allowance(1 << 20)
    assert not server.errors('error') and not server.errors('alert')


def test_session_cache_is_full(site):
    """New sessions take the place of old ones; every handshake succeeds, and the newest sessions can be resumed."""
    server = site.server('ssl_session_cache shared:small:32k; ssl_session_tickets off; ssl_protocols TLSv1.2; ssl_certificate @certs@/server.pem; '
                         'ssl_certificate_key @certs@/server.key; server { listen 127.0.0.1:@port@ ssl; return 200 $ssl_session_reused; }',
                         http='', workers=1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def shake(session=None):
        with socket.create_connection(('127.0.0.1', server.port), timeout=15) as raw, context.wrap_socket(raw, session=session) as s:
            s.sendall(get('/', 'Connection: close'))
            data = b''
            while piece := s.recv(4096):
                data += piece
            assert data.startswith(b'HTTP/1.1 200')
            return s.session, data[-1:]
    first, _ = shake()
    for _ in range(400):
        last, reused = shake()
        assert reused == b'.'
    assert shake(last)[1] == b'r'
    assert shake(first)[1] == b'.'
