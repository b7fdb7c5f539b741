"""Real back ends for the guide tests: Express, Next.js, Socket.IO and grpc-js under Node, Flask, Django and
FastAPI under Gunicorn, PHP under FPM, Tomcat, memcached."""
import fcntl
import glob
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time

from . import ports
from .client import Client
from .wait import until

_APPS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'apps')


def _cache():
    base = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
    path = os.path.join(base, 'weir-tests')
    os.makedirs(path, exist_ok=True)
    return path


def _install(source, directory, wanted, *more):
    """Once for all test processes and runs, outside the source tree: what the files of a directory want from npm, and then the
    commands of `more`."""
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, 'lock'), 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = os.path.join(directory, 'installed.json')
        if not os.path.exists(done) or open(done).read() != wanted:
            shutil.copytree(source, directory, dirs_exist_ok=True) if os.path.isdir(source) else shutil.copy(source, directory)
            npm = ['npm', 'install', '--no-audit', '--no-fund', '--omit=dev', '--loglevel=error']
            for command in (npm, *more):
                subprocess.run(command, cwd=directory, check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=600,
                               env={**os.environ, 'NEXT_TELEMETRY_DISABLED': '1'})
            with open(done, 'w') as f:
                f.write(wanted)
    return directory


def node_modules():
    """Where Express is."""
    source = os.path.join(_APPS, 'package.json')
    with open(source) as f:
        return os.path.join(_install(source, _cache(), f.read()), 'node_modules')


def next_app():
    """Where the Next.js application is, built."""
    source, digest = os.path.join(_APPS, 'next'), hashlib.sha256()
    for root, directories, files in sorted(os.walk(source)):
        for name in sorted(files):
            with open(os.path.join(root, name), 'rb') as f:
                digest.update(name.encode() + f.read())
    return _install(source, os.path.join(_cache(), 'next'), digest.hexdigest(), ['node', 'node_modules/next/dist/bin/next', 'build'])


class App:
    """A process that serves .address. stop() ends it."""

    def __init__(self, command, directory, name, path=None, port=None, env=None):
        self.path, self.port, self.name, self.command, self.env = path, port, name, command, env
        self.log = os.path.join(directory, f'{name}.out')
        with open(self.log, 'wb') as out:
            self.process = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                            env={**os.environ, **(env or {})}, start_new_session=True)
        until(self.ready, f'{name} to listen', 60)
        if path:
            os.chmod(path, 0o777)

    @property
    def address(self):
        return f'unix:{self.path}' if self.path else f'127.0.0.1:{self.port}'

    def ready(self):
        if self.process.poll() is not None:
            with open(self.log) as f:
                raise AssertionError(f'{self.name} ended: {f.read()}')
        if self.path:
            return os.path.exists(self.path)
        want = f':{self.port:04X}'
        lines = []
        for table in ('/proc/net/tcp', '/proc/net/tcp6'):    # Java listens on an IPv6 socket
            with open(table) as f:
                lines += f.readlines()[1:]
        return any(line.split()[1].endswith(want) and line.split()[3] == '0A' for line in lines)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.port:
            ports.give(self.port)


def express(directory, name='express'):
    port = ports.take()
    return App(['node', os.path.join(_APPS, 'express.js'), str(port)], directory, name, port=port,
               env={'NODE_PATH': node_modules()})


def nextjs(directory, name='next'):
    """A built Next.js application."""
    port, built = ports.take(), next_app()
    return App(['node', f'{built}/node_modules/next/dist/bin/next', 'start', built, '-H', '127.0.0.1', '-p', str(port)], directory, name,
               port=port, env={'NEXT_TELEMETRY_DISABLED': '1'})


def socketio(directory, name='socketio'):
    """Express, Socket.IO and a WebSocket on one port."""
    port = ports.take()
    return App(['node', os.path.join(_APPS, 'socketio.js'), str(port)], directory, name, port=port, env={'NODE_PATH': node_modules()})


def socketio_client(port, host, mode):
    """What Socket.IO's client (or ws) says of a session through a server: a dict."""
    done = subprocess.run(['node', os.path.join(_APPS, 'socketio_client.js'), str(port), host, mode], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=40, env={**os.environ, 'NODE_PATH': node_modules()})
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def grpc_js(directory, name='grpc-js'):
    """The gRPC server of grpc_server.js."""
    port = ports.take()
    return App(['node', os.path.join(_APPS, 'grpc_server.js'), str(port)], directory, f'{name}-{port}', port=port,
               env={'NODE_PATH': node_modules()})


