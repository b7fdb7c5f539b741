"""The cache with other things: FastCGI, SCGI and uwsgi, slices, filters, subrequests, X-Accel fields, HTTP/2 on both sides."""
import os
import re
import signal
import threading
import time

import pytest

from weirtest.h2 import H2
from weirtest import Client, Close, Echo, Table, Wait, get, post, request, response, until

LOG = 'request=$request|status=$status|cache=$upstream_cache_status|upstream_status=$upstream_status'


def cgi_table(kind):
    table = Table(f'''
        location / {{ {kind}_pass @{kind}@; {kind}_param A b; {kind}_cache one; {kind}_cache_key "$request_uri"; {kind}_cache_valid 200 404 1h;
            {kind}_cache_bypass $arg_bypass; {kind}_no_cache $arg_no; {kind}_cache_methods POST; {kind}_cache_lock on; }}
        location /off/ {{ {kind}_pass @{kind}@; {kind}_param A b; {kind}_cache off; {kind}_cache_valid 1h; }}
        location /twice/ {{ {kind}_pass @{kind}@; {kind}_param A b; {kind}_cache one; {kind}_cache_key "$request_uri"; {kind}_cache_valid 200 404 1h;
            {kind}_cache_min_uses 2; {kind}_cache_lock_timeout 1s; {kind}_cache_lock_age 2s; {kind}_cache_revalidate on;
            {kind}_cache_use_stale error; {kind}_cache_background_update on; {kind}_cache_max_range_offset 10; }}
    ''', log=LOG, http=f'{kind}_cache_path @dir@/cache levels=1:2 keys_zone=one:1m; add_header X-Cache $upstream_cache_status always;')
    hello = b'Content-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello'
    for name, data, status, answer in (
            ('plain', get('/a'), 200, hello), ('status', get('/b'), 404, b'Status: 404 Not Found\r\nContent-Length: 2\r\n\r\nno'),
            ('fields', get('/c', 'If-None-Match: "x"', 'Range: bytes=0-1', 'X-A: 1'), 200, b'Cache-Control: max-age=60\r\nETag: "e"\r\nContent-Length: 5\r\n\r\nhello'),
            ('never', get('/d'), 200, b'Cache-Control: no-store\r\n\r\nhello'), ('bypass', get('/e?bypass=1'), 200, hello),
            ('no_cache', get('/f?no=1'), 200, hello), ('POST', post('/g', b'body'), 200, hello), ('off', get('/off/h'), 200, hello),
            ('HEAD', request('HEAD', '/i'), 200, hello), ('cookie', get('/j'), 200, b'Set-Cookie: a=b\r\n\r\nhello')):
        table.case(name, data * 2, [status] * 2, answer)
    table.case('min_uses', get('/twice/x') * 3, [200] * 3, hello)
    return table


test_scgi = cgi_table('scgi').tests()
test_uwsgi = cgi_table('uwsgi').tests()


@pytest.mark.weir_only('nginx 1.22 keeps connections to this back end open when it stops')
@pytest.mark.parametrize('name, data, answer, says', [
    ('plain', get('/a'), b'\r\nhello', 'MISS HIT'), ('status', get('/b'), b'Status: 404 N\r\n\r\nno', 'MISS HIT'),
    ('fields', get('/c', 'If-None-Match: "x"', 'Range: bytes=0-1'), b'Cache-Control: max-age=60\r\n\r\nhello', 'MISS HIT'),
    ('never', get('/d'), b'Cache-Control: no-store\r\n\r\nhello', 'MISS MISS'), ('bypass', get('/e?bypass=1'), b'\r\nhello', 'BYPASS BYPASS'),
    ('no_cache', get('/f?no=1'), b'\r\nhello', 'MISS MISS'), ('POST', post('/g', b'body'), b'\r\nhello', 'MISS HIT'),
    ('HEAD', request('HEAD', '/i'), b'\r\nhello', 'MISS HIT'), ('cookie', get('/j'), b'Set-Cookie: a=b\r\n\r\nhello', 'MISS MISS')])
