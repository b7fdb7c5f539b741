"""grpc_web: browsers' gRPC over HTTP/1.1 and HTTP/2, in both of its forms, to a server of python3-grpcio."""
import base64
import http.client
import struct
import time

import pytest

from weirtest import until
from weirtest.grpc_server import GrpcServer
from weirtest.h2 import H2
from weirtest.site import Site

pytestmark = pytest.mark.weir_only('nginx has no grpc_web')

CONF = '''
upstream app { server 127.0.0.1:%(port)d; }
upstream gone { server @dead@; }
grpc_web on;
server {
    listen 127.0.0.1:@port@ http2;
    client_max_body_size 64m;
    grpc_read_timeout 5s;
    location /test.Echo/ {
        if ($request_method = OPTIONS) {
            add_header Access-Control-Allow-Origin $http_origin;
            add_header Access-Control-Allow-Headers "content-type,x-grpc-web,x-user-agent,grpc-timeout";
            return 204;
        }
        add_header Access-Control-Allow-Origin $http_origin always;
        add_header Access-Control-Expose-Headers "grpc-status,grpc-message" always;
        add_header X-Type $content_type always;
        grpc_pass grpc://app;
    }
    location /test.Gone/ { grpc_pass gone; }
    location /test.Denied/ { deny all; grpc_pass app; }
    location /test.Off/ { grpc_web off; grpc_pass app; }
    location /test.Proxy/ { proxy_http_version 2; proxy_set_header TE trailers; proxy_set_header Content-Type application/grpc;
                            proxy_pass http://app; }
}
'''
WEB, TEXT = 'application/grpc-web+proto', 'application/grpc-web-text+proto'


@pytest.fixture(scope='module')
def place():
    back, site = GrpcServer(), Site()
    server = site.server(CONF % {'port': back.port})
    server.back = back
    yield server
    site.close()
    back.stop()


def message(data):
    return b'\0' + struct.pack('>I', len(data)) + data


def untext(data):
    """Base64 in runs that may each be padded."""
    out, at = b'', 0
    assert len(data) % 4 == 0
    while at < len(data):
        end = data.find(b'=', at)
        end = len(data) if end < 0 else (end + 4) // 4 * 4
        out += base64.b64decode(data[at:end], validate=True)
        at = end
    return out


def frames(data):
    """[(flags, payload)] of a body, whole frames only."""
    out = []
    while data:
        flags, n = struct.unpack_from('>BI', data)
        assert len(data) >= 5 + n
        out.append((flags, data[5:5 + n]))
        data = data[5 + n:]
    return out


class Call:
    """One call over HTTP/1.1: .status, .fields, .messages, .trailers."""

    def __init__(self, place, path, body, kind=WEB, method='POST', **fields):
        c = http.client.HTTPConnection('127.0.0.1', place.port, timeout=20)
        head = {'Content-Type': kind, 'X-Grpc-Web': '1', **{k.replace('_', '-'): v for k, v in fields.items()}}
        sent = base64.b64encode(body) if 'text' in kind and isinstance(body, bytes) else body
        c.request(method, path, body=sent, headers=head, encode_chunked=not isinstance(sent, bytes))
        answer = c.getresponse()
        self.status, self.fields, self.raw = answer.status, answer.headers, answer.read()
        c.close()
        self.type = self.fields.get('Content-Type', '')
        got = frames(untext(self.raw) if '-text' in self.type else self.raw) if 'grpc-web' in self.type else []
        self.messages = [p for f, p in got if f == 0]
        last = [p for f, p in got if f == 0x80]
        assert len(last) <= 1 and (not last or got[-1][0] == 0x80)
        self.trailers = dict(line.split(': ', 1) for line in last[0].decode().split('\r\n')[:-1]) if last else None


@pytest.mark.parametrize('kind', [WEB, TEXT])
def test_unary(place, kind):
    c = Call(place, '/test.Echo/Unary', message(b'hello'), kind, x_mine='a', accept=kind)
    assert (c.status, c.type, c.messages) == (200, kind, [b'olleh'])
    assert c.trailers['grpc-status'] == '0' and c.trailers['x-trailing'] == 'two' and c.trailers['x-bytes-bin'] == 'AP8'
    assert c.fields['x-initial'] == 'one' and c.fields['X-Type'] == kind
    seen = place.back.calls[-1]
    assert seen['x-mine'] == 'a' and 'accept' not in seen and ('content-length' in seen) == (kind == WEB)


@pytest.mark.parametrize('kind, accept, want', [
    ('application/grpc-web', None, 'application/grpc-web'),
    ('application/grpc-web-text', '*/*', 'application/grpc-web-text'),
    (WEB, 'application/grpc-web-text', TEXT),
    (TEXT, 'application/grpc-web, application/grpc-web-text', WEB),
    (TEXT + '; charset=x', 'text/html', TEXT),
])
def test_types(place, kind, accept, want):
    c = Call(place, '/test.Echo/Unary', message(b'ab'), kind, **({'accept': accept} if accept else {}))
    assert (c.type, c.messages) == (want, [b'ba'])


