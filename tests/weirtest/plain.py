"""A server that is started by hand, as nobody if that is asked for: for what Site's servers, which are root's, cannot show."""
import os
import signal
import subprocess

from . import proc
from .client import exchange, get
from .wait import until


class Plain:
    """server: the inside of the server block."""

    def __init__(self, site, binary, pid=None, nobody=False, server='return 200;', main=''):
        self.port = site.port()
        d = self.directory = site.directory_for(f'plain{len(os.listdir(site.directory))}')
        os.chmod(d, 0o777)
        with open(f'{d}/c', 'w') as f:
            temp = ' '.join(f'{n}_temp_path {d}/{n};' for n in ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'))
            f.write(f'daemon off; worker_processes 1; {main} pid {pid or d + "/pid"}; error_log {d}/e notice; events {{ }} '
                    f'http {{ access_log off; {temp} server {{ listen 127.0.0.1:{self.port}; {server} }} }}')
        who = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'] if nobody else []
        self.process = subprocess.Popen([*who, binary, '-p', d, '-c', f'{d}/c', '-e', f'{d}/e'], stdin=subprocess.DEVNULL,
                                        start_new_session=True)
        self.log, self.conf = f'{d}/e', f'{d}/c'

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
