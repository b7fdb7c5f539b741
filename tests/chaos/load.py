"""Clients of the chaos. Strict ones ask what must be answered, and note what was not; rude ones do what they like."""
import random
import socket
import ssl
import threading
import time

import hpack

from backends import pattern
from weirtest import Client, certs
from weirtest.client import BadResponse, parse_responses
from weirtest.h2 import DATA, END_STREAM, H2, HEADERS, frame

LATE = 40      # seconds after which a request without an answer hangs
SIZES = [0, 1, 100, 4000, 16000, 17000, 70000, 300000]
MOODY = ['m', 'm-nb', 'm-one', 'm-queue', 'm-sticky', 'm-learn', 'm-health', 'm-hash', 'm-names', 'm-cache', 'm-slice', 'm-auth', 'm-gzip',
         'm-error', 'm-lc', 'm-delay', 'm-store']
GOOD = ['g', 'nb', 'small', 'rate', 'lazy', 'cache', 'slice', 'auth', 'mirror', 'gzip', 'sub', 'resolved', 'least', 'logged']
FAULTS = ['refuse', 'reset+after+head', 'cut', 'reset+in+body', 'garbage', 'early', 'half+head', 'two+lengths', 'bad+chunk', 'no+length',
          'huge+head', 'switch',
          'extra+bytes', '100', 'early+reset', 'stall', 'stall+in+body']


def good_request(rng):
    """(bytes, what the body must be): a request that must be answered with 200."""
    kind = rng.random()
    more = rng.choice(['', '', 'X-Y: z\r\n'])
    if kind < 0.08:
        return b'GET /n HTTP/1.1\r\nHost: x\r\n\r\n', None
    if kind < 0.18:
        return b'GET /static/big HTTP/1.1\r\nHost: x\r\n\r\n', pattern(500000)
    if kind < 0.22:
        return b'GET /fcgi/x HTTP/1.1\r\nHost: x\r\n\r\n', b'fcgi'
    if kind < 0.26:
        return b'GET /ssi?q HTTP/1.1\r\nHost: x\r\n\r\n', 'ssi'
    size = rng.choice(SIZES)
    if kind < 0.45:
        place, body = rng.choice(['g', 'nb', 'small', 'auth', 'mirror']), pattern(size)
        if rng.random() < 0.5:
            return b'POST /%s/up HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n' % (place.encode(), size) + body, str(size).encode()
        chunks = b''.join(b'%x\r\n%s\r\n' % (len(body[i:i + 9000]), body[i:i + 9000]) for i in range(0, size, 9000)) + b'0\r\n\r\n'
        head = b'POST /%s/up HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n' % place.encode()
        return head + chunks, str(size).encode()
    place = rng.choice(GOOD)
    if place == 'slice' and size == 0:
        size = 1
    query = rng.choice(['', '?c=1', f'?k={rng.randrange(6)}'])
    if place == 'slice':
        query = ''
    return f'GET /{place}/b/{size}{query} HTTP/1.1\r\nHost: x\r\n{more}\r\n'.encode(), pattern(size)


def right(body, want):
    if want == 'ssi':
        return body.startswith(pattern(100) + b'n') and body.endswith(b'[GET]')
    return body == want or want is None and body[:1] == b'n'


