"""Ports that no other test process has.

A port is held by an flock on a file named after it, in a directory that all test processes of a machine share, for as
long as the test uses it: so a port of a server that is not running (a dead peer) is as safe as one that listens. All
ports have five digits and lie below the kernel's range for outgoing connections.
"""
import fcntl
import os
import random
import socket
import tempfile
import threading

_directory = os.path.join(tempfile.gettempdir(), f'weirtest-ports-{os.getuid()}')
_held = {}
_lock = threading.Lock()


def _range():
    with open('/proc/sys/net/ipv4/ip_local_port_range') as f:
        low = int(f.read().split()[0])
    return (10000, low) if low > 12000 else (61000, 65536)


def _usable(port):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(('0.0.0.0', port))
            s.listen(1)
        except OSError:
            return False
    return True


def take():
    """A free port, held until give(port)."""
    os.makedirs(_directory, exist_ok=True)
    low, high = _range()
    for _ in range(10000):
        port = random.randrange(low, high)
        with _lock:
            if port in _held:
                continue
            fd = os.open(os.path.join(_directory, str(port)), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(fd)
                continue
            if _usable(port):
                _held[port] = fd
                return port
            os.close(fd)
    raise AssertionError('no free port')


def give(port):
    with _lock:
        fd = _held.pop(port, None)
    if fd is not None:
        os.close(fd)
