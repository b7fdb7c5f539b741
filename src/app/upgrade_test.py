"""USR2, WINCH, QUIT and HUP: a new binary takes over the sockets, or gives them back."""
import os
import shutil
import signal
import socket
import threading

import pytest

from weirtest import NGINX, WEIR, Client, Wait, exchange, get, is_nginx, proc, response, until


def read_pid(path):
    try:
        with open(path) as f:
            text = f.read()
    except FileNotFoundError:
        return None
    return int(text) if text.endswith('\n') else None


class Pair:
    """A server and the one that USR2 starts beside it."""

    def __init__(self, server):
        self.server, self.old = server, server.pid
        self.oldbin = server.pid_path + '.oldbin'

    def upgrade(self):
        os.kill(self.old, signal.SIGUSR2)
        until(lambda: read_pid(self.server.pid_path) not in (None, self.old), 'the new pid file')
        self.new = read_pid(self.server.pid_path)
        assert read_pid(self.oldbin) == self.old
        until(lambda: len(proc.tree(self.new)) > 1, 'its workers')

    def finish(self):
        """The old one ends; the harness goes on with the new one."""
        os.kill(self.old, signal.SIGQUIT)
        until(lambda: not proc.living(self.old), 'the old binary to end')
        assert not os.path.exists(self.oldbin)
        self.server.process.wait()
        self.server.foreground, self.server.pid = False, self.new
        assert read_pid(self.server.pid_path) == self.new


def pid_of(port):
    return int(exchange(port, get('/'))[0].text)


DAEMON = 'daemon on;'


def start(site, conf='', main=DAEMON, **how):
    server = site.server(f'location / {{ return 200 $pid; }} {conf}', main=main, foreground=False, **how)
    until(server.workers, 'workers')
    pid_of(server.port)
    return Pair(server)


def test_upgrade(site):
    pair = start(site)
    port = pair.server.port
    before = proc.tree(pair.old)
    pair.upgrade()
    assert {pid_of(port) for _ in range(200)} <= {*before, *proc.tree(pair.new)}
    pair.finish()
    assert pid_of(port) in proc.tree(pair.new)
    pair.server.wait_error('notice', r'\Asignal 12 \(SIGUSR2\) received from \d+, changing binary\Z')
    pair.server.wait_error('notice', r'\Achanging binary\Z')
    pair.server.wait_error('notice', rf'\Astart new binary process {pair.new}\Z')
    pair.server.wait_error('notice', r'\Ausing inherited sockets from "(\d+;)+"\Z')


def test_winch_and_quit(site):
    """WINCH: the old workers end, the master stays; QUIT ends it."""
    pair = start(site)
    pair.upgrade()
    os.kill(pair.old, signal.SIGWINCH)
    until(lambda: proc.tree(pair.old) == [pair.old] + proc.tree(pair.new), 'the old workers to end')
    assert pid_of(pair.server.port) in proc.tree(pair.new)
    pair.server.wait_error('notice', r'\Asignal 28 \(SIGWINCH\) received from \d+, stop accepting connections\Z')
    pair.finish()


def test_way_back(site):
    """HUP to the old one starts its workers again, QUIT ends the new one: everything is as it was."""
    pair = start(site)
    pair.upgrade()
    os.kill(pair.old, signal.SIGWINCH)
    until(lambda: proc.tree(pair.old) == [pair.old] + proc.tree(pair.new), 'the old workers to end')
    os.kill(pair.old, signal.SIGHUP)
    until(lambda: set(proc.tree(pair.old)) - set(proc.tree(pair.new)) - {pair.old}, 'the old master to have workers')
    os.kill(pair.new, signal.SIGQUIT)
    until(lambda: not proc.living(pair.new), 'the new binary to end')
    until(lambda: read_pid(pair.server.pid_path) == pair.old and not os.path.exists(pair.oldbin), 'the pid file to be back')
    assert pid_of(pair.server.port) in proc.tree(pair.old)
    pair.server.wait_error('notice', rf'\Anew binary process {pair.new} exited with code 0\Z')


