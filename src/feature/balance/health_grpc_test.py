"""health_check type=grpc: the health checking protocol of gRPC, against its own library."""
import pytest

from weirtest import run, until
from weirtest.grpc_server import GrpcServer, channel

pytestmark = pytest.mark.weir_only('commercial in nginx')


@pytest.fixture
def two():
    servers = [GrpcServer(), GrpcServer()]
    yield servers
    for s in servers:
        s.stop()


def serve(site, two, parameters=''):
    return site.server(f'''upstream g {{ zone g 64k; server 127.0.0.1:{two[0].port}; server 127.0.0.1:{two[1].port}; }}
        server {{ listen 127.0.0.1:@port@ http2; location / {{ grpc_pass grpc://g; health_check interval=100ms {parameters}; }} }}''')


def asked(server, two, n=10):
    """How many of n calls each of them got."""
    before = [len(s.calls) for s in two]
    with channel(server.port) as c:
        for i in range(n):
            assert c.unary_unary('/test.Echo/Unary')(b'abc', timeout=10) == b'cba'
    return [len(s.calls) - b for s, b in zip(two, before)]


def test_status_of_the_server(site, two):
    two[0].health, two[1].health = {'': 1}, {'': 1}
    server = serve(site, two, 'type=grpc')
    until(lambda: all(len(s.checks) >= 2 for s in two), 'checks')
    assert asked(server, two) == [5, 5]
    assert set(two[0].checks) == {b''}
    two[0].health = {'': 2}
    server.wait_error('warn', r'\Apeer is unhealthy while checking gRPC health, health check "" of peer 127\.0\.0\.1:\d+ in upstream "g"\Z')
    assert asked(server, two) == [0, 10]
    two[0].health = {'': 1}
    server.wait_error('notice', r'\Apeer is healthy')
    assert asked(server, two) == [5, 5]


def test_status_of_a_service(site, two):
    name = 'shop.' + 'Cart' * 40    # its length takes two bytes
    two[0].health, two[1].health = {'': 1}, {name: 1}
    server = serve(site, two, f'mandatory type=grpc grpc_service={name[:90]}')
    server.wait_error('warn', 'while checking gRPC status')
    two[1].health = {name[:90]: 1}
    server.wait_error('notice', r'\Apeer is healthy')
    assert asked(server, two) == [0, 10]


def test_a_status_that_is_as_good(site, two):
    """Servers without the protocol answer 12 (UNIMPLEMENTED)."""
    two[1].health = {}    # NOT_FOUND
    server = serve(site, two, 'mandatory type=grpc grpc_status=12')
    server.wait_error('notice', r'\Apeer is healthy')
    server.wait_error('warn', 'while checking gRPC status')
    assert asked(server, two) == [10, 0]


def test_what_is_no_grpc(site, two):
    """HTTP/1 where gRPC is expected, and nobody at all."""
    two[0].health = {'': 1}
    site.backend('plain')
    server = site.server(f'''upstream g {{ zone g 64k; server 127.0.0.1:{two[0].port}; server @plain@; server @dead@; }}
        server {{ listen 127.0.0.1:@port@ http2; location / {{ grpc_pass grpc://g; health_check interval=100ms type=grpc; }} }}''')
    until(lambda: len([e for e in server.errors('warn') if 'peer is unhealthy' in e.message]) == 2, 'two bad ones')
    two[1].calls.clear()
    assert asked(server, two)[0] == 10


@pytest.mark.parametrize('text, error', [
    ('type=http', 'invalid parameter "type=http"'), ('grpc_service=x', 'invalid parameter "grpc_service=x"'),
    ('type=grpc interval=1s', 'invalid parameter "interval=1s"'), ('type=grpc grpc_status=x', 'invalid parameter "grpc_status=x"'),
    ('uri=/x type=grpc', '"type=grpc" is not compatible'), ('match=m type=grpc', '"type=grpc" is not compatible'),
    ('type=grpc type=grpc', 'invalid parameter "type=grpc"')])
def test_configurations(site, text, error):
    path = site.file('t.conf', f'events {{}} pid {site.root}/pid; http {{ match m {{ status 200; }} server {{ location / {{ '
                               f'grpc_pass 127.0.0.1:1; health_check {text}; }} }} }}')
    done = run('-t', '-c', path, '-e', '/dev/null')
    assert done.returncode == 1 and error in done.stderr, done.stderr
