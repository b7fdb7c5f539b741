"""A client of HTTP/2 that sends exactly the frames it is told and reads frames strictly. Field compression is python3-hpack's."""
import socket
import struct

import hpack

from .wait import PATIENCE

PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, HAS_PRIORITY = 1, 1, 4, 8, 32
ERRORS = ('NO_ERROR PROTOCOL_ERROR INTERNAL_ERROR FLOW_CONTROL_ERROR SETTINGS_TIMEOUT STREAM_CLOSED FRAME_SIZE_ERROR '
          'REFUSED_STREAM CANCEL COMPRESSION_ERROR CONNECT_ERROR ENHANCE_YOUR_CALM INADEQUATE_SECURITY '
          'HTTP_1_1_REQUIRED').split()


def frame(kind, flags=0, stream=0, payload=b''):
    return struct.pack('>I', len(payload))[1:] + bytes([kind, flags]) + struct.pack('>I', stream) + payload


def settings(**values):
    names = {'table': 1, 'push': 2, 'streams': 3, 'window': 4, 'frame': 5, 'list': 6, 'connect': 8}
    return frame(SETTINGS, 0, 0, b''.join(struct.pack('>HI', names[k], v) for k, v in values.items()))


class Frame:
    def __init__(self, kind, flags, stream, payload):
        self.kind, self.flags, self.stream, self.payload = kind, flags, stream, payload

    @property
    def code(self):
        """The name of the error of RST_STREAM and GOAWAY."""
        at = 0 if self.kind == RST_STREAM else 4
        return ERRORS[struct.unpack_from('>I', self.payload, at)[0]]

    @property
    def number_of_error(self):
        return struct.unpack_from('>I', self.payload, 0 if self.kind == RST_STREAM else 4)[0]

    @property
    def last(self):
        return struct.unpack_from('>I', self.payload)[0] & 0x7fffffff

    @property
    def number(self):
        return struct.unpack('>I', self.payload)[0]

    def __repr__(self):
        names = ('DATA', 'HEADERS', 'PRIORITY', 'RST_STREAM', 'SETTINGS', 'PUSH_PROMISE', 'PING', 'GOAWAY', 'WINDOW_UPDATE',
                 'CONTINUATION')
        return f'<{names[self.kind]} {self.flags:#x} #{self.stream} {self.payload[:40]!r}>'


class Answer:
    """What came on one stream."""

    def __init__(self):
        self.heads = []        # each a list of (name, value): interim heads, the head, trailers
        self.body = b''
        self.pieces = []       # sizes of DATA frames
        self.ended = False     # by END_STREAM
        self.reset = None      # name of the error of RST_STREAM

    @property
    def head(self):
        for h in self.heads:
            if not dict(h).get(':status', '100').startswith('1'):
                return h
        return None

    @property
    def interim(self):
        return [h for h in self.heads if dict(h).get(':status', '').startswith('1')]

    @property
    def trailers(self):
        return [h for h in self.heads if ':status' not in dict(h)]

    @property
    def status(self):
        return int(dict(self.head)[':status']) if self.head else None

    def header(self, name, default=None):
        return dict(self.head or []).get(name, default)

    def __repr__(self):
        return f'<{self.heads} {len(self.body)} bytes ended={self.ended} reset={self.reset}>'