def test_broken_new_binary(site):
    """What cannot start changes nothing: the pid file comes back, the old one serves, and a later upgrade works."""
    pair = start(site)
    pair.server.alerts += ['bogus', 'execve', 'unknown directive']
    with open(pair.server.conf_path) as f:
        text = f.read()
    with open(pair.server.conf_path, 'w') as f:
        f.write('bogus;\n' + text)
    os.kill(pair.old, signal.SIGUSR2)
    pair.server.wait_error('notice', r'\Anew binary process \d+ exited with code 1\Z')
    until(lambda: read_pid(pair.server.pid_path) == pair.old, 'the pid file to be back')
    assert pid_of(pair.server.port) in proc.tree(pair.old)
    with open(pair.server.conf_path, 'w') as f:
        f.write(text)
    pair.upgrade()
    pair.finish()


def change(server, old, new):
    with open(server.conf_path) as f:
        text = f.read()
    assert old in text
    with open(server.conf_path, 'w') as f:
        f.write(text.replace(old, new))


def refused(port):
    with socket.socket() as s:
        return s.connect_ex(('127.0.0.1', port)) != 0


def test_configuration_changes_with_the_binary(site):
    """Another port and another pid file in the new binary's configuration; the old one serves its own ports until it ends."""
    pair = start(site)
    server, first, second = pair.server, pair.server.port, site.port()
    old_pid_path, new_pid_path = server.pid_path, f'{server.directory}/pid2'
    change(server, f'listen 127.0.0.1:{first};', f'listen 127.0.0.1:{second};')
    change(server, f'pid {old_pid_path};', f'pid {new_pid_path};')
    os.kill(pair.old, signal.SIGUSR2)
    until(lambda: read_pid(new_pid_path), 'the new pid file')
    pair.new = read_pid(new_pid_path)
    assert pid_of(second) in proc.tree(pair.new) and pid_of(first) in proc.tree(pair.old)
    os.kill(pair.old, signal.SIGQUIT)
    until(lambda: not proc.living(pair.old), 'the old binary to end')
    server.process.wait()
    server.foreground, server.pid = False, pair.new
    assert not os.path.exists(old_pid_path) and not os.path.exists(pair.oldbin) and read_pid(new_pid_path) == pair.new
    until(lambda: refused(first), 'the old port to be closed')
    assert pid_of(second) in proc.tree(pair.new)
    server.stop()
    assert not os.path.exists(new_pid_path)


@pytest.mark.parametrize('kind', ['no program', 'not there', 'ends at once'])
def test_new_binary_that_is_none(site, kind):
    """What cannot be executed, or does not stay, changes nothing; when a good one stands there again, the upgrade works."""
    binary = f'{site.directory}/{os.path.basename(os.path.realpath(WEIR))}'
    shutil.copy(WEIR, binary)
    pair = start(site, binary=binary)
    pair.server.alerts += ['execve', 'exited with code']
    if kind == 'not there':
        os.unlink(binary)
    else:
        with open(binary + '.new', 'w') as f:
            f.write('no program' if kind == 'no program' else '#!/bin/sh\nexit 3\n')
        os.chmod(binary + '.new', 0o755)
        os.rename(binary + '.new', binary)
    os.kill(pair.old, signal.SIGUSR2)
    code = 3 if kind == 'ends at once' else 1
    pair.server.wait_error('notice', rf'\Anew binary process \d+ exited with code {code}\Z')
    if code == 1:
        pair.server.wait_error('alert', r'\Aexecve\(\) failed while executing new binary process "\S+" \(\d+: ')
    until(lambda: read_pid(pair.server.pid_path) == pair.old and not os.path.exists(pair.oldbin), 'the pid file to be back')
    assert pid_of(pair.server.port) in proc.tree(pair.old)
    shutil.copy(WEIR, binary + '.new')
    os.rename(binary + '.new', binary)
    pair.upgrade()
    pair.finish()


def privileged_port():
    for port in range(1023, 600, -1):
        with socket.socket() as s:
            try:
                s.bind(('127.0.0.1', port))
                return port
            except OSError:
                pass
    pytest.skip('no free port below 1024')