def test_fastcgi(site, name, data, answer, says):
    fcgi = site.backend('fcgi', answer)
    server = site.server('location / { fastcgi_pass @fcgi@; fastcgi_param A b; fastcgi_cache one; fastcgi_cache_key $request_uri; '
                         'fastcgi_cache_valid 200 404 1h; fastcgi_cache_bypass $arg_bypass; fastcgi_no_cache $arg_no; '
                         'fastcgi_cache_methods POST; }',
                         http='fastcgi_cache_path @dir@/cache keys_zone=one:1m; add_header X-Cache $upstream_cache_status always;')
    with Client(server.port) as c:
        seen = [c.ask(data) for _ in range(2)]
    assert ' '.join(r.header('X-Cache') for r in seen) == says and seen[0].body == seen[1].body == (b'' if name == 'HEAD' else answer.partition(b'\r\n\r\n')[2] or b'hello')
    assert len(fcgi.requests) == 2 - (says == 'MISS HIT')
    assert all('HTTP_RANGE' not in q.raw.decode() and 'HTTP_IF_NONE_MATCH' not in q.raw.decode() for q in fcgi.requests)


# --- slices, filters, subrequests ----------------------------------------------------------------------------------------

DATA = b''.join(b'<%04x>' % i for i in range(1000))    # 6000 bytes


def ranged(q):
    m = re.fullmatch(r'bytes=(\d+)-(\d+)', q.header('Range') or '')
    if not m:
        return response(DATA, 'ETag: "e"', 'Accept-Ranges: bytes', 'Content-Type: text/plain')
    first, last = int(m[1]), min(int(m[2]), len(DATA) - 1)
    return response(DATA[first:last + 1], 'ETag: "e"', f'Content-Range: bytes {first}-{last}/{len(DATA)}', 'Accept-Ranges: bytes',
                    'Content-Type: text/plain', status='206 Partial Content')


others = Table('''
    proxy_cache one;
    proxy_cache_valid 200 206 1h;
    location / { proxy_pass http://@backend@; }
    location /slice/ { slice 1000; proxy_cache_key $uri$slice_range; proxy_set_header Range $slice_range; proxy_pass http://@backend@; }
    location /sub/ { sub_filter_types text/plain; sub_filter <0001> ONE; proxy_pass http://@backend@; }
    location /gzip/ { gzip on; gzip_types text/plain; proxy_pass http://@backend@; }
    location /hide/ { proxy_hide_header ETag; proxy_pass http://@backend@; }
    location /named/ { error_page 404 = @other; proxy_intercept_errors on; proxy_pass http://@backend@; }
    location @other { proxy_pass http://@other@; }
    location /accel/ { proxy_pass http://@backend@; }
    location /inside/ { internal; return 200 "inside $uri"; }
    location /redirect/ { proxy_redirect http://up/ /x/; proxy_pass http://@backend@; proxy_cache_valid 302 1h; }
    location /auth/ { auth_request /check; proxy_pass http://@backend@; }
    location = /check { internal; proxy_cache_key check$http_authorization; proxy_pass http://@other@/check; }
    location /store/ { proxy_store @dir@/stored$uri; proxy_pass http://@backend@; }
    location /limited/ { proxy_limit_rate 1m; proxy_pass http://@backend@; }
    location /forced/ { proxy_force_ranges on; proxy_pass http://@backend@; }
    location /nobody/ { proxy_pass_request_headers off; proxy_pass http://@backend@; }
    location /set/ { proxy_set_header If-None-Match "\\"mine\\""; proxy_set_header Range bytes=0-5; proxy_pass http://@backend@; }
    location /none/ { proxy_cache off; proxy_pass http://@backend@; }
''', log=LOG, http='proxy_http_version 1.1; proxy_cache_path @dir@/cache levels=1:2 keys_zone=one:1m; add_header X-Cache $upstream_cache_status always;', answer=ranged)
for path in ('slice', 'sub', 'hide', 'store', 'limited', 'none', 'nobody', 'set'):
    others.case(path, get(f'/{path}/a') * 2, [206, 206] if path == 'set' else [200, 200])
others.case('gzip', get('/gzip/a', 'Accept-Encoding: gzip') + get('/gzip/a') + get('/gzip/a', 'Accept-Encoding: gzip'), [200] * 3)
others.case('slices, then others', get('/slice/b', 'Range: bytes=1500-3500') + get('/slice/b', 'Range: bytes=0-4999') + get('/slice/b'), [206, 206, 200])
others.case('error_page to another', get('/named/a') * 2, [200, 200],
            lambda q: response(b'no', status='404 N') if q.backend.name == 'backend' else response(b'other'))
