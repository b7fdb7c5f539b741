"""Signals, one after the other, to nginx and weir: what their logs say at the level notice, line by line."""
import os
import re
import signal
import time

import pytest

from weirtest import NGINX, WEIR, is_nginx, proc, run, until

# nginx's master does nothing for a moment after HUP and WINCH; ThreadSanitizer keeps a process a second longer.
PAUSE = 1.5 if 'build-tsan' in WEIR else 0.4

OWN = re.compile(r'(nginx/|weir )[\d.]+\Z|signal 29 \(SIGIO\)|signal 14 \(SIGALRM\)|aborting\Z')


class Server:
    """A server under its configuration, with names for its processes: m, its workers w1, w2, the next binary m2 with w3."""

    def __init__(self, site, binary, main):
        self.server = site.server('location / { return 200; }', binary, main=main + ' error_log @dir@/error.log notice;',
                                  foreground='daemon on' not in main, workers=1)
        self.pids = {'m': self.server.pid}
        self.quiet()

    def lines(self):
        """(process, level, message) with names instead of numbers. The test's own number is "test"."""
        found, names = [], {self.pids['m']: 'm', os.getpid(): 'test'}
        for line in self.server.errors():
            m = re.match(r'start worker process (\d+)|start new binary process (\d+)', line.message)
            if m and m[1]:
                names[int(m[1])] = 'w%d' % (1 + sum(n[0] == 'w' for n in names.values()))
            elif m:
                names[int(m[2])] = 'm%d' % (1 + sum(n[0] == 'm' for n in names.values()))
            text = re.sub(r'\b\d+\b', lambda m: names.get(int(m[0]), m[0]), line.message)
            found.append((line.pid, line.level, text))
        self.pids |= {name: pid for pid, name in names.items() if name != 'test'}
        # Whoever is not known has another number than the daemon it became, or is a command that sent a signal.
        return [(names.get(pid, 'm'), level, re.sub(r'received from \d+', 'received from somebody', text)) for pid, level, text in found]

    def quiet(self):
        """Waits until nothing has been said for a while."""
        last, since = None, 0
        while last is None or time.monotonic() - since < PAUSE:
            now = self.lines()
            if now != last:
                last, since = now, time.monotonic()
            time.sleep(0.02)

    def count(self):
        return sum(not OWN.match(text) and 'event method' not in text for _, _, text in self.lines())

    def do(self, step, count):
        """One step; `count`: so many lines there will be then, as far as is known."""
        who, what = step.split()
        before = len(self.lines())
        if what.startswith('-s'):
            s = self.server
            r = run('-p', s.directory + '/', '-c', s.conf_path, '-e', s.error_log_path, '-s', what[2:], binary=s.binary)
            assert (r.returncode, r.stdout, r.stderr) == (0, '', '')
        else:
            os.kill(self.pids[who], getattr(signal, 'SIG' + what))
        if what == 'USR2' and who[0] == 'm':
            until(lambda: any(text.endswith(', ignoring') or text.startswith('start worker process ') for _, _, text in self.lines()[before:]),
                  'the new binary to have a worker')
        end = time.monotonic() + 5
        while self.count() < count and time.monotonic() < end:
            time.sleep(0.02)
        self.quiet()

    def end(self):
        until(lambda: not any(proc.living(p) for p in self.pids.values()), 'all to end')
        self.server.process.wait()
        self.server.stopped = True


def of_process(lines, name):
    """What each says of itself left out: the version, SIGIO from nginx's workers, the timer of a stop that takes its time, that its
    debugging stop aborts; and the event method, which nginx names again at each reload."""
    said = [f'{level}: {text}' for who, level, text in lines if who == name and not OWN.match(text)]
    return [text for i, text in enumerate(said) if 'event method' not in text or text not in said[:i]]


def both(site, steps, main):
    said, counts = [], [0] * len(steps)
    for binary in (NGINX, WEIR):
        server = Server(site, binary, main)
        for i, step in enumerate(steps):
            server.do(step, counts[i])
            counts[i] = server.count()
        server.end()
        said.append(server.lines())
    return said


SEQUENCES = {
    'quit': ['m QUIT'], 'term': ['m TERM'], 'int': ['m INT'], 'stop by -s': ['m -sstop'], 'quit by -s': ['m -squit'],
    'reopen': ['m USR1', 'm QUIT'], 'reopen by -s': ['m -sreopen', 'm USR1', 'm TERM'],
    'worker killed': ['w1 KILL', 'm QUIT'], 'worker aborted': ['w1 KILL', 'w2 KILL', 'm TERM'],
    'worker told to end': ['w1 TERM', 'm QUIT'], 'worker interrupted': ['w1 INT', 'm TERM'], 'worker told to quit': ['w1 QUIT', 'm QUIT'],
    'worker told to quit by WINCH': ['w1 WINCH', 'm QUIT'],
    'worker told to reload': ['w1 HUP', 'm QUIT'], 'worker told to upgrade': ['w1 USR2', 'm QUIT'],
}
DAEMON = {
    'rest and go on': ['m WINCH', 'm HUP', 'm QUIT'], 'rest and end': ['m WINCH', 'm QUIT'], 'rest and stop': ['m WINCH', 'm TERM'],
    'upgrade': ['m USR2', 'm QUIT', 'm2 QUIT'], 'upgrade and back': ['m USR2', 'm2 QUIT', 'm QUIT'],
    'upgrade, rest': ['m USR2', 'm WINCH', 'm QUIT', 'm2 QUIT'], 'upgrade, rest, back': ['m USR2', 'm WINCH', 'm HUP', 'm2 QUIT', 'm QUIT'],
    'upgrade twice': ['m USR2', 'm USR2', 'm2 USR2', 'm QUIT', 'm2 TERM'],
    'upgrade, then again': ['m USR2', 'm QUIT', 'm2 USR2', 'm2 QUIT', 'm3 QUIT'],
}
ALONE = {name: SEQUENCES[name] for name in ('quit', 'term', 'int', 'stop by -s', 'quit by -s', 'reopen', 'reopen by -s')}
ALL = [(name, steps, main) for main, table in (('daemon off;', SEQUENCES), ('daemon on;', SEQUENCES), ('daemon on;', DAEMON),
                                                  ('master_process off; daemon off;', ALONE), ('master_process off; daemon on;', ALONE))
       for name, steps in table.items()]


@pytest.mark.skipif(is_nginx(WEIR), reason='compares the two')
@pytest.mark.parametrize('name, steps, main', ALL, ids=[f'{main[:-1]}: {name}' for name, _, main in ALL])
def test_same_lines(site, name, steps, main):
    theirs, ours = both(site, steps, main)
    names = list(dict.fromkeys(who for who, _, _ in theirs))
    assert list(dict.fromkeys(who for who, _, _ in ours)) == names
    for who in names:
        assert of_process(ours, who) == of_process(theirs, who)
