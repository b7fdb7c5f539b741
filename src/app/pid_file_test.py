"""The pid file where it is not simply a file in a directory of ours: who reads it must find the number, and not a wrong one later."""
import os

import pytest

from weirtest import NGINX, WEIR, is_nginx
from weirtest.plain import Plain

BINARIES = [NGINX, WEIR] if not is_nginx(WEIR) else [NGINX]


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
