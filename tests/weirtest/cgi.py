"""Scripted back ends that speak FastCGI, SCGI and uwsgi, whose requests are parameters and a body, and memcached's protocol, whose
requests are lines.

A request's raw is its parameters as lines "NAME=value", an empty line, and the body; method and target are those of
REQUEST_METHOD and REQUEST_URI. An answer is what the application writes: bytes, or the steps of backend.py. For FastCGI
bytes are standard output; Stderr(b'..') is standard error, Raw(b'..') goes out as it is, and the end of the request
follows by itself unless the steps end with Close, Reset or UntilClosed. For memcached raw is the line; method and target are its words.
"""
import struct

from .backend import Backend, Close, Received, Reset, UntilClosed, _Connection, _Gone


class Stderr:
    def __init__(self, data):
        self.data = data


class Raw:
    def __init__(self, data):
        self.data = data


def record(kind, content=b'', padding=0):
    return struct.pack('>BBHHBB', 1, kind, 1, len(content), padding, 0) + content + bytes(padding)


def value(key, data, flags=0):
    """What a memcached server says of a key that it has."""
    key, data = (t if isinstance(t, bytes) else t.encode('latin-1') for t in (key, data))
    return b'VALUE %s %d %d\r\n%s\r\nEND\r\n' % (key, flags, len(data), data)


class _CgiConnection(_Connection):
    def run(self):
        try:
            if not self.secure():
                raise _Gone
            while not self.backend.stopping:
                self.busy = bool(self.data)
                self.need(1)
                self.busy = True
                self.one()
        except (_Gone, OSError):
            pass
        finally:
            self.closed = True
            self.socket.close()
            self.busy = False

    def need(self, n):
        while len(self.data) < n:
            self.more()

    def take(self, n):
        self.need(n)
        data, self.data = self.data[:n], self.data[n:]
        return data

    def received(self, params, body):
        self.requests += 1
        r = Received(self.backend, self.number, self.requests)
        r.params = params
        values = dict(params)
        r.method, r.target = values.get('REQUEST_METHOD', ''), values.get('REQUEST_URI', '')
        r.framing, r.body, r.complete = 'length', body, True
        r.headers = params
        r.raw = '\r\n'.join(f'{n}={v}' for n, v in params).encode('latin-1') + b'\r\n\r\n' + body
        self.backend.requests.append(r)
        return r

    def answer(self, r):
        answer = self.backend.answer
        if callable(answer):
            answer = answer(r)
        return [answer] if isinstance(answer, (bytes, bytearray)) else list(answer)


class _FastCgi(_CgiConnection):
    def one(self):
        params, body, keep, ended = b'', b'', False, set()
        while ended != {4, 5}:
            _, kind, _, n, padding, _ = struct.unpack('>BBHHBB', self.take(8))
            content = self.take(n)
            self.take(padding)
            if kind == 1:
                keep = bool(content[2] & 1)
            elif kind in (4, 5) and not content:
                ended.add(kind)
            elif kind == 4:
                params += content
            elif kind == 5:
                body += content
            else:
                raise AssertionError(f'record {kind}')
        r = self.received(self.pairs(params), body)
        r.keep = keep
        steps = self.answer(r)
        for step in steps:
            if isinstance(step, (bytes, bytearray)):
                for at in range(0, len(step), 65535):
                    self.socket.sendall(record(6, step[at:at + 65535], padding=(-len(step[at:at + 65535])) % 8))
            elif isinstance(step, Stderr):
                self.socket.sendall(record(7, step.data))
            elif isinstance(step, Raw):
                self.socket.sendall(step.data)
            else:
                self.step(step, r)
        if not steps or not isinstance(steps[-1], (Close, Reset, UntilClosed)):
            self.socket.sendall(record(6) + record(3, bytes(8)))
            if not keep:
                raise _Gone

    def pairs(self, data):
        found, at = [], 0

        def length():
            nonlocal at
            n = data[at]
            at += 1
            if n & 0x80:
                n = struct.unpack('>I', data[at - 1:at + 3])[0] & 0x7fffffff
                at += 3
            return n
        while at < len(data):
            name, value = length(), length()
            found.append((data[at:at + name].decode('latin-1'), data[at + name:at + name + value].decode('latin-1')))
            at += name + value
        return found


class _Scgi(_CgiConnection):
    def one(self):
        self.need(1)
        while b':' not in self.data[:10]:
            self.more()
        n = int(self.data[:self.data.index(b':')])
        self.take(self.data.index(b':') + 1)
        words = self.take(n).split(b'\0')
        assert self.take(1) == b',' and words[-1] == b''
        params = [(a.decode('latin-1'), b.decode('latin-1')) for a, b in zip(words[0:-1:2], words[1:-1:2])]
        self.finish(params, int(params[0][1]))

    def finish(self, params, length):
        r = self.received(params, self.take(length))
        for step in self.answer(r):
            self.step(step, r)
        raise _Gone


class _Uwsgi(_Scgi):
    def one(self):
        modifier1, n, modifier2 = struct.unpack('<BHB', self.take(4))
        data, at, params = self.take(n), 0, [('(modifiers)', f'{modifier1} {modifier2}')]

        def text():
            nonlocal at
            size = struct.unpack('<H', data[at:at + 2])[0]
            at += 2 + size
            return data[at - size:at].decode('latin-1')
        while at < n:
            params.append((text(), text()))
        self.finish(params, int(dict(params).get('CONTENT_LENGTH') or 0))


class _Memcached(_CgiConnection):
    def one(self):
        while b'\r\n' not in self.data:
            self.more()
        line, _, self.data = self.data.partition(b'\r\n')
        self.requests += 1
        r = Received(self.backend, self.number, self.requests)
        r.raw, r.complete = line + b'\r\n', True
        r.method, _, r.target = line.decode('latin-1').partition(' ')
        self.backend.requests.append(r)
        for step in self.answer(r):
            self.step(step, r)


class CgiBackend(Backend):
    KINDS = {'fcgi': _FastCgi, 'scgi': _Scgi, 'uwsgi': _Uwsgi, 'memcached': _Memcached}

    def __init__(self, kind, **how):
        self.connection_class = self.KINDS[kind]
        super().__init__(**how)

    def default(self, r):
        if self.connection_class is _Memcached:
            return value(r.target, f'{self.name}: {r.target}\n')
        return b'Content-Type: text/plain\r\n\r\n' + f'{self.name}: {r.method} {r.target}\n'.encode('latin-1')
