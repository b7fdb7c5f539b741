"""grpc_pass between the two implementations of gRPC that people use most: clients and servers of grpc-js and of python3-grpcio,
crossed, in all four kinds of calls, with metadata, deadlines, cancellation and messages of 16 MiB."""
import json
import time

import grpc
import pytest

from weirtest import certs, until
from weirtest.apps import grpc_js, grpc_js_client
from weirtest.grpc_server import GrpcServer, channel
from weirtest.site import Site

CONF = '''
server {
    listen 127.0.0.1:@port@ http2;
    listen 127.0.0.1:@port2@ ssl http2;
    ssl_certificate @certs@/server.pem;
    ssl_certificate_key @certs@/server.key;
    client_max_body_size 64m;
    grpc_read_timeout 20s;
    grpc_send_timeout 20s;
    location /test.Echo/ { grpc_pass grpc://127.0.0.1:%d; }
    location /test.Gone/ { grpc_pass grpc://@dead@; }
}
'''

pytestmark = [pytest.mark.weir_only('nginx gives a client of gRPC no grpc-status of its own'), pytest.mark.xdist_group('grpc-js')]


class Js:
    """The server of grpc-js, as the tests see it."""

    def __init__(self, directory):
        self.app = grpc_js(directory)
        self.port, self.stop = self.app.port, self.app.stop

    @property
    def state(self):
        with channel(self.port) as c:
            return json.loads(c.unary_unary('/test.Echo/State')(b'', timeout=5))

    @property
    def cancelled(self):
        return self.state['cancelled']


@pytest.fixture(scope='module')
def site():
    site = Site()
    yield site
    site.close()


@pytest.fixture(scope='module', params=['grpcio', 'grpc-js'])
def place(request, site):
    back = GrpcServer() if request.param == 'grpcio' else Js(site.directory)
    server = site.server(CONF % back.port)
    server.back = back
    yield server
    server.stop()
    back.stop()


@pytest.mark.parametrize('tls', [False, True], ids=['plain', 'TLS'])
def test_a_client_of_grpc_js(place, tls):
    before = place.back.cancelled
    port, ca = (place.names['port2'], certs.path('ca.pem')) if tls else (place.port, '')
    got = grpc_js_client(port, ca)
    assert got['unary']['reply'] == 'olleh'
    assert got['unary']['initial']['x-initial'] == 'one'
    assert got['unary']['trailing']['x-trailing'] == 'two' and got['unary']['trailing']['x-bytes-bin'] == '00ff'
    assert got['empty'] == 0
    assert got['down']['count'] == 100 and got['down']['last'] == '99' and got['down']['trailing']['x-trailing'] == 'two'
    assert got['up'] == '19900' and got['both'] == ['ONE', 'TWO', 'THREE']
    assert got['large'] is True and got['largeUp'] == str(2 << 24) and got['largeDown'] == [1 << 24] * 2
    assert got['fail']['code'] == grpc.StatusCode.FAILED_PRECONDITION.value[0] and got['fail']['details'] == 'not now: ü'
    assert got['fail']['trailing']['x-trailing'] == 'two'
    assert got['unknown'] == grpc.StatusCode.UNIMPLEMENTED.value[0]
    assert got['deadline'] == grpc.StatusCode.DEADLINE_EXCEEDED.value[0]
    assert got['cancelled'] == grpc.StatusCode.CANCELLED.value[0]
    assert got['many'] == 300
    assert got['gone']['code'] == grpc.StatusCode.UNAVAILABLE.value[0] and got['gone']['details'] == 'Bad Gateway'
    until(lambda: place.back.cancelled == before + 2, 'the server to see the deadline and the cancellation')


@pytest.fixture(scope='module')
def js(site):
    """A server of grpc-js behind weir, and a channel of grpcio."""
    back = Js(site.directory)
    server = site.server(CONF % back.port)
    server.back = back
    with channel(server.port) as c:
        yield server, c
    server.stop()
    back.stop()


def test_grpcio_to_grpc_js_unary(js):
    place, c = js
    reply, info = c.unary_unary('/test.Echo/Unary').with_call(b'hello', metadata=(('x-mine', 'a'), ('x-mine-bin', b'\x01\0\xfe')), timeout=10)
    assert reply == b'olleh' and dict(info.initial_metadata())['x-initial'] == 'one'
    assert dict(info.trailing_metadata())['x-bytes-bin'] == b'\x00\xff'
    seen = place.back.state['metadata']
    assert seen['x-mine'] == ['a'] and seen['x-mine-bin'] == [{'type': 'Buffer', 'data': [1, 0, 254]}]


def test_grpcio_to_grpc_js_streams(js):
    _, c = js
    assert len(list(c.unary_stream('/test.Echo/Down')(b'100 1000', timeout=10))) == 100
    assert c.stream_unary('/test.Echo/Up')((b'x' * i for i in range(200)), timeout=10) == b'19900'
    assert list(c.stream_stream('/test.Echo/Both')(iter([b'a', b'b']), timeout=10)) == [b'A', b'B']
    large = bytes(range(256)) * (1 << 16)
    assert c.unary_unary('/test.Echo/Unary')(large, timeout=30) == large[::-1]


def test_grpcio_to_grpc_js_ends(js):
    place, c = js
    before = place.back.cancelled
    with pytest.raises(grpc.RpcError) as e:
        c.unary_unary('/test.Echo/Slow')(b'x', timeout=0.5)
    assert e.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    call = c.unary_unary('/test.Echo/Slow').future(b'x', timeout=20)
    calls = place.back.state['calls']
    until(lambda: place.back.state['calls'] >= calls, 'the call to arrive')
    time.sleep(0.2)
    call.cancel()
    until(lambda: place.back.cancelled == before + 2, 'the server to see both ends')
    with pytest.raises(grpc.RpcError) as e:
        c.unary_unary('/test.Echo/Fail')(b'x', timeout=5)
    assert e.value.code() == grpc.StatusCode.FAILED_PRECONDITION and e.value.details() == 'not now: ü'
