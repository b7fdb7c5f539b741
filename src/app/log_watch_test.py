"""Logs that are renamed or removed without a word: weir sees it. (nginx writes on into the old file for ever.)"""
import grp
import os
import pwd
import shutil
import subprocess
import time

import pytest

from weirtest import exchange, get, until

pytestmark = pytest.mark.weir_only('nginx wants USR1')


def served(site, **how):
    server = site.server('access_log @dir@/a.log; location / { return 200; }', **how)
    exchange(server.port, get('/first'))
    server.wait_lines(1, 'a.log')
    return server


def lines_come(server, path):
    def there():
        exchange(server.port, get('/again'))
        return os.path.exists(path) and os.path.getsize(path) > 0
    until(there, f'a line in {path}')


def test_renamed(site):
    """Nothing is lost: every line is in the old file or in the new one."""
    server = served(site)
    path = f'{server.directory}/a.log'
    for i in range(3):
        os.rename(path, f'{path}.{i}')
        lines_come(server, path)
    for i in range(20):
        exchange(server.port, get('/last'))
    asked = int(exchange(server.port, get('/'))[0].status == 200) + 20

    def count(word):
        return sum(word in line for name in ('a.log', 'a.log.0', 'a.log.1', 'a.log.2') for line in server.lines(name))
    until(lambda: count('/last') == 20 and count('GET / ') == 1, 'all lines')
    assert asked == 21 and count('/first') == 1
    assert server.wait_error('notice', r'\Alog files were renamed or removed, reopening logs\Z')


def test_removed(site):
    server = served(site)
    for name in ('a.log', 'error.log'):
        os.unlink(f'{server.directory}/{name}')
    lines_come(server, f'{server.directory}/a.log')
    until(lambda: os.path.exists(f'{server.directory}/error.log'), 'the error log')
    exchange(server.port, b'bad\r\n\r\n')
    assert server.wait_error('info', 'client sent invalid')


def test_after_a_reload(site):
    """Logs of the new configuration are watched too, and by a worker's successor written."""
    server = served(site)
    server.alerts.append('exited on signal 9')
    with open(server.conf_path) as f:
        text = f.read()
    with open(server.conf_path, 'w') as f:
        f.write(text.replace('/a.log', '/b.log'))
    server.send_signal(1)
    lines_come(server, f'{server.directory}/b.log')
    os.kill(server.workers()[0], 9)
    os.rename(f'{server.directory}/b.log', f'{server.directory}/b.1')
    lines_come(server, f'{server.directory}/b.log')


def test_nothing_happens_for_less(site):
    """Another mode, another owner, a file that is emptied: no reopening."""
    server = served(site)
    path = f'{server.directory}/a.log'
    os.chmod(path, 0o600)
    os.utime(path)
    os.truncate(path, 0)
    time.sleep(1.5)
    exchange(server.port, get('/after'))
    assert 'GET /after' in server.wait_lines(1, 'a.log')[0]
    assert not [line for line in server.errors('notice') if 'reopening' in line.message]


@pytest.mark.skipif(not shutil.which('logrotate'), reason='needs logrotate')
@pytest.mark.root
def test_rotation_that_tells_another_server(site):
    """As with nginx's rotation when weir has taken its place: the new file is the one that logrotate made."""
    server = served(site)
    conf = site.file('rotate', f'{server.directory}/a.log {{\n rotate 3\n create 0640 www-data adm\n postrotate\n true\n endscript\n}}\n')
    os.chmod(conf, 0o644)
    r = subprocess.run(['logrotate', '-f', '-s', f'{site.directory}/state', conf], capture_output=True, text=True, timeout=60)
    assert r.returncode == 0, r.stderr
    path = f'{server.directory}/a.log'
    lines_come(server, path)
    st = os.stat(path)
    assert (st.st_mode & 0o777, st.st_uid, st.st_gid) == (0o640, pwd.getpwnam('www-data').pw_uid, grp.getgrnam('adm').gr_gid)
