"""What clients may send to make rewriting go wrong: line ends for headers, growth, expressions without end."""
import time

import pytest

from weirtest import Client, exchange, get, post

CONF = '''
    location /return/ { return 302 http://other.test$uri; }
    location /text/ { return 200 "$uri"; }
    location /capture { location ~ ^/capture/(.*)$ { return 301 /$1; } }
    location /rewrite/ { rewrite ^/rewrite/(.*)$ http://other.test/$1 redirect; }
    location /rewriteuri/ { rewrite ^ http://other.test$uri? permanent; }
    location /header/ { add_header X-Uri $uri; add_header X-Arg $arg_a; return 204; }
    location /page/ { error_page 404 =302 http://other.test$uri; return 404; }
    location /proxy/ { rewrite ^/proxy(.*)$ $1 break; proxy_pass http://@backend@; }
    location /proxyvar/ { set $to $arg_to; proxy_pass http://@backend@/$to; }
    location /set/ { set $a $arg_a; %s return 200 "$a"; }
    location /grow/ { rewrite ^(.*)$ $1$1$1$1 last; }
    location /if { if ($args ~ "^(a+)+$") { return 200 yes; } return 200 no; }
    location /map { return 200 "$slow"; }
    location ~ ^/many(/x)*$ { return 200 "many"; }
''' % ('set $a "$a$a";' * 24)


@pytest.fixture
def server(site):
    return site.server(CONF, http='map $args $slow { default no; "~^(a|aa)+$" yes; }')


@pytest.mark.weir_only('nginx splits the header')
@pytest.mark.parametrize('path', ('return', 'capture', 'rewrite', 'rewriteuri', 'header', 'page'))
@pytest.mark.parametrize('bytes_', ('%0d%0aX-Evil:%20yes', '%0aX-Evil:yes', '%0d%0a%0d%0a<html>', '%0dX-Evil:yes'))
def test_no_line_end_gets_into_a_header(server, path, bytes_):
    r = exchange(server.port, get(f'/{path}/{bytes_}'))[0]
    assert not r.all('X-Evil')
    assert not any('\r' in v or '\n' in v for _, v in r.headers)


@pytest.mark.weir_only('nginx sends them')
def test_no_line_end_gets_to_a_back_end(site, server):
    backend = site.backend()
    for target in ('/proxy/%0d%0aX-Evil:%20yes', '/proxyvar/?to=%0d%0aX-Evil:%20yes', '/proxy/%20HTTP/1.1%0d%0aHost:%20evil'):
        exchange(server.port, get(target))
    for q in backend.requests:
        lines = q.raw.split(b'\r\n')
        assert not any(line.startswith((b'X-Evil', b'Host: evil', b'Host:%20evil')) for line in lines)
        assert sum(line.startswith(b'Host:') for line in lines) == 1
        assert not any(b'\n' in line or b'\r' in line for line in lines[:-1])


@pytest.mark.weir_only('nginx takes all the memory that a value wants')
def test_values_do_not_grow_without_end(server):
    before = server.memory()['private']
    for _ in range(5):
        assert exchange(server.port, get('/set/?a=' + 'x' * 1000))[0].status == 500
        assert exchange(server.port, get('/grow/' + 'x' * 4000))[0].status == 500
    assert exchange(server.port, get('/set/?a='))[0].text == ''
    assert server.wait_error('error', 'a value in rewrite directives is longer than 1048576 bytes')
    assert server.memory()['private'] - before < server.allowance(64 << 20)


def test_expressions_end(server):
    """Of an expression that could try for ever the search is given up; it counts as no match."""
    begun = time.monotonic()
    for n in (20, 28, 40, 2000, 7000):
        with Client(server.port, timeout=20) as client:
            client.send(get('/if?' + 'a' * n + '!'))
            assert client.responses(1)[0].text == 'no'
            client.send(get('/map?' + 'a' * n + '!'))
            assert client.responses(1)[0].text == 'no'
    assert time.monotonic() - begun < 15
    assert exchange(server.port, get('/if?aaaa'))[0].text == 'yes'


def test_deep_repetition(server):
    """An expression that repeats a group as often as the URI is long does not run out of stack."""
    assert exchange(server.port, get('/many' + '/x' * 3000))[0].status in (200, 404)
    assert exchange(server.port, get('/many/x/x'))[0].text == 'many'


def test_odd_bytes(server):
    for target in ('/text/%00', '/text/%ff%fe', '/text/%e2%82', '/text/\xff', '/text/%c0%af', '/capture/%3f%23%25', '/rewrite/%3f%23%25', '/text/' + '%41' * 2000):
        r = exchange(server.port, get(target))[0]
        assert r.status in (200, 301, 302, 400)
    assert exchange(server.port, post('/rewrite/x', b'y' * 100000) + get('/text/z'), 2)[1].text == '/text/z'