@pytest.mark.root
def test_privileged_ports_and_unix_sockets_stay(site):
    """Through a reload that adds some, the death of the worker, an upgrade and another reload: a port below 1024 and a Unix socket
    serve, under a worker that may not open them."""
    one = privileged_port()
    pair = start(site, f'}} server {{ listen 127.0.0.1:{one}; listen unix:@dir@/a.sock; location / {{ return 200 $pid; }}',
                 main='daemon on; user nobody nogroup;', workers=1)
    server, ports = pair.server, [one, f'{pair.server.directory}/a.sock']
    server.alerts.append('exited on signal 9')

    def serves(among):
        def each():
            try:
                return all(pid_of(p) in among() for p in ports)
            except (OSError, IndexError, ValueError):
                return False
        until(each, 'all to serve')
    old = pair.old
    serves(lambda: proc.tree(old))
    another = next(p for p in range(one - 1, 600, -1) if refused(p))
    change(server, f'listen 127.0.0.1:{one};', f'listen 127.0.0.1:{one}; listen 127.0.0.1:{another}; listen unix:{server.directory}/b.sock;')
    server.send_signal(signal.SIGHUP)
    ports += [another, f'{server.directory}/b.sock']
    serves(lambda: proc.tree(old))
    worker = pid_of(one)
    os.kill(worker, signal.SIGKILL)
    serves(lambda: set(proc.tree(old)) - {worker})
    pair.upgrade()
    pair.finish()
    serves(lambda: proc.tree(pair.new))
    change(server, 'location / { return 200 $pid; }', 'location / { return 200 $pid; } location /x { return 204; }')
    server.send_signal(signal.SIGHUP)
    until(lambda: all(exchange(p, get('/x'))[0].status == 204 for p in ports), 'the new configuration')
    serves(lambda: proc.tree(pair.new))


@pytest.mark.weir_only('a worker of nginx stays without its master')
def test_new_binary_is_killed(site):
    """The log names the signal, the pid file comes back, the new one's worker ends by itself, and a later upgrade works."""
    pair = start(site)
    pair.upgrade()
    pair.server.alerts += ['exited on signal 9', 'the supervisor is gone']
    workers = proc.tree(pair.new)[1:]
    os.kill(pair.new, signal.SIGKILL)
    pair.server.wait_error('alert', rf'\Anew binary process {pair.new} exited on signal 9\Z')
    until(lambda: read_pid(pair.server.pid_path) == pair.old and not os.path.exists(pair.oldbin), 'the pid file to be back')
    until(lambda: not any(proc.living(w) for w in workers), 'the new worker to end')
    assert pid_of(pair.server.port) in proc.tree(pair.old)
    pair.upgrade()
    pair.finish()


@pytest.mark.weir_only('nginx serves alone after a dead new binary only when it is told so')
def test_new_binary_dies_while_the_old_one_rests(site):
    """Nobody would serve then: the old one begins again by itself."""
    pair = start(site)
    pair.upgrade()
    os.kill(pair.old, signal.SIGWINCH)
    until(lambda: proc.tree(pair.old) == [pair.old] + proc.tree(pair.new), 'the old workers to end')
    os.kill(pair.new, signal.SIGTERM)
    until(lambda: not proc.living(pair.new), 'the new binary to end')
    assert pid_of(pair.server.port) in proc.tree(pair.old)


def test_unix_sockets_stay(site):
    pair = start(site, '} server { listen unix:@dir@/a.sock; location / { return 200 $pid; }')
    path = f'{pair.server.directory}/a.sock'
    inode = os.stat(path).st_ino
    pair.upgrade()
    pair.finish()
    assert os.stat(path).st_ino == inode and pid_of(path) in proc.tree(pair.new)
    pair.server.stop()
    assert not os.path.exists(path)


