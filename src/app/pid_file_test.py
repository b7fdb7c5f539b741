"""The pid file where it is not simply a file in a directory of ours: who reads it must find the number, and not a wrong one later."""
import os
import signal
import subprocess

import pytest

from weirtest import NGINX, WEIR, exchange, get, is_nginx, proc, until

BINARIES = [NGINX, WEIR] if not is_nginx(WEIR) else [NGINX]


class Plain:
    """A server that was started by hand, as nobody if that is asked for."""

    def __init__(self, site, binary, pid, nobody=False):
        self.pid_path, self.port = pid, site.port()
        d = site.directory_for(f'plain{len(os.listdir(site.directory))}')
        os.chmod(d, 0o777)
        with open(f'{d}/c', 'w') as f:
            temp = ' '.join(f'{n}_temp_path {d}/{n};' for n in ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'))
            f.write(f'daemon off; worker_processes 1; pid {pid}; error_log {d}/e notice; events {{ }} '
                    f'http {{ access_log off; {temp} server {{ listen 127.0.0.1:{self.port}; return 200; }} }}')
        who = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'] if nobody else []
        self.process = subprocess.Popen([*who, binary, '-p', d, '-c', f'{d}/c', '-e', f'{d}/e'], stdin=subprocess.DEVNULL,
                                        start_new_session=True)
        self.log = f'{d}/e'

    def __enter__(self):
        until(lambda: self.process.poll() is not None or self.answers(), 'an answer')
        assert self.process.poll() is None, open(self.log).read()
        return self

    def answers(self):
        try:
            return exchange(self.port, get('/'))[0].status == 200
        except (OSError, IndexError):
            return False

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
        assert self.process.wait(15) == 0

    def __exit__(self, *unused):
        for pid in proc.in_session(self.process.pid):
            os.kill(pid, signal.SIGKILL)
        self.process.wait()


def number(path):
    with open(path) as f:
        return f.read()


@pytest.mark.root
@pytest.mark.parametrize('binary', BINARIES, ids=os.path.basename)
def test_file_that_was_made_for_an_unprivileged_server(site, binary):
    """As images for containers do: touch nginx.pid && chown nobody nginx.pid, in a directory of root's."""
    path = f'{site.directory_for("run")}/made.pid'
    with open(path, 'w') as f:
        f.write('1234567\n')
    os.chown(path, 65534, 65534)
    with Plain(site, binary, path, nobody=True) as server:
        assert number(path) == f'{server.process.pid}\n'
        inode = os.stat(path).st_ino
        server.stop()
        # It cannot be removed. nginx leaves its number in it, which may be another process's one day.
        assert os.stat(path).st_ino == inode and (is_nginx(binary) or number(path) == '')


@pytest.mark.parametrize('binary', BINARIES, ids=os.path.basename)
def test_link(site, binary):
    """A link is followed; at the end the link goes, and what it named stays."""
    d = site.directory_for('links')
    os.symlink('real.pid', f'{d}/link.pid')
    with Plain(site, binary, f'{d}/link.pid') as server:
        assert os.path.islink(f'{d}/link.pid') and number(f'{d}/real.pid') == f'{server.process.pid}\n'
        server.stop()
        assert os.listdir(d) == ['real.pid']


@pytest.mark.parametrize('binary', BINARIES, ids=os.path.basename)
def test_number_of_before(site, binary):
    """What a server that was killed left there is replaced, be it longer."""
    path = f'{site.directory_for("old")}/pid'
    with open(path, 'w') as f:
        f.write('99999999999\nmore\n')
    with Plain(site, binary, path) as server:
        assert number(path) == f'{server.process.pid}\n'
        server.stop()
        assert not os.path.exists(path)


@pytest.mark.skipif(is_nginx(WEIR), reason='nginx removes the device when it ends')
@pytest.mark.root
def test_device(site):
    """"pid /dev/null" means that nobody wants one. nginx as root unlinks the device."""
    path = f'{site.directory_for("dev")}/null'
    os.mknod(path, 0o600 | 0o020000, os.makedev(1, 3))
    with Plain(site, WEIR, path) as server:
        server.stop()
    assert os.stat(path).st_rdev == os.makedev(1, 3)


@pytest.mark.parametrize('binary', BINARIES, ids=os.path.basename)
@pytest.mark.parametrize('where, why', [('missing/pid', '2: No such file or directory'), ('', '21: Is a directory')])
def test_cannot_be_written(site, binary, where, why):
    """The start fails and says so; nothing is left listening."""
    path = f'{site.directory_for("nowhere")}/{where}'
    server = Plain(site, binary, path)
    assert server.process.wait(15) == 1
    with open(server.log) as f:
        assert f'open() "{path}" failed ({why})' in f.read()
    assert not server.answers() and not os.path.exists(f'{path}/pid')
