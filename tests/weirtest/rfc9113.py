"""The driver of the tests that walk RFC 9113: what a case is, how one is run, and what may come of it."""
import struct

import pytest

from .backend import Pause, response
from .h2 import ACK, H2, SETTINGS
from .site import Site

CONF = '''
server {
listen 127.0.0.1:@port@ http2;
location / { return 200 "ok"; }
location /body { client_max_body_size 10m; proxy_pass http://@backend@; }
location /big { root @root@; }
location /fields {
  add_header Connection close; add_header Keep-Alive x; add_header Proxy-Connection x; add_header Upgrade h2c; add_header TE trailers;
  add_header X-Mine yes; return 200 "ok";
}
location /long { set $k "%s"; set $k "$k$k$k$k"; add_header X-Long "$k$k$k$k$k"; return 200 "ok"; }
location /late { proxy_pass http://@late@; }
}
'''
U32 = struct.Struct('>I').pack
CONF = CONF % ('x' * 1000)


def backend(r):
    fields = [f'X-Cookie: {r.header("Cookie")}'] if r.header('Cookie') else []
    if r.header('X-Hop'):
        fields += ['Connection: x-named', 'X-Named: x', 'Keep-Alive: timeout=5', 'Proxy-Connection: x', 'Upgrade: h2c', 'X-Upper: x']
    return response(str(len(r.body)).encode(), *fields)


def place():
    """For a fixture of a module."""
    site = Site()
    site.file('big/file', b'x' * 200000)
    site.backend(answer=backend)
    site.backend('late', answer=[Pause(0.3), response(b'late')])
    yield site.server(CONF)
    site.close()


class Cases(list):
    """The cases of a file, for pytest.mark.parametrize('fn, how', ...)."""

    def case(self, section, **how):
        """Marks a test of a MUST. It gets a connection whose SETTINGS were exchanged."""
        def mark(fn):
            self.append(pytest.param(fn, how, id=f'{section} {fn.__name__}'))
            return fn
        return mark

    def add(self, section, name, fn):
        self.append(pytest.param(fn, {}, id=f'{section} {name}'))


def run(server, fn, how):
    hello = how.get('hello', b'')
    with H2(server.port, hello=hello, timeout=5, window=how.get('window')) as c:
        if hello is not None:
            assert c.until(lambda f: f.kind == SETTINGS and f.flags & ACK) is not None
        fn(c)


def connection_error(c, *codes):
    end = c.wait_closed()
    assert end in codes, f'{end}, wanted {codes}: {c.frames}'


def stream_error(c, stream, *codes):
    """RST_STREAM with one of the codes; or, as any stream error may be (5.4.2), a connection error."""
    a = c.wait(stream)
    while a.reset is None and c.read() is not None:
        pass
    got = a.reset or (c.goaway and c.goaway.code)
    assert got in codes, f'{got}, wanted {codes}: {c.frames}'


def alive(c):
    assert c.ping(), f'the connection ended: {c.frames}'
    assert c.ask('/').status == 200