others.case('X-Accel-Redirect', get('/accel/a') * 2, [200, 200], lambda q: response(b'', 'X-Accel-Redirect: /inside/x', 'Cache-Control: max-age=60'))
others.case('redirect', get('/redirect/a') * 2, [302, 302], lambda q: response(b'', 'Location: http://up/y', status='302 Found'))
others.case('auth_request', get('/auth/a', 'Authorization: x') * 2 + get('/auth/a', 'Authorization: y'), [200, 200, 403],
            lambda q: response(b'', status='200 OK' if q.header('Authorization') == 'x' else '403 F') if q.backend.name == 'other' else response(b'in'))
others.case('forced ranges', get('/forced/a') + get('/forced/a', 'Range: bytes=1-2'), [200, 206], lambda q: response(b'0123'))
test_others = others.tests()


# --- RFC 9111 ------------------------------------------------------------------------------------------------------------

@pytest.fixture
def cache(site):
    made = [0]

    def answer(q):
        made[0] += 1
        return response(b'%d' % made[0], 'Cache-Control: max-age=600', status=q.header('X-Status') or '200 OK')
    site.backend('backend', answer)
    return site.server('location / { proxy_cache one; proxy_pass http://@backend@; }',
                       http='proxy_cache_path @dir@/cache keys_zone=one:1m; add_header X-Cache $upstream_cache_status always;')


def ask(server, *what, **how):
    with Client(server.port) as c:
        return c.ask(request(*what, **how))


@pytest.mark.weir_only('RFC 9111 4.4: nginx goes on with what it has')
@pytest.mark.parametrize('method', ['POST', 'PUT', 'DELETE', 'PATCH'])
def test_unsafe_methods_invalidate(cache, method):
    assert [ask(cache, 'GET', '/a').header('X-Cache') for _ in range(2)] == ['MISS', 'HIT']
    assert ask(cache, method, '/a', 'X-Status: 409 C', body=b'x').status == 409
    assert ask(cache, 'GET', '/a').header('X-Cache') == 'HIT', 'an error changes nothing'
    ask(cache, method, '/b', body=b'x')
    assert ask(cache, 'GET', '/a').header('X-Cache') == 'HIT'
    ask(cache, method, '/a', body=b'x')
    assert ask(cache, 'GET', '/a').header('X-Cache') == 'MISS'


@pytest.mark.weir_only('RFC 9111 5.1: nginx sends no Age')
def test_age(site):
    site.backend('backend', lambda q: response(b'x', 'Cache-Control: max-age=600', 'Age: 100') if q.target == '/http' else response(b'x', 'X-Accel-Expires: 600'))
    server = site.server('location / { proxy_cache one; proxy_pass http://@backend@; }', http='proxy_cache_path @dir@/cache keys_zone=one:1m;')
    assert ask(server, 'GET', '/http').all('Age') == ['100'] and ask(server, 'GET', '/http').all('Age')[0] in ('100', '101')
    assert ask(server, 'GET', '/own').all('Age') == [] and ask(server, 'GET', '/own').all('Age') == []


@pytest.mark.weir_only('RFC 9111 3.2: nginx keeps the old fields')
def test_a_304_brings_new_fields(site):
    answers = [response(b'body', 'Cache-Control: max-age=1', 'ETag: "e"', 'X-A: old', 'X-B: stays', 'Content-Type: text/a'),
               response(b'', 'Cache-Control: max-age=600', 'ETag: "e"', 'X-A: new', 'X-C: more', 'Content-Type: text/b', status='304 N', length=False)]
    site.backend('backend', lambda q: answers.pop(0))
    server = site.server('location / { proxy_cache one; proxy_cache_revalidate on; proxy_pass http://@backend@; }',
                         http='proxy_cache_path @root@/cache keys_zone=one:1m; add_header X-Cache $upstream_cache_status always;')
    ask(server)
    time.sleep(2.1)
    for says in ('REVALIDATED', 'HIT'):
        r = ask(server)
        assert (r.header('X-Cache'), r.body) == (says, b'body')
        assert [r.all(n) for n in ('X-A', 'X-B', 'X-C', 'Content-Type')] == [['new'], ['stays'], ['more'], ['text/a']]
    time.sleep(0.3)
    server.stop()
    server = site.server('location / { proxy_cache one; proxy_pass http://@backend@; }',
                         http='proxy_cache_path @root@/cache keys_zone=one:1m; add_header X-Cache $upstream_cache_status always;')
    r = ask(server)
    assert (r.header('X-Cache'), r.body, r.all('X-A')) == ('HIT', b'body', ['new']), 'the file was written anew'