def test_requests_in_flight_finish(site):
    gate = threading.Event()
    site.backend(answer=[b'', Wait(gate), response(b'late')])
    pair = start(site, 'location /slow { proxy_pass http://@backend@; }')
    with Client(pair.server.port) as c:
        c.send(get('/slow'))
        site.backend().wait_requests(1)
        pair.upgrade()
        os.kill(pair.old, signal.SIGQUIT)
        pair.server.wait_error('notice', r'\Asignal 3 \(SIGQUIT\) received')
        for _ in range(20):
            assert exchange(pair.server.port, get('/'))[0].status == 200
        gate.set()
        r = c.response()
        assert r.text == 'late' and (r.closes() or is_nginx(WEIR))
    pair.finish()


def test_usr2_within_a_reload(site):
    """The new binary starts when the reload is over, with what that opened."""
    pair = start(site)
    workers, port = proc.tree(pair.old)[1:], site.port()
    change(pair.server, f'listen 127.0.0.1:{pair.server.port};', f'listen 127.0.0.1:{pair.server.port}; listen 127.0.0.1:{port};')
    for w in workers:
        proc.stop(w)
    os.kill(pair.old, signal.SIGHUP)
    pair.server.wait_error('notice', r'\Areconfiguring\Z')
    os.kill(pair.old, signal.SIGUSR2)
    pair.server.wait_error('notice', r'\Asignal 12 \(SIGUSR2\) received')
    for w in workers:
        os.kill(w, signal.SIGCONT)
    until(lambda: read_pid(pair.server.pid_path) not in (None, pair.old), 'the new pid file')
    pair.new = read_pid(pair.server.pid_path)
    until(lambda: len(proc.tree(pair.new)) > 1, 'its workers')
    pair.finish()
    assert pid_of(port) in proc.tree(pair.new)


def test_second_usr2_is_ignored(site):
    pair = start(site)
    pair.upgrade()
    os.kill(pair.old, signal.SIGUSR2)
    os.kill(pair.new, signal.SIGUSR2)
    for _ in range(2):
        pair.server.wait_error('notice', r'\Asignal 12 \(SIGUSR2\) received from \d+, ignoring\Z')
    pair.finish()
    assert pid_of(pair.server.port) in proc.tree(pair.new)


@pytest.mark.weir_only('weir in the place of nginx')
def test_upgrade_from_nginx(site):
    """The new binary may be weir where the old one is nginx: the sockets are handed over in nginx's way."""
    binary = f'{site.directory}/nginx'
    shutil.copy(NGINX, binary)
    pair = Pair(site.server('location / { return 200 $pid; }', main=DAEMON, foreground=False, binary=binary))
    old_worker = pid_of(pair.server.port)
    with open(pair.server.conf_path) as f:
        text = f.read()
    with open(pair.server.conf_path, 'w') as f:
        f.write(''.join(line for line in text.splitlines(True) if 'fastcgi' not in line and 'uwsgi' not in line and 'scgi' not in line))
    shutil.copy(WEIR, binary + '.new')
    os.rename(binary + '.new', binary)
    pair.upgrade()
    with open(f'/proc/{pair.new}/exe', 'rb') as f:
        assert b'weir' in f.read()
    pair.finish()
    r = exchange(pair.server.port, get('/'))[0]
    assert int(r.text) != old_worker and r.header('Server').startswith('weir')
    pair.server.binary = WEIR


STARTER = """#!/usr/bin/python3
import os, socket, sys
s = socket.create_server(('127.0.0.1', {port}))
os.dup2(s.fileno(), 3)
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))
os.execv({binary!r}, [{binary!r}, *sys.argv[1:]])
"""


@pytest.mark.weir_only('nginx does not know these variables')
def test_socket_activation(site):
    """systemd's protocol: sockets from descriptor 3 on, for the process whose number is named. Who ignored it would find the
    port in use."""
    port = site.port()
    starter = f'{site.directory}/activate'
    with open(starter, 'w') as f:
        f.write(STARTER.format(port=port, binary=WEIR))
    os.chmod(starter, 0o755)
    server = site.server(f'server {{ listen 127.0.0.1:{port}; location / {{ return 200 $pid; }} }}', binary=starter)
    assert pid_of(port) in proc.tree(server.pid)
    with open(f'/proc/{server.pid}/environ', 'rb') as f:
        assert b'LISTEN_FDS' in f.read() # the test's own: what it was started with
