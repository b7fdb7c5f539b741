#!/usr/bin/python3
"""Chaos: everything at once against one weir, while it is reloaded, upgraded, stopped and killed. Who finds a bug with it makes a small
test of it.

    WEIR=build-asan/weir tests/chaos/chaos.py SEED SECONDS [reload|kill|upgrade|all] [--shim FILE]

What must hold: no request fails that nothing excuses, none hangs, no body is wrong, no report of a sanitizer, no [alert]; and when all
clients have gone, counters, descriptors, memory, slots of max_conns and old configurations are what they were.
"""
import argparse
import collections
import faulthandler
import os
import random
import re
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

import load as clients  # noqa: E402
from backends import pattern  # noqa: E402
from conf import Conf  # noqa: E402
from weirtest import WEIR, Site, certs, exchange, get, ports, proc, until  # noqa: E402
from weirtest.dns import DnsServer  # noqa: E402
from weirtest.grpc_server import GrpcServer  # noqa: E402
from weirtest.server import Server, environment  # noqa: E402


class Chaos:
    def __init__(self, seed, kinds, shim=None):
        self.rng, self.kinds, self.problems, self.counts = random.Random(f'{seed}/main'), kinds, [], collections.Counter()
        self.shim = shim
        self.site = Site()
        os.chmod(self.site.root, 0o755)
        self.site.file('big', pattern(500000))
        good, moodies = [ports.take() for _ in range(2)], [ports.take() for _ in range(4)]
        command = [sys.executable, os.path.join(HERE, 'backends.py'), str(seed), ','.join(map(str, good)), ','.join(map(str, moodies))]
        self.backs = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.dns = DnsServer({'name.test': ['127.0.0.1'], 'moody.test': ['127.0.0.1'], 'more.test': ['127.0.0.1']})
        self.grpc = GrpcServer()
        self.site.backend('fcgi', lambda q: b'Content-Type: text/plain\r\n\r\nfcgi')
        self.dir = self.site.directory_for('s')
        self.names = {'good': good, 'moodies': moodies, 'ports': [ports.take() for _ in range(4)], 'dir': self.dir, 'root': self.site.root,
                      'certs': certs.directory(), 'dns': self.dns.port, 'grpc': self.grpc.port, 'fcgi': self.site.backend('fcgi').address}
        self.conf = Conf(self.names, seed)
        os.mkdir(self.dir + '/store')
        os.chmod(self.dir + '/store', 0o777)
        os.chmod(self.dir, 0o777)
        if shim:
            os.environ['LD_PRELOAD'] = shim
            os.environ['CHAOS_QUIET'] = self.site.directory + '/quiet'
        os.environ.setdefault('TSAN_OPTIONS', 'exitcode=99:atexit_sleep_ms=0:second_deadlock_stack=1')
        self.server = Server(self.conf.text(plain=True), self.dir, foreground=False)
        os.environ.pop('LD_PRELOAD', None)
        self.load = clients.Load(self.names, seed)
        self.sessions = {self.server.session}

    # --- what is done to it

    def write(self, text):
        with open(self.server.conf_path, 'w', encoding='latin-1') as f:
            f.write(text)

    def signal(self, word):
        command = [WEIR, '-p', self.dir + '/', '-c', self.server.conf_path, '-e', self.dir + '/error.log', '-s', word]
        return subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=150)

    def reload(self, plain=False):
        self.write(self.conf.text(plain))
        r = self.signal('reload')
        if r.returncode != 0 and not self.recent('kill', 3) and not self.shim:
            self.problems.append(f'reload failed: {r.stderr}')
        self.load.n = self.conf.n

    def recent(self, kind, seconds):
        return any(k == kind and time.monotonic() - b < seconds for _, b, k in self.load.excused)

    def broken(self):
        before = open(self.server.conf_path, encoding='latin-1').read()
        self.write(self.conf.broken())
        if self.signal('reload').returncode == 0:
            self.problems.append('a broken configuration was taken')
        self.write(before)

    def burst(self):
        for _ in range(self.rng.randrange(2, 6)):
            self.write(self.conf.text())
            os.kill(self.server.pid, signal.SIGHUP)
            time.sleep(self.rng.random() / 20)

    def reopen(self):
        if self.rng.random() < 0.5:
            os.rename(self.dir + '/access.log', self.dir + '/access.log.1') if os.path.exists(self.dir + '/access.log') else None
        os.kill(self.server.pid, signal.SIGUSR1)

    def names_change(self):
        for name in ('moody.test', 'more.test', 'name.test'):
            values = [['127.0.0.1'], ['127.0.0.1', '127.0.0.2'], 'SERVFAIL', 'NXDOMAIN', 'DROP', ['127.0.0.3'], b'garbage', []]
            self.dns.records[name] = ['127.0.0.1'] if name == 'name.test' else self.rng.choice(values)

    def stop_and_go(self):
        for w in self.server.workers():
            os.kill(w, signal.SIGSTOP)
            time.sleep(self.rng.random())
            os.kill(w, signal.SIGCONT)

    def workers(self):
        return [w for w in self.server.workers() if proc.living(w)]

    def kill(self):
        old = self.workers()
        start = time.monotonic()
        for w in old[:1]:
            os.kill(w, signal.SIGKILL)
        until(lambda: not any(proc.living(w) for w in old[:1]), 'death')
        until(lambda: self.workers() not in ([], old), 'the next worker', 30)
        self.load.excused.append((start, time.monotonic(), 'kill'))

    def read_pid(self):
        return self.server.pid_file()

    def upgrade(self):
        old, start = self.server.pid, time.monotonic()
        os.kill(old, signal.SIGUSR2)
        until(lambda: self.read_pid() not in (None, old), 'the new binary', 60)
        new = self.read_pid()
        until(lambda: len(proc.tree(new)) > 1, 'its worker', 60)
        time.sleep(self.rng.random())
        record = [start, float('inf'), 'upgrade']
        self.load.excused.append(record)
        back = self.rng.random() < 0.3
        if self.rng.random() < 0.5:
            os.kill(old, signal.SIGWINCH)
            time.sleep(self.rng.random())
            if back:
                os.kill(old, signal.SIGHUP)
                time.sleep(1)
                os.kill(new, signal.SIGQUIT)
                gone = new
            else:
                os.kill(old, signal.SIGQUIT)
                gone = old
        else:
            os.kill(old, signal.SIGQUIT)
            gone = old
        self.leaving = gone
        self.server.pid = new if gone == old else old
        # Tunnels keep the one that goes: it is told once more after a while, as an operator does.
        deadline = time.monotonic() + self.rng.choice([2, 10])
        while proc.living(gone) and time.monotonic() < deadline:
            time.sleep(0.1)
        if proc.living(gone):
            s = time.monotonic()
            os.kill(gone, signal.SIGTERM)
            until(lambda: not proc.living(gone), 'the old one to end', 60)
            self.load.excused.append((s, time.monotonic(), 'kill'))
        until(lambda: self.read_pid() == self.server.pid, 'the pid file', 20)
        record[1] = time.monotonic() + 1
        self.load.excused[self.load.excused.index(record)] = tuple(record)

    def act(self):
        what = self.rng.choice(['reload'] * 8 + ['broken', 'burst', 'reopen', 'names_change', 'names_change', 'stop_and_go', 'pause']
                               + ['kill'] * ('kill' in self.kinds) + ['upgrade'] * ('upgrade' in self.kinds))
        self.counts[what] += 1
        if what == 'pause':
            time.sleep(1)
        else:
            getattr(self, what)()
        time.sleep(self.rng.random() * self.rng.choice([0, 0.2, 1]))

    # --- what must hold

    def status(self):
        r = exchange(self.names['ports'][0], get('/status', 'Connection: close'))[0]
        return r.text

    def order(self, word):
        self.backs.stdin.write(word + '\n')
        self.backs.stdin.flush()
        self.backs.stdout.readline()

    def calm(self, label):
        """Everything has gone: what is left?"""
        open(self.site.directory + '/quiet', 'w').close()      # for the shim
        self.order('calm')
        for name in ('moody.test', 'more.test', 'name.test'):
            self.dns.records[name] = ['127.0.0.1']
        self.reload(plain=True)
        def counters():
            return re.match(r'Active connections: 1 \n.*\n.*\nReading: 0 Writing: 1 Waiting: 0', self.status())
        try:
            until(counters, 'counters', 40)
        except AssertionError as e:
            self.problems.append(f'{label}: {e}: {self.status()!r}')
        time.sleep(2.5)    # fail_timeout, and a kept connection's last second
        for place in ('m-one', 'm-queue', 'm', 'm-sticky', 'm-learn', 'm-hash', 'm-health', 'm-names', 'm-nb', 'm-auth', 'm-lc', 'm-cache'):
            got = [exchange(self.names['ports'][0], get(f'/{place}/b/77?calm', 'Cookie: s=1'))[0] for _ in range(8)]
            well = [g.status for g in got] == [200] * 8 or place == 'm-lc'
            if not well or any(g.status == 200 and g.body != pattern(77) for g in got):
                self.problems.append(f'{label}: {place} is not well: {[g.status for g in got]}')
        self.old_configurations(label)
        for w in self.workers():
            with open(f'/proc/{w}/status') as f:
                threads = re.search(r'Threads:\s*(\d+)', f.read())[1]
            links = collections.Counter(re.sub(r'\d+', 'N', x) for x in proc.descriptors([w])[w])
            private = proc.memory([w])['private'] >> 10
            print(f'   {label}: worker {w}, {sum(links.values())} descriptors, {threads} threads, {private} KiB; '
                  f'{sum(self.load.done.values())} requests', flush=True)
            deleted = [x for x in proc.descriptors([w])[w] if 'deleted' in x]
            if len(deleted) > 30:
                self.problems.append(f'{label}: {len(deleted)} deleted files are open: {deleted[:3]}')
        self.order('moody')
        os.unlink(self.site.directory + '/quiet')

    def old_configurations(self, label):
        """Each configuration but the last has been freed by the worker of now."""
        pids = self.workers()
        try:
            until(lambda: self.unfreed(pids) == [], 'old configurations to be freed', 30)
        except AssertionError as e:
            self.problems.append(f'{label}: {e}: {self.unfreed(pids)}')

    def unfreed(self, pids):
        text = self.server.read('error.log')
        freed = {int(n) for pid, n in re.findall(r' (\d+)#\d+: the configuration (\d+) is not used any more', text) if int(pid) in pids}
        if not freed:
            return []
        return sorted(set(range(min(freed), max(freed))) - freed)

    def run(self, seconds):
        self.load.start()
        end = time.monotonic() + seconds
        while time.monotonic() < end and len(self.problems) < 5 and (self.shim or len(self.load.failures()) < 20):
            try:
                self.act()
            except (AssertionError, ProcessLookupError) as e:
                self.problems.append(f'{type(e).__name__} {e}')
                break
            if not proc.living(self.server.pid):
                self.problems.append('the supervisor is gone')
                break
        hanging = self.load.stop()
        if hanging:
            self.problems.append(f'hanging: {hanging}')

    def end(self, shim):
        allowed = ['bind\\(\\)', 'exited on signal 9', 'unknown directive', 'unexpected end', 'nothing.pem', 'keys_zone|cache_path',
                   'not taken', 'no "events"',
                   'is terminated|directive', 'the supervisor is gone']
        try:
            os.kill(self.server.pid, signal.SIGQUIT)
            until(lambda: not proc.living(self.server.pid), 'the end', 60)
            until(lambda: not proc.in_session(self.server.session), 'its processes to end', 10)
        except (AssertionError, ProcessLookupError) as e:
            self.problems.append(f'end: {e}')
        self.server.alerts += allowed
        self.server.temporary = ['client_body_temp', 'proxy_temp']
        try:
            if shim:
                self.server.alerts.append('.')
            self.server.check()
        except AssertionError as e:
            if 'not a line' not in str(e):      # Python ends lines at other bytes, too
                self.problems.append(str(e)[:6000])
        for line in self.server.read('error.log').splitlines():
            if re.search(r'\[alert\]|\[crit\]|Sanitizer|crash:', line) and not any(re.search(p, line) for p in allowed) and not shim:
                self.problems.append(line[:300])

    def close(self, keep):
        self.server.kill()
        self.backs.kill()
        self.backs.wait()
        self.dns.close()
        self.grpc.stop()
        if keep:
            print('kept:', self.site.directory)
            self.site.directory += '-gone'
        self.site.abandon()


