"""HUP and -s reload: what changes, what must not, and what a broken configuration leaves alone."""
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

from weirtest import WEIR, Client, Wait, exchange, get, is_nginx, proc, response, run, until

root_only = pytest.mark.root


def change(server, old, new, count=1):
    """Replaces text in the configuration."""
    with open(server.conf_path) as f:
        text = f.read()
    assert text.count(old) >= 1, old
    with open(server.conf_path, 'w') as f:
        f.write(text.replace(old, new))


def signal_by(server, word):
    return run('-p', server.directory + '/', '-c', server.conf_path, '-e', server.error_log_path, '-s', word,
               binary=server.binary)


def reload(server):
    """By -s reload, which returns when the configuration is in force."""
    r = signal_by(server, 'reload')
    assert (r.returncode, r.stdout, r.stderr) == (0, '', '')


def answer(port, target='/'):
    return exchange(port, get(target))[0].text


def takes(port, text, target='/'):
    def there():
        try:
            return answer(port, target) == text
        except (OSError, IndexError):
            return False    # nginx: an old worker may still accept, and end
    until(there, f'the answer {text!r}')


def test_hup(site):
    server = site.server('location / { return 200 one; }')
    assert answer(server.port) == 'one'
    change(server, 'return 200 one', 'return 200 two')
    server.send_signal(signal.SIGHUP)
    takes(server.port, 'two')
    server.wait_error('notice', r'\Asignal 1 \(SIGHUP\) received from \d+, reconfiguring\Z')
    server.wait_error('notice', r'\Areconfiguring\Z')


@pytest.mark.weir_only('nginx says at once that the signal was sent')
def test_s_reload_waits_for_the_result(site):
    server = site.server('location / { return 200 0; }')
    for i in range(20):
        change(server, f'return 200 {i};', f'return 200 {i + 1};')
        reload(server)
        assert answer(server.port) == str(i + 1)


@pytest.mark.weir_only('nginx starts new processes')
def test_no_process_is_replaced(site):
    server = site.server('location / { return 200 one; }')
    until(server.workers, 'workers')
    before = proc.tree(server.pid)
    change(server, 'return 200 one', 'return 200 two')
    reload(server)
    assert answer(server.port) == 'two' and proc.tree(server.pid) == before


@pytest.mark.weir_only('nginx closes idle connections at a reload')
def test_idle_connections_move(site):
    server = site.server('location / { return 200 one; }')
    with Client(server.port) as c:
        assert c.ask(get('/')).text == 'one'
        change(server, 'return 200 one', 'return 200 two')
        reload(server)
        assert c.ask(get('/')).text == 'two'


def test_requests_finish_on_their_configuration(site):
    gate = threading.Event()
    site.backend(answer=[b'', Wait(gate), response(b'late')])
    server = site.server('add_header X-Conf one; location = /n { return 200; } location / { proxy_pass http://@backend@; }')
    with Client(server.port) as c:
        c.send(get('/'))
        site.backend().wait_requests(1)
        change(server, 'X-Conf one', 'X-Conf two')
        server.send_signal(signal.SIGHUP)
        until(lambda: exchange(server.port, get('/n'))[0].header('X-Conf') == 'two', 'the new configuration')
        gate.set()
        late = c.response()
        assert (late.text, late.header('X-Conf')) == ('late', 'one')


@pytest.mark.weir_only('nginx closes the connection with its old worker')
def test_connection_of_a_request_in_flight_goes_on(site):
    """The next request on it is answered by the new configuration."""
    gate = threading.Event()
    site.backend(answer=[b'', Wait(gate), response(b'late')])
    server = site.server('location = /x { return 200 one; } location / { proxy_pass http://@backend@; }')
    with Client(server.port) as c:
        c.send(get('/'))
        site.backend().wait_requests(1)
        change(server, 'return 200 one', 'return 200 two')
        reload(server)
        gate.set()
        assert c.response().text == 'late'
        assert c.ask(get('/x')).text == 'two'


