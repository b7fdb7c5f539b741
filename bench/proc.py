"""What the kernel tells about a tree of processes: CPU time, memory, system calls."""

import os
import re
import shutil
import signal
import subprocess
import time


def tree(root):
    """The pids of a process and all that descend from it."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as f:
                    parent = int(f.read().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(name))
    pids = [root]
    for pid in pids:
        pids.extend(children.get(pid, ()))
    return pids


def _task_ns(path):
    try:
        with open(path + "/schedstat", encoding="ascii") as f:
            return int(f.read().split()[0])
    except FileNotFoundError:
        # A kernel without CONFIG_SCHED_INFO: clock ticks are coarser, and enough for seconds of work.
        with open(path + "/stat", encoding="utf-8", errors="replace") as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def cpu_ns(pids):
    """CPU time of all threads of these processes so far. Of a thread that ended nothing is known."""
    total = 0
    for pid in pids:
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                total += _task_ns(f"/proc/{pid}/task/{task}")
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def memory(pids):
    """(all, anonymous) resident bytes; pages that several processes share count once, divided among them."""
    total = anonymous = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
                text = f.read()
        except (FileNotFoundError, ProcessLookupError):
            continue
        sizes = {k: int(v) * 1024 for k, v in re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}
        total += sizes.get("Pss", 0)
        anonymous += sizes.get("Pss_Anon", sizes.get("Anonymous", 0))
    return total, anonymous


class Syscalls:
    """Counts the system calls of processes between start() and stop(). perf counts without slowing them down; where
    it is missing or not allowed strace does it, which makes a server slower and its turns of the loop fuller."""

    def __init__(self):
        self.tool = self._choose()

    @staticmethod
    def _choose():
        if shutil.which("perf"):
            r = subprocess.run(["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter", "true"], stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, check=False)
            if re.search(r"^\d+,", r.stdout, re.M):
                return "perf"
        return "strace" if shutil.which("strace") else None

    def start(self, pids, file):
        ids = [str(p) for p in pids]
        if self.tool == "perf":
            command = ["perf", "stat", "-x,", "-o", file, "-e", "raw_syscalls:sys_enter", "-p", ",".join(ids)]
        else:
            command = ["strace", "-f", "-c", "-q", "-o", file] + [w for p in ids for w in ("-p", p)]
        run = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.3)  # until it is attached; neither tool tells
        return run

    def stop(self, run, file):
        """The number of calls, or None when the tool could not count."""
        run.send_signal(signal.SIGINT)
        try:
            run.wait(10)
        except subprocess.TimeoutExpired:
            run.kill()
            run.wait()
            return None
        try:
            with open(file, encoding="utf-8", errors="replace") as f:
                return parse_syscalls(self.tool, f.read())
        except FileNotFoundError:
            return None


def parse_syscalls(tool, text):
    if tool == "perf":
        found = re.search(r"^(\d+),.*raw_syscalls:sys_enter", text, re.M)
    else:  # "100.00    0.001234           1      1234        12 total"
        found = re.search(r"^\s*100\.00\s+[\d.]+\s+(?:\d+\s+)?(\d+)(?:\s+\d+)?\s+total$", text, re.M)
    return int(found[1]) if found else None