class H2:
    """A connection. hello=None sends nothing at first."""

    def __init__(self, port, hello=b'', timeout=PATIENCE, window=None):
        s = socket.create_connection(('127.0.0.1', port), timeout)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.on(s, hello, window)

    def on(self, connected, hello=b'', window=None):
        """The same on a socket that is connected: one of TLS."""
        self.socket = connected
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.frames, self.answers = [], {}
        self.data, self.closed, self.goaway = b'', None, None
        self.next = 1
        self.open_block = None
        self.room, self.first_room = {0: 65535}, 65535    # what the server takes
        self.windows = window is None    # keep the windows open by ourselves
        if hello is not None:
            self.send(PREFACE + (settings() if window is None else settings(window=window)) + hello)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    # --- out

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass        # what the server said before it closed is still to be read

    def block(self, fields, huffman=True):
        return self.encoder.encode(fields, huffman)

    @staticmethod
    def fields(path='/', method='GET', *more, authority='localhost', scheme='http'):
        return [(':method', method), (':scheme', scheme), (':authority', authority), (':path', path), *more]

    def request(self, path='/', method='GET', *more, end=True, authority='localhost', scheme='http', flags=END_HEADERS):
        stream, self.next = self.next, self.next + 2
        block = self.block(self.fields(path, method, *more, authority=authority, scheme=scheme))
        self.send(frame(HEADERS, flags | (END_STREAM if end else 0), stream, block))
        return stream

    def head(self, fields, stream=None, flags=END_HEADERS | END_STREAM):
        """HEADERS with exactly these fields."""
        if stream is None:
            stream, self.next = self.next, self.next + 2
        self.send(frame(HEADERS, flags, stream, self.block(fields)))
        return stream

    def body(self, stream, data, end=True, piece=16384):
        """DATA, as the windows of the server allow; stops when it resets the stream or the connection ends."""
        at = 0
        while at < len(data):
            room = min(self.room[0], self.room_of(stream), piece, len(data) - at)
            if room <= 0:
                if self.answer(stream).reset or self.read(PATIENCE) is None:
                    return
                continue
            last = at + room == len(data)
            self.room[0] -= room
            self.room[stream] -= room
            self.send(frame(DATA, END_STREAM if end and last else 0, stream, data[at:at + room]))
            at += room
        if not data:
            self.send(frame(DATA, END_STREAM if end else 0, stream))

    def room_of(self, stream):
        return self.room.setdefault(stream, self.first_room)

    def window(self, stream, n):
        self.send(frame(WINDOW_UPDATE, 0, stream, struct.pack('>I', n)))

    def reset(self, stream, code=8):
        self.send(frame(RST_STREAM, 0, stream, struct.pack('>I', code)))

    # --- in

    def read(self, timeout=None):
        """The next frame, or None at the end of the connection (closed: how)."""
        if timeout is not None:
            self.socket.settimeout(timeout)
        while len(self.data) < 9 or len(self.data) < 9 + int.from_bytes(self.data[:3], 'big'):
            try:
                got = self.socket.recv(262144)
            except ConnectionResetError:
                self.closed = 'reset'
                return None
            if not got:
                self.closed = 'closed'
                assert not self.data, f'half a frame: {self.data!r}'
                return None
            self.data += got
        n = int.from_bytes(self.data[:3], 'big')
        f = Frame(self.data[3], self.data[4], int.from_bytes(self.data[5:9], 'big') & 0x7fffffff, self.data[9:9 + n])
        f.reserved = self.data[5] >> 7
        self.data = self.data[9 + n:]
        self.frames.append(f)
        self.take(f)
        return f

    def answer(self, stream):
        return self.answers.setdefault(stream, Answer())

    def take(self, f):
        if self.open_block:
            assert f.kind == CONTINUATION and f.stream == self.open_block[0].stream, f'{f} inside a header block'
        if f.kind == SETTINGS and not f.flags & ACK:
            for name, value in struct.iter_unpack('>HI', f.payload):
                if name == 4:
                    for stream in self.room.keys() - {0}:
                        self.room[stream] += value - self.first_room
                    self.first_room = value
            self.send(frame(SETTINGS, ACK))
        elif f.kind == WINDOW_UPDATE:
            self.room_of(f.stream)
            self.room[f.stream] += f.number
        elif f.kind in (HEADERS, CONTINUATION):
            first = self.open_block or (f, [])
            assert f.kind == HEADERS or self.open_block
            first[1].append(f.payload)
            self.open_block = None if f.flags & END_HEADERS else first
            if not self.open_block:
                a = self.answer(f.stream)
                assert not a.ended and a.reset is None, f'{f} on a stream that has ended'
                a.heads.append(self.decoder.decode(b''.join(first[1])))
                a.ended = bool(first[0].flags & END_STREAM)
        elif f.kind == DATA:
            a = self.answer(f.stream)
            assert a.head and not a.ended and a.reset is None, f'{f} on a stream that has ended'
            a.body += f.payload
            a.pieces.append(len(f.payload))
            a.ended = bool(f.flags & END_STREAM)
            if self.windows and f.payload:
                self.window(0, len(f.payload))
                if not a.ended:
                    self.window(f.stream, len(f.payload))
        elif f.kind == RST_STREAM:
            self.answer(f.stream).reset = f.code
        elif f.kind == GOAWAY:
            self.goaway = f

    def wait(self, stream, timeout=PATIENCE):
        """The answer on a stream, when it has ended or was reset, or the connection has."""
        a = self.answer(stream)
        while not a.ended and a.reset is None:
            if self.read(timeout) is None:
                break
        return a

    def ask(self, path='/', method='GET', *more, body=None, **how):
        stream = self.request(path, method, *more, end=body is None, **how)
        if body is not None:
            self.body(stream, body)
        return self.wait(stream)

    def until(self, what, timeout=PATIENCE):
        """Reads frames until what(frame); None when the connection ended before."""
        while True:
            f = self.read(timeout)
            if f is None or what(f):
                return f

    def wait_closed(self, timeout=PATIENCE):
        """Reads to the end of the connection: the last GOAWAY's error, or "closed"."""
        while self.read(timeout) is not None:
            pass
        return self.goaway.code if self.goaway else self.closed

    def ping(self, timeout=PATIENCE):
        """True when the connection lives and has handled all that was sent."""
        self.send(frame(PING, 0, 0, b'weirping'))
        return self.until(lambda f: f.kind == PING and f.flags & ACK and f.payload == b'weirping', timeout) is not None
