"""A server whose supervisor is not root: what it may not do fails with nginx's words and changes nothing."""
import os
import signal

import pytest

from weirtest import NGINX, WEIR, exchange, get, is_nginx, proc, until
from weirtest.plain import Plain

pytestmark = pytest.mark.root
BINARIES = [NGINX, WEIR] if not is_nginx(WEIR) else [NGINX]
both = pytest.mark.parametrize('binary', BINARIES, ids=os.path.basename)


def said(server, text):
    with open(server.log) as f:
        return text in f.read()


@both
def test_configuration_that_may_not_be_read_any_more(site, binary):
    with Plain(site, binary, nobody=True) as server:
        os.chmod(server.conf, 0o600)
        server.process.send_signal(signal.SIGHUP)
        until(lambda: said(server, f'open() "{server.conf}" failed (13: Permission denied)'), 'the reason')
        assert server.answers() and server.process.poll() is None
        os.chmod(server.conf, 0o644)
        with open(server.conf) as f:
            text = f.read()
        with open(server.conf, 'w') as f:
            f.write(text.replace('return 200;', 'return 200 two;'))
        server.process.send_signal(signal.SIGHUP)
        until(lambda: exchange(server.port, get('/'))[0].text == 'two', 'the new configuration')
        server.stop()


@both
def test_port_that_may_not_be_had(site, binary):
    """A reload that asks for it changes nothing."""
    with open('/proc/sys/net/ipv4/ip_unprivileged_port_start') as f:
        if int(f.read()) <= 81:
            pytest.skip('everybody may have it here')
    with Plain(site, binary, nobody=True) as server:
        with open(server.conf) as f:
            text = f.read()
        with open(server.conf, 'w') as f:
            f.write(text.replace('return 200;', 'listen 127.0.0.1:81; return 200 two;'))
        server.process.send_signal(signal.SIGHUP)
        until(lambda: said(server, 'bind() to 127.0.0.1:81 failed (13: Permission denied)'), 'the reason')
        assert exchange(server.port, get('/'))[0].text == ''
        server.stop()


@both
def test_log_that_may_not_be_written_any_more(site, binary):
    """USR1: the old file is written on, and the log says why."""
    logs = site.directory_for('logs')
    os.chmod(logs, 0o777)
    with Plain(site, binary, nobody=True, server=f'access_log {logs}/a.log; return 200;') as server:
        os.chmod(logs, 0o755)
        os.rename(f'{logs}/a.log', f'{logs}/b.log')
        before = os.path.getsize(f'{logs}/b.log')
        server.process.send_signal(signal.SIGUSR1)
        until(lambda: said(server, f'open() "{logs}/a.log" failed (13: Permission denied)'), 'the reason')
        exchange(server.port, get('/'))
        until(lambda: os.path.getsize(f'{logs}/b.log') > before, 'a line in the old file')
        server.stop()


@both
def test_user_is_ignored(site, binary):
    with Plain(site, binary, nobody=True, main='user www-data;') as server:
        worker = until(lambda: proc.tree(server.process.pid)[1:], 'a worker')[0]
        assert proc.identity(worker)[0] == 65534
        server.stop()
