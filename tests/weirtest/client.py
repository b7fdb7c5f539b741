"""A client that sends exactly the bytes it is told and parses HTTP/1 answers strictly."""
import re
import socket
import ssl
import time

from .wait import PATIENCE


class BadResponse(AssertionError):
    """The server sent something that is not HTTP/1."""


class Incomplete(Exception):
    """More bytes are needed."""


class Response:
    """One final answer with the 1xx answers that came before it."""

    def __init__(self):
        self.version = self.status = self.reason = None
        self.headers = []      # (name, value) in order, as they came
        self.body = b''        # without its framing
        self.framing = None    # none | length | chunked | close
        self.trailers = []
        self.interim = []      # Responses with 1xx
        self.raw = b''         # head and framed body, without the interim answers
        self.complete = True   # False: cut short by the end of the connection

    def all(self, name):
        return [v for n, v in self.headers if n.lower() == name.lower()]

    def header(self, name, default=None):
        values = self.all(name)
        assert len(values) <= 1, f'{name} came {len(values)} times'
        return values[0] if values else default

    @property
    def text(self):
        return self.body.decode('utf-8', 'replace')

    def closes(self):
        """Says this answer that the connection ends after it?"""
        connection = [t.strip().lower() for v in self.all('Connection') for t in v.split(',')]
        if self.framing == 'close' or 'close' in connection:
            return True
        return self.version == 'HTTP/1.0' and 'keep-alive' not in connection

    def __repr__(self):
        return f'<{self.status} {self.framing} {self.headers} {self.body[:80]!r}>'


_STATUS_LINE = re.compile(rb'(HTTP/1\.[01]) ([1-9]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?\Z')
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*\Z")


def _fields(block):
    found = []
    for line in block:
        m = _FIELD.match(line)
        if not m:
            raise BadResponse(f'bad header line {line!r}')
        found.append((m[1].decode(), m[2].decode('latin-1')))
    return found


def _lines_until_empty(data, at):
    """Lines from at to an empty line, and the place behind that; strict CRLF."""
    lines = []
    while True:
        end = data.find(b'\n', at)
        if end < 0:
            raise Incomplete
        line = bytes(data[at:end])
        if not line.endswith(b'\r'):
            raise BadResponse(f'line ends with a bare LF: {line!r}')
        at = end + 1
        if line == b'\r':
            return lines, at
        lines.append(line[:-1])


def _dechunk(data, at):
    body = bytearray()
    while True:
        end = data.find(b'\r\n', at)
        if end < 0:
            if len(data) - at > 1024:
                raise BadResponse(f'no end of the chunk size in {data[at:at + 40]!r}')
            raise Incomplete
        if not re.fullmatch(rb'[0-9a-fA-F]{1,16}', data[at:end]):
            raise BadResponse(f'bad chunk size {data[at:end][:40]!r}')
        size = int(data[at:end], 16)
        at = end + 2
        if size == 0:
            trailers, at = _lines_until_empty(data, at)
            return bytes(body), _fields(trailers), at
        if len(data) < at + size + 2:
            raise Incomplete
        body += data[at:at + size]
        if data[at + size:at + size + 2] != b'\r\n':
            raise BadResponse('chunk does not end with CRLF')
        at += size + 2


def _parse_one(data, at, method, ended):
    r = Response()
    lines, body_at = _lines_until_empty(data, at)
    m = _STATUS_LINE.match(lines[0]) if lines else None
    if not m:
        raise BadResponse(f'bad status line {lines[0] if lines else b""!r}')
    r.version, r.status, r.reason = m[1].decode(), int(m[2]), (m[3] or b'').decode('latin-1')
    r.headers = _fields(lines[1:])
    lengths, encodings = r.all('Content-Length'), r.all('Transfer-Encoding')
    if len(lengths) > 1 or (lengths and encodings):
        raise BadResponse(f'ambiguous framing: {r.headers}')
    if lengths and not re.fullmatch(r'\d+', lengths[0]):
        raise BadResponse(f'bad Content-Length {lengths[0]!r}')
    end = body_at
    if r.status < 200 or r.status in (204, 304) or method == 'HEAD':
        r.framing = 'none'
    elif encodings:
        if [e.lower() for e in encodings] != ['chunked']:
            raise BadResponse(f'Transfer-Encoding {encodings}')
        r.framing = 'chunked'
        try:
            r.body, r.trailers, end = _dechunk(data, body_at)
        except Incomplete:
            if not ended:
                raise
            r.complete, r.body, end = False, bytes(data[body_at:]), len(data)
    elif lengths:
        r.framing = 'length'
        end = body_at + int(lengths[0])
        if len(data) < end:
            if not ended:
                raise Incomplete
            r.complete, end = False, len(data)
        r.body = bytes(data[body_at:end])
    else:
        r.framing = 'close'
        if not ended:
            raise Incomplete
        r.body, end = bytes(data[body_at:]), len(data)
    r.raw = bytes(data[at:end])
    return r, end


def parse_responses(data, methods=(), ended=True, at=0, count=None):
    """Parses the answers that data holds from at, all or count: (responses, where they end). methods: of the requests."""
    found, interim = [], []
    while at < len(data) and (count is None or len(found) < count):
        method = methods[len(found)] if len(found) < len(methods) else 'GET'
        try:
            r, at = _parse_one(data, at, method, ended)
        except Incomplete:
            break
        if 100 <= r.status < 200 and r.status != 101:
            interim.append(r)
            continue
        r.interim, interim = interim, []
        found.append(r)
        if r.status == 101:
            break
    return found, at


