"""Scripted back ends: accept, keep what was received byte for byte, answer what the script says.

An answer is bytes, or a list of steps, or a function of the request that returns either. The steps:

    b'...'          send these bytes                    Pause(seconds)    wait
    Drip(b'..', n)  send in pieces of n bytes           Wait(event)       wait for a threading.Event of the test
    ReadRequest()   read (the rest of) the request      UntilClosed()     wait until the peer closes
    Close()         close the connection                Reset()           close it with RST
    ShutdownWrite() send FIN, keep reading              Echo()            send back what comes until the peer's FIN
    a function      call it with the request

A list that begins with ReadRequest(head=True) or with bytes is run as soon as the head of the request is there;
otherwise, and before a function is called, the whole request is read. After an answer the connection is read again, until somebody closes.
"""
import os
import re
import socket
import struct
import threading

from . import ports
from .wait import PATIENCE, until


class Pause:
    def __init__(self, seconds):
        self.seconds = seconds


class Wait:
    def __init__(self, event):
        self.event = event


class Drip:
    def __init__(self, data, size=1):
        self.data, self.size = data, size


class ReadRequest:
    """head=True: only the head; the body stays unread."""

    def __init__(self, head=False):
        self.head = head


class Close:
    pass


class Reset:
    pass


class ShutdownWrite:
    pass


class UntilClosed:
    pass


class Echo:
    """What comes is kept in the request's body, too."""


def response(body=b'', *headers, status='200 OK', version='1.1', length=True):
    """The bytes of an answer. headers: whole lines."""
    if isinstance(body, str):
        body = body.encode()
    lines = [f'HTTP/{version} {status}', *headers]
    if length:
        lines.append(f'Content-Length: {len(body)}')
    return '\r\n'.join(lines).encode('latin-1') + b'\r\n\r\n' + body


def chunked(*chunks, headers=(), status='200 OK', trailers=()):
    head = '\r\n'.join([f'HTTP/1.1 {status}', *headers, 'Transfer-Encoding: chunked']).encode('latin-1') + b'\r\n\r\n'
    tail = ''.join(t + '\r\n' for t in trailers).encode('latin-1')
    return head + b''.join(b'%x\r\n%s\r\n' % (len(c), c) for c in chunks) + b'0\r\n' + tail + b'\r\n'


class Received:
    """One request as a back end saw it. It is listed as soon as its head is complete; body and raw grow after that."""

    def __init__(self, backend, connection, number):
        self.backend, self.connection, self.number = backend, connection, number
        self.raw = self.body = b''
        self.method = self.target = self.version = None
        self.headers = []
        self.framing = None    # none | length | chunked
        self.peer = None       # the other end's address, on TCP
        self.complete = False

    def all(self, name):
        return [v for n, v in self.headers if n.lower() == name.lower()]

    def header(self, name, default=None):
        values = self.all(name)
        assert len(values) <= 1, f'{name} came {len(values)} times'
        return values[0] if values else default

    @property
    def head(self):
        return self.raw.partition(b'\r\n\r\n')[0]

    def __repr__(self):
        return f'<{self.backend.name} #{self.connection}.{self.number} {self.raw[:200]!r}>'


class _Gone(Exception):
    """The connection ended."""


