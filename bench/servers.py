"""The servers that are compared, and the back end: their configurations, and how one is started and stopped."""

import getpass
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import time

import proc

BENCH = os.path.dirname(os.path.abspath(__file__))
WEIR = os.environ.get("WEIR", os.path.join(BENCH, "..", "build", "weir"))
LISTENERS = ("PROXY", "LOG", "LOGBUF", "STATIC", "CACHE", "TLS", "H2", "H2STATIC", "H2TLS", "H2TLSSTATIC")
NAMES = ("nginx", "haproxy", "h2o", "weir", "floor")

# A server's file of configuration in conf/, and those of the listeners that it has not.
FILES = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg", "h2o": "h2o.conf", "weir": "weir.conf"}
LACKS = {"haproxy": {"LOGBUF", "STATIC", "CACHE", "H2STATIC", "H2TLSSTATIC"}, "h2o": {"LOG", "LOGBUF", "CACHE"}, "floor": set(LISTENERS) - {"PROXY"},
         "backend": set(LISTENERS) - {"PROXY"}}

# Cases that a server cannot do although it has the listener. The floor never closes. A reload of the others replaces processes and
# closes connections, which the load would count as errors.
CANNOT = {"nginx": {"reload"}, "haproxy": {"reload"}, "h2o": {"reload"}, "floor": {"close", "reload"}}


class Absent(Exception):
    """The server is not installed, or not built."""


class Broken(Exception):
    """The server is there and does not do its work. The text says why."""


def free_port():
    """A loopback port below the range from which the kernel takes the ports of outgoing connections."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as f:
        top = int(f.read().split()[0])
    while True:
        port = random.randrange(10240, max(top, 20480))
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def program(name):
    """The path of a server's binary. Debian keeps some where only root's PATH looks."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if not path:
        raise Absent(f"{name} is not installed")
    return path


def weir():
    if not os.access(WEIR, os.X_OK):
        raise Absent("not built")
    return os.path.realpath(WEIR)


def version(name):
    """What a server says it is, shortened to its name and number."""
    try:
        command = {"nginx": lambda: [program("nginx"), "-v"], "haproxy": lambda: [program("haproxy"), "-v"],
                   "h2o": lambda: [program("h2o"), "--version"], "weir": lambda: [weir(), "-v"]}[name]()
        out = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=10,
                             check=False).stdout.splitlines()
    except (Absent, OSError, subprocess.TimeoutExpired) as e:
        return f"{name} ({e})"
    if name == "weir":
        numbers = re.findall(r"weir[/ ][\w.+-]+", " ".join(out))
    else:
        numbers = re.findall(r"(?:version:? )(?:nginx/)?([\w.+~-]+)", " ".join(out))
        numbers = [f"{name} {n}" for n in numbers]
    return numbers[0] if numbers else name


class Server:
    """One server process and its children. `ports` has an entry for each of its listeners."""

    def __init__(self, name, env, core, backend_port=0):
        self.name, self.core = name, core
        self.dir = os.path.join(env.dir, name)
        shutil.rmtree(self.dir, ignore_errors=True)
        os.mkdir(self.dir)
        self.ports = {listener: free_port() for listener in LISTENERS}
        self.process = None
        self.command = self._command(env, backend_port)

    def _command(self, env, backend_port):
        proxy = str(self.ports["PROXY"])
        if self.name == "backend":
            return [env.tool("backend"), proxy]
        if self.name == "floor":
            return [env.tool("forwarder"), proxy, str(backend_port)]
        words = {"DIR": self.dir, "WWW": env.www, "USER": getpass.getuser(), "BACKEND": backend_port,
                 "NOFILE": env.nofile, "CONNECTIONS": env.nofile - 500, "IDLE_MAX": env.idle + 100, "CERT": env.cert, "KEY": env.key, **self.ports}
        file = FILES[self.name]
        with open(os.path.join(BENCH, "conf", file), encoding="utf-8") as f:
            text = re.sub(r"@([A-Z0-9_]+)@", lambda m: str(words[m[1]]), f.read())
        path = os.path.join(self.dir, file)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        if self.name == "haproxy":
            with open(os.path.join(self.dir, "both.pem"), "w", encoding="ascii") as both:
                for part in (env.cert, env.key):
                    with open(part, encoding="ascii") as f:
                        both.write(f.read())
            return [program("haproxy"), "-db", "-f", path]
        if self.name == "h2o":
            return [program("h2o"), "-c", path]
        binary = program("nginx") if self.name == "nginx" else weir()
        return [binary, "-p", self.dir + "/", "-e", self.dir + "/error.log", "-c", path]

    def has(self, case):
        return case.listener not in LACKS.get(self.name, ()) and case.name not in CANNOT.get(self.name, ())

    def grow(self, count):
        """Before start: so many virtual servers more on the proxy's port."""
        with open(os.path.join(self.dir, "more.conf"), "w", encoding="ascii") as f:
            for i in range(count):
                f.write(f"server {{ listen 127.0.0.1:{self.ports['PROXY']}; server_name h{i}.test www.h{i}.test *.x{i}.test;\n"
                        f"location / {{ return 200 {i}; }} location /a/ {{ proxy_pass http://127.0.0.1:1; }} }}\n")

    def reload(self):
        """Returns when the configuration is in force."""
        done = subprocess.run(self.command + ["-s", "reload"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
                              check=False)
        if done.returncode != 0:
            raise Broken("reload: " + done.stderr.strip())

    def log_size(self, case):
        """Bytes in the access log of a case. HAProxy's is its standard output."""
        path = os.path.join(self.dir, "out" if self.name == "haproxy" else case.log)
        return os.path.getsize(path) if os.path.exists(path) else 0

    def start(self):
        """Returns when all listeners accept. Raises Broken with the server's last words."""
        pin = [] if self.core is None else ["taskset", "-c", str(self.core)]
        with open(os.path.join(self.dir, "out"), "wb") as out:
            self.process = subprocess.Popen(pin + self.command, stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=subprocess.STDOUT)
        wanted = [listener for listener in LISTENERS if listener not in LACKS.get(self.name, ())]
        deadline = time.monotonic() + 10
        while wanted:
            try:
                socket.create_connection(("127.0.0.1", self.ports[wanted[0]]), timeout=1).close()
                wanted.pop(0)
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise Broken("did not start: " + self.last_words()) from None
                time.sleep(0.02)

    def last_words(self):
        for file in ("out", "error.log"):
            path = os.path.join(self.dir, file)
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as f:
                    lines = [line.strip() for line in f if line.strip()]
                if lines:
                    return lines[-1].replace(self.dir + "/", "")
        return "no message"

    def pids(self):
        return proc.tree(self.process.pid)

    def check_alive(self):
        if self.process.poll() is not None:
            raise Broken(f"ended with status {self.process.returncode}: {self.last_words()}")

    def stop(self):
        if self.process and self.process.poll() is None:
            pids = self.pids()
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                for pid in pids:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
                self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)