def test_streams_go_on(site):
    """An answer that has begun goes on over a reload, piece by piece."""
    gates = [threading.Event() for _ in range(3)]
    steps = [b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc']
    for i, gate in enumerate(gates[:2]):
        steps += [Wait(gate), b'def' if i == 0 else b'ghi']
    site.backend(answer=steps)
    server = site.server('location = /x { return 200 one; } location / { proxy_buffering off; proxy_pass http://@backend@; }')
    with Client(server.port) as c:
        c.send(get('/'))
        c.wait_for(b'abc')
        for i, gate in enumerate(gates[:2]):
            change(server, 'return 200 ' + 'one two'.split()[i], 'return 200 ' + 'two three'.split()[i])
            server.send_signal(signal.SIGHUP)
            takes(server.port, 'two three'.split()[i], '/x')
            gate.set()
            c.wait_for(b'def' if i == 0 else b'ghi')
        assert c.response().body == b'abcdefghi'


BROKEN = {
    'unknown directive': ('return 200 one;', 'return 200 two; bogus;', r'unknown directive "bogus" in \S+:\d+'),
    'duplicate location': ('return 200 one;', 'return 200 two; } location / {', r'duplicate location "/" in \S+:\d+'),
    'missing include': ('return 200 one;', 'include missing.conf;', r'open\(\) "\S+missing\.conf" failed \(2: No such file or directory\)'),
}


@pytest.mark.parametrize('name', BROKEN)
def test_broken(site, name):
    """Everything stays as it was; the log says why, and so does the command, with exit code 1."""
    old, new, why = BROKEN[name]
    server = site.server('location / { return 200 one; }')
    server.alerts.append(why)
    with Client(server.port) as c:
        assert c.ask(get('/')).text == 'one'
        change(server, old, new)
        r = signal_by(server, 'reload')
        assert r.returncode == 1 and re.search(r'\Anginx: \[emerg\] ' + why, r.stderr)
        server.send_signal(signal.SIGHUP)
        server.wait_error('emerg', why)
        assert c.ask(get('/')).text == 'one'
        change(server, new, 'return 200 three;')
        server.send_signal(signal.SIGHUP)
        takes(server.port, 'three')


def test_port_in_use(site):
    """A port that somebody else has: nothing changes. weir's command says it too."""
    server = site.server('location / { return 200 one; }')
    server.alerts += ['bind', 'not taken']
    with socket.socket() as other:
        other.bind(('127.0.0.1', 0))
        other.listen()
        port = other.getsockname()[1]
        change(server, 'return 200 one', 'return 200 two')
        change(server, f'listen 127.0.0.1:{server.port};', f'listen 127.0.0.1:{server.port}; listen 127.0.0.1:{port};')
        r = signal_by(server, 'reload')
        server.wait_error('emerg', rf'\Abind\(\) to 127\.0\.0\.1:{port} failed \(98: Address already in use\)')
        server.wait_error('emerg', r'\Astill could not bind\(\)')
        if not is_nginx(server.binary):
            assert r.returncode == 1
            assert f'bind() to 127.0.0.1:{port} failed (98: Address already in use)' in r.stderr
        assert answer(server.port) == 'one'
    reload(server)
    takes(server.port, 'two')
    takes(port, 'two')


def test_listeners_come_and_go(site):
    server = site.server('location / { return 200 "$server_port"; }')
    first, second = server.port, site.port()
    change(server, f'listen 127.0.0.1:{first};', f'listen 127.0.0.1:{first}; listen 127.0.0.1:{second};')
    reload(server)
    takes(second, str(second))
    assert answer(first) == str(first)
    change(server, f'listen 127.0.0.1:{first};', '')
    reload(server)
    assert answer(second) == str(second)
    until(lambda: refused(first), 'the old port to be closed')


def refused(port):
    with socket.socket() as s:
        s.settimeout(5)
        try:
            return s.connect_ex(('127.0.0.1', port)) != 0
        except OSError:
            return True


@pytest.mark.weir_only('nginx closes the sockets with what waits in them')
def test_connections_of_a_closed_listener_are_served(site):
    """Who connected before the reload is answered after it, though the port is gone: by the configuration of before."""
    server = site.server('location / { return 200 "$server_port"; }', workers=1)
    first, second = server.port, site.port()
    waiting = [Client(first) for _ in range(20)]
    with Client(first) as kept:
        assert kept.ask(get('/')).text == str(first)
        change(server, f'listen 127.0.0.1:{first};', f'listen 127.0.0.1:{second};')
        reload(server)
        assert answer(second) == str(second)
        for c in waiting:
            r = c.ask(get('/'))
            assert r.text == str(first) and r.closes()
            c.wait_closed()
            c.close()
        kept.wait_closed()


def test_unix_listeners(site):
    server = site.server('server { listen unix:@dir@/a.sock; return 200 a; }')
    a, b = f'{server.directory}/a.sock', f'{server.directory}/b.sock'
    inode = os.stat(a).st_ino
    change(server, f'listen unix:{a};', f'listen unix:{a}; listen unix:{b};')
    reload(server)
    until(lambda: os.path.exists(b), 'the new socket')
    assert answer(b) == 'a' and os.stat(a).st_ino == inode
    change(server, f'listen unix:{a};', '')
    reload(server)
    until(lambda: not os.path.exists(a), 'the old socket to go')
    assert answer(b) == 'a'
    server.stop()
    assert not os.path.exists(b)


@root_only
def test_files_that_only_root_may_read(site):
    """The worker is nobody; the configuration, what it includes and the logs are root's alone."""
    directory = site.directory_for('private')
    with open(f'{directory}/secret.conf', 'w') as f:
        f.write('return 200 one;')
    os.mkdir(f'{directory}/logs', 0o700)
    os.chmod(f'{directory}/secret.conf', 0o600)
    server = site.server(f'access_log {directory}/logs/a.log; include {directory}/sec*.conf;', main='user nobody nogroup;')
    os.chmod(server.conf_path, 0o600)
    assert answer(server.port) == 'one'
    with open(f'{directory}/secret.conf', 'w') as f:
        f.write('return 200 two;')
    change(server, 'logs/a.log', 'logs/b.log')
    reload(server)
    takes(server.port, 'two')

    def logged(name):
        try:
            with open(f'{directory}/logs/{name}') as f:
                return len(f.readlines())
        except FileNotFoundError:
            return 0
    until(lambda: logged('b.log') >= 1, 'a line in the new log')
    if is_nginx(server.binary):
        return # its workers cannot open a log in root's directory
    count = logged('b.log')
    os.rename(f'{directory}/logs/b.log', f'{directory}/logs/b.1')
    server.send_signal(signal.SIGUSR1)
    until(lambda: os.path.exists(f'{directory}/logs/b.log'), 'the new log')
    until(lambda: answer(server.port) and logged('b.log') >= 1, 'a line in it')
    assert logged('b.1') >= count


@pytest.mark.weir_only('threads')
def test_worker_processes_change(site):
    """Loops are added and retired; nothing is dropped, and connections of a loop that retires are answered."""
    gate = threading.Event()
    site.backend(answer=[b'', Wait(gate), response(b'late')])
    server = site.server('location = /n { return 200 ok; } location / { proxy_pass http://@backend@; }', workers=1)
    assert answer(server.port, '/n') == 'ok'
    pid = server.workers()[0]
    threads = proc.threads(pid)
    change(server, 'worker_processes 1;', 'worker_processes 4;')
    reload(server)
    assert proc.threads(pid) == threads + 3
    kept = [Client(server.port) for _ in range(16)]
    for c in kept:
        assert c.ask(get('/n')).text == 'ok'
    busy = [Client(server.port) for _ in range(8)]
    for c in busy:
        c.send(get('/'))
    site.backend().wait_requests(8)
    change(server, 'worker_processes 4;', 'worker_processes 2;')
    reload(server)
    for _ in range(20):
        assert answer(server.port, '/n') == 'ok'
    closing = 0
    for c in kept:
        r = c.ask(get('/n'))
        assert r.text == 'ok'
        closing += r.closes()
    assert 0 < closing < len(kept)
    gate.set()
    for c in busy:
        assert c.response().text == 'late'
    until(lambda: proc.threads(pid) == threads + 1, 'two loops to end')
    assert server.workers() == [pid]
    for c in kept + busy:
        c.close()


@pytest.mark.weir_only('threads')
def test_an_answer_is_the_last_only_if_it_said_so(site):
    """A loop retires when answers have been sent and their requests are not over yet: who asks again is answered."""
    gate = threading.Event()
    site.backend(answer=[b'', Wait(gate), response(b'late')])
    site.file('f', 'file')
    server = site.server('location / { root @root@; mirror /m; } location = /m { internal; proxy_pass http://@backend@; }', workers=4)
    kept = [Client(server.port) for _ in range(16)]
    for c in kept:
        r = c.ask(get('/f'))
        assert r.text == 'file' and not r.closes()
    site.backend().wait_requests(16)
    change(server, 'worker_processes 4;', 'worker_processes 1;')
    reload(server)
    for c in kept[::2]:
        c.send(get('/f'))
    gate.set()
    until(lambda: not site.backend().busy(), 'the mirrored requests to end')
    for i, c in enumerate(kept):
        assert (c.response() if i % 2 == 0 else c.ask(get('/f'))).text == 'file'
        c.close()


@pytest.mark.weir_only('one process')
def test_worker_shutdown_timeout(site):
    """An old configuration is held no longer than that."""
    gate = threading.Event()
    site.backend(answer=[b'', Wait(gate), response(b'late')])
    server = site.server('location = /n { return 200 one; } location / { proxy_pass http://@backend@; }',
                         main='worker_shutdown_timeout 300ms;')
    with Client(server.port) as c:
        c.send(get('/'))
        site.backend().wait_requests(1)
        change(server, 'return 200 one', 'return 200 two')
        reload(server)
        c.wait_closed()
        server.wait_error('notice', r'\A1 connections still used the configuration of before .*worker_shutdown_timeout 300 ms')
        assert answer(server.port, '/n') == 'two'
    gate.set()


@pytest.mark.skipif('build-asan' in WEIR or 'build-tsan' in WEIR, reason='a sanitizer keeps what is freed')
@pytest.mark.weir_only('one process')
def test_memory_after_many_reloads(site):
    servers = ''.join(f'server {{ listen 127.0.0.1:@port@; server_name h{i}.test; location / {{ return 200 {i}; }} }}\n'
                      for i in range(50))
    server = site.server(f'upstream u {{ server 127.0.0.1:1; }}\n{servers}')
    with Client(server.port) as c:
        assert c.ask(get('/', host='h7.test')).text == '7'

        def hups(n):
            for _ in range(n):
                reload(server)
                assert c.ask(get('/', host='h7.test')).text == '7'
        hups(20)
        before, descriptors = server.memory()['private'], proc.count_descriptors(server.processes())
        hups(60)
        time.sleep(0.3)
        assert server.memory()['private'] < before + (2 << 20)
        assert proc.count_descriptors(server.processes()) <= descriptors


@pytest.mark.weir_only('nginx lets both run')
def test_reloads_at_once(site):
    """Ten commands at the same time: each gets an answer, and the last text is in force."""
    server = site.server('location / { return 200 one; }')
    change(server, 'return 200 one', 'return 200 two')
    own = [server.binary, '-p', server.directory + '/', '-c', server.conf_path, '-e', server.error_log_path, '-s', 'reload']
    all_of_them = [subprocess.Popen(own, stderr=subprocess.PIPE, text=True) for _ in range(10)]
    for p in all_of_them:
        _, err = p.communicate(timeout=30)
        assert p.returncode == 0 or 'another reload' in err, err
    takes(server.port, 'two')


def test_pid_file_moves(site):
    server = site.server('location / { return 200 one; }')
    old, new = server.pid_path, f'{server.directory}/pid2'
    change(server, f'pid {old};', f'pid {new};')
    server.send_signal(signal.SIGHUP)
    until(lambda: os.path.exists(new) and not os.path.exists(old), 'the pid file to move')
    with open(new) as f:
        assert f.read() == f'{server.pid}\n'
    server.stop()
    assert not os.path.exists(new)


@pytest.mark.weir_only('nginx 1.22 does not answer on the new port in this mode')
@pytest.mark.parametrize('number', [signal.SIGQUIT, signal.SIGTERM])
def test_without_a_master(site, number):
    """master_process off: the one process reloads, reopens and stops by itself."""
    server = site.server('location / { return 200 one; }', main='master_process off;')
    second = site.port()
    assert answer(server.port) == 'one' and server.workers() == []
    change(server, 'return 200 one', 'return 200 two')
    change(server, f'listen 127.0.0.1:{server.port};', f'listen 127.0.0.1:{server.port}; listen 127.0.0.1:{second};')
    server.send_signal(signal.SIGHUP)
    takes(second, 'two')
    os.rename(f'{server.directory}/access.log', f'{server.directory}/access.1')
    server.send_signal(signal.SIGUSR1)
    until(lambda: os.path.exists(f'{server.directory}/access.log'), 'the new log')
    server.stop(number)


@pytest.mark.weir_only('the notice is weir\'s')
def test_zones_keep_their_state(site):
    """Who used up the rate has used it up after a reload too; with other parameters the zone starts empty and a notice says so."""
    server = site.server('limit_req_zone $binary_remote_addr zone=one:1m rate=1r/m; limit_req_zone $uri zone=two:1m rate=100r/s; '
                         'server { listen 127.0.0.1:@port@; location / { limit_req zone=one; empty_gif; } }')

    def status():
        return exchange(server.port, get('/'))[0].status
    assert [status(), status()] == [200, 503]
    change(server, 'empty_gif', 'add_header X-Y z; empty_gif')
    reload(server)
    assert status() == 503
    assert not [line for line in server.errors('notice') if 'starts empty' in line.message]
    change(server, 'zone=one:1m', 'zone=one:2m')
    reload(server)
    assert [status(), status()] == [200, 503]
    server.wait_error('notice', r'\Azone "limit_req one" has other parameters than before and starts empty\Z')
    assert not [line for line in server.errors('notice') if 'limit_req two' in line.message]


def certificate(port):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(('127.0.0.1', port), timeout=15) as raw, context.wrap_socket(raw) as s:
        return s.getpeercert(True)


@root_only
def test_keys_that_only_root_may_read(site):
    """At start, at a reload, and, in weir, when the files change while it runs."""
    certs, directory = site.fill('@certs@', {}), site.directory_for('keys')

    def put(name):
        for end in ('pem', 'key'):
            shutil.copy(f'{certs}/{name}.{end}', f'{directory}/new')
            os.chmod(f'{directory}/new', 0o644 if end == 'pem' else 0o600)
            os.rename(f'{directory}/new', f'{directory}/it.{end}')
    put('server')
    port = site.port()
    server = site.server(f'server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {directory}/it.pem; '
                         f'ssl_certificate_key {directory}/it.key; location / {{ return 200 one; }} }}', main='user nobody nogroup;')
    first = certificate(port)
    put('other')
    change(server, 'return 200 one', 'return 200 two')
    reload(server)
    until(lambda: certificate(port) != first, 'the other certificate')
    if is_nginx(server.binary):
        return
    put('server')
    until(lambda: certificate(port) == first, 'the first certificate again')
    assert not [line for line in server.errors() if 'Permission denied' in line.message]


def test_quit_while_reloading(site):
    """No harm, whichever comes first."""
    for _ in range(5):
        server = site.server('location / { return 200 one; }')
        server.send_signal(signal.SIGHUP)
        server.stop()
