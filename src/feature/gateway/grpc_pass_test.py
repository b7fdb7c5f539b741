"""grpc_pass with python3-grpcio on both sides: all four kinds of calls, deadlines, cancellation, large messages, metadata, errors."""
import threading
import time

import grpc
import pytest

from weirtest import certs, until
from weirtest.grpc_server import LARGE, GrpcServer, channel
from weirtest.site import Site

CONF = '''
upstream app { server 127.0.0.1:%d; }
upstream gone { server @dead@; }
server {
    listen 127.0.0.1:@port@ http2;
    client_max_body_size 64m;
    grpc_read_timeout 5s;
    grpc_send_timeout 5s;
    location /test.Echo/ { grpc_pass grpc://app; grpc_set_header X-Added "from $remote_addr"; }
    location /test.Plain/ { grpc_pass 127.0.0.1:%d; }
    location /test.Var/ { set $to app; grpc_pass grpc://$to; }
    location /test.Gone/ { grpc_pass gone; }
    location /test.Page/ { grpc_pass gone; error_page 502 = /error502grpc; }
    location = /error502grpc {
        internal;
        default_type application/grpc;
        add_header grpc-status 14;
        add_header content-length 0;
        add_header grpc-message "unavailable";
        return 204;
    }
    location /test.Status/ {
        if ($http_x_status = 400) { return 400; } if ($http_x_status = 401) { return 401; } if ($http_x_status = 404) { return 404; }
        if ($http_x_status = 413) { return 413; } if ($http_x_status = 429) { return 429; }
        if ($http_x_status = 500) { return 500; } if ($http_x_status = 503) { return 503; } if ($http_x_status = 504) { return 504; }
        grpc_pass app;
    }
    location /test.Short/ { grpc_pass app; grpc_read_timeout 300ms; }
    location /test.Denied/ { deny all; grpc_pass app; }
    location /test.Tls/ { grpc_pass grpcs://127.0.0.1:@port2@; grpc_ssl_verify on; grpc_ssl_name localhost;
                          grpc_ssl_trusted_certificate @certs@/ca.pem; }
    location /test.VarTls/ { set $to 127.0.0.1:@port2@; grpc_pass grpcs://$to; }
    location /test.Wrong/ { grpc_pass grpcs://127.0.0.1:@port2@; grpc_ssl_verify on; grpc_ssl_name wrong.test;
                            grpc_ssl_trusted_certificate @certs@/ca.pem; }
}
server {
    listen 127.0.0.1:@port2@ ssl http2;
    client_max_body_size 64m;
    ssl_certificate @certs@/server.pem;
    ssl_certificate_key @certs@/server.key;
    location / { grpc_pass app; }
}
'''


@pytest.fixture(scope='module')
def place():
    back, site = GrpcServer(), Site()
    server = site.server(CONF % (back.port, back.port))
    server.back = back
    with channel(server.port) as c:
        server.channel = c
        yield server
    site.close()
    back.stop()


def test_unary(place):
    call = place.channel.unary_unary('/test.Echo/Unary')
    reply, info = call.with_call(b'hello', metadata=(('x-mine', 'a'), ('x-mine-bin', b'\x01\x00\xfe')), timeout=5)
    assert reply == b'olleh'
    assert dict(info.initial_metadata())['x-initial'] == 'one'
    assert dict(info.trailing_metadata())['x-trailing'] == 'two'
    assert dict(info.trailing_metadata())['x-bytes-bin'] == b'\x00\xff'
    seen = place.back.calls[-1]
    assert seen['x-mine'] == 'a' and seen['x-mine-bin'] == b'\x01\x00\xfe' and seen['x-added'] == 'from 127.0.0.1'


@pytest.mark.parametrize('service', ['Echo', 'Plain', 'Var'])
def test_ways_to_say_where(place, service):
    assert place.channel.unary_unary(f'/test.{service}/Unary')(b'abc', timeout=5) == b'cba'


def test_empty_message(place):
    assert place.channel.unary_unary('/test.Echo/Unary')(b'', timeout=5) == b''


def test_server_streaming(place):
    got = list(place.channel.unary_stream('/test.Echo/Down')(b'100 1000', timeout=5))
    assert len(got) == 100 and got[99] == b'99'.ljust(1000, b'.')


def test_client_streaming(place):
    assert place.channel.stream_unary('/test.Echo/Up')((b'x' * i for i in range(200)), timeout=5) == b'19900'


def test_bidirectional_streaming_in_step(place):
    """Each message is answered before the next is sent: nothing on the way waits for more."""
    turn = threading.Semaphore(1)

    def messages():
        for word in (b'one', b'two', b'three'):
            assert turn.acquire(timeout=5)
            yield word
    got = []
    for m in place.channel.stream_stream('/test.Echo/Both')(messages(), timeout=10):
        got.append(m)
        turn.release()
    assert got == [b'ONE', b'TWO', b'THREE']


