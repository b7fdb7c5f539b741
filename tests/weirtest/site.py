"""A temporary place: directories, ports, back ends, and the servers that use them.

Names in a configuration are written @name@ and become:

    @port@ @port2@ ..   ports for the server to listen on (each server of a Site has its own)
    @dir@               the server's own directory            @root@   a directory that all servers of the Site share
    @dead@ @dead2@ ..   127.0.0.1:PORT where nobody listens
    @certs@             the directory of certificates
    @unix@ @unix2@ ..   a back end on a Unix socket, as "unix:/path"
    @fcgi@ @fcgiunix@   a back end that speaks FastCGI, also on a Unix socket; so @scgi..@, @uwsgi..@ and @memcached..@ (cgi.py)
    @any_other_name@    a back end of that name, as 127.0.0.1:PORT
"""
import os
import re
import shutil
import tempfile

from . import certs, ports
from .backend import Backend
from .cgi import CgiBackend
from .conf import complete
from .server import WEIR, Server


class Site:
    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix='weirtest-')
        os.chmod(self.directory, 0o755)
        self.root = os.path.join(self.directory, 'root')
        os.mkdir(self.root)
        os.chmod(self.root, 0o755)
        self.backends = {}
        self.held = []
        self.dead = {}
        self.servers = []

    def backend(self, name='backend', answer=None, tls=None):
        """The back end of this name; made when it is first asked for. tls: the context that it speaks TLS with."""
        if name not in self.backends:
            path = os.path.join(self.directory, name + '.sock') if 'unix' in name else None
            kind = next((k for k in CgiBackend.KINDS if name.startswith(k)), None)
            self.backends[name] = CgiBackend(kind, path=path, name=name, tls=tls) if kind else Backend(path=path, name=name, tls=tls)
        if answer is not None:
            self.backends[name].answer = answer
        return self.backends[name]

    def port(self):
        self.held.append(ports.take())
        return self.held[-1]

    def file(self, path, content=b'', mtime=1700000000):
        """A file below the shared root, with a fixed time."""
        whole = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(whole), exist_ok=True)
        with open(whole, 'wb') as f:
            f.write(content if isinstance(content, bytes) else content.encode())
        os.utime(whole, (mtime, mtime))
        return whole

    def directory_for(self, label):
        path = os.path.join(self.directory, label)
        os.mkdir(path)
        os.chmod(path, 0o755)
        return path

    def fill(self, text, own):
        """Replaces the names. own: names of one server, which grow by the ports it needs."""
        def value(m):
            name = m[1]
            if name in own:
                return str(own[name])
            if re.fullmatch(r'port\d*', name):
                own[name] = self.port()
                return str(own[name])
            if name == 'root':
                return self.root
            if name == 'certs':
                return certs.directory()
            if re.fullmatch(r'dead\d*', name):
                if name not in self.dead:
                    self.dead[name] = self.port()
                return f'127.0.0.1:{self.dead[name]}'
            return self.backend(name).address
        return re.sub(r'@([a-z]\w*)@', value, text)

    def server(self, conf, binary=None, label=None, http='', main='', workers=2, arguments=(), **how):
        """Starts a server with a fragment or a whole configuration."""
        label = label or f's{len(self.servers)}'
        own = {'dir': self.directory_for(label)}
        own['port'] = self.port()
        text = complete(conf, own['dir'], own['port'], binary or WEIR, http, main, workers)
        server = Server(self.fill(text, own), own['dir'], binary, arguments=arguments, **how)
        server.names = own
        server.port = own['port']
        self.servers.append(server)
        return server

    def close(self):
        """Stops everything; the first complaint of a server is raised after all are down."""
        complaint = None
        for server in self.servers:
            try:
                server.stop()
            except AssertionError as e:
                complaint = complaint or e
        self.abandon()
        if complaint:
            raise complaint

    def abandon(self):
        for server in self.servers:
            server.kill()
        for backend in self.backends.values():
            backend.stop()
        for port in self.held:
            ports.give(port)
        shutil.rmtree(self.directory, ignore_errors=True)
