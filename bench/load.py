"""Asking a server: one verified fetch, a round of wrk, and idle connections."""

import http.client
import os
import re
import ssl
import subprocess
import threading
import time
from dataclasses import dataclass

import proc
from servers import BENCH, Broken


@dataclass
class Round:
    cpu_us: float       # per request
    rate: float         # requests per second
    memory: int         # resident bytes while under load
    p50_us: float       # None where the load does not say
    p99_us: float
    requests: int


def scheme(case):
    return "https" if "TLS" in case.listener else "http"


def _payload(case):
    return b"x" * int(case.kind[5:]) if case.kind.startswith("post=") else None


def _fetch_h2(port, case):
    how = ["-k", "--http2"] if "TLS" in case.listener else ["--http2-prior-knowledge"]
    done = subprocess.run(["curl", "-s", "--max-time", "10", *how, f"{scheme(case)}://127.0.0.1:{port}{case.path}",
                           "-w", "%{http_code} %{http_version}"], capture_output=True, check=False)
    body, words = done.stdout[:-5], done.stdout[-5:]
    if done.returncode or words != b"200 2" or len(body) != case.length:
        raise Broken(f"the first request got {words!r} and {len(body)} bytes of body instead of {case.length}")
    return body


def fetch(port, case):
    """The body that the server answers to the case's request. Raises Broken when it is not the right one."""
    if case.kind.startswith("h2="):
        return _fetch_h2(port, case)
    if case.listener == "TLS":
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=ssl._create_unverified_context())
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    payload = _payload(case)
    try:
        connection.request("POST" if payload else "GET", case.path, body=payload,
                           headers={"Connection": "close"} if case.kind == "close" else {})
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as e:
        raise Broken(f"the first request failed: {e!r}") from None
    finally:
        connection.close()
    if answer.status != 200:
        raise Broken(f"the first request got status {answer.status}")
    if len(body) != case.length:
        raise Broken(f"the first request got {len(body)} bytes of body instead of {case.length}")
    if case.kind == "close" and (answer.headers.get("Connection") or "").lower() != "close":
        raise Broken("the connection is kept although the client wants it closed")
    return body


def _wrk(env, port, case, seconds):
    pin = [] if env.load_core is None else ["taskset", "-c", str(env.load_core)]
    if case.kind in ("full", "resumed"):
        command = pin + [env.tool("tls"), case.kind, str(port), str(seconds), case.path, str(case.length)]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if case.kind.startswith("h2="):
        command = pin + ["h2load", "-t1", f"-c{case.conns}", "-m" + case.kind[3:], f"-D{seconds}",
                         f"{scheme(case)}://127.0.0.1:{port}{case.path}"]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True)
    command = pin + ["wrk", "-t1", f"-c{case.conns}", f"-d{seconds}s", "--timeout", "10s", "-s",
                     os.path.join(BENCH, "load.lua"), f"{scheme(case)}://127.0.0.1:{port}{case.path}", "--", "get" if case.kind == "reload" else case.kind]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True)


def parse_h2load(text, case):
    """(requests, seconds, None, None) of h2load's summary, which has no percentiles. Raises Broken when an answer was wrong."""
    finished = re.search(r"finished in ([\d.]+)(m?)s", text)
    counts = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", text)
    good = re.search(r"status codes: (\d+) 2xx, 0 3xx, 0 4xx, 0 5xx", text)
    size = re.search(r"\((\d+)\) data", text)
    if not finished or not counts or not good or not size:
        raise Broken("h2load: " + (text.strip().splitlines() or ["no output"])[-1])
    done, succeeded, *wrong = (int(n) for n in counts.groups())
    if any(wrong) or not done or done != succeeded:
        raise Broken(f"h2load: {counts[0]}")
    if int(size[1]) < done * case.length:
        raise Broken(f"{done} answers had {size[1]} bytes together, which is too few")
    return done, float(finished[1]) / (1000 if finished[2] else 1), None, None