class Client:
    """One connection. send() pieces, read() answers; everything received is kept in .received."""

    def __init__(self, address, timeout=PATIENCE, source=None, tls=None, name='example.com', session=None, room=None):
        """tls: a context (certs.client) to speak TLS with; name: that is asked for, None for none. room: of the receive buffer
        (it must not become smaller afterwards: what the server may send then is dropped)."""
        if isinstance(address, int):
            address = ('127.0.0.1', address)
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET6 if ':' in address[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        if room:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        if family != socket.AF_UNIX:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if source:
                self.socket.bind((source, 0))
        self.socket.connect(address)
        self.port = self.socket.getsockname()[1] if family != socket.AF_UNIX else None
        self.timeout = timeout
        self.received = bytearray()
        self.used = 0
        self.ended = None       # None | 'eof' | 'reset' | 'timeout' | 'cut'
        self.methods = []       # of requests whose answers have not been read
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_hostname=name, session=session, suppress_ragged_eofs=False)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()

    def send(self, data, pieces=None, delay=0.0):
        """Sends data, cut at the given offsets (negative: from the end). A server that closed already is no error here: reading tells."""
        self.methods += methods_of(data)
        cuts = [0, *(at if at >= 0 else at + len(data) for at in pieces or ()), len(data)]
        for i, (start, end) in enumerate(zip(cuts, cuts[1:])):
            if i and delay:
                time.sleep(delay)
            try:
                self.socket.sendall(data[start:end])
            except (BrokenPipeError, ConnectionResetError):
                return False
        return True

    def send_raw(self, data):
        """Sends more of a request (send() takes data for the beginning of one)."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def receive(self):
        """Takes what has come: False at the end, a reset or a time-out (.ended says which)."""
        try:
            data = self.socket.recv(262144)
        except socket.timeout:
            self.ended = 'timeout'
            return False
        except ConnectionResetError:
            self.ended = 'reset'
            return False
        except ssl.SSLEOFError:
            self.ended = 'cut'      # the connection ended, TLS did not
            return False
        if not data:
            self.ended = 'eof'
            return False
        self.received += data
        return True

    def responses(self, count):
        """The next count answers; fewer when the connection ends before."""
        while True:
            found, end = parse_responses(self.received, self.methods, self.ended in ('eof', 'reset'), self.used, count)
            if len(found) >= count or self.ended:
                self.used = end
                del self.methods[:len(found)]
                return found
            self.receive()

    def response(self):
        """The next answer; fails when there is none."""
        found = self.responses(1)
        assert found, f'no answer ({self.ended}), received {bytes(self.received[self.used:])!r}'
        return found[0]

    def wait_for(self, piece):
        """Waits until these bytes have come; they stay in .received."""
        while piece not in self.received:
            assert self.receive(), f'no {piece!r} ({self.ended}): {bytes(self.received)!r}'

    def interim(self, status=100):
        """Waits for a 1xx answer (which stays in .received and belongs to the final answer)."""
        want = f'HTTP/1.1 {status} '.encode()
        while not self.received[self.used:].startswith(want) or b'\r\n\r\n' not in self.received[self.used:]:
            assert self.receive(), f'no {status} ({self.ended}): {self.received[self.used:]!r}'

    def read_to_end(self):
        """Everything until the server closes, as bytes."""
        while self.receive():
            pass
        return bytes(self.received[self.used:])

    def wait_closed(self):
        """The server must close without another byte."""
        rest = self.read_to_end()
        assert self.ended == 'eof' and not rest, f'{self.ended}, {rest[:200]!r}'

    def ask(self, data, **how):
        self.send(data, **how)
        return self.response()

    def shutdown_write(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """Closes with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
        self.socket.close()

    def close(self):
        self.socket.close()


def methods_of(data):
    """Methods of the requests in data, as far as they can be told: the parser must know which answers have no body."""
    found, at = [], 0
    while at < len(data):
        m = re.match(rb'\s*([A-Za-z]+) [^\r\n]*\r?\n', data[at:at + 70000])
        if not m:
            break
        found.append(m[1].decode())
        end = data.find(b'\r\n\r\n', at)
        if end < 0:
            break
        head = data[at:end + 4]
        at = end + 4
        length = re.search(rb'(?im)^content-length:[ \t]*(\d+)[ \t]*\r?$', head)
        if re.search(rb'(?im)^transfer-encoding:', head):
            end = data.find(b'0\r\n\r\n', at)
            at = len(data) if end < 0 else end + 5
        elif length:
            at += int(length[1])
    return found


def exchange(address, data, count=1, tls=None, name='example.com', **how):
    """One connection: sends data, returns count answers."""
    with Client(address, tls=tls, name=name) as c:
        c.send(data, **how)
        return c.responses(count)


def request(method='GET', target='/', *headers, host='localhost', version='1.1', body=None, chunks=None):
    """The bytes of a request. headers: whole lines without CRLF. host=None: no Host field."""
    lines = [f'{method} {target} HTTP/{version}'] + ([f'Host: {host}'] if host is not None else []) + list(headers)
    if body is not None:
        lines.append(f'Content-Length: {len(body)}')
    if chunks is not None:
        lines.append('Transfer-Encoding: chunked')
        body = b''.join(b'%x\r\n%s\r\n' % (len(c), c) for c in chunks if c) + b'0\r\n\r\n'
    return '\r\n'.join(lines).encode('latin-1') + b'\r\n\r\n' + (body or b'')


def get(target='/', *headers, **how):
    return request('GET', target, *headers, **how)


def post(target='/', body=b'', *headers, **how):
    return request('POST', target, *headers, body=body, **how)
