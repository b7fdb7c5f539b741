"""Starts a weir or an nginx in a directory of its own, watches it, and stops it without mercy for what it leaves."""
import os
import re
import signal
import subprocess
import time

from . import proc
from .wait import PATIENCE, until

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WEIR = os.path.abspath(os.path.join(_ROOT, os.environ.get('WEIR', 'build/weir')))
NGINX = os.environ.get('NGINX', '/usr/sbin/nginx')

_SANITIZER = re.compile(r'(ERROR: \w+Sanitizer|WARNING: \w+Sanitizer|runtime error:|SUMMARY: \w+Sanitizer|LeakSanitizer)')
# nginx's error log, byte for byte; the connection number only where there is a connection.
ERROR_LINE = re.compile(r'\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[(?P<level>debug|info|notice|warn|error|crit|alert|emerg)\] '
                        r'(?P<pid>\d+)#(?P<tid>\d+): (?:\*(?P<connection>\d+) )?(?P<message>.*)\Z', re.S)


def is_nginx(binary):
    return os.path.basename(os.path.realpath(binary)).startswith('nginx')


def environment():
    env = dict(os.environ)
    env.setdefault('ASAN_OPTIONS', 'abort_on_error=0:exitcode=99:detect_stack_use_after_return=1')
    env.setdefault('UBSAN_OPTIONS', 'print_stacktrace=1:halt_on_error=1:exitcode=99')
    env.setdefault('TSAN_OPTIONS', 'exitcode=99:atexit_sleep_ms=0')
    return env