def parse_wrk(text, case):
    """(requests, seconds, p50 µs, p99 µs) of load.lua's last line. Raises Broken when an answer was wrong."""
    lines = [line.split()[1:] for line in text.splitlines() if line.startswith("result ")]
    if lines and len(lines[-1]) == 2: # of tls.c, which has checked its answers
        return int(lines[-1][0]), int(lines[-1][1]) / 1e6, 0, 0
    if not lines or len(lines[-1]) != 10:
        raise Broken("wrk: " + (text.strip().splitlines() or ["no output"])[-1])
    requests, duration, size, *errors, p50, p99 = (int(n) for n in lines[-1])
    names = ("connect", "read", "write", "status", "timeout")
    wrong = [f"{n} {name}" for n, name in zip(errors, names) if n]
    if wrong:
        raise Broken("wrk counted errors: " + ", ".join(wrong))
    if not requests:
        raise Broken("wrk got no answer")
    if size < requests * case.length:
        raise Broken(f"{requests} answers had {size} bytes together, which is too few")
    return requests, duration / 1e6, p50, p99


def drive(env, server, case, seconds):
    """One round. CPU counts from before wrk connects until it is gone, as do the requests."""
    server.check_alive()
    pids = server.pids()
    before = proc.cpu_ns(pids)
    run = _wrk(env, server.ports[case.listener], case, seconds)
    seen = []
    sample = threading.Timer(seconds * 0.7, lambda: seen.append(proc.memory(pids)[0]))
    sample.start()
    try:
        text = run.communicate(timeout=seconds + 30)[0]
    except subprocess.TimeoutExpired:
        raise Broken("wrk did not end") from None
    finally:
        sample.cancel()
        sample.join()
        if run.poll() is None:
            run.kill()
            run.wait()
    spent = proc.cpu_ns(pids) - before
    server.check_alive()
    if set(server.pids()) != set(pids):
        raise Broken("a process of the server was replaced during the round")
    requests, took, p50, p99 = (parse_h2load if case.kind.startswith("h2=") else parse_wrk)(text, case)
    return Round(spent / 1000 / requests, requests / took, seen[0] if seen else 0, p50, p99, requests)


def syscalls(env, server, case, seconds):
    """System calls per request of one round, None without a tool that counts."""
    if not env.syscalls.tool:
        return None
    file = os.path.join(env.dir, "syscalls")
    counter = env.syscalls.start(server.pids(), file)
    try:
        done = drive(env, server, case, seconds)
    finally:
        calls = env.syscalls.stop(counter, file)
    return calls / done.requests if calls is not None else None


def share_during_reloads(env, server, case, seconds):
    """Requests per second with a reload each second, as a share of those without."""
    quiet, stop, failed = drive(env, server, case, seconds), threading.Event(), []

    def reload():
        while not stop.is_set() and not failed:
            try:
                server.reload()
            except Broken as e:
                failed.append(e)
            stop.wait(1)
    thread = threading.Thread(target=reload)
    thread.start()
    try:
        busy = drive(env, server, case, seconds)
    finally:
        stop.set()
        thread.join()
    if failed:
        raise failed[0]
    return busy.rate / quiet.rate


def reload_ms(server):
    """Processor time of one reload without load: of all processes of the server, until what was before is freed."""
    before = proc.cpu_ns(server.pids())
    server.reload()
    time.sleep(1.5)
    return (proc.cpu_ns(server.pids()) - before) / 1e6


class Idle:
    """`count` idle connections to a server, from __enter__ to __exit__."""

    def __init__(self, env, server, case, count):
        pin = [] if env.load_core is None else ["taskset", "-c", str(env.load_core)]
        self.count = count
        tool = [env.tool("tls"), "hold"] if case.listener == "TLS" else [env.tool("hold")]
        self.command = pin + tool + [str(server.ports[case.listener]), str(count)]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            self._expect("ready")
        except Broken:
            self.__exit__()
            raise
        return self

    def _expect(self, word):
        line = self.process.stdout.readline().split()
        if line != [word, str(self.count)]:
            raise Broken(f"of {self.count} idle connections {line[1] if len(line) > 1 else 'none'} were {word}")

    def check(self):
        """Every connection must still answer."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self._expect("alive")

    def __exit__(self, *unused):
        self.process.stdin.close()
        self.process.stdout.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