def main():
    faulthandler.register(signal.SIGUSR1)
    p = argparse.ArgumentParser()
    p.add_argument('seed')
    p.add_argument('seconds', type=float)
    p.add_argument('kinds', nargs='?', default='reload')
    p.add_argument('--shim')
    p.add_argument('--keep', action='store_true')
    p.add_argument('--rounds', type=int, default=1)
    a = p.parse_args()
    c = Chaos(a.seed, 'kill upgrade' if a.kinds == 'all' else a.kinds, a.shim)
    try:
        c.calm('start')
        for i in range(a.rounds):
            c.run(a.seconds / a.rounds)
            if not c.problems or not re.search('gone|timed out', str(c.problems)):
                c.calm(f'round {i}')
            if c.problems or i + 1 == a.rounds:
                break
            bad, excused, done = c.load.bad, c.load.excused, c.load.done
            c.load = clients.Load(c.names, f'{a.seed}/{i}')
            c.load.bad, c.load.excused, c.load.done = bad, excused, done
        c.end(a.shim)
    finally:
        failures = c.load.failures()
        print(dict(c.counts), dict(sorted(c.load.done.items())))
        if a.shim:      # its faults excuse what fails, not what hangs
            failures = [f for f in failures if re.search('timeout|hang|wrong body|timed out', f[3])]
        for start, end, name, why in failures[:20]:
            print(f'FAILED {name} ({end - start:.1f} s) {why}')
        for problem in c.problems[:20]:
            print('PROBLEM', problem)
        print(f'seed {a.seed} {WEIR}: {len(failures)} failures ({len(c.load.bad)} with the excused), {len(c.problems)} problems',
              flush=True)
        c.close(a.keep and (failures or c.problems))
    sys.exit(1 if failures or c.problems else 0)


main()
