"""WebSocket over HTTP/2 (RFC 8441) to a back end of HTTP/1.1."""
import os
import signal
import socket
import threading
import time

import pytest

from weirtest import WEIR, Close, Reset, Wait, ports, until
from weirtest.h2 import DATA, END_STREAM, GOAWAY, H2, SETTINGS, frame

pytestmark = pytest.mark.weir_only('nginx has no extended CONNECT')

CONF = '''
map $http_upgrade $connection_upgrade { default upgrade; '' close; }
server { listen 127.0.0.1:@port@; http2 on;
  location /plain { proxy_pass http://127.0.0.1:%(port)d; proxy_read_timeout 2s; }
  location /usual { proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
                    proxy_set_header Connection $connection_upgrade; proxy_pass http://127.0.0.1:%(port)d; }
  location /here { return 200 no; }
  location /no { proxy_pass http://@backend@; }
}
'''


class Echo:
    """Accepts upgrades, then sends back what comes, in capitals; ends when its client does."""

    def __init__(self):
        self.port, self.heads, self.ended = ports.take(), [], 0
        self.listener = socket.create_server(('127.0.0.1', self.port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        data = b''
        while b'\r\n\r\n' not in data:
            data += sock.recv(65536)
        self.heads.append(data.partition(b'\r\n\r\n')[0].decode())
        sock.sendall(b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Back: yes\r\n\r\nHELLO')
        while True:
            try:
                data = sock.recv(65536)
            except OSError:
                data = b''
            if not data:
                break
            sock.sendall(data.upper())
        self.ended += 1
        sock.close()


@pytest.fixture
def echo():
    echo = Echo()
    yield echo
    echo.listener.close()
    ports.give(echo.port)


def connect(c, path, protocol='websocket'):
    return c.head([(':method', 'CONNECT'), (':protocol', protocol), (':scheme', 'http'), (':path', path), (':authority', 'a.test'),
                   ('sec-websocket-version', '13')], flags=4)


@pytest.mark.parametrize('path', ['/plain', '/usual'])
def test_bytes_both_ways(site, echo, path):
    server = site.server(CONF % {'port': echo.port})
    with H2(server.port) as c:
        s = connect(c, path)
        while c.answer(s).body != b'HELLO':
            assert c.read(5) is not None and c.answer(s).reset is None, c.answer(s)
        assert c.answer(s).status == 200 and c.answer(s).header('x-back') == 'yes'
        assert c.answer(s).header('upgrade') is None
        for word in (b'one', b'two', b'x' * 100000):
            before = len(c.answer(s).body)
            c.body(s, word, end=False)
            while len(c.answer(s).body) < before + len(word):
                c.read(5)
            assert c.answer(s).body[before:] == word.upper()
        assert c.ask('/here').status == 200    # beside it
        c.send(frame(DATA, END_STREAM, s))
        assert c.wait(s).ended
    until(lambda: echo.ended == 1, 'the end of the tunnel')
    head = echo.heads[0].lower()
    assert head.startswith(f'get {path} http/1.1') and 'upgrade: websocket' in head and 'connection: upgrade' in head
    assert 'sec-websocket-key: ' in head and 'sec-websocket-version: 13' in head


def test_settings_say_so(site, echo):
    server = site.server(CONF % {'port': echo.port})
    with H2(server.port) as c:
        c.until(lambda f: f.kind == SETTINGS)
        assert b'\x00\x08\x00\x00\x00\x01' in c.frames[0].payload


def test_a_client_that_resets(site, echo):
    server = site.server(CONF % {'port': echo.port})
    with H2(server.port) as c:
        s = connect(c, '/plain')
        c.until(lambda f: f.kind == DATA)
        c.reset(s)
        until(lambda: echo.ended == 1, 'the end of the tunnel')
        assert c.ask('/here').status == 200


def test_trailers_on_a_tunnel_are_an_error(site, echo):
    """RFC 9113 8.5: nothing but DATA goes through it."""
    server = site.server(CONF % {'port': echo.port})
    with H2(server.port) as c:
        s = connect(c, '/plain')
        c.until(lambda f: f.kind == DATA)
        c.head([('x-trailer', 'y')], stream=s)
        assert c.wait(s).reset == 'PROTOCOL_ERROR'
        until(lambda: echo.ended == 1, 'the end of the tunnel')
        assert c.ask('/here').status == 200


def test_a_silent_tunnel_times_out(site, echo):
    server = site.server((CONF % {'port': echo.port}).replace('2s', '300ms'))
    with H2(server.port) as c:
        s = connect(c, '/plain')
        assert c.wait(s).ended or c.answer(s).reset


@pytest.mark.parametrize('path', ['/here', '/no'])
def test_nobody_accepts(site, echo, path):
    server = site.server(CONF % {'port': echo.port})
    with H2(server.port) as c:
        s = connect(c, path)
        assert c.wait(s).status == 502


def test_other_protocols(site, echo):
    server = site.server(CONF % {'port': echo.port})
    with H2(server.port) as c:
        assert c.wait(connect(c, '/plain', 'connect-ip')).status == 501


# --- beside a connection that rests ----------------------------------------------------------------------------------------

LOG = ("log_format t '$status $bytes_sent $body_bytes_sent $upstream_status $upstream_bytes_received $upstream_response_length "
       "\"$request\" $termination'; access_log @dir@/t.log t;")


@pytest.fixture
def place(site, echo):
    def serve(more='', **how):
        return site.server(CONF.replace('2s', '1h') % {'port': echo.port} + more, http=LOG + how.pop('http', ''), workers=1, **how)
    return serve


def tunnel(c, path='/plain'):
    s = connect(c, path)
    while c.answer(s).body != b'HELLO':
        assert c.read(15) is not None and c.answer(s).reset is None, c.answer(s)
    return s


def say(c, s, word):
    """The echo of word comes."""
    before = len(c.answer(s).body)
    c.body(s, word, end=False)
    while len(c.answer(s).body) < before + len(word):
        assert c.read(15) is not None and c.answer(s).reset is None, c.answer(s)
    assert c.answer(s).body[before:] == word.upper()


def test_the_connection_outlives_its_timeout(place):
    """keepalive_timeout counts when the last tunnel has ended."""
    server = place(http='keepalive_timeout 300ms;')
    with H2(server.port) as c:
        s, t = tunnel(c), tunnel(c)
        time.sleep(0.8)
        say(c, s, b'still')
        assert c.ask('/here').status == 200
        c.send(frame(DATA, END_STREAM, s))
        assert c.wait(s).ended
        time.sleep(0.5)
        say(c, t, b'here')
        c.send(frame(DATA, END_STREAM, t))
        assert c.wait(t).ended
        assert c.wait_closed() == 'NO_ERROR'


def test_the_log_line_comes_at_the_end(place, echo):
    server = place()
    with H2(server.port) as c:
        s = tunnel(c)
        say(c, s, b'four')
        assert server.lines('t.log') == []
        c.send(frame(DATA, END_STREAM, s))
        assert c.wait(s).ended
        line = server.wait_lines(1, 't.log')[0].split(' ', 6)
    assert line[0] == '200' and int(line[1]) > 9 and line[2] == '9' and line[3] == '101'
    assert line[6].startswith('"CONNECT /plain HTTP/2.0"')


def test_large_both_ways(place):
    """More than windows hold, the client reading late."""
    server = place()
    data = os.urandom(1 << 20).lower()
    with H2(server.port, window=20000) as c:
        c.windows = True
        s = tunnel(c)
        sent = threading.Thread(target=c.body, args=(s, data), kwargs={'end': False})
        sent.start()    # reads when the server gives no room
        sent.join()
        while len(c.answer(s).body) < len(data) + 5:
            assert c.read(15) is not None
        assert c.answer(s).body[5:] == data.upper()


def test_a_client_without_windows_holds_nobody_up(place):
    """A tunnel that may not send waits; the others go on."""
    server = place()
    with H2(server.port, window=100) as c:
        c.windows = False
        s, t = tunnel(c), tunnel(c)
        c.body(s, b'x' * 50000, end=False)
        for _ in range(5):
            c.window(t, 3)
            c.window(0, 3)
            say(c, t, b'abc')
        assert len(c.answer(s).body) <= 100
        c.window(0, 60000)
        c.window(s, 60000)
        while len(c.answer(s).body) < 50005:
            assert c.read(15) is not None
        assert c.answer(s).body[5:] == b'X' * 50000


@pytest.mark.parametrize('how, want', [('close', 'ended'), ('reset', 'CANCEL')])
def test_the_peer_ends(site, how, want):
    """RFC 8441 5: an end is END_STREAM, a reset is CANCEL."""
    go = threading.Event()
    site.backend(answer=[b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nHELLO', Wait(go),
                         Reset() if how == 'reset' else Close()])
    server = site.server(CONF % {'port': site.port()} + LOG)
    with H2(server.port) as c:
        s = tunnel(c, '/no')
        go.set()
        if how == 'reset':
            assert c.wait(s).reset == want
        else:
            c.until(lambda f: f.kind == DATA and f.flags & END_STREAM)
            assert c.answer(s).ended and c.answer(s).reset is None
            c.send(frame(DATA, 0, s, b'nobody reads') + frame(DATA, END_STREAM, s))    # half-closed: this goes on
        assert c.ask('/here').status == 200
    server.wait_lines(2, 't.log')


def test_the_client_goes(place, echo):
    """With its connection all tunnels end."""
    server = place()
    with H2(server.port) as c:
        streams = [tunnel(c) for _ in range(20)]
        say(c, streams[3], b'x')
        before = server.descriptors()
    until(lambda: echo.ended == 20, 'the end of the tunnels')
    assert len(server.wait_lines(20, 't.log')) == 20
    until(lambda: server.descriptors() <= before - 21, 'the connections to be closed')


def test_reset_while_bytes_move(place, echo):
    server = place()
    with H2(server.port) as c:
        for _ in range(20):
            s = tunnel(c)
            c.body(s, b'x' * 3000, end=False)
            c.reset(s)
        assert c.ask('/here').status == 200
    until(lambda: echo.ended == 20, 'the end of the tunnels')


def test_a_reload_leaves_tunnels_alone(place):
    """They keep their configuration, and what is asked beside them gets the new one."""
    server = place()
    with H2(server.port) as c:
        s = tunnel(c)
        assert c.ask('/here').body == b'no'
        for i in range(5):
            with open(server.conf_path) as f:
                text = f.read()
            with open(server.conf_path, 'w') as f:
                f.write(text.replace('return 200 no', 'return 200 new').replace('return 200 new', f'return 200 new{i}') if i == 0
                        else text.replace(f'return 200 new{i - 1}', f'return 200 new{i}'))
            server.send_signal(signal.SIGHUP)
            until(lambda n=i: c.ask('/here').body == f'new{n}'.encode(), 'the new configuration')
            say(c, s, b'on')
        c.send(frame(DATA, END_STREAM, s))
        assert c.wait(s).ended
    assert len(server.wait_lines(7, 't.log')) >= 7


def test_worker_shutdown_timeout(place):
    """An old configuration is held no longer than that: by a stream, while its connection lives on."""
    server = place(main='worker_shutdown_timeout 300ms;')
    with H2(server.port) as c:
        s = tunnel(c)
        with open(server.conf_path) as f:
            text = f.read()
        with open(server.conf_path, 'w') as f:
            f.write(text.replace('return 200 no', 'return 200 new'))
        server.send_signal(signal.SIGHUP)
        until(lambda: c.ask('/here').body == b'new', 'the new configuration')
        assert c.wait(s).reset == 'CANCEL'
        assert c.ask('/here').body == b'new'
        say(c, tunnel(c), b'again')


def test_quit_waits_for_tunnels(place):
    """GOAWAY, and the tunnel goes on until it ends."""
    server = place()
    c = H2(server.port)
    s = tunnel(c)
    assert c.ping()
    server.send_signal(signal.SIGQUIT)
    c.until(lambda f: f.kind == GOAWAY)
    for _ in range(3):
        say(c, s, b'still here')
        time.sleep(0.1)
    c.send(frame(DATA, END_STREAM, s))
    assert c.wait(s).ended and c.wait_closed() == 'NO_ERROR'
    c.socket.close()
    assert server.wait_exit() == 0
    server.stopped = True
    server.check()
    assert len(server.lines('t.log')) == 1


def test_term_with_tunnels(place):
    server = place()
    with H2(server.port) as c, H2(server.port) as d:
        tunnel(c), tunnel(c), tunnel(d)
        assert c.ping() and d.ping()
        server.send_signal(signal.SIGTERM)
        assert server.wait_exit() == 0
    server.stopped = True
    server.check()


def test_after_an_error_page(site, echo):
    """The request has a history, and is kept whole."""
    server = site.server(CONF % {'port': echo.port} + f'''server {{ listen 127.0.0.1:@port2@; http2 on; error_page 502 = @b;
        location / {{ proxy_pass http://@dead@; }} location @b {{ proxy_pass http://127.0.0.1:{echo.port}; }} }}''', http=LOG, workers=1)
    with H2(server.names['port2']) as c:
        s = tunnel(c, '/x')
        say(c, s, b'abc')
        c.send(frame(DATA, END_STREAM, s))
        assert c.wait(s).ended
    assert ', ' in server.wait_lines(1, 't.log')[0] or ' : ' in server.wait_lines(1, 't.log')[0]
    assert [e.level for e in server.errors('error')] == ['error']


def test_limits_hold_while_it_lasts(site, echo):
    server = site.server(f"""limit_conn_zone $host zone=one:1m; server {{ listen 127.0.0.1:@port@; http2 on; location /here {{ return 200 no; }}
        location / {{ limit_conn one 1; proxy_pass http://127.0.0.1:{echo.port}; }} }}""")
    with H2(server.port) as c:
        s = tunnel(c, '/x')
        assert c.wait(connect(c, '/x')).status == 503
        c.send(frame(DATA, END_STREAM, s))
        assert c.wait(s).ended
        say(c, tunnel(c, '/x'), b'free')


def test_as_many_as_streams_may_be(place):
    """http2_max_concurrent_streams counts them."""
    server = place(http='http2_max_concurrent_streams 3;')
    with H2(server.port) as c:
        streams = [tunnel(c) for _ in range(3)]
        assert c.wait(connect(c, '/plain')).reset == 'REFUSED_STREAM'
        c.send(frame(DATA, END_STREAM, streams[0]))
        assert c.wait(streams[0]).ended
        say(c, tunnel(c), b'room again')


@pytest.mark.skipif('build-asan' in WEIR or 'build-tsan' in WEIR, reason="a sanitizer's memory is not ours")
def test_a_quiet_tunnel_costs_less_than_2_kib(place, echo, monkeypatch):
    """User memory of the worker per quiet tunnel, 100 on each connection."""
    server = place(http='access_log @dir@/access.log;')
    connections = []

    def open_some(n):
        for _ in range(n):
            c = H2(server.port)
            connections.append((c, [tunnel(c) for _ in range(100)]))
    try:
        open_some(2)
        before = server.memory()['private']
        open_some(10)
        time.sleep(1.5)    # stacks and blocks that nobody uses go back
        each = (server.memory()['private'] - before) / 1000
        print(f'{each:.0f} bytes each')
        assert each <= 2048
        for c, streams in connections:
            say(c, streams[7], b'alive')
    finally:
        for c, _ in connections:
            c.socket.close()
    until(lambda: echo.ended == 1200, 'the end of the tunnels')