def test_messages_of_16_mib(place):
    message = bytes(range(256)) * (1 << 16)
    assert place.channel.unary_unary('/test.Echo/Unary')(message, timeout=30) == message[::-1]
    assert place.channel.stream_unary('/test.Echo/Up')(iter([message, message]), timeout=30) == b'%d' % (2 * len(message))
    got = list(place.channel.unary_stream('/test.Echo/Down')(b'2 16777216', timeout=30))
    assert [len(m) for m in got] == [1 << 24] * 2


def test_status_and_message_of_the_server(place):
    with pytest.raises(grpc.RpcError) as e:
        place.channel.unary_unary('/test.Echo/Fail')(b'x', timeout=5)
    assert e.value.code() == grpc.StatusCode.FAILED_PRECONDITION and e.value.details() == 'not now: ü'
    assert dict(e.value.trailing_metadata())['x-trailing'] == 'two'


def test_unknown_method(place):
    with pytest.raises(grpc.RpcError) as e:
        place.channel.unary_unary('/test.Echo/Nothing')(b'x', timeout=5)
    assert e.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_deadline_reaches_the_server(place):
    before = place.back.cancelled
    with pytest.raises(grpc.RpcError) as e:
        place.channel.unary_unary('/test.Echo/Slow')(b'x', timeout=0.5)
    assert e.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert 'grpc-timeout' not in place.back.calls[-1]    # taken by grpcio itself, which proves that it came
    until(lambda: place.back.cancelled == before + 1, 'the server to see the end of the call')


def test_cancellation_reaches_the_server(place):
    before = place.back.cancelled
    call = place.channel.unary_unary('/test.Echo/Slow').future(b'x', timeout=20)
    seen = len(place.back.calls)
    until(lambda: len(place.back.calls) > seen or place.back.calls, 'the call to arrive')
    time.sleep(0.2)
    call.cancel()
    until(lambda: place.back.cancelled == before + 1, 'the server to see the cancellation')


def test_many_calls_share_connections(place):
    call = place.channel.unary_unary('/test.Echo/Unary')
    futures = [call.future(b'%d' % i, timeout=20) for i in range(300)]
    assert [f.result() for f in futures] == [(b'%d' % i)[::-1] for i in range(300)]


@pytest.mark.parametrize('service, code, details', [
    ('Gone', grpc.StatusCode.UNAVAILABLE, 'Bad Gateway'),
    ('Page', grpc.StatusCode.UNAVAILABLE, 'unavailable'),
    ('Denied', grpc.StatusCode.PERMISSION_DENIED, 'Forbidden'),
])
def test_errors_of_weir(place, service, code, details):
    with pytest.raises(grpc.RpcError) as e:
        place.channel.unary_unary(f'/test.{service}/Unary')(b'x', timeout=5)
    assert (e.value.code(), e.value.details()) == (code, details)


@pytest.mark.parametrize('status, code', [('400', 'INTERNAL'), ('401', 'UNAUTHENTICATED'), ('404', 'UNIMPLEMENTED'), ('413', 'RESOURCE_EXHAUSTED'), ('429', 'UNAVAILABLE'), ('500', 'UNKNOWN'), ('503', 'UNAVAILABLE'),
                                          ('504', 'DEADLINE_EXCEEDED')])
def test_statuses_of_http_as_those_of_grpc(place, status, code):
    with pytest.raises(grpc.RpcError) as e:
        place.channel.unary_unary('/test.Status/Unary')(b'x', metadata=(('x-status', status),), timeout=5)
    assert e.value.code().name == code


def test_a_server_that_is_too_slow(place):
    with pytest.raises(grpc.RpcError) as e:
        place.channel.unary_unary('/test.Short/Slow')(b'x', timeout=5)
    assert e.value.code() == grpc.StatusCode.INTERNAL    # its head was out already: only a reset can tell


def test_from_a_client_over_tls(place):
    with open(certs.path('ca.pem'), 'rb') as f:
        trusted = grpc.ssl_channel_credentials(f.read())
    with grpc.secure_channel(f'localhost:{place.names["port2"]}', trusted, options=LARGE) as c:
        message = bytes(range(256)) * 20000
        assert c.unary_unary('/test.Echo/Unary')(message, timeout=20) == message[::-1]
        assert list(c.stream_stream('/test.Echo/Both')(iter([b'a', b'b']), timeout=10)) == [b'A', b'B']


@pytest.mark.parametrize('service', ['Tls', 'VarTls'])
def test_to_a_server_over_tls(place, service):
    """grpcs://: by ALPN, verified where that is asked for."""
    message = bytes(range(256)) * 20000
    assert place.channel.unary_unary(f'/test.{service}/Unary')(message, timeout=20) == message[::-1]
    call = place.channel.unary_unary(f'/test.{service}/Unary')
    futures = [call.future(b'%d' % i, timeout=20) for i in range(50)]
    assert [f.result() for f in futures] == [(b'%d' % i)[::-1] for i in range(50)]


def test_a_server_of_another_name(place):
    with pytest.raises(grpc.RpcError) as e:
        place.channel.unary_unary('/test.Wrong/Unary')(b'x', timeout=5)
    assert e.value.code() == grpc.StatusCode.UNAVAILABLE
