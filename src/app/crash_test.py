"""Deaths: of the worker by any signal, again and again, of the supervisor; and what the worker may not do."""
import os
import re
import signal
import threading
import time

import pytest

from weirtest import WEIR, Client, Wait, exchange, get, proc, response, until

root_only = pytest.mark.root
sanitized = 'build-asan' in WEIR or 'build-tsan' in WEIR    # a sanitizer has its own last words


def pid_of(port):
    return int(exchange(port, get('/'))[0].text)


@pytest.mark.parametrize('number', [signal.SIGKILL, *([] if sanitized else [signal.SIGSEGV, signal.SIGABRT])])
def test_worker_dies(site, number):
    """Connections that wait in the meantime are served by the next worker; the log names the signal."""
    server = site.server('location / { return 200 $pid; }', workers=1)
    server.alerts += [f'exited on signal {int(number)}', 'crash: ']
    old = pid_of(server.port)
    os.kill(old, number)
    if number == signal.SIGKILL:
        with Client(server.port) as c: # even now: the socket was never closed
            assert int(c.ask(get('/')).text) != old

    def replaced():
        with Client(server.port) as c: # a refused connection fails the test
            try:
                return int(c.ask(get('/')).text) != old
            except (AssertionError, OSError):
                return False    # it died over this one
    until(replaced, 'the next worker')
    server.wait_error('alert', rf'\Aworker process {old} exited on signal {int(number)}')
    server.wait_error('notice', r'\Astart worker process \d+\Z')


@pytest.mark.skipif(sanitized, reason='a sanitizer speaks first')
@pytest.mark.weir_only('the report is weir\'s')
def test_crash_report(site):
    server = site.server('location / { return 200 $pid; }', workers=1)
    server.alerts += ['exited on signal 11', 'crash: ']
    pid = pid_of(server.port)
    os.kill(pid, signal.SIGSEGV)
    line = server.wait_error('alert', rf'\Acrash: signal 11 \(SIGSEGV\) sent by process {os.getpid()}, weir ')
    assert line.pid == pid
    server.wait_error('alert', r'\Acrash: #\d+ \S+\+0x[0-9a-f]+')


@pytest.mark.weir_only('nginx starts each worker at once')
def test_worker_that_keeps_dying(site):
    """The pauses grow, so that a worker that cannot live does not take the machine; the first is none."""
    server = site.server('location / { return 200 $pid; }', workers=1)
    server.alerts.append('exited on signal 9')
    times = [time.monotonic()]
    for _ in range(6):
        old = pid_of(server.port)
        os.kill(old, signal.SIGKILL)
        until(lambda: proc.tree(server.pid)[1:] not in ([], [old]), 'a new worker')
        times.append(time.monotonic())
    pauses = [b - a for a, b in zip(times, times[1:])]
    assert pauses[5] >= 0.5    # 20 ms, doubled five times
    assert pauses[5] > pauses[1]
    assert pid_of(server.port)


def test_reload_after_a_death(site):
    server = site.server('location / { return 200 one$pid; }', workers=1)
    server.alerts.append('exited on signal 9')
    old = exchange(server.port, get('/'))[0].text
    os.kill(int(old[3:]), signal.SIGKILL)
    with open(server.conf_path) as f:
        text = f.read()
    with open(server.conf_path, 'w') as f:
        f.write(text.replace('one$', 'two$'))
    server.send_signal(signal.SIGHUP)
    until(lambda: exchange(server.port, get('/'))[0].text.startswith('two'), 'the new configuration')


@pytest.mark.weir_only('a worker of nginx stays without its master')
def test_supervisor_dies(site):
    """The worker notices, finishes its requests and ends."""
    gate = threading.Event()
    site.backend(answer=[b'', Wait(gate), response(b'late')])
    server = site.server('location / { proxy_pass http://@backend@; }', workers=1)
    server.alerts.append('supervisor')
    worker = until(server.workers, 'workers')[0]
    with Client(server.port) as c:
        c.send(get('/'))
        site.backend().wait_requests(1)
        os.kill(server.pid, signal.SIGKILL)
        server.wait_error('notice', r'\Agracefully shutting down\Z')
        assert proc.living(worker)
        gate.set()
        assert c.response().text == 'late'
    until(lambda: not proc.living(worker), 'the worker to end')
    server.process.wait()
    server.stopped = True
    os.unlink(server.pid_path)
    server.check()


def status_of(pid):
    with open(f'/proc/{pid}/status') as f:
        return dict(line.rstrip('\n').split(':\t', 1) for line in f if ':\t' in line)


@root_only
@pytest.mark.weir_only('nginx keeps the bounding set')
def test_worker_has_no_privileges(site):
    server = site.server('location / { return 200 $pid; }', workers=1)
    s = status_of(pid_of(server.port))
    assert s['Uid'].split()[0] != '0' and s['NoNewPrivs'] == '1'
    for name in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'):
        assert int(s[name], 16) == 0, name
    assert re.search(r'\d+', status_of(server.pid)['CapEff'])


@root_only
@pytest.mark.parametrize('directive', ['proxy_bind', 'grpc_bind', 'fastcgi_bind'])
def test_transparent_needs_a_capability(site, directive):
    """CAP_NET_RAW stays with the worker when the configuration needs it, as in nginx; connections can be bound."""
    server = site.server(f'{directive} $arg_from transparent; location / {{ return 200 $pid; }} location /back/ {{ proxy_pass http://@backend@; }}', workers=1)
    s = status_of(pid_of(server.port))
    assert s['Uid'].split()[0] != '0'
    assert int(s['CapEff'], 16) == int(s['CapPrm'], 16) == 1 << 13 and int(s['CapAmb'], 16) == 0
    assert exchange(server.port, get('/back/?from=127.0.0.9'))[0].status == 200
    assert not server.errors('alert')


@root_only
@pytest.mark.weir_only('nginx starts new workers')
def test_transparent_comes_with_a_reload(site):
    """A worker that has given the capability up cannot get it back: the log says so."""
    server = site.server('location / { return 200 $pid; }', workers=1)
    server.alerts.append('"transparent" needs')
    with open(server.conf_path) as f:
        text = f.read()
    with open(server.conf_path, 'w') as f:
        f.write(text.replace('location / {', 'proxy_bind $remote_addr transparent; location / {'))
    server.send_signal(signal.SIGHUP)
    server.wait_error('alert', '"transparent" needs CAP_NET_RAW, which this worker gave up')
    assert int(status_of(pid_of(server.port))['CapEff'], 16) == 0


@root_only
def test_hard_limit_of_files(site):
    server = site.server('location / { return 200 $pid; }', main='worker_rlimit_nofile 777;', workers=1)
    with open(f'/proc/{pid_of(server.port)}/limits') as f:
        assert re.search(r'(?m)^Max open files +777 ', f.read())


@pytest.mark.weir_only('a worker of nginx that takes too long is killed in the same way, but its log says it otherwise')
def test_worker_that_hangs_is_killed(site):
    """TERM to a worker that does not react."""
    server = site.server('location / { return 200 $pid; }', workers=1)
    server.alerts.append('exited on signal 9')
    worker = pid_of(server.port)
    proc.stop(worker)
    server.send_signal(signal.SIGTERM)
    assert server.wait_exit() == 0
    server.stopped = True
    server.check()
