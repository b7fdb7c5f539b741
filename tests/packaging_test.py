"""The service, the log rotation and the script that puts weir in nginx's place."""
import os
import shutil
import subprocess

import pytest

from weirtest import WEIR, exchange, get, until

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PACKAGING = f'{ROOT}/packaging'
pytestmark = pytest.mark.weir_only('weir\'s own files')


@pytest.mark.skipif(not shutil.which('systemd-analyze'), reason='needs systemd-analyze')
def test_the_unit_is_understood(site):
    unit = f'{site.directory}/weir.service'
    with open(f'{PACKAGING}/weir.service') as f:
        text = f.read().replace('/usr/sbin/weir', WEIR)
    with open(unit, 'w') as f:
        f.write(text)
    r = subprocess.run(['systemd-analyze', 'verify', '--man=no', unit], capture_output=True, text=True, timeout=60)
    own = [line for line in r.stderr.splitlines() if 'weir' in line]
    assert own == []


@pytest.mark.skipif(not shutil.which('logrotate'), reason='needs logrotate')
@pytest.mark.root
def test_rotation(site):
    """A real rotation: lines go on into the new file, none is lost."""
    server = site.server('access_log @dir@/logs/access.log; return 200;'.replace('@dir@/logs', site.directory_for('logs')))
    logs = f'{site.directory}/logs'
    exchange(server.port, get('/'))
    until(lambda: os.path.getsize(f'{logs}/access.log'), 'a line')
    with open(f'{PACKAGING}/weir.logrotate') as f:
        text = f.read().replace('/var/log/weir', logs).replace('/run/weir.pid', server.pid_path)
    with open(f'{site.directory}/rotate', 'w') as f:
        f.write(text)
    os.chmod(f'{site.directory}/rotate', 0o644)
    r = subprocess.run(['logrotate', '-f', '-s', f'{site.directory}/state', f'{site.directory}/rotate'], capture_output=True,
                       text=True, timeout=60)
    assert r.returncode == 0, r.stderr
    assert os.path.exists(f'{logs}/access.log.1')

    def rotated():
        exchange(server.port, get('/'))
        return os.path.getsize(f'{logs}/access.log') > 0
    until(rotated, 'a line in the new file')


class Debian:
    """A root directory with /etc/nginx, and a systemctl that only writes down what it is told."""

    def __init__(self, site, conf, fails=''):
        self.root = site.directory_for('debian')
        for d in ('etc/nginx', 'etc/default', 'var/log/nginx', 'usr/share/nginx'):
            os.makedirs(f'{self.root}/{d}')
        with open(f'{self.root}/etc/nginx/nginx.conf', 'w') as f:
            f.write(conf)
        self.told = f'{self.root}/told'
        open(self.told, 'w').close()
        with open(f'{self.root}/systemctl', 'w') as f:
            f.write(f'#!/bin/sh\necho "$*" >> {self.told}\n[ "$*" != "{fails}" ]\n')
        os.chmod(f'{self.root}/systemctl', 0o755)

    def adopt(self, *arguments):
        env = {**os.environ, 'ROOT': self.root, 'WEIR': WEIR, 'SYSTEMCTL': f'{self.root}/systemctl'}
        return subprocess.run([f'{PACKAGING}/weir-adopt-nginx', *arguments], capture_output=True, text=True, env=env, timeout=60)

    def commands(self):
        with open(self.told) as f:
            return f.read().splitlines()

    def arguments(self):
        with open(f'{self.root}/etc/default/weir') as f:
            return f.read()


GOOD = 'events { }\nhttp { access_log off; server { listen 127.0.0.1:1; return 200; } }\n'


def test_adopt(site):
    d = Debian(site, GOOD)
    r = d.adopt()
    assert r.returncode == 0, r.stderr
    assert d.commands() == ['stop nginx', 'restart weir', 'disable nginx', 'enable weir']
    assert d.arguments() == (f'WEIR_ARGS="-c {d.root}/etc/nginx/nginx.conf -p {d.root}/usr/share/nginx '
                             f'-e {d.root}/var/log/nginx/error.log"\n')
    assert d.adopt('--back').returncode == 0
    assert d.commands()[4:] == ['stop weir', 'disable weir', 'enable nginx', 'start nginx']
    assert d.arguments() == 'WEIR_ARGS=""\n'


def test_adopt_checks_first(site):
    d = Debian(site, GOOD + 'bogus;\n')
    for arguments in ([], ['--check']):
        r = d.adopt(*arguments)
        assert r.returncode == 1 and 'unknown directive "bogus"' in r.stderr and 'nothing was changed' in r.stderr
    assert d.commands() == [] and not os.path.exists(f'{d.root}/etc/default/weir')


def test_adopt_goes_back_by_itself(site):
    d = Debian(site, GOOD, fails='restart weir')
    assert d.adopt().returncode == 1
    assert d.commands() == ['stop nginx', 'restart weir', 'start nginx']
    assert d.arguments() == 'WEIR_ARGS=""\n'


@pytest.mark.root
def test_the_packages_configuration_is_valid(site):
    """As it would be installed, in a directory of the test."""
    etc = f'{site.directory}/weir'
    shutil.copytree(f'{PACKAGING}/etc', etc)
    os.makedirs(f'{etc}/sites-enabled')
    os.symlink('../sites-available/default', f'{etc}/sites-enabled/default')
    with open(f'{etc}/weir.conf') as f:
        text = f.read().replace('/etc/weir', etc).replace('/var/log/weir', etc)
    with open(f'{etc}/weir.conf', 'w') as f:
        f.write(f'pid {etc}/pid; error_log {etc}/error.log;\n' + text)
    r = subprocess.run([WEIR, '-t', '-c', f'{etc}/weir.conf'], capture_output=True, text=True, timeout=30)
    assert r.returncode == 0, r.stderr
    assert 'test is successful' in r.stderr and 'warn' not in r.stderr