def run(*arguments, binary=None, cwd=None, timeout=PATIENCE * 2):
    """Runs the binary to its end: a CompletedProcess with text. For the command line's own answers."""
    return subprocess.run([binary or WEIR, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=cwd,
                          env=environment(), timeout=timeout)


class LogLine:
    def __init__(self, text):
        m = ERROR_LINE.match(text)
        assert m, f'not a line of an error log: {text!r}'
        self.text, self.level, self.message = text, m['level'], m['message']
        self.pid, self.tid = int(m['pid']), int(m['tid'])
        self.connection = int(m['connection']) if m['connection'] else None

    def __repr__(self):
        return self.text


class Server:
    """A running server. stop() and its checks belong to every test: Site calls it."""

    def __init__(self, conf, directory, binary=None, listen=(), arguments=(), prefix_arguments=True, foreground=True):
        """conf: the whole text. listen: ports and Unix paths to wait for. foreground=False: the configuration says
        "daemon on", the command returns and the pid file tells the process."""
        self.binary = binary or WEIR
        self.directory = directory
        self.conf_path = os.path.join(directory, 'nginx.conf')
        self.pid_path = os.path.join(directory, 'pid')
        self.error_log_path = os.path.join(directory, 'error.log')
        self.stderr_path = os.path.join(directory, 'stderr')
        self.listen = list(listen)
        self.alerts = []          # patterns of [alert] and worse lines that the test provokes
        self.temporary = ['client_body_temp', 'proxy_temp']
        self.foreground = foreground
        with open(self.conf_path, 'w', encoding='latin-1') as f:
            f.write(conf)
        own = ('-p', directory + '/', '-c', self.conf_path, '-e', self.error_log_path) if prefix_arguments else ()
        with open(self.stderr_path, 'ab') as err:
            self.process = subprocess.Popen([self.binary, *own, *arguments], stdin=subprocess.DEVNULL, stdout=err, stderr=err,
                                            cwd=directory, env=environment(), start_new_session=True)
        self.session = self.process.pid
        self.pid = self.process.pid if foreground else None
        self.stopped = False
        try:
            self.wait_started()
        except BaseException:
            self.kill()
            raise

    def wait_started(self):
        if not self.foreground:
            code = self.process.wait(PATIENCE * 2)
            assert code == 0, f'exit code {code}: {self.stderr()}'
        until(self.started, f'{self.binary} to start; {self.said()}', PATIENCE * 2)

    def started(self):
        if self.foreground and self.process.poll() is not None:
            raise AssertionError(f'{self.binary} ended with exit code {self.process.returncode}: {self.said()}')
        pid = self.pid_file()
        if pid is None:
            return False
        if not self.foreground:
            self.pid = pid
            self.session = os.getsid(pid)
        return pid == self.pid

    def pid_file(self):
        """The number in the pid file, None when there is none."""
        try:
            with open(self.pid_path) as f:
                text = f.read()
        except FileNotFoundError:
            return None
        return int(text) if text.endswith('\n') else None

    def read(self, name):
        try:
            with open(os.path.join(self.directory, name), encoding='utf-8', errors='backslashreplace') as f:
                return f.read()
        except FileNotFoundError:
            return ''

    def stderr(self):
        return self.read('stderr')

    def said(self):
        return f'stderr:\n{self.stderr()}\nerror.log:\n{self.read("error.log")[-4000:]}'

    def lines(self, name='access.log'):
        """Complete lines of a log."""
        text = self.read(name)
        return text[:text.rfind('\n') + 1].splitlines()

    def wait_lines(self, count, name='access.log'):
        """Waits for at least count lines in a log and returns them all."""
        return until(lambda: len(self.lines(name)) >= count and self.lines(name), f'{count} lines in {name}')

    def errors(self, level=None, name='error.log'):
        """The lines of the error log, or those of one level. nginx lets a client write line ends into it; weir must not."""
        found = [LogLine(line) for line in self.lines(name) if not is_nginx(self.binary) or ERROR_LINE.match(line)]
        return [line for line in found if level is None or line.level == level]

    def wait_error(self, level, pattern, name='error.log'):
        """Waits for a line of this level whose message matches, and returns it."""
        def find():
            for line in self.errors(level, name):
                if re.search(pattern, line.message):
                    return line
            return None
        try:
            return until(find, f'[{level}] {pattern}')
        except AssertionError as e:
            raise AssertionError(f'{e}; the log says:\n{self.read(name)[-4000:]}') from None

    def processes(self):
        return proc.tree(self.pid)

    def workers(self):
        return [pid for pid in self.processes()[1:] if not proc.is_opener(pid)]

    def openers(self):
        return [pid for pid in self.processes() if proc.is_opener(pid)]

    def memory(self):
        return proc.memory(self.processes())

    def allowance(self, size):
        """`size` bytes of memory; a sanitizer's shadow and quarantine have to be added to them."""
        return size * 8 if 'build-asan' in self.binary or 'build-tsan' in self.binary else size

    def descriptors(self):
        """How many are open, once the number is steady: a server may listen before all its threads run."""
        last = None
        while True:
            now = proc.count_descriptors(self.processes())
            if now == last:
                return now
            last = now
            time.sleep(0.05)

    def settled_descriptors(self):
        """The number of descriptors once the start, or what went before, is over: unchanged for a while."""
        last, since = self.descriptors(), time.monotonic()

        def settled():
            nonlocal last, since
            now = self.descriptors()
            if now != last:
                last, since = now, time.monotonic()
            return time.monotonic() - since > 0.3
        until(settled, 'the descriptors to settle')
        return last

    def send_signal(self, number):
        os.kill(self.pid, number)

    def alive(self):
        if self.foreground:
            return self.process.poll() is None
        return proc.living(self.pid)

    def wait_exit(self):
        """Waits for the end; the exit code (None for a daemon)."""
        if self.foreground:
            try:
                return self.process.wait(PATIENCE * 2)
            except subprocess.TimeoutExpired:
                raise AssertionError(f'{self.binary} does not stop; {self.said()}') from None
        return until(lambda: not self.alive(), 'the daemon to stop') and None

    def stop(self, number=signal.SIGQUIT):
        """Stops the server and checks what it leaves: exit code 0, no process, no pid file, no temporary file, no
        [alert] or worse, no report of a sanitizer."""
        if self.stopped:
            return
        self.stopped = True
        try:
            assert self.alive(), f'{self.binary} is not running any more; {self.said()}'
            self.send_signal(number)
            code = self.wait_exit()
            assert code in (0, None), f'exit code {code}; {self.said()}'
            until(lambda: not proc.in_session(self.session), f'processes left behind: {proc.in_session(self.session)}', 5)
        finally:
            self.kill()
        self.check()

    def check(self):
        assert not os.path.exists(self.pid_path), 'the pid file was left behind'
        for name in self.temporary:
            left = [os.path.join(d, f) for d, _, files in os.walk(os.path.join(self.directory, name)) for f in files]
            assert not left, f'temporary files left behind: {left}'
        report = _SANITIZER.search(self.stderr())
        assert not report, f'sanitizer:\n{self.stderr()}'
        for name in os.listdir(self.directory):
            if name.startswith('error') and name.endswith('.log'):
                bad = [line for line in self.errors(name=name) if line.level in ('alert', 'emerg')
                       and not any(re.search(p, line.message) for p in self.alerts)]
                assert not bad, f'in {name}: {bad}'

    def kill(self):
        """Ends whatever is left, without a check."""
        self.stopped = True
        for pid in proc.in_session(self.session):
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        if self.process.poll() is None:
            self.process.wait()
