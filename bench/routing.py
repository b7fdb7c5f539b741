#!/usr/bin/env python3
"""What a large configuration costs: loading it, and finding the server and the location of each request.

For weir and nginx the time and memory of loading 2,000 servers with 20,000 locations, and the CPU time per request beside that of
one server with ten locations. A part of bench/run, and a program of its own. Of the large configuration first the ten locations of one server are asked,
which tells what the search costs, then all in turn, which tells what it costs that nothing asked for is in the caches."""

import argparse
import dataclasses
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import proc
import report
import servers
from servers import Absent, Broken, free_port

SERVERS, LOCATIONS = 2000, 10

LUA = """
local wanted = {}
for line in io.lines(os.getenv("REQUESTS")) do
  local host, path = line:match("(%S+) (%S+)")
  wanted[#wanted + 1] = wrk.format("GET", path, {Host = host})
end
local i = 0
function request() i = i % #wanted + 1 return wanted[i] end
function done(summary)
  local e = summary.errors
  io.write(string.format("result %d %d\\n", summary.requests, e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def prefix(server, location):
    """Locations differ late, as those of real applications do."""
    return f"/application/area{(server * 7 + location * 7919) % 997}/section{location}/"


def configuration(directory, port, count):
    lines = [f"pid {directory}/pid;", f"error_log {directory}/error.log;", "worker_processes 1;", "daemon off;",
             "events { worker_connections 1024; }", "http {", "access_log off;", "server_names_hash_max_size 65536;",
             "server_names_hash_bucket_size 128;"]
    for s in range(count):
        lines += ["server {", f"listen 127.0.0.1:{port};", f"server_name site{s}.example.test www.site{s}.example.test *.wild{s}.test;"]
        lines += [f'location {prefix(s, i)} {{ return 200 "{s} {i}"; }}' for i in range(LOCATIONS)]
        lines.append("}")
    return "\n".join(lines + ["}", ""])


def requests(count, first=0):
    """Every location of so many servers once, in an order that jumps about."""
    total = count * LOCATIONS
    for k in range(total):
        s, i = divmod(k * 7919 % total, LOCATIONS)
        s += first
        yield (f"site{s}.example.test", f"x.wild{s}.test")[k % 2] + " " + prefix(s, i) + "page.html"


def loading(command):
    """Seconds and resident bytes of reading the configuration, the best of three."""
    best = None
    for _ in range(3):
        begun = time.monotonic()
        child = subprocess.Popen(command + ["-t", "-q"], stderr=subprocess.PIPE)
        said = child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = status
        if status:
            raise Broken(said.decode(errors="replace").strip())
        seen = (time.monotonic() - begun, usage.ru_maxrss * 1024)
        best = min(best or seen, seen)
    return best


class Running:
    """A server with so many virtual servers. lists: of requests; cpu: their figures."""

    def __init__(self, binary, directory, count):
        self.dir = os.path.join(directory, f"{os.path.basename(binary)}-{count}")
        os.mkdir(self.dir)
        self.port = free_port()
        conf = os.path.join(self.dir, "conf")
        with open(conf, "w", encoding="ascii") as f:
            f.write(configuration(self.dir, self.port, count))
        self.lists = {"ten": requests(1, count // 2)}
        if count > 1:
            self.lists["all"] = requests(count)
        for name, lines in self.lists.items():
            with open(os.path.join(self.dir, name), "w", encoding="ascii") as f:
                f.write("\n".join(lines) + "\n")
        self.command = [binary, "-p", self.dir + "/", "-e", self.dir + "/error.log", "-c", conf]
        self.load = loading(self.command)
        self.process = subprocess.Popen(self.command, stderr=subprocess.DEVNULL)
        self.cpu = {name: [] for name in self.lists}

    def round(self, which, script, seconds):
        """One round of load; CPU time per request in microseconds."""
        pids = proc.tree(self.process.pid)
        before = proc.cpu_ns(pids)
        out = subprocess.run(["wrk", "-t1", "-c16", f"-d{seconds}s", "-s", script, f"http://127.0.0.1:{self.port}/"], check=True,
                             stdout=subprocess.PIPE, text=True, env=dict(os.environ, REQUESTS=os.path.join(self.dir, which))).stdout
        count, errors = map(int, out.split("result ")[1].split())
        if errors or not count:
            raise Broken(f"{errors} errors, {count} answers")
        self.cpu[which].append((proc.cpu_ns(pids) - before) / count / 1000)

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


@dataclasses.dataclass
class Seen:
    """One server: of one virtual server with ten locations, and of many. Times in seconds and microseconds, memory in bytes."""
    name: str
    load: tuple      # seconds and bytes of reading the large configuration
    small_load: tuple
    small: float     # CPU a request with ten locations
    ten: float       # of the large one, asked for ten of its locations
    all: float       # and for all in turn


LOAD_MAX, COST_MAX = 1.0, 1.15    # seconds to load; CPU of a request beside that of the small configuration


def measure(names, rounds, seconds):
    """[Seen], of the servers that are there."""
    directory = tempfile.mkdtemp(prefix="routing-")
    running = []
    try:
        script = os.path.join(directory, "load.lua")
        with open(script, "w", encoding="ascii") as f:
            f.write(LUA)
        for name in names:
            binary = servers.weir() if name == "weir" else servers.program(name)
            running += [(name, count, Running(binary, directory, count)) for count in (1, SERVERS)]
        time.sleep(0.5)
        for _ in range(rounds):
            for _, _, r in running:
                for which in r.lists:
                    r.round(which, script, seconds)
        found = []
        for name in names:
            small, large = (r for n, _, r in running if n == name)
            found.append(Seen(name, large.load, small.load, *(statistics.median(r.cpu[w]) for r, w in
                                                              ((small, "ten"), (large, "ten"), (large, "all")))))
        return found
    finally:
        for _, _, r in running:
            r.stop()
        shutil.rmtree(directory, ignore_errors=True)


def problems(seen):
    """What weir must hold, as lines."""
    bad = []
    for s in seen:
        if s.name == "weir" and s.load[0] > LOAD_MAX:
            bad.append(f"routing: {SERVERS} servers are loaded in {s.load[0]:.2f} s, more than {LOAD_MAX} s")
        if s.name == "weir" and s.ten > COST_MAX * s.small:
            bad.append(f"routing: a request costs {s.ten / s.small:.2f} times as much as with ten locations, more than {COST_MAX}")
    return bad


def table(seen):
    """Rows of text: a header, and a line for each server."""
    header = ["server", "loaded in, ms", "memory, MiB", "CPU with 10 locations, us", f"with {SERVERS * LOCATIONS:,}, asked for 10",
              "asked for all"]
    return [header] + [[s.name, f"{s.load[0] * 1000:.0f}", f"{s.load[1] / 2**20:.1f}", f"{s.small:.2f}", f"{s.ten / s.small:.2f} ({s.ten:.2f})",
                        f"{s.all / s.small:.2f} ({s.all:.2f})"] for s in seen]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=1)
    arguments = parser.parse_args()
    try:
        seen = measure(("weir", "nginx"), arguments.rounds, arguments.seconds)
    except (Absent, Broken) as e:
        sys.exit(f"routing: {e}")
    print(report.plain(table(seen)))
    bad = problems(seen)
    for line in bad:
        print("FAILED " + line)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