@pytest.mark.parametrize('kind', [WEB, TEXT])
@pytest.mark.parametrize('size', [0, 1, 2, 3, 5, 1000, 100000, 1 << 24])
def test_sizes(place, kind, size):
    data = (bytes(range(251)) * (size // 251 + 1))[:size]
    c = Call(place, '/test.Echo/Unary', message(data), kind)
    assert c.messages == [data[::-1]] and c.trailers['grpc-status'] == '0'


def test_base64_that_comes_in_padded_runs(place):
    data = message(bytes(range(256)) * 3)
    for cut in (1, 2, 3, 7, 100):
        text = b''.join(base64.b64encode(data[i:i + cut]) for i in range(0, len(data), cut))
        pieces = iter([text[i:i + 5] for i in range(0, len(text), 5)])
        assert Call(place, '/test.Echo/Unary', pieces, TEXT).messages == [data[5:][::-1]]


@pytest.mark.parametrize('text', [b'AAAA*AAA', b'AAAAAAA', b'A===', b'AA=A', b'AAAAA'])
def test_what_is_not_base64(place, text):
    before = len(place.lines('error.log'))
    c = Call(place, '/test.Echo/Unary', iter([text]), TEXT)
    assert c.status == 400 and c.fields['grpc-status'] == '13'
    until(lambda: sum('not base64' in line for line in place.lines('error.log')[before:]) == 1, 'one line of the error log')


@pytest.mark.parametrize('kind', [WEB, TEXT])
def test_server_streaming(place, kind):
    c = Call(place, '/test.Echo/Down', message(b'50 1000'), kind)
    assert len(c.messages) == 50 and c.messages[49] == b'49'.ljust(1000, b'.') and c.trailers['grpc-status'] == '0'


@pytest.mark.parametrize('kind', [WEB, TEXT])
def test_each_message_comes_at_once(place, kind):
    """Bidirectional as far as HTTP/2 lets a client: each message is answered before the next is sent."""
    def coded(data):
        return base64.b64encode(data) if kind == TEXT else data
    with H2(place.port) as c:
        s = c.request('/test.Echo/Both', 'POST', ('content-type', kind), ('te', 'trailers'), end=False)
        for i, word in enumerate((b'one', b'three', b'fourteen')):
            c.body(s, coded(message(word)), end=False)
            until(lambda: c.ping() and len(frames(untext(c.answer(s).body) if kind == TEXT else c.answer(s).body)) == i + 1,
                  'the answer to a message')
        c.body(s, b'', end=True)
        a = c.wait(s)
        got = frames(untext(a.body) if kind == TEXT else a.body)
        assert [p for _, p in got[:3]] == [b'ONE', b'THREE', b'FOURTEEN'] and got[3][0] == 0x80 and not a.trailers


def test_status_of_the_server(place):
    c = Call(place, '/test.Echo/Fail', message(b'x'))
    told = c.trailers or c.fields
    assert c.status == 200 and told['grpc-status'] == '9' and told['grpc-message'] == 'not now: %C3%BC'


def test_trailers_only(place):
    c = Call(place, '/test.Echo/Nothing', message(b'x'), TEXT)
    assert (c.status, c.raw, c.type) == (200, b'', TEXT)
    assert c.fields['grpc-status'] == '12'


@pytest.mark.parametrize('service, status, code', [('Gone', 502, '14'), ('Denied', 403, '7')])
@pytest.mark.parametrize('kind', [WEB, TEXT])
def test_errors_of_weir(place, service, status, code, kind):
    c = Call(place, f'/test.{service}/Unary', message(b'x'), kind)
    assert (c.status, c.raw, c.fields['grpc-status'], c.type.replace('-text', '')) == (status, b'', code, WEB)


def test_a_deadline_ends_the_call(place):
    before, began = place.back.cancelled, time.monotonic()
    c = Call(place, '/test.Echo/Slow', message(b'x'), grpc_timeout='300m')
    told = c.trailers or c.fields
    assert told['grpc-status'] == '4' and time.monotonic() - began < 4
    until(lambda: place.back.cancelled == before + 1, 'the server to see the end')


def test_a_client_that_leaves(place):
    before, calls = place.back.cancelled, len(place.back.calls)
    c = http.client.HTTPConnection('127.0.0.1', place.port, timeout=20)
    c.request('POST', '/test.Echo/Slow', body=message(b'x'), headers={'Content-Type': WEB})
    until(lambda: len(place.back.calls) > calls, 'the call to arrive')
    c.close()
    until(lambda: place.back.cancelled == before + 1, 'the server to see that the client left')


def test_what_a_browser_asks_first(place):
    c = Call(place, '/test.Echo/Unary', b'', method='OPTIONS', origin='https://app.test')
    assert c.status == 204 and c.fields['Access-Control-Allow-Origin'] == 'https://app.test'
    c = Call(place, '/test.Echo/Unary', message(b'x'), origin='https://app.test')
    assert c.fields['Access-Control-Expose-Headers'] == 'grpc-status,grpc-message' and c.messages == [b'x']


def test_grpc_itself_is_left_alone(place):
    with H2(place.port) as c:
        s = c.request('/test.Echo/Unary', 'POST', ('content-type', 'application/grpc'), ('te', 'trailers'), end=False)
        c.body(s, message(b'abc'))
        a = c.wait(s)
        assert a.header('content-type') == 'application/grpc' and a.body == message(b'cba')
        assert dict(a.trailers[0])['grpc-status'] == '0'


def test_off(place):
    c = Call(place, '/test.Off/Unary', message(b'x'))
    assert 'grpc-web' not in c.type and c.trailers is None


def test_answers_of_proxy_pass(place):
    """Answers are translated whoever brought them."""
    c = Call(place, '/test.Proxy/Unary', message(b'abc'))
    assert c.messages == [b'cba'] and c.trailers['grpc-status'] == '0' and c.type == WEB