# --- other protocols, other processes ------------------------------------------------------------------------------------

def test_a_websocket_where_a_cache_is_on(site):
    """It is no answer that could be kept, and those who wait for one do not wait for its end."""
    site.backend('backend', lambda q: [b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n', Echo()]
                 if q.header('Upgrade') else response(b'plain', 'Cache-Control: max-age=60'))
    server = site.server('location / { proxy_cache one; proxy_cache_lock on; proxy_set_header Upgrade $http_upgrade; '
                         'proxy_set_header Connection upgrade; proxy_http_version 1.1; proxy_pass http://@backend@; }',
                         http='proxy_cache_path @dir@/cache keys_zone=one:1m; add_header X-Cache $upstream_cache_status always;')
    with Client(server.port) as c:
        c.send(get('/', 'Upgrade: websocket', 'Connection: Upgrade'))
        c.wait_for(b'101 Switching')
        with Client(server.port) as d:
            assert d.ask(get('/')).text == 'plain'
        c.send(b'echo')
        c.wait_for(b'echo')


@pytest.mark.weir_only('nginx 1.22 has no http2 directive')
def test_http2(site):
    """Five streams of one connection; one asks the back end."""
    site.backend('backend', lambda q: response(b'x' * 100000, 'Cache-Control: max-age=60'))
    server = site.server('http2 on; location / { proxy_cache one; proxy_cache_lock on; proxy_pass http://@backend@; }',
                         http='proxy_cache_path @dir@/cache keys_zone=one:1m; add_header X-Cache $upstream_cache_status always;')
    with H2(server.port) as h:
        streams = [h.request('/') for _ in range(5)]
        while not all(h.answer(s).ended for s in streams):
            assert h.read() is not None
        seen = [h.answer(s) for s in streams]
    assert sorted(a.header('x-cache') for a in seen) == ['HIT'] * 4 + ['MISS'] and all(a.body == b'x' * 100000 for a in seen)


def test_events_are_not_held_back(site):
    """An answer without an end is passed on piece by piece, where a cache is on too."""
    more = threading.Event()
    site.backend('backend', lambda q: [b'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n\r\ndata: 1\n\n',
                                       Wait(more), b'data: 2\n\n', Close()])
    server = site.server('location / { proxy_cache one; proxy_cache_lock on; proxy_cache_valid any 1h; proxy_buffering off; proxy_pass http://@backend@; }',
                         http='proxy_cache_path @dir@/cache keys_zone=one:1m;')
    with Client(server.port) as c:
        c.send(get('/'))
        c.wait_for(b'data: 1')
        more.set()
        c.wait_for(b'data: 2')


@pytest.mark.weir_only('the directory is not to be shared by versions')
def test_a_new_binary_finds_the_cache(site):
    backend = site.backend('backend', lambda q: response(b'body', 'Cache-Control: max-age=600'))
    server = site.server('location / { proxy_cache one; proxy_pass http://@backend@; }',
                         http='proxy_cache_path @root@/cache keys_zone=one:1m; add_header X-Cache $upstream_cache_status always;')
    assert [ask(server).header('X-Cache') for _ in range(2)] == ['MISS', 'HIT']
    old = server.pid
    server.send_signal(signal.SIGUSR2)
    until(lambda: server.pid_file() not in (None, old), 'the new binary')
    new = server.pid_file()
    until(lambda: len(server.processes()) >= 3, 'both to run')
    time.sleep(0.5)
    for _ in range(10):
        assert ask(server).header('X-Cache') == 'HIT'
    assert len(backend.requests) == 1
    os.kill(new, signal.SIGQUIT)
    until(lambda: server.pid_file() == old, 'the old one to be alone')
    assert ask(server).header('X-Cache') == 'HIT'