class Load:
    def __init__(self, site_names, seed, scale=1):
        self.d, self.seed = site_names, seed
        self.lock, self.stopping = threading.Lock(), threading.Event()
        self.bad, self.done, self.soft = [], {}, {}
        self.excused = []       # [start, end, kind]: times of kills and upgrades
        self.allow_upgrade = False
        self.verified = certs.client('client')
        self.sessions = {}      # of TLS, by context
        self.threads = []
        for kind, count in (('strict', 4), ('tls', 2), ('strict_h2', 2), ('tls_h2', 1), ('tunnels', 1), ('tunnels_h2', 1), ('grpc', 1),
                            ('moody', 4),
                            ('moody_h2', 1), ('rude', 3), ('rude_h2', 2), ('rude_tls', 1), ('moody_ws', 1), ('slow', 2)):
            for i in range(count * scale):
                name = f'{kind}/{i}'
                self.threads.append(threading.Thread(target=self.run, args=(name, getattr(self, kind)), daemon=True, name=name))

    def start(self):
        for t in self.threads:
            t.start()

    def stop(self):
        self.stopping.set()
        deadline = time.monotonic() + LATE + 30
        for t in self.threads:
            t.join(max(0.1, deadline - time.monotonic()))
        return [t.name for t in self.threads if t.is_alive()]

    def run(self, name, f):
        rng = random.Random(f'{self.seed}/{name}')
        while not self.stopping.is_set():
            try:
                f(name, rng)
            except (OSError, BadResponse, AssertionError, IndexError, EOFError) as e:
                self.note(name + ' ' + type(e).__name__)
                strict = name.split('/')[0] in ('strict', 'tls', 'strict_h2', 'tls_h2', 'tunnels', 'tunnels_h2', 'slow')
                rude = name.startswith(('rude', 'moody_ws'))
                wrong = isinstance(e, (TimeoutError, BadResponse, AssertionError)) and not rude
                if wrong or strict and not self.stopping.is_set():
                    self.fail(name, time.monotonic() - 0.5, f'{type(e).__name__}: {e}'[:500])
                time.sleep(0.01)

    def note(self, what):
        with self.lock:
            key = what.split('/')[0] + what[what.find(' '):] if ' ' in what else what.split('/')[0]
            self.done[key] = self.done.get(key, 0) + 1

    def fail(self, name, start, why):
        with self.lock:
            self.bad.append((start, time.monotonic(), name, why))

    def failures(self):
        """What no kill or upgrade excuses."""
        found = []
        for start, end, name, why in self.bad:
            if not any(a <= end and start <= b for a, b, _ in self.excused):
                found.append((start, end, name, why))
        return found

    # --- strict

    def strict(self, name, rng, tls=None, port=None):
        where = rng.choice([self.d['ports'][0], self.d['ports'][2]]) if tls is None else self.d['ports'][1]
        c = Client(where, timeout=LATE, tls=tls, session=self.sessions.get(tls) if tls and rng.random() < 0.5 else None)
        fresh = True
        with c:
            if where == self.d['ports'][2]:
                c.socket.sendall(b'PROXY TCP4 192.0.2.%d 192.0.2.2 56324 443\r\n' % rng.randrange(1, 200))
            for _ in range(rng.choice([1, 5, 50])):
                if self.stopping.is_set():
                    break
                burst = [good_request(rng) for _ in range(rng.choice([1, 1, 1, 2, 5]))]
                start = time.monotonic()
                data = b''.join(b for b, _ in burst)
                c.received, c.used = bytearray(c.received[c.used:]), 0
                if len(data) > 100000 or any(w is not None and len(w) > 100000 for _, w in burst):    # else both may wait for each other
                    for b, want in burst:
                        if not self.judge(c, name, start, [(b, want)], fresh):
                            return
                        fresh = False
                elif not self.judge(c, name, start, burst, fresh):
                    return
                fresh = False
                if tls:
                    self.sessions[tls] = c.socket.session
                if rng.random() < 0.2:
                    time.sleep(rng.random() / 10)

    def judge(self, c, name, start, burst, fresh):
        c.send(b''.join(b for b, _ in burst))
        answers = c.responses(len(burst))
        for i, (b, want) in enumerate(burst):
            if i >= len(answers):
                if not fresh and c.ended in ('eof', 'reset', 'cut') and self.closing(getattr(c, 'last', start)):
                    return False    # it was closed since it was used last
                if i and answers[-1].closes():
                    return False
                self.fail(name, start, f'port {c.port} {b[:80]!r}: no answer {i} of {len(burst)} ({c.ended}) after '
                          f'{len(c.received) - c.used} bytes, fresh={fresh}')
                return False
            a = answers[i]
            if a.status != 200 or not a.complete or not right(a.body, want):
                self.fail(name, start, f'port {c.port} {b[:80]!r} of {[x[:30] for x, _ in burst]}: {a!r:.300} {len(a.body)} bytes, '
                          f'complete={a.complete}, wrong={not right(a.body, want)}')
                return False
            self.note(name)
        c.last = time.monotonic()
        return not answers[-1].closes()

    def closing(self, start):
        """Whether an idle connection may have been closed: by an upgrade."""
        return any(a <= time.monotonic() and start <= b for a, b, _ in self.excused)

    def tls(self, name, rng):
        self.strict(name, rng, tls=rng.choice([self.verified, certs_client(rng)]))

    def strict_h2(self, name, rng, connected=None):
        with H2(self.d['ports'][0], timeout=LATE) if connected is None else Connected(connected) as c:
            for _ in range(rng.choice([1, 10, 30])):
                if self.stopping.is_set():
                    return
                start, asked = time.monotonic(), []
                for _ in range(rng.choice([1, 3, 8])):
                    b, want = good_request(rng)
                    head, _, body = b.partition(b'\r\n\r\n')
                    method, path = head.split(b' ')[:2]
                    if method == b'POST':
                        body = pattern(int(want))
                    stream = c.request(path.decode(), method.decode(), end=method == b'GET')
                    if method == b'POST':
                        c.body(stream, body)
                    asked.append((stream, path, want))
                for stream, path, want in asked:
                    a = c.wait(stream, LATE)
                    retry = c.goaway is not None and (stream > c.goaway.last) or a.reset == 'REFUSED_STREAM'
                    if not retry and not (a.ended and a.reset is None and a.status == 200 and right(a.body, want)):
                        self.fail(name, start, f'{stream} {path!r}: {a!r:.200} {len(a.body)} bytes closed={c.closed} '
                                  f'goaway={c.goaway and (c.goaway.last, c.goaway.code)} right={right(a.body, want)}')
                        return
                    self.note(name)
                c.answers.clear()
                c.frames.clear()
                if c.goaway or c.closed:
                    return

    def tls_h2(self, name, rng):
        raw = socket.create_connection(('127.0.0.1', self.d['ports'][1]), LATE)
        with certs.client(alpn=['h2']).wrap_socket(raw, server_hostname='example.com') as s:
            self.strict_h2(name, rng, s)

    def tunnels(self, name, rng):
        """WebSockets that stay."""
        open_ones = []
        while not self.stopping.is_set():
            if len(open_ones) < 10:
                start = time.monotonic()
                c = Client(self.d['ports'][0], timeout=LATE)
                c.send(b'GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n')
                c.wait_for(b'\r\n\r\n')
                if not c.received.startswith(b'HTTP/1.1 101'):
                    self.fail(name, start, f'websocket {bytes(c.received)!r:.200}')
                    continue
                c.received.clear()
                open_ones.append((c, start))
            c, began = rng.choice(open_ones)
            data, start = pattern(rng.choice([1, 10, 1000, 50000])), time.monotonic()
            got = b''
            try:
                c.socket.sendall(data)
                while len(got) < len(data) and (piece := c.socket.recv(len(data) - len(got))):
                    got += piece
            except OSError as e:
                got = repr(e).encode()
            if got != data:
                # It may have ended with a kill at any time since its last use.
                if not any(a <= time.monotonic() and began <= b and k == 'kill' for a, b, k in self.excused):
                    self.fail(name, start, f'websocket echoed {len(got)} bytes of {len(data)} {got[:60]!r}')
                open_ones.remove((c, began))
                c.close()
            else:
                open_ones.remove((c, began))
                open_ones.append((c, began))
                self.note(name)
            if rng.random() < 0.02:
                open_ones.remove(open_ones[-1]) if rng.random() < 0.5 else open_ones.pop()[0].reset()
            time.sleep(0.02)
        for c, _ in open_ones:
            c.close()

    def tunnels_h2(self, name, rng):
        began = time.monotonic()
        with H2(self.d['ports'][0], timeout=LATE) as c:
            c.until(lambda f: f.kind == 4 and not f.flags & 1)
            streams = []
            while not self.stopping.is_set():
                if len(streams) < 6 and c.goaway is None:
                    fields = {':method': 'CONNECT', ':protocol': 'websocket', ':scheme': 'http', ':path': '/ws', ':authority': 'x'}
                    streams.append(c.head(list(fields.items()), flags=4))
                    s = streams[-1]
                    while not c.answer(s).heads and c.answer(s).reset is None and c.read(LATE):
                        pass
                    if c.answer(s).status != 200:
                        if c.goaway is None or s <= c.goaway.last:
                            self.fail(name, began if c.closed else time.monotonic(), f'h2 websocket: {c.answer(s)!r} {c.closed}')
                        if c.closed or c.goaway:
                            return
                        streams.pop()
                        continue
                if not streams:
                    return
                s, start = rng.choice(streams), time.monotonic()
                a, data = c.answer(s), pattern(rng.choice([1, 100, 20000]))
                a.body = b''
                c.body(s, data, end=False)
                while len(a.body) < len(data) and not a.ended and a.reset is None and c.read(LATE):
                    pass
                if a.body != data:
                    if not any(x <= time.monotonic() and began <= y and k == 'kill' for x, y, k in self.excused):
                        self.fail(name, start, f'h2 websocket echoed {len(a.body)} of {len(data)}: {a.reset} {a.ended} {c.closed}')
                    return
                self.note(name)
                if rng.random() < 0.05:
                    c.reset(s) if rng.random() < 0.5 else c.send(frame(DATA, END_STREAM, s))
                    streams.remove(s)
                c.frames.clear()
                time.sleep(0.02)

    def grpc(self, name, rng):
        import grpc
        from weirtest.grpc_server import channel
        with channel(self.d['ports'][0]) as ch:
            for _ in range(20):
                if self.stopping.is_set():
                    return
                start, kind = time.monotonic(), rng.choice(['Unary', 'Down', 'Up', 'Both', 'Fail', 'cancel'])
                try:
                    if kind == 'Unary':
                        good = ch.unary_unary('/chaos.G/Unary')(b'abc', timeout=LATE) == b'cba'
                    elif kind == 'Down':
                        good = [len(m) for m in ch.unary_stream('/chaos.G/Down')(b'20 3000', timeout=LATE)] == [3000] * 20
                    elif kind == 'Up':
                        good = ch.stream_unary('/chaos.G/Up')(iter([b'x' * 9000] * 20), timeout=LATE) == b'180000'
                    elif kind == 'Both':
                        good = list(ch.stream_stream('/chaos.G/Both')(iter([b'a', b'b', b'c']), timeout=LATE)) == [b'A', b'B', b'C']
                    elif kind == 'cancel':
                        call = ch.unary_unary('/chaos.G/Slow').future(b'', timeout=LATE)
                        time.sleep(rng.random() / 10)
                        call.cancel()
                        good = True
                    else:
                        try:
                            ch.unary_unary('/chaos.G/Fail')(b'', timeout=LATE)
                            good = False
                        except grpc.RpcError as e:
                            if e.code() != grpc.StatusCode.FAILED_PRECONDITION:
                                raise
                            good = True
                    why = 'wrong answer'
                except grpc.RpcError as e:
                    good, why = False, f'{e.code()} {e.details()}'
                if not good:
                    if 'GOAWAY received' not in why:    # it may be asked for again: weir has not looked at it
                        self.fail(name, start, f'grpc {kind}: {why}')
                    return
                self.note(name)

    # --- moody: an answer of some kind, in time, and never a wrong one that is whole

    def moody_request(self, rng):
        size, place = rng.choice(SIZES), rng.choice(MOODY)
        query = f'?k={rng.randrange(5)}' + rng.choice(['', '', '&c=1']) + rng.choice(['', '', '', '', '', f'&f={rng.choice(FAULTS)}'])
        if rng.random() < 0.3 and place not in ('m-cache', 'm-slice', 'm-store'):
            return 'POST', f'/{place}/up{query}', pattern(size)
        return rng.choice(['GET', 'GET', 'GET', 'HEAD']), f'/{place}/b/{size}{query}', None

    def moody_right(self, method, path, sent, status, body, f):
        """A 200 that is whole has what the back end meant, but where it lied."""
        if status != 200 or method == 'HEAD' or body == b'h' or '/m-error' in path and body[:1] == b'n':
            return True
        if '/m-auth' in path and 'f=' in path:
            return True
        if sent is not None:
            return body == str(len(sent)).encode()
        n = int(path.split('/b/')[1].split('?')[0])
        return body == pattern(n) or (body == pattern(n)[:len(body)] and ('?' in path))    # "no length" and a cut are the same

    def moody(self, name, rng):
        with Client(self.d['ports'][0], timeout=LATE) as c:
            for _ in range(rng.choice([1, 10])):
                if self.stopping.is_set():
                    return
                method, path, sent = self.moody_request(rng)
                start = time.monotonic()
                data = f'{method} {path} HTTP/1.1\r\nHost: x\r\nCookie: s={rng.choice(self.d["moodies"])}\r\n'.encode()
                c.send(data + (b'\r\n' if sent is None else b'Content-Length: %d\r\n\r\n' % len(sent) + sent))
                found = c.responses(1)
                if c.ended == 'timeout':
                    self.fail(name, start, f'hangs: {method} {path} received {len(c.received) - c.used}')
                    return
                if not found or not found[0].complete:
                    self.note(name + ' cut')
                    return
                a = found[0]
                if not self.moody_right(method, path, sent, a.status, a.body, a.framing == 'close'):
                    self.fail(name, start, f'wrong body {len(a.body)}: {method} {path} {a!r:.300}')
                if a.status not in (200, 206, 404, 403, 413, 416, 429, 499, 500, 502, 503, 504, 405, 999):
                    self.fail(name, start, f'status {a.status}: {method} {path} {a!r:.300}')
                self.note(f'{name} {a.status}')
                if a.closes() or a.status == 101:
                    return

    def moody_h2(self, name, rng):
        with H2(self.d['ports'][0], timeout=LATE) as c:
            for _ in range(5):
                if self.stopping.is_set():
                    return
                start, asked = time.monotonic(), []
                for _ in range(rng.choice([1, 8])):
                    method, path, sent = self.moody_request(rng)
                    stream = c.request(path, method, end=sent is None)
                    if sent is not None:
                        c.body(stream, sent)
                    asked.append((stream, method, path, sent))
                for stream, method, path, sent in asked:
                    a = c.wait(stream, LATE)
                    if a.ended and a.reset is None and not self.moody_right(method, path, sent, a.status, a.body, False):
                        self.fail(name, start, f'wrong body {len(a.body)}: {method} {path} {a!r:.300}')
                    self.note(f'{name} {a.status}')
                c.answers.clear()
                if c.goaway or c.closed:
                    return

    def moody_ws(self, name, rng):
        with Client(self.d['ports'][0], timeout=LATE) as c:
            c.send(b'GET /m-ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n')
            c.wait_for(b'\r\n\r\n')
            for _ in range(rng.randrange(20)):
                c.socket.sendall(b'x' * rng.choice([1, 100, 5000]))
                if not c.receive():
                    break
            if rng.random() < 0.3:
                c.shutdown_write()
                c.read_to_end()
            if rng.random() < 0.3:
                c.reset()
            self.note(name)

    # --- rude

    def anything(self, rng):
        if rng.random() < 0.5:
            b, _ = good_request(rng)
            return b
        method, path, sent = self.moody_request(rng)
        data = f'{method} {path} HTTP/1.1\r\nHost: x\r\n'.encode()
        if rng.random() < 0.2:
            data += rng.choice([b'Expect: 100-continue\r\n', b'Connection: close\r\n', b'Range: bytes=1-5\r\n', b'If-None-Match: *\r\n',
                                b'Upgrade: websocket\r\nConnection: upgrade\r\n', b'X: ' + b'y' * 40000 + b'\r\n',
                                b'Accept-Encoding: gzip\r\n'])
        return data + (b'\r\n' if sent is None else b'Content-Length: %d\r\n\r\n' % len(sent) + sent)

    def rude(self, name, rng):
        where = rng.choice([*self.d['ports'], self.d['dir'] + '/u.sock'])
        with Client(where, timeout=5, room=rng.choice([None, 4000])) as c:
            if where == self.d['ports'][2]:
                c.socket.sendall(b'PROXY TCP4 192.0.2.%d 192.0.2.2 56324 443\r\n' % rng.randrange(1, 200))
            data = b''.join(self.anything(rng) for _ in range(rng.choice([1, 1, 3])))
            if rng.random() < 0.1:
                data = b'GET /purge/x?u=/cache/b/%d HTTP/1.1\r\nHost: x\r\n\r\n' % rng.choice(SIZES)
            if rng.random() < 0.1:
                at = rng.randrange(len(data))
                data = data[:at] + rng.randbytes(3) + data[at + 3:]
            cut = rng.choice([len(data), rng.randrange(len(data) + 1)])
            c.socket.settimeout(0.5)
            pieces = sorted(rng.randrange(cut + 1) for _ in range(rng.choice([0, 1, 3])))
            for a, b in zip([0, *pieces], [*pieces, cut]):
                c.socket.sendall(data[a:b])
            want = rng.choice([0, 0, 1, 100, 5000, 100000])
            got = 0
            while got < want and (piece := c.socket.recv(want - got)):
                got += len(piece)
            time.sleep(rng.choice([0, 0, 0.01, 0.3]))
            rng.choice([c.reset, c.close, c.shutdown_write])()
            self.note(name)

    def rude_h2(self, name, rng):
        with H2(self.d['ports'][0], timeout=3, window=rng.choice([None, None, 0, 100])) as c:
            for _ in range(rng.choice([1, 5, 20])):
                method, path, sent = self.moody_request(rng)
                if rng.random() < 0.5:
                    b, want = good_request(rng)
                    path = b.split(b' ')[1].decode()
                stream = c.request(path, method, end=sent is None)
                if sent is not None:
                    c.send(frame(DATA, 0, stream, sent[:rng.randrange(1000)]))
                if rng.random() < 0.4:
                    c.reset(stream)
                if rng.random() < 0.1:
                    c.send(frame(rng.randrange(12), rng.randrange(256), rng.choice([0, stream, 99]), rng.randbytes(rng.randrange(12))))
                if rng.random() < 0.1:
                    c.window(rng.choice([0, stream]), rng.randrange(1, 100000))
                if rng.random() < 0.3:
                    try:
                        c.read(0.05)
                    except (OSError, AssertionError, hpack.HPACKError):
                        pass
            time.sleep(rng.choice([0, 0.01, 0.3]))
            if rng.random() < 0.5:
                c.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
            self.note(name)

    def rude_tls(self, name, rng):
        with socket.create_connection(('127.0.0.1', self.d['ports'][1]), 5) as raw:
            if rng.random() < 0.3:
                hello = b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + bytes(20)
                raw.sendall(rng.choice([rng.randbytes(50), b'GET / HTTP/1.1\r\n\r\n', hello]))
                return
            raw.settimeout(2)
            with self.verified.wrap_socket(raw, server_hostname='example.com') as s:
                s.sendall(self.anything(rng))
                if rng.random() < 0.7:
                    s.recv(rng.choice([1, 30000]))
                if rng.random() < 0.5:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
            self.note(name)

    def slow(self, name, rng):
        """Takes a large answer slowly, or gives a large body slowly, whole in the end."""
        with Client(self.d['ports'][0], timeout=LATE, room=8000) as c:
            start, place = time.monotonic(), rng.choice(['g', 'nb', 'small', 'cache', 'mirror'])
            if rng.random() < 0.5:
                size = rng.choice([500000, 3000000])
                c.send(f'GET /{place}/b/{size} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'.encode())
                while len(c.received) < 200000 and c.receive():
                    time.sleep(rng.random() / 30)
                c.read_to_end()
                found, _ = parse_responses(c.received, ['GET'])
                if not found or found[0].body != pattern(size):
                    self.fail(name, start, f'{place} {size}: {c.ended} {len(c.received)} {found!r:.200}')
            else:
                size = 400000
                c.send(f'POST /{place}/up HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n'.encode())
                data, at = pattern(size), 0
                while at < size:
                    n = rng.randrange(1, 20000)
                    c.socket.sendall(data[at:at + n])
                    at += n
                    time.sleep(rng.random() / 30)
                found = c.responses(1)
                if not found or found[0].body != str(size).encode():
                    self.fail(name, start, f'up {place} {size}: {c.ended} {found!r:.200}')
            self.note(name)


class Connected(H2):
    def __init__(self, s):
        self.on(s)


_contexts = []


def certs_client(rng):
    if not _contexts:
        _contexts.extend([certs.client(), certs.client(versions='1.2'), certs.client('client', versions='1.2'), certs.client(verify=False)])
    return rng.choice(_contexts)
