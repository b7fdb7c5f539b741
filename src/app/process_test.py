"""The processes: signals, the pid file, privileges, the daemon, what is left in the end."""
import grp
import os
import pwd
import re
import signal
import threading
import time

import pytest

from weirtest import Client, UntilClosed, Wait, exchange, get, is_nginx, post, proc, response, until

root_only = pytest.mark.root


@pytest.mark.parametrize('number', [signal.SIGQUIT, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize('workers', [1, 2])
def test_stop(site, number, workers):
    """An idle server stops at once with exit code 0 and leaves nothing."""
    server = site.server('location / { return 200; }', workers=workers)
    assert exchange(server.port, get('/'))[0].status == 200
    start = time.monotonic()
    server.stop(number)
    assert time.monotonic() - start < 5


def test_quit_closes_idle_connections(site):
    server = site.server('location / { return 200; }')
    with Client(server.port) as c:
        assert c.ask(get('/')).status == 200
        server.send_signal(signal.SIGQUIT)
        c.wait_closed()
    server.wait_exit()
    server.stopped = True
    server.check()


@pytest.mark.weir_only('nginx has it since 1.27.4')
def test_keepalive_min_timeout(site):
    """On QUIT an idle connection is left open so long: who asks in time is answered, for the last time."""
    server = site.server('keepalive_min_timeout 3s; location / { return 200 x; }')
    with Client(server.port) as c, Client(server.port) as silent:
        assert c.ask(get('/')).text == 'x' and silent.ask(get('/')).text == 'x'
        start = time.monotonic()
        server.send_signal(signal.SIGQUIT)
        until(lambda: not listening(server.port), 'the port to be closed')
        r = c.ask(get('/'))
        assert r.text == 'x' and r.closes()
        c.wait_closed()
        silent.wait_closed()
        assert time.monotonic() - start > 2
    server.wait_exit()
    server.stopped = True
    server.check()


def test_first_request_after_quit(site):
    """Who was let in before QUIT and asks a little later is answered."""
    server = site.server('location / { return 200 x; }')
    clients = [Client(server.port) for _ in range(8)]
    exchange(server.port, get('/'))
    server.send_signal(signal.SIGQUIT)
    time.sleep(0.3)
    for c in clients:
        assert c.ask(get('/')).text == 'x'
        c.close()
    server.wait_exit()
    server.stopped = True
    server.check()


@pytest.mark.root
def test_directories_are_made(site):
    """For the worker's user, at start and at a reload, whichever directive names them."""
    server = site.server('client_body_temp_path @dir@/one; proxy_temp_path @dir@/two 1 2; fastcgi_temp_path @dir@/three; '
                         'scgi_temp_path @dir@/five; uwsgi_temp_path @dir@/six 2; return 200;',
                         main='user www-data;')
    uid = pwd.getpwnam('www-data').pw_uid
    for name in ('one', 'two', 'three', 'five', 'six'):
        assert os.stat(f'{server.directory}/{name}').st_uid == uid
    with open(server.conf_path) as f:
        text = f.read()
    with open(server.conf_path, 'w') as f:
        f.write(text.replace('/two 1 2', '/four'))
    server.send_signal(signal.SIGHUP)
    until(lambda: os.path.exists(f'{server.directory}/four') and os.stat(f'{server.directory}/four').st_uid == uid, 'the new one')


def test_quit_lets_requests_finish(site):
    """QUIT: no new connections, the request in flight gets its whole answer, then the end."""
    gate = threading.Event()
    site.backend(answer=[b'', Wait(gate), response(b'late')])
    server = site.server('location / { proxy_pass http://@backend@; }')
    with Client(server.port) as c:
        c.send(get('/'))
        site.backend().wait_requests(1)
        server.send_signal(signal.SIGQUIT)
        until(lambda: not listening(server.port), 'the port to be closed')
        assert server.alive()
        gate.set()
        assert c.response().text == 'late'
        c.wait_closed()
    assert server.wait_exit() == 0
    server.stopped = True
    server.check()


def listening(port):
    want = f':{port:04X}'
    with open('/proc/net/tcp') as f:
        return any(line.split()[1].endswith(want) and line.split()[3] == '0A' for line in f.readlines()[1:])


def test_term_does_not_wait(site):
    """TERM: requests in flight are cut, the end comes at once."""
    site.backend(answer=[b'', UntilClosed()])
    server = site.server('location / { proxy_pass http://@backend@; }')
    with Client(server.port) as c:
        c.send(get('/'))
        site.backend().wait_requests(1)
        start = time.monotonic()
        server.send_signal(signal.SIGTERM)
        assert server.wait_exit() == 0
        assert time.monotonic() - start < 5
        c.read_to_end()
        assert c.ended in ('eof', 'reset')
    server.stopped = True
    until(lambda: not proc.in_session(server.session), 'all processes to be gone')
    server.check()


def test_term_after_quit(site):
    site.backend(answer=[b'', UntilClosed()])
    server = site.server('location / { proxy_pass http://@backend@; }')
    with Client(server.port) as c:
        c.send(get('/'))
        site.backend().wait_requests(1)
        server.send_signal(signal.SIGQUIT)
        until(lambda: not listening(server.port), 'the port to be closed')
        server.send_signal(signal.SIGTERM)
        assert server.wait_exit() == 0
    server.stopped = True
    if is_nginx(server.binary):
        server.alerts += ['open socket', 'aborting']
    server.check()


def test_term_loses_no_line_of_a_log(site):
    """Whoever got an answer stands in the access log, be it buffered: under load, with TERM in the middle."""
    server = site.server('access_log @dir@/buffered.log combined buffer=64k; location / { return 200; }')
    answered, stop = [0] * 6, threading.Event()

    def ask(i):
        try:
            with Client(server.port) as c:
                while not stop.is_set() and c.ask(get('/')).status == 200:
                    answered[i] += 1
        except (OSError, AssertionError, IndexError):
            pass
    threads = [threading.Thread(target=ask, args=(i,), daemon=True) for i in range(len(answered))]
    for t in threads:
        t.start()
    until(lambda: min(answered) > 50, 'load')
    server.stop(signal.SIGTERM)
    stop.set()
    for t in threads:
        t.join(20)
    assert len(server.lines('buffered.log')) >= sum(answered)


def test_pid_file(site):
    server = site.server('location / { return 200; }')
    with open(server.pid_path) as f:
        assert f.read() == f'{server.pid}\n'
    assert os.stat(server.pid_path).st_mode & 0o777 == 0o644
    server.stop()
    assert not os.path.exists(server.pid_path)


def test_pid_file_means_listening(site):
    """Whoever sees the pid file can connect: no systemd race; and it is never seen empty."""
    server = site.server('location / { return 200; }')
    assert listening(server.port)
    assert exchange(server.port, get('/'))[0].status == 200


def test_workers_are_children(site):
    server = site.server('location / { return 200 "$pid"; }', workers=2)
    until(server.workers, 'workers')
    with Client(server.port) as c:
        assert int(c.ask(get('/')).text) in server.workers()


@root_only
def test_privileges_are_dropped(site):
    """user: the workers run as that user and its groups; the main process stays root."""
    server = site.server('location / { return 200; }', main='user www-data;')
    want = pwd.getpwnam('www-data')
    until(server.workers, 'workers')
    for pid in server.workers():
        until(lambda: proc.identity(pid) == (want.pw_uid, want.pw_gid), 'privileges to be dropped')
        assert 0 not in proc.supplementary_groups(pid)
    assert proc.identity(server.pid)[0] == 0
    assert exchange(server.port, get('/'))[0].status == 200


@root_only
def test_group(site):
    server = site.server('location / { return 200; }', main='user nobody daemon;')
    until(server.workers, 'workers')
    want = (pwd.getpwnam('nobody').pw_uid, grp.getgrnam('daemon').gr_gid)
    for pid in server.workers():
        until(lambda: proc.identity(pid) == want, 'privileges to be dropped')


@root_only
def test_default_user_is_not_root(site):
    server = site.server('location / { return 200; }')
    until(server.workers, 'workers')
    for pid in server.workers():
        until(lambda: proc.identity(pid)[0] != 0, 'privileges to be dropped')


@root_only
def test_worker_cannot_read_what_its_user_cannot(site):
    path = site.file('secret', 'secret')
    os.chmod(path, 0o600)
    site.file('open', 'open')
    server = site.server('root @root@;', main='user www-data;')
    assert exchange(server.port, get('/open'))[0].status == 200
    assert exchange(server.port, get('/secret'))[0].status == 403
    server.wait_error('error', r'\Aopen\(\) "\S+/secret" failed \(13: Permission denied\)')


@root_only
def test_temporary_files_work_for_the_user(site):
    """Bodies that need a temporary file do not fail because the directory belongs to root."""
    site.backend(answer=lambda q: response(str(len(q.body))))
    server = site.server('client_max_body_size 0; client_body_buffer_size 1k; location / { proxy_pass http://@backend@; }',
                         main='user www-data;')
    assert exchange(server.port, post('/', b'x' * 300000))[0].text == '300000'


def test_daemon(site):
    """daemon on: the command returns 0 when the server listens; the daemon has a session of its own."""
    server = site.server('location / { return 200; }', main='daemon on;', foreground=False)
    assert server.pid != server.process.pid
    assert exchange(server.port, get('/'))[0].status == 200
    assert os.getsid(server.pid) != os.getsid(0)
    for name in ('0', '1'):
        assert os.readlink(f'/proc/{server.pid}/fd/{name}') == '/dev/null'


def test_daemon_with_an_error_returns_1(site):
    one = site.server('location / { return 200; }')
    with pytest.raises(AssertionError, match='exit code 1'):
        site.server(f'server {{ listen 127.0.0.1:{one.port}; }}', main='daemon on;', foreground=False)


def test_worker_that_dies_is_replaced(site):
    """KILL of a worker: an [alert] line as nginx writes it, a new worker, and the port was never closed."""
    server = site.server('location / { return 200 "$pid"; }', workers=1)
    server.alerts.append('exited on signal 9')
    with Client(server.port) as c:
        old = int(c.ask(get('/')).text)
    os.kill(old, signal.SIGKILL)
    with Client(server.port) as c:
        assert int(c.ask(get('/')).text) != old
    server.wait_error('alert', rf'\Aworker process {old} exited on signal 9')


def test_notices(site):
    """What the log says at start and at the end, for those who watch it."""
    server = site.server('location / { return 200; }')
    server.stop()
    text = '\n'.join(line.message for line in server.errors('notice'))
    assert re.search(r'(?m)^start worker process', text) and re.search(r'(?m)^signal 3 \(SIGQUIT\) received', text)
    assert re.search(r'(?m)^exit$', text)


def test_forty_ports(site):
    """Many servers and ports in one configuration."""
    ports = [site.port() for _ in range(40)]
    server = site.server(''.join(f'server {{ listen 127.0.0.1:{p}; return 200 {p}; }}' for p in ports))
    assert [exchange(p, get('/'))[0].text for p in ports] == [str(p) for p in ports]
    server.stop()
    assert not any(listening(p) for p in ports)