def grpc_js_client(port, ca=''):
    """What grpc-js's client says of its calls through a server: a dict."""
    done = subprocess.run(['node', os.path.join(_APPS, 'grpc_client.js'), str(port), ca], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=120, env={**os.environ, 'NODE_PATH': node_modules()})
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def gunicorn(directory, path=None, name='gunicorn', app='flask_app:app', options=('--threads', '4')):
    """A WSGI application, or with uvicorn's workers an ASGI application, under Gunicorn."""
    port = None if path else ports.take()
    bind = f'unix:{path}' if path else f'127.0.0.1:{port}'
    command = [sys.executable, '-m', 'gunicorn', '--bind', bind, '--workers', '1', *options, '--chdir', _APPS,
               '--worker-tmp-dir', directory, '--forwarded-allow-ips', '*', app]
    return App(command, directory, name, path=path, port=port, env={'PYTHONDONTWRITEBYTECODE': '1'})


def django(directory, name='django'):
    return gunicorn(directory, name=name, app='django_app:application')


def fastapi(directory, name='fastapi'):
    return gunicorn(directory, name=name, app='fastapi_app:app', options=('-k', 'uvicorn.workers.UvicornWorker'))


def tomcat(directory, name='tomcat'):
    """Debian's Tomcat 10 with a base directory of its own and one JSP for all paths."""
    base, port, home = os.path.join(directory, name), ports.take(), '/usr/share/tomcat10'
    shutil.copytree(os.path.join(_APPS, 'tomcat'), base)
    for sub in ('logs', 'temp', 'work'):
        os.makedirs(os.path.join(base, sub), exist_ok=True)
    command = ['java', '-Xmx128m', '-XX:TieredStopAtLevel=1', '-cp', f'{home}/bin/bootstrap.jar:{home}/bin/tomcat-juli.jar', f'-Dcatalina.home={home}',
               f'-Dcatalina.base={base}', f'-Djava.io.tmpdir={base}/temp', f'-Dweir.port={port}', 'org.apache.catalina.startup.Bootstrap', 'start']
    return App(command, directory, name, port=port)


PHP_ROOT = os.path.join(_APPS, 'php', 'public')


def php_fpm(directory, name='php-fpm'):
    """PHP-FPM on a Unix socket; scripts are those below PHP_ROOT."""
    path, conf = os.path.join(directory, f'{name}.sock'), os.path.join(directory, f'{name}.conf')
    user = 'user = root\ngroup = root\n' if os.getuid() == 0 else ''
    with open(conf, 'w') as f:
        f.write(f'[global]\nerror_log = {directory}/{name}.log\ndaemonize = no\n[www]\n{user}listen = {path}\npm = static\n'
                'pm.max_children = 3\ncatch_workers_output = no\n')
    binary = sorted(glob.glob('/usr/sbin/php-fpm*'))[-1]
    return App([binary, '-F', '-R', '-y', conf], directory, name, path=path)


class Memcached(App):
    """Debian's memcached. put() is what a web site does beside the proxy."""

    def __init__(self, directory, name='memcached', options=()):
        port = ports.take()
        user = ('-u', 'nobody') if os.getuid() == 0 else ()
        super().__init__(['memcached', '-l', '127.0.0.1', '-p', str(port), '-U', '0', '-m', '32', '-t', '1', *user, *options], directory, name, port=port)

    def ask(self, line, end=b'\r\n'):
        with socket.create_connection(('127.0.0.1', self.port), 10) as s:
            s.sendall(line)
            said = b''
            while not said.endswith(end):
                said += s.recv(65536) or end
            return said

    def put(self, key, data, flags=0):
        said = self.ask(b'set %s %d 0 %d\r\n%s\r\n' % (key.encode('latin-1'), flags, len(data), data))
        assert said == b'STORED\r\n', said

    def stats(self):
        said = self.ask(b'stats\r\n', b'END\r\n').decode()
        return {n: v for _, n, v in (line.split(' ', 2) for line in said.splitlines()[:-1])}


def events_at_once(server, asked):
    """Every one of ten events "data: N MILLISECONDS" arrives within 50 ms of its making. The machine may be busy with something
    else: one of three sittings must be clean."""
    for _ in range(3):
        late = []
        with Client(server.port) as c:
            c.send(asked)
            for n in range(10):
                c.wait_for(f'data: {n} '.encode())
                made = int(re.search(rf'data: {n} (\d+)'.encode(), c.received)[1])
                late.append(time.time() * 1000 - made)
            assert c.response().framing == 'chunked'
        if max(late) < 50:
            return
    raise AssertionError(f'late by {late} ms')
