"""A wall clock that a test sets: for servers that are started while it is in force.

    with Clock(site) as clock:      # a shared library of its own, preloaded
        server = site.server(...)
    clock.set(86400)                # a day later, for that server
"""
import mmap
import os
import shutil
import struct
import subprocess


def available():
    return shutil.which('cc') is not None


class Clock:
    def __init__(self, site):
        place = site.directory_for('clock')
        self.library, path = f'{place}/clock.so', f'{place}/offset'
        source = os.path.join(os.path.dirname(__file__), 'clock.c')
        subprocess.run(['cc', '-O1', '-shared', '-fPIC', '-o', self.library, source], check=True)
        with open(path, 'wb') as f:
            f.write(bytes(8))
        with open(path, 'r+b') as f:
            self.map = mmap.mmap(f.fileno(), 8)
        self.environment = {'LD_PRELOAD': self.library, 'WEIRTEST_CLOCK': path}

    def set(self, seconds):
        """So many seconds off the true time from now on."""
        struct.pack_into('=q', self.map, 0, seconds)

    def __enter__(self):
        self.before = {name: os.environ.get(name) for name in self.environment}
        os.environ.update(self.environment)
        return self

    def __exit__(self, *unused):
        for name, value in self.before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
