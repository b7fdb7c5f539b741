"""Processes of a server: the tree, its memory, its descriptors."""
import os
import signal

from .wait import until


def _stat(pid):
    """(parent, session, state) of a process, or None when it is gone."""
    try:
        with open(f'/proc/{pid}/stat', 'rb') as f:
            fields = f.read().rpartition(b')')[2].split()
    except OSError:
        return None
    return int(fields[1]), int(fields[3]), fields[0].decode()


def living(pid):
    stat = _stat(pid)
    return stat is not None and stat[2] != 'Z'


def stop(pid):
    """SIGSTOP, and waits until no thread of it runs any more."""
    os.kill(pid, signal.SIGSTOP)
    until(lambda: all((_stat(f'{pid}/task/{t}') or (0, 0, 'T'))[2] == 'T' for t in os.listdir(f'/proc/{pid}/task')), f'process {pid} to stop')


def _all():
    for name in os.listdir('/proc'):
        if name.isdigit():
            stat = _stat(name)
            if stat and stat[2] != 'Z':
                yield int(name), stat


def is_opener(pid):
    """The process that opens for a confined worker of weir (src/io/reach.h)."""
    try:
        with open(f'/proc/{pid}/comm') as f:
            return f.read() == 'weir-opener\n'
    except OSError:
        return False


def tree(pid):
    """pid and its descendants, parents first."""
    children = {}
    for child, (parent, _, _) in _all():
        children.setdefault(parent, []).append(child)
    found, todo = [], [pid]
    while todo:
        one = todo.pop(0)
        found.append(one)
        todo += sorted(children.get(one, []))
    return found


def in_session(session):
    """Living processes of a session: what a server that was started in a session of its own left behind."""
    return [pid for pid, stat in _all() if stat[1] == session]


def memory(pids):
    """Sums in bytes over processes: {'rss': ..., 'pss': ..., 'private': ...}."""
    total = {'rss': 0, 'pss': 0, 'private': 0}
    for pid in pids:
        with open(f'/proc/{pid}/smaps_rollup') as f:
            for line in f:
                word = line.split()
                if word[0] == 'Rss:':
                    total['rss'] += int(word[1]) * 1024
                elif word[0] == 'Pss:':
                    total['pss'] += int(word[1]) * 1024
                elif word[0] in ('Private_Clean:', 'Private_Dirty:'):
                    total['private'] += int(word[1]) * 1024
    return total


def descriptors(pids):
    """What each process has open, sorted: {pid: ['socket:[1]', ...]}."""
    found = {}
    for pid in pids:
        links = []
        for fd in os.listdir(f'/proc/{pid}/fd'):
            try:
                links.append(os.readlink(f'/proc/{pid}/fd/{fd}'))
            except OSError:
                pass
        found[pid] = sorted(links)
    return found


def count_descriptors(pids):
    return sum(len(links) for links in descriptors(pids).values())


def threads(pid):
    return len(os.listdir(f'/proc/{pid}/task'))


def cpu_ns(pids):
    """CPU time of all threads of these processes so far."""
    total = 0
    for pid in pids:
        for thread in os.listdir(f'/proc/{pid}/task'):
            with open(f'/proc/{pid}/task/{thread}/stat') as f:
                fields = f.read().rpartition(')')[2].split()
            ticks = (int(fields[11]) + int(fields[12])) * 1_000_000_000 // os.sysconf('SC_CLK_TCK')
            try:
                with open(f'/proc/{pid}/task/{thread}/schedstat') as f:
                    ticks = int(f.read().split()[0])    # finer
            except FileNotFoundError:
                pass
            total += ticks
    return total


def identity(pid):
    """Effective (uid, gid) of a process."""
    found = {}
    with open(f'/proc/{pid}/status') as f:
        for line in f:
            word = line.split()
            if word[0] in ('Uid:', 'Gid:'):
                found[word[0]] = int(word[2])
    return found['Uid:'], found['Gid:']


def supplementary_groups(pid):
    with open(f'/proc/{pid}/status') as f:
        for line in f:
            if line.startswith('Groups:'):
                return [int(g) for g in line.split()[1:]]
    return []
