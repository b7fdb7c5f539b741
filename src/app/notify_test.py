"""systemd's protocol without its library: ready, reloading, stopping, the watchdog, and who the main process is."""
import os
import re
import signal
import socket
import time

import pytest

from weirtest import exchange, get, proc, until

pytestmark = pytest.mark.weir_only('nginx does not speak it')


class Manager:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        os.chmod(path, 0o777)
        self.socket.settimeout(15)

    def hear(self):
        """The next message, as a dictionary."""
        return dict(line.split('=', 1) for line in self.socket.recv(4096).decode().splitlines())

    def until(self, key):
        while True:
            m = self.hear()
            if key in m:
                return m


@pytest.fixture
def manager(site, monkeypatch):
    path = f'{site.directory}/notify'
    monkeypatch.setenv('NOTIFY_SOCKET', path)
    m = Manager(path)
    yield m
    m.socket.close()


def test_ready_and_stopping(site, manager):
    server = site.server('return 200;')
    assert manager.hear() == {'READY': '1', 'MAINPID': str(server.pid)}
    assert exchange(server.port, get('/'))[0].status == 200
    server.stop()
    assert manager.hear() == {'STOPPING': '1'}


def test_daemon(site, manager):
    server = site.server('return 200;', main='daemon on;', foreground=False)
    assert manager.hear() == {'READY': '1', 'MAINPID': str(server.pid)}


def test_reloading(site, manager):
    """What Type=notify-reload waits for; a broken configuration ends the reload too."""
    server = site.server('return 200;')
    server.alerts.append('unknown directive')
    manager.until('READY')
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    server.send_signal(signal.SIGHUP)
    m = manager.hear()
    assert m['RELOADING'] == '1' and int(m['MONOTONIC_USEC']) >= before
    assert manager.hear()['READY'] == '1'
    with open(server.conf_path, 'a') as f:
        f.write('bogus;\n')
    server.send_signal(signal.SIGHUP)
    assert manager.hear()['RELOADING'] == '1' and manager.hear()['READY'] == '1'


def test_watchdog(site, manager, monkeypatch):
    """It is fed while all loops turn, and no longer when one hangs."""
    monkeypatch.setenv('WATCHDOG_USEC', '300000')
    server = site.server('return 200;')
    manager.until('READY')
    for _ in range(3):
        assert manager.hear() == {'WATCHDOG': '1'}
    worker = until(server.workers, 'workers')[0]
    proc.stop(worker)
    time.sleep(0.2)
    manager.socket.settimeout(0.6)
    fed = 0
    try:
        while manager.hear():
            fed += 1
    except socket.timeout:
        pass
    os.kill(worker, signal.SIGCONT)
    assert fed <= 2
    manager.socket.settimeout(15)
    assert manager.until('WATCHDOG')


def test_upgrade_tells_the_new_main_process(site, manager):
    server = site.server('return 200;', main='daemon on;', foreground=False)
    manager.until('READY')
    old = server.pid
    os.kill(old, signal.SIGUSR2)
    m = manager.until('READY')
    new = int(m['MAINPID'])
    assert new != old
    until(lambda: len(proc.tree(new)) > 1, 'its worker')
    os.kill(old, signal.SIGQUIT)
    assert manager.until('MAINPID')['MAINPID'] == str(new)
    until(lambda: not proc.living(old), 'the old one to end')
    server.pid = new


def test_no_watchdog_no_wakeups(site, manager):
    """Without one nobody wakes the worker: an idle weir sleeps."""
    server = site.server('return 200;')
    manager.until('READY')
    worker = until(server.workers, 'workers')[0]
    time.sleep(0.5)

    def switches():
        with open(f'/proc/{worker}/status') as f:
            return int(re.search(r'(?m)^voluntary_ctxt_switches:\s+(\d+)', f.read())[1])
    before = switches()
    time.sleep(1)
    assert switches() - before <= 2
