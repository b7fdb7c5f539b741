"""WebSocket over HTTP/2 (RFC 8441) to a back end of HTTP/1.1."""
import socket
import threading

import pytest

from weirtest import ports, until
from weirtest.h2 import DATA, END_STREAM, H2, SETTINGS, frame

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