class _Connection:
    def __init__(self, backend, sock, number):
        self.backend, self.socket, self.number = backend, sock, number
        self.data = b''
        self.requests = 0
        self.busy = True
        self.closed = False
        sock.settimeout(PATIENCE * 4)

    def more(self):
        try:
            data = self.socket.recv(262144)
        except OSError:
            data = b''
        if not data:
            raise _Gone
        self.data += data

    def secure(self):
        """The handshake, where the back end speaks TLS. False: it failed."""
        if not self.backend.tls:
            return True
        try:
            self.socket = self.backend.tls.wrap_socket(self.socket, server_side=True)
        except OSError as e:
            self.backend.handshakes.append(e)
            return False
        self.backend.handshakes.append((self.socket.session_reused, getattr(self.socket, 'asked_name', None), self.socket.getpeercert()))
        return True

    def run(self):
        try:
            if not self.secure():
                raise _Gone
            while not self.backend.stopping:
                self.busy = bool(self.data)
                while b'\r\n\r\n' not in self.data:
                    self.more()
                    self.busy = True
                self.one()
        except (_Gone, OSError):
            pass
        finally:
            if self.data and not self.closed:
                self.partial()
            self.closed = True
            self.socket.close()
            self.busy = False

    def partial(self):
        r = Received(self.backend, self.number, self.requests + 1)
        r.raw, self.data = self.data, b''
        self.backend.requests.append(r)

    def one(self):
        head, _, self.data = self.data.partition(b'\r\n\r\n')
        self.requests += 1
        r = Received(self.backend, self.number, self.requests)
        r.raw = head + b'\r\n\r\n'
        lines = head.split(b'\r\n')
        word = lines[0].decode('latin-1').split(' ')
        r.method, r.target, r.version = (word + ['', ''])[:3]
        r.headers = [tuple(p.strip() for p in line.decode('latin-1').split(':', 1)) for line in lines[1:] if b':' in line]
        r.framing = ('chunked' if r.all('Transfer-Encoding') else
                     'length' if r.all('Content-Length') else 'none')
        if not self.backend.path:
            r.peer = self.socket.getpeername()[0]
        self.backend.requests.append(r)
        answer = self.backend.answer
        if callable(answer):
            self.body(r)
            answer = answer(r)
        steps = [answer] if isinstance(answer, (bytes, bytearray)) else list(answer)
        early = isinstance(answer, list) and steps and (
            isinstance(steps[0], (bytes, Reset, Close)) or isinstance(steps[0], ReadRequest) and steps[0].head)
        if not early:
            self.body(r)
        for step in steps:
            self.step(step, r)
        if not r.complete:
            self.body(r)

    def body(self, r):
        if r.complete:
            return
        if r.framing == 'chunked':
            self.chunks(r)
        elif r.framing == 'length':
            left = int(r.header('Content-Length'))
            while left:
                if not self.data:
                    self.more()
                piece, self.data = self.data[:left], self.data[left:]
                r.raw += piece
                r.body += piece
                left -= len(piece)
        r.complete = True

    def line(self, r):
        while b'\r\n' not in self.data:
            self.more()
        line, _, self.data = self.data.partition(b'\r\n')
        r.raw += line + b'\r\n'
        return line

    def chunks(self, r):
        while True:
            size = int(re.match(rb'[0-9a-fA-F]+', self.line(r))[0], 16)
            if size == 0:
                while self.line(r):
                    pass
                return
            while len(self.data) < size + 2:
                self.more()
            r.body += self.data[:size]
            r.raw += self.data[:size + 2]
            self.data = self.data[size + 2:]

    def step(self, step, r):
        if isinstance(step, (bytes, bytearray)):
            self.socket.sendall(step)
        elif isinstance(step, Drip):
            for at in range(0, len(step.data), step.size):
                self.socket.sendall(step.data[at:at + step.size])
        elif isinstance(step, Pause):
            self.backend.stop_event.wait(step.seconds)
        elif isinstance(step, Wait):
            step.event.wait(PATIENCE)
        elif isinstance(step, ReadRequest):
            if not step.head:
                self.body(r)
        elif isinstance(step, ShutdownWrite):
            self.socket.shutdown(socket.SHUT_WR)
        elif isinstance(step, Echo):
            self.echo(r)
        elif isinstance(step, UntilClosed):
            while True:
                self.more()
        elif isinstance(step, Close):
            self.drain()
            raise _Gone
        elif callable(step):
            step(r)
        elif isinstance(step, Reset):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            raise _Gone
        else:
            raise TypeError(f'not a step: {step!r}')

    def echo(self, r):
        try:
            while True:
                if not self.data:
                    self.more()
                data, self.data = self.data, b''
                r.body += data
                self.socket.sendall(data)
        except _Gone:
            pass

    def drain(self):
        """Takes what has arrived, so that close() sends FIN and not RST."""
        self.socket.setblocking(False)
        try:
            while self.socket.recv(65536):
                pass
        except OSError:
            pass


class Backend:
    """Listens on a port of its own or on a Unix socket (path). .requests are all it received, .connections counts."""

    connection_class = _Connection

    def __init__(self, answer=None, path=None, name='backend', listen=True, tls=None):
        self.name, self.path, self.tls = name, path, tls
        self.handshakes = []      # of TLS connections: (session reused, server name, certificate of the client), or the error
        self.answer = self.default if answer is None else answer
        self.requests = []
        self.open = []
        self.connections = 0
        self.stopping = False
        self.stop_event = threading.Event()
        self.port = None if path else ports.take()
        self.listener = None
        if listen:
            self.start()

    @property
    def address(self):
        """As it stands in a configuration."""
        return f'unix:{self.path}' if self.path else f'127.0.0.1:{self.port}'

    def default(self, r):
        return response(f'{self.name}: {r.method} {r.target}\n'.encode('latin-1'), 'Content-Type: text/plain')

    def start(self):
        if self.path:
            self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.listener.bind(self.path)
            os.chmod(self.path, 0o777)
        else:
            self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.listener.bind(('127.0.0.1', self.port))
        self.listener.listen(1024)
        threading.Thread(target=self.accept, args=(self.listener,), daemon=True).start()

    def accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            if not self.path:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            connection = self.connection_class(self, sock, self.connections)
            self.open = [c for c in self.open if not c.closed] + [connection]
            threading.Thread(target=connection.run, daemon=True).start()

    def busy(self):
        """Connections in the middle of a request or an answer."""
        return [c for c in list(self.open) if c.busy and not c.closed]

    def settle(self, timeout=PATIENCE):
        """Waits until no request is in progress here."""
        until(lambda: not self.busy(), f'{self.name} to be idle', timeout)

    def wait_requests(self, count):
        return until(lambda: len(self.requests) >= count and self.requests, f'{count} requests at {self.name}')

    def close_idle(self):
        """Closes all connections that wait for a request, as a back end with a short keep-alive time does."""
        self.settle()

        def closed():    # under load one that was busy a moment ago may be idle now
            for c in list(self.open):
                if not c.busy and not c.closed:
                    try:
                        c.socket.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        pass
            return all(c.closed or c.busy for c in list(self.open))
        until(closed, 'idle connections to be closed')

    def stop_listening(self):
        """From here on connections are refused; the port stays ours."""
        if self.listener:
            try:
                self.listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self.listener.close()
            self.listener = None
            if self.path:
                os.unlink(self.path)

    def stop(self):
        self.stopping = True
        self.stop_event.set()
        self.stop_listening()
        for c in list(self.open):
            try:
                c.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        if self.port:
            ports.give(self.port)
