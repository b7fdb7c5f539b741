"""A back end of HTTP/2 (prior knowledge), made with python3-h2. Its answer is a function of a Call, run in a thread of its own."""
import socket
import struct
import threading

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

from . import ports
from .h2 import PREFACE, Frame
from .wait import PATIENCE


class Call:
    """One request, as far as it has come. The answer is sent with head(), data() and end()."""

    def __init__(self, connection, stream, fields):
        self.connection, self.stream, self.fields = connection, stream, fields
        self.body, self.trailers = b'', None
        self.ended, self.reset = threading.Event(), None

    def field(self, name, default=None):
        return dict(self.fields).get(name, default)

    def wait(self):
        assert self.ended.wait(PATIENCE), 'the request did not end'
        return self.body

    def head(self, status=200, *fields, end=False):
        self.connection.do(lambda c: c.send_headers(self.stream, [(':status', str(status)), *fields], end_stream=end))

    def data(self, data, end=False):
        """As the windows of weir allow."""
        while True:
            with self.connection.lock:
                room = min(self.connection.h2.local_flow_control_window(self.stream), self.connection.h2.max_outbound_frame_size)
                piece, data = data[:room], data[room:]
                if piece or end and not data:
                    self.connection.h2.send_data(self.stream, piece, end_stream=end and not data)
                    self.connection.flush()
                if not data:
                    return
                self.connection.opened.clear()
            if room <= 0:
                self.connection.opened.wait(PATIENCE)

    def end(self, *trailers):
        if trailers:
            self.connection.do(lambda c: c.send_headers(self.stream, list(trailers), end_stream=True))
        else:
            self.connection.do(lambda c: c.end_stream(self.stream))

    def answer(self, body=b'', status=200, *fields):
        self.head(status, *fields, end=not body)
        if body:
            self.data(body, end=True)

    def refuse(self, code=7):
        self.connection.do(lambda c: c.reset_stream(self.stream, code))

    def goaway(self, last):
        # By hand: for python3-h2 the connection would be closed with it, and frames on their way here an error.
        self.raw(b'\0\0\x08\x07\0\0\0\0\0' + struct.pack('>II', last, 0))

    def close(self):
        self.connection.socket.shutdown(socket.SHUT_RDWR)

    def raw(self, data):
        with self.connection.lock:
            self.connection.socket.sendall(data)


class _Connection:
    def __init__(self, backend, sock):
        self.backend, self.socket = backend, sock
        self.lock, self.opened = threading.RLock(), threading.Event()
        self.received = b''
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding='latin-1',
                                                                       validate_outbound_headers=False))
        self.calls = {}

    def flush(self):
        try:
            self.socket.sendall(self.h2.data_to_send())
        except OSError:
            pass

    def do(self, what):
        with self.lock:
            what(self.h2)
            self.flush()

    def run(self):
        with self.lock:
            self.h2.local_settings = h2.settings.Settings(client=False, initial_values={
                **dict(self.h2.local_settings), **self.backend.settings})
            self.h2.initiate_connection()
            self.flush()
        try:
            while True:
                data = self.socket.recv(262144)
                if not data:
                    break
                self.note(data)
                with self.lock:
                    events = self.h2.receive_data(data)
                    for e in events:
                        self.event(e)
                    self.flush()
                self.opened.set()
        except (OSError, h2.exceptions.ProtocolError) as e:
            self.backend.problems.append(e)
        finally:
            self.socket.close()

    def note(self, data):
        """Frames as they came, for tests that want more than python3-h2 tells."""
        whole = not self.received.startswith(b'P')
        self.received += data
        if self.received.startswith(PREFACE):
            self.received, whole = self.received[len(PREFACE):], True
        while whole and len(self.received) >= 9 + int.from_bytes(self.received[:3], 'big'):
            end = 9 + int.from_bytes(self.received[:3], 'big')
            f = Frame(self.received[3], self.received[4], int.from_bytes(self.received[5:9], 'big') & 0x7fffffff, self.received[9:end])
            f.reserved = self.received[5] >> 7
            self.backend.frames.append(f)
            self.received = self.received[end:]

    def event(self, e):
        if isinstance(e, h2.events.RequestReceived):
            call = self.calls[e.stream_id] = Call(self, e.stream_id, e.headers)
            self.backend.calls.append(call)
            threading.Thread(target=self.serve, args=(call,), daemon=True).start()
        elif isinstance(e, h2.events.DataReceived):
            self.calls[e.stream_id].body += e.data
            if not self.backend.hold_windows:
                self.h2.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
        elif isinstance(e, h2.events.TrailersReceived):
            self.calls[e.stream_id].trailers = e.headers
        elif isinstance(e, h2.events.StreamEnded):
            self.calls[e.stream_id].ended.set()
        elif isinstance(e, h2.events.StreamReset):
            self.calls[e.stream_id].reset = e.error_code
            self.calls[e.stream_id].ended.set()

    def serve(self, call):
        try:
            self.backend.answer(call)
        except (OSError, h2.exceptions.ProtocolError, AssertionError) as e:
            self.backend.problems.append(e)


class H2Backend:
    def __init__(self, answer, hold_windows=False, **settings):
        """settings: max_concurrent_streams=..., initial_window_size=... that it announces."""
        self.answer, self.hold_windows = answer, hold_windows
        codes = h2.settings.SettingCodes
        self.settings = {getattr(codes, k.upper()): v for k, v in settings.items()}
        self.calls, self.problems, self.frames, self.connections = [], [], [], 0
        self.port = ports.take()
        self.listener = socket.create_server(('127.0.0.1', self.port), backlog=1000)
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def address(self):
        return f'127.0.0.1:{self.port}'

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            threading.Thread(target=_Connection(self, sock).run, daemon=True).start()

    def stop(self):
        self.listener.close()
        ports.give(self.port)
