"""memcached_pass: what memcached servers are asked, and what becomes of their replies, as nginx has it."""
import gzip
import threading

import pytest

from weirtest import Client, Close, Drip, Pause, Reset, Table, UntilClosed, Verdicts, Wait, exchange, get, post, request, response, until, value
from weirtest.apps import Memcached

LOG = ('request=$request|status=$status|body_bytes_sent=$body_bytes_sent|us=$upstream_status|length=$upstream_response_length|'
       'received=$upstream_bytes_received|sent=$upstream_bytes_sent')
KEPT = 'upstream servers { server @memcached@; keepalive 4; }'
PROXIED = 'proxy_http_version 1.1; proxy_set_header Connection ""; '
NOT_FOUND = b'END\r\n'
GZIPPED = gzip.compress(b'hello ' * 100, mtime=0)


def reply(text, *more):
    """KEY in it is the key that was asked for."""
    return lambda q: [text.replace(b'KEY', q.target.encode('latin-1')), *more]


def whole(data, flags=0):
    return lambda q: value(q.target, data, flags)


# --- what is asked, and what is answered -------------------------------------------------------------------------------------------

answers = Table('''
    set $memcached_key $uri$is_args$args;
    default_type text/x;
    location / { memcached_pass @memcached@; }
    location /unix/ { memcached_pass @memcachedunix@; }
    location /group/ { memcached_pass servers; }
    location /slash/ { memcached_pass servers; }
    location /key/ { set $memcached_key $arg_k; memcached_pass servers; }
    location /none/ { set $memcached_key ""; memcached_pass servers; }
    location /types/ { types { a/b html; } memcached_pass servers; }
    location /gzip/ { memcached_pass servers; memcached_gzip_flag 2; }
    location /gunzip/ { memcached_pass servers; memcached_gzip_flag 2; gunzip on; }
    location /compressed/ { memcached_pass servers; gzip on; gzip_types *; gzip_min_length 1; }
    location /sub/ { memcached_pass servers; sub_filter_types *; sub_filter hello bye; }
    location /headers/ { memcached_pass servers; expires 1h; add_header X-A "$upstream_http_content_encoding|$upstream_status"; memcached_gzip_flag 2; }
    location /fallback/ { memcached_pass servers; error_page 404 502 504 = @fallback; memcached_read_timeout 200ms; }
    location @fallback { proxy_pass http://@backend@; }
    location /page/ { memcached_pass servers; error_page 404 /shown; error_page 502 =503 /shown; }
    location = /shown { set $memcached_key page; memcached_pass servers; }
    location /if/ { proxy_pass http://@backend@; if ($arg_m) { memcached_pass servers; } }
    location /unless/ { memcached_pass servers; if ($arg_p) { proxy_pass http://@backend@; } }
    location /only/ { memcached_pass servers; limit_except GET { deny all; } }
    location /dead/ { memcached_pass @dead@; }
''', log=LOG, http=PROXIED + KEPT)

for name, target in {'plain': '/a.html', 'arguments': '/a?b=c%20d', 'escaped': '/a%20b%25%01%7f%ff%09', 'unix': '/unix/', 'group': '/group/', 'no extension': '/x', 'types': '/types/a.html',
                     'key': '/key/?k=x', 'long key': '/' + 'k' * 240, 'redirected': '/slash'}.items():
    answers.case(name, get(target), 301 if name == 'redirected' else 200)
    answers.case(f'{name}, HEAD', request('HEAD', target), 301 if name == 'redirected' else 200)
answers.case('HTTP/1.0', b'GET /a HTTP/1.0\r\n\r\n')
answers.case('HTTP/1.0, kept', b'GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')
for method in ('PUT', 'DELETE', 'OPTIONS', 'PATCH', 'PROPFIND'):
    answers.case(method, request(method, '/a'), 405)
answers.case('POST', post('/a', b'body'), 405)
answers.case('large POST', post('/a', b'x' * 100000), 405)
answers.case('GET with a body', request('GET', '/a', body=b'body'))
answers.case('the key is empty', get('/none/'), 500)
answers.case('the argument is missing', get('/key/'), 500)
for size in (0, 1, 2, 4096, 16383, 16384, 16385, 100000, 1000000):
    answers.case(f'{size} bytes', get('/a'), 200, whole(b'x' * size))
    answers.case(f'{size} bytes, HEAD', request('HEAD', '/a'), 200, [b'VALUE /a 0 %d\r\n' % size] if size else whole(b''))
answers.case('line ends in the value', get('/a'), 200, whole(b'\r\nEND\r\n\r\nEND\r\n'))
answers.case('every byte', get('/a'), 200, whole(bytes(range(256))))
answers.case('byte by byte', get('/a'), 200, lambda q: [Drip(value(q.target, 'hello'))], log=False)
answers.case('in pieces', get('/a'), 200, lambda q: [Drip(value(q.target, b'xyz' * 100000), 50001)])
answers.case('the end comes later', get('/a'), 200, lambda q: [value(q.target, 'hello')[:-7], Pause(0.1), b'\r\nEND\r\n'], log=False)
answers.case('half of the end comes later', get('/a'), 200, lambda q: [value(q.target, 'hello')[:-4], Pause(0.1), b'ND\r\n'], log=False)
answers.case('the end comes apart from nothing', get('/a'), 200, lambda q: [b'VALUE /a 0 0\r\n', Pause(0.1), b'\r\nEND\r\n'])
answers.case('not found', get('/a'), 404, NOT_FOUND)
answers.case('not found, HEAD', request('HEAD', '/a'), 404, NOT_FOUND)
answers.case('not found, byte by byte', get('/a'), 404, [Drip(NOT_FOUND)])
answers.case('flags that nobody asks for', get('/a'), 200, reply(b'VALUE KEY x 5\r\nhello\r\nEND\r\n'))
answers.case('zeros before the length', get('/a'), 200, reply(b'VALUE KEY 0 005\r\nhello\r\nEND\r\n'))

for flags, status in {'0': 200, '1': 200, '2': 200, '3': 200, '6': 200, '002': 200, '4294967295': 200, 'x': 502, '-1': 502, '': 502, '0x2': 502, '99999999999999999999': 502}.items():
    answers.case(f'flags {flags}', get('/gzip/'), status, reply(b'VALUE KEY %s %d\r\n%s\r\nEND\r\n' % (flags.encode(), len(GZIPPED), GZIPPED)))
answers.case('gunzip', get('/gunzip/'), 200, whole(GZIPPED, 2))
answers.case('gunzip, the client takes it', get('/gunzip/', 'Accept-Encoding: gzip'), 200, whole(GZIPPED, 2))
answers.case('gunzip, not the flag', get('/gunzip/'), 200, whole(GZIPPED, 1))
answers.case('gzip', get('/compressed/', 'Accept-Encoding: gzip'), 200, whole('hello ' * 100), log=False)
answers.case('sub_filter', get('/sub/'), 200, whole('hello'))
answers.case('fields', get('/headers/'), 200, whole(GZIPPED, 2))

for ranges, status in {'0-1': 206, '-2': 206, '2-': 206, '4-4': 206, '5-': 416, '0-0,2-3': 200, '1-0': 416, 'x': 416}.items():
    answers.case(f'range {ranges}', get('/a', f'Range: bytes={ranges}'), status, whole('hello'), log=status != 416)
answers.case('range, HEAD', request('HEAD', '/a', 'Range: bytes=0-1'), 206, whole('hello'), weir=200, why='RFC 9110 14.2: a Range is for GET')
answers.case('range of a large value', get('/a', 'Range: bytes=150000-150009'), 206, whole(b'0123456789' * 20000), log=False)
for condition in ('If-None-Match: *', 'If-Match: "x"', 'If-Modified-Since: Mon, 01 Jan 2001 00:00:00 GMT', 'If-Unmodified-Since: Mon, 01 Jan 2001 00:00:00 GMT'):
    answers.case(condition, get('/a', condition), 200, whole('hello'))

for name, (to, status) in {'has it': (whole('hello'), 200), 'has it not': (NOT_FOUND, 201), 'sends nonsense': (b'?\r\n', 201), 'closes': ([Close()], 201), 'is silent': ([b'', UntilClosed()], 201)}.items():
    answers.case(f'fallback: {name}', get('/fallback/a?b'), status, lambda q, to=to: (response(b'own', status='201 Created') if q.backend.name == 'backend' else to(q) if callable(to) else to))
answers.case('page of its own', get('/page/x'), 404, lambda q: value('page', 'shown') if q.target == 'page' else NOT_FOUND)
answers.case('page of its own, 502', get('/page/x'), 503, lambda q: value('page', 'shown') if q.target == 'page' else b'ERROR\r\n')
answers.case('page of its own is missing', get('/page/x'), 404, NOT_FOUND)
proxied = lambda q: response(b'own') if q.backend.name == 'backend' else value(q.target, 'kept')
for target in ('/if/', '/if/?m=1', '/unless/', '/unless/?p=1'):
    answers.case(f'if: {target}', get(target), 200, proxied)
answers.case('limit_except', request('HEAD', '/only/'), 200)
answers.case('limit_except, another', post('/only/', b''), 403)
answers.case('nobody listens', get('/dead/'), 502)
test_answers = answers.tests()


# --- replies that are none ---------------------------------------------------------------------------------------------------------

REFUSED = {
    'response: "': [b'ERROR\r\n', b'SERVER_ERROR out of memory\r\n', b'CLIENT_ERROR bad\r\n', b'\r\n', b'\n', b'END\n', b'END \r\n', b'ENDx\r\n', b'value KEY 0 5\r\nhello\r\nEND\r\n', b'VALUE\r\n', b'VALUE KEY\r\n', b'VALUE KEY 0\r\n', b'VALUE KEYx 0 5\r\nhello\r\nEND\r\n', b'VALUE KEY 0 5\nhello\r\nEND\r\n', b'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n'],
    'key in response "VALUE .*" for key "/a"': [b'VALUE \r\n', b'VALUE other 0 5\r\nhello\r\nEND\r\n', b'VALUE / 0 5\r\nhello\r\nEND\r\n'],
    'length in response "VALUE /a .*" for key "/a"': [b'VALUE KEY 0 \r\n', b'VALUE KEY 0 x\r\n', b'VALUE KEY 0 -1\r\n', b'VALUE KEY 0 5 77\r\nhello\r\nEND\r\n', b'VALUE KEY 0 5 \r\nhello\r\nEND\r\n', b'VALUE KEY  0 5\r\nhello\r\nEND\r\n',
                                                    b'VALUE KEY 0 9223372036854775808\r\n', b'VALUE KEY 0 99999999999999999999\r\n'],
}
refused = Table('set $memcached_key $uri; location / { memcached_pass @memcached@; } location /quick/ { memcached_pass @memcached@; memcached_read_timeout 200ms; }', log=LOG)
for texts in REFUSED.values():
    for text in texts:
        refused.case(repr(text), get('/a'), 502, reply(text))
for name, steps in {'closes': [Close()], 'resets': [Reset()], 'ends in the line': [b'VALUE /a 0', Close()], 'ends in END': [b'END\r', Close()]}.items():
    refused.case(name, get('/a'), 502, steps)
refused.case('is silent', get('/quick/'), 504, [b'', UntilClosed()])
refused.case('is silent in the line', get('/quick/'), 504, [b'VALUE', UntilClosed()])
refused.case('a line without an end', get('/a'), 502, b'VALUE ' + b'x' * 100000, log=False)
refused.case('another end', get('/a'), 200, reply(b'VALUE KEY 0 5\r\nhelloXXEND\r\n'))
refused.case('a longer end', get('/a'), 200, reply(b'VALUE KEY 0 5\r\nhello\r\nENDx\r\n'))
refused.case('a longer value', get('/a'), 200, reply(b'VALUE KEY 0 5\r\nhello world\r\nEND\r\n'))
refused.case('two values', get('/a'), 200, reply(b'VALUE KEY 0 5\r\nhello\r\n' * 2 + NOT_FOUND), log=False)
refused.case('more', get('/a'), 200, reply(b'VALUE KEY 0 5\r\nhello\r\nEND\r\nmore'), log=False)
refused.case('ends before the end', get('/a'), 200, reply(b'VALUE KEY 0 5\r\nhello\r\nEN', Close()))
refused.case('ends with the value', get('/a'), 200, reply(b'VALUE KEY 0 5\r\nhello', Close()))
refused.case('not found, and more', get('/a'), 404, reply(b'END\r\nmore'))
test_refused = refused.tests()


@pytest.mark.parametrize('words, text', [(words, text) for words, texts in REFUSED.items() for text in texts])
def test_refused_is_logged(site, words, text):
    site.backend('memcached', reply(text))
    server = site.server('set $memcached_key $uri; location / { memcached_pass @memcached@; }')
    assert exchange(server.port, get('/a'))[0].status == 502
    server.wait_error('error', f'memcached sent invalid {words}.* while reading response header from upstream, client: .*, upstream: "memcached://127')


@pytest.mark.parametrize('steps, level, words', [
    (reply(b'VALUE KEY x 5\r\nhello\r\nEND\r\n'), 'error', 'memcached sent invalid flags in response "VALUE /a x 5" for key "/a" while reading response header from upstream'),
    (reply(NOT_FOUND), 'info', 'key: "/a" was not found by memcached while reading response header from upstream'),
    (reply(b'VALUE KEY 0 5\r\nhello\r\nENDx\r\n'), 'error', 'memcached sent invalid trailer'),
    (reply(b'VALUE KEY 0 0\r\nENDx\r\n'), 'error', 'memcached sent invalid trailer'),
    (reply(b'VALUE KEY 0 5\r\nhello\r\nEN', Close()), 'error', 'upstream prematurely closed connection'),
    (reply(b'x' * 5000), 'error', 'upstream sent too big header'),
    ([Close()], 'error', 'upstream prematurely closed connection while reading response header from upstream')])
def test_the_log(site, steps, level, words):
    site.backend('memcached', steps)
    server = site.server('set $memcached_key $uri; location / { memcached_pass @memcached@; memcached_gzip_flag 1; }')
    exchange(server.port, get('/a'))
    server.wait_error(level, words)


def test_no_key_is_logged(site):
    server = site.server('location / { memcached_pass @memcached@; } location /other/ { set $memcached_key 1; }')
    assert exchange(server.port, get('/'))[0].status == 500
    server.wait_error('error', r'the "\$memcached_key" variable is not set, client: ')


@pytest.mark.parametrize('steps', [[Close()], [UntilClosed()]])
def test_a_value_that_is_cut(site, steps):
    """The client sees that it is."""
    site.backend('memcached', reply(b'VALUE KEY 0 100000\r\n' + b'x' * 50000, *steps))
    server = site.server('set $memcached_key $uri; location / { memcached_pass @memcached@; memcached_read_timeout 300ms; }')
    with Client(server.port) as client:
        client.send(get('/a'))
        client.read_to_end()
        head, _, body = bytes(client.received).partition(b'\r\n\r\n')
    assert b'Content-Length: 100000' in head and body == b'x' * 50000
    server.wait_error('error', 'upstream (prematurely closed connection|timed out)')


def test_the_line_has_its_bounds(site):
    """memcached_buffer_size."""
    site.backend('memcached', whole('hello'))
    server = site.server('set $memcached_key $uri; memcached_buffer_size 64; location / { memcached_pass @memcached@; } location /large/ { memcached_pass @memcached@; memcached_buffer_size 1k; }')
    long = 'k' * 100
    assert [exchange(server.port, get(t))[0].status for t in ('/a', f'/{long}', f'/large/{long}')] == [200, 502, 200]


# --- groups of servers -------------------------------------------------------------------------------------------------------------

groups = Table('''
    set $memcached_key $uri;
    location /not_found/ { memcached_pass two; memcached_next_upstream not_found; }
    location /invalid/ { memcached_pass two; memcached_next_upstream invalid_response; }
    location /usual/ { memcached_pass two; }
    location /off/ { memcached_pass two; memcached_next_upstream off; }
    location /all/ { memcached_pass two; memcached_next_upstream error timeout invalid_response not_found; memcached_read_timeout 200ms; }
    location /once/ { memcached_pass two; memcached_next_upstream not_found; memcached_next_upstream_tries 1; }
    location /down/ { memcached_pass down; }
    location /bound/ { memcached_pass down; memcached_bind 127.0.0.1; memcached_socket_keepalive on; memcached_send_timeout 5s; memcached_connect_timeout 5s; }
''', log=LOG, http='''
    upstream two { server @memcached@ max_fails=0; server @memcachedtwo@ max_fails=0 backup; }
    upstream down { server @dead@ max_fails=0; server @memcached@ backup; }''')
SECOND = {'not found': NOT_FOUND, 'nonsense': b'?\r\n', 'flags': b'VALUE x\r\n', 'closes': [Close()], 'silent': [b'', UntilClosed()]}
for place, statuses in {'not_found': (200, 502, 502, 502, None), 'invalid': (404, 200, 200, 502, None), 'usual': (404, 502, 502, 200, None), 'off': (404, 502, 502, 502, None),
                        'all': (200, 200, 200, 200, 200), 'once': (404, 502, 502, 502, None)}.items():
    for (name, first), status in zip(SECOND.items(), statuses):
        if status is not None:
            groups.case(f'{place}: {name}', get(f'/{place}/'), status, lambda q, first=first: value(q.target, 'hello') if q.backend.name.endswith('two') else first)
groups.case('none has it', get('/all/'), 404, NOT_FOUND)
groups.case('none answers well', get('/all/'), 502, b'?\r\n')
groups.case('one is down', get('/down/'))
groups.case('one is down, bound', get('/bound/'))
test_groups = groups.tests()


@pytest.mark.weir_only('since nginx 1.29.3')
def test_allow_upstream(site):
    server = site.server('set $memcached_key $uri; location / { memcached_pass two; memcached_allow_upstream $arg_a; memcached_bind_dynamic on; } '
                         'location /next/ { memcached_pass two; memcached_allow_upstream $allowed; memcached_next_upstream denied; }',
                         http='upstream two { server @memcached@; server @memcachedtwo@ backup; } map $upstream_last_addr $allowed { volatile; @memcachedtwo@ 1; }')
    assert [exchange(server.port, get(t))[0].status for t in ('/?a=1', '/?a=0', '/')] == [200, 502, 502]
    assert exchange(server.port, get('/next/'))[0].body == b'memcachedtwo: /next/\n'


@pytest.mark.weir_only('memcached_pass of nginx takes no variables')
def test_address_from_variables(site):
    server = site.server('set $memcached_key k; location / { memcached_pass $arg_to; }', http='upstream servers { server @memcached@; }')
    there = site.backend('memcached').address
    assert [exchange(server.port, get(f'/?to={t}'))[0].status for t in ('servers', there, 'nosuch', '')] == [200, 200, 500, 500]


@pytest.mark.weir_only('health_check is of the commercial nginx')
def test_health_check(site):
    """Its URI is the key. A server that answers is well."""
    site.backend('memcached', b'SERVER_ERROR out of memory\r\n')
    site.backend('memcachedtwo', NOT_FOUND)
    server = site.server('location / { set $memcached_key $uri; memcached_pass two; health_check interval=100ms uri=/alive match=answers; }',
                         http='upstream two { zone two 64k; server @memcached@; server @memcachedtwo@; } match answers { status 200 404; }')
    server.wait_error('warn', 'peer is unhealthy while ')
    assert {q.target for q in site.backend('memcachedtwo').wait_requests(2)} == {'/alive'}
    assert [exchange(server.port, get('/a'))[0].status for _ in range(4)] == [404] * 4


# --- connections -------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('data, to', [(get('/a'), whole('x')), (get('/a'), whole('')), (get('/a'), NOT_FOUND), (request('HEAD', '/a'), NOT_FOUND), (get('/a'), whole(b'x' * 300000)),
                                      (get('/a', 'Range: bytes=0-1'), whole('hello'))])
def test_kept_connections(site, data, to):
    servers = site.backend('memcached', to)
    server = site.server('set $memcached_key $uri; location / { memcached_pass servers; }', http=KEPT, workers=1)
    for _ in range(3):
        exchange(server.port, data)
        servers.settle()
    assert len(servers.requests) == 3 and servers.connections == 1


@pytest.mark.weir_only('nginx closes it')
def test_kept_behind_HEAD(site):
    """All of a small value has come with its line."""
    servers = site.backend('memcached', whole('hello'))
    server = site.server('set $memcached_key $uri; location / { memcached_pass servers; }', http=KEPT, workers=1)
    for _ in range(3):
        assert exchange(server.port, request('HEAD', '/a'))[0].header('Content-Length') == '5'
    assert servers.connections == 1


@pytest.mark.weir_only('nginx waits for nothing else, and has it in the end as well')
def test_kept_when_the_end_comes_late(site):
    """The connection is free as soon as the client has all."""
    servers = site.backend('memcached', lambda q: [value(q.target, 'hello')[:-7], Pause(0.05), b'\r\nEND\r\n'])
    server = site.server('set $memcached_key $uri; location / { memcached_pass servers; }', http=KEPT, workers=1)
    for _ in range(3):
        assert exchange(server.port, get('/a'))[0].body == b'hello'
    assert servers.connections == 1


@pytest.mark.parametrize('to', [b'ERROR\r\n', reply(b'VALUE KEY 0 5\r\nhello\r\nENDx\r\n'), reply(b'VALUE KEY 0 5\r\nhello\r\nEND\r\nmore'), reply(b'VALUE KEY 0 5\r\nhello world\r\nEND\r\n')])
def test_connections_that_are_not_kept(site, to):
    """The next request must not get the rest."""
    servers = site.backend('memcached', to)
    server = site.server('set $memcached_key $uri; location / { memcached_pass servers; }', http=KEPT, workers=1)
    for _ in range(2):
        exchange(server.port, get('/a'))
        servers.settle()
    servers.answer = whole('good')
    assert exchange(server.port, get('/a'))[0].body == b'good'
    assert servers.connections == 3


@pytest.mark.weir_only('nginx keeps it, and gives the rest to the next client')
def test_not_found_and_more(site):
    servers = site.backend('memcached', b'END\r\nVALUE /a 0 3\r\nbad\r\nEND\r\n')
    server = site.server('set $memcached_key $uri; location / { memcached_pass servers; }', http=KEPT, workers=1)
    assert exchange(server.port, get('/a'))[0].status == 404
    servers.answer = whole('good')
    assert exchange(server.port, get('/a'))[0].body == b'good' and servers.connections == 2


def test_idle_connection_that_was_closed(site):
    servers = site.backend('memcached', whole('hello'))
    server = site.server('set $memcached_key $uri; location / { memcached_pass servers; }', http=KEPT, workers=1)
    for _ in range(3):
        assert exchange(server.port, get('/a'))[0].body == b'hello'
        servers.close_idle()


def test_client_that_goes_away(site):
    """The server is not waited for."""
    go = threading.Event()
    servers = site.backend('memcached', lambda q: [Wait(go), value(q.target, 'hello')])
    server = site.server('set $memcached_key $uri; location / { memcached_pass @memcached@; }')
    with Client(server.port) as client:
        client.send(get('/a'))
        servers.wait_requests(1)
    server.wait_error('info', 'client prematurely closed connection, so upstream connection is closed too')
    go.set()
    servers.settle()


def test_slow_client(site):
    servers = site.backend('memcached', whole(b'0123456789' * 800000))
    server = site.server('set $memcached_key $uri; location / { memcached_pass @memcached@; }')
    with Client(server.port) as client:
        client.send(get('/a'))
        servers.wait_requests(1)
        until(lambda: server.alive() and len(servers.busy()) == 1, 'the server to wait')
        assert client.responses(1)[0].body == b'0123456789' * 800000


# --- requests of this server's own --------------------------------------------------------------------------------------------------

own = Table('''
    set $memcached_key $uri;
    location /kept/ { memcached_pass servers; error_page 404 502 = @instead; }
    location @instead { return 200 "[instead of $uri]"; }
    location /bare/ { memcached_pass servers; }
    location = /ssi.html { ssi on; ssi_types *; proxy_pass http://@backend@; }
    location = /stub.html { ssi on; ssi_types *; proxy_pass http://@backend@; }
    location /auth/ { auth_request /bare/auth; proxy_pass http://@backend@; }
    location /add/ { add_before_body /kept/before; addition_types *; proxy_pass http://@backend@; }
    location /searched/ { ssi on; ssi_types *; memcached_pass servers; }
''', log='request=$request|status=$status|us=$upstream_status', http=PROXIED + KEPT)


def of_own(kept):
    pages = {'/ssi.html': b'a<!--# include virtual="/kept/x" wait="yes" -->b<!--# include virtual="/kept/y" wait="yes" -->c',
             '/stub.html': b'<!--# block name="s" -->stub<!--# endblock -->a<!--# include virtual="/bare/x" stub="s" -->b'}
    return lambda q: response(pages.get(q.target, b'own'), 'Content-Type: text/html') if q.backend.name == 'backend' else kept(q)


for name, kept in {'there': lambda q: value(q.target, f'<{q.target}>'), 'empty': whole(''), 'large': whole(b'x' * 100000), 'not there': lambda q: NOT_FOUND, 'nonsense': lambda q: b'?\r\n'}.items():
    for target in ('/ssi.html', '/stub.html', '/add/'):
        own.case(f'{target}: {name}', get(target), 200, of_own(kept), log=False)
    own.case(f'/auth/: {name}', get('/auth/'), 500 if name in ('not there', 'nonsense') else 200, of_own(kept))
own.case('includes in a value', get('/searched/a'), 200, lambda q: value(q.target, 'a<!--# include virtual="/kept/x" -->b' if q.target.startswith('/searched') else 'x'), log=False)
own.case('auth_request for POST', post('/auth/', b'body'), 200, of_own(whole('x')))
test_own = own.tests()


@pytest.mark.parametrize('to', [whole('x'), whole(b'x' * 100000), NOT_FOUND, b'?\r\n', [Close()]])
@pytest.mark.parametrize('data', [get('/a'), post('/a', b'body')])
def test_mirror(site, to, data):
    """Nobody waits for what it gets. It has the client's method, and a POST asks nobody."""
    servers = site.backend('memcached', to)
    server = site.server('location = /kept { set $memcached_key "k$request_uri"; memcached_pass @memcached@; } '
                         'location /a { mirror /kept; proxy_pass http://@backend@; }')
    assert exchange(server.port, data)[0].status == 200
    if data.startswith(b'GET'):
        assert [q.target for q in servers.wait_requests(1)] == ['k/a']
    servers.settle()
    assert len(servers.requests) == data.startswith(b'GET')


# --- the real one -------------------------------------------------------------------------------------------------------------------

@pytest.fixture
def memcached(site):
    app = Memcached(site.directory, options=('-I', '4m'))
    yield app
    app.stop()


REAL = 'upstream servers { server 127.0.0.1:%d; keepalive 8; }'


def test_memcached(site, memcached):
    values = {'/empty': b'', '/one': b'x', '/lines': b'\r\nEND\r\n', '/bytes': bytes(range(256)) * 10, '/page': b'p' * 4096, '/large.html': b'0123456789' * 100000, '/huge': bytes(range(256)) * 12000}
    for key, data in values.items():
        memcached.put(key, data)
    memcached.put('/a%20b%25', b'escaped')
    memcached.put('/zipped', GZIPPED, 2)
    server = site.server('set $memcached_key $uri; location / { memcached_pass servers; memcached_gzip_flag 2; }', http=REAL % memcached.port)
    with Client(server.port) as client:
        for key, data in values.items():
            for method in ('GET', 'HEAD'):
                client.send(request(method, key))
                r = client.responses(1)[0]
                assert (r.status, r.header('Content-Length'), r.body) == (200, str(len(data)), data if method == 'GET' else b''), key
        client.send(get('/huge', 'Range: bytes=3000000-3000003'))
        r = client.responses(1)[0]
        assert (r.status, r.body) == (206, (values['/huge'])[3000000:3000004])
    assert exchange(server.port, get('/a%20b%25'))[0].body == b'escaped'
    zipped = exchange(server.port, get('/zipped'))[0]
    assert zipped.header('Content-Encoding') == 'gzip' and gzip.decompress(zipped.body) == b'hello ' * 100
    assert [exchange(server.port, get(t))[0].status for t in ('/nosuch', '/' + 'k' * 300)] == [404, 502]
    server.wait_error('error', 'memcached sent invalid response: "CLIENT_ERROR')


def test_memcached_of_many(site, memcached):
    """Every client gets its own value, and connections are used again."""
    for i in range(20):
        memcached.put(f'/{i}', b'%d ' % i * (1 + 397 * i))
    before = int(memcached.stats()['total_connections'])
    server = site.server('set $memcached_key $uri; location / { memcached_pass servers; }', http=REAL % memcached.port)
    wrong = []

    def ask(first):
        with Client(server.port) as client:
            for n in range(100):
                i = (first * 7 + n * 3) % 25
                client.send(get(f'/{i}'))
                r = client.responses(1)[0]
                if (r.status, r.body) != ((200, b'%d ' % i * (1 + 397 * i)) if i < 20 else (404, r.body)):
                    wrong.append((i, r))

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
    made = int(memcached.stats()['total_connections']) - before - 1
    assert made <= 32, f'{made} connections for 800 requests'


def test_memcached_as_a_store_before_an_application(site, memcached):
    """The usual configuration: what is not there is asked of the application, which puts it there."""
    there = True

    def application(q):
        if there:
            memcached.put(q.target if '?' in q.target else q.target + '?', b'made of ' + q.target.encode())
        return response(b'made of ' + q.target.encode())
    site.backend('backend', application)
    server = site.server('location / { set $memcached_key "$uri?$args"; memcached_pass 127.0.0.1:%d; error_page 404 502 504 = @fallback; } location @fallback { proxy_pass http://@backend@; }' % memcached.port)
    got = [exchange(server.port, get(t))[0].body for t in ('/a?b', '/a?b', '/c', '/d', '/a?b')]
    assert got == [b'made of /a?b', b'made of /a?b', b'made of /c', b'made of /d', b'made of /a?b']
    assert [q.target for q in site.backend('backend').requests] == ['/a?b', '/c', '/d']
    memcached.stop()
    there = False
    assert exchange(server.port, get('/a?b'))[0].body == b'made of /a?b'


# --- configuration ------------------------------------------------------------------------------------------------------------------

verdicts = Verdicts('events {} http { server { access_log off; listen unix:@dir@/s; @here@ } }')
KEY = 'set $memcached_key a; location / { '
verdicts.each(KEY + text + ' }' for text in '''memcached_pass 127.0.0.1:1;|memcached_pass unix:/x;|memcached_pass unix:/x:;|memcached_pass [::1]:1;|memcached_pass nosuch;|memcached_pass 127.0.0.1;|memcached_pass;
    memcached_pass 127.0.0.1:1 b;|memcached_pass 127.0.0.1:1; memcached_pass 127.0.0.1:1;|if ($arg_a) { memcached_pass 127.0.0.1:1; }|limit_except GET { memcached_pass 127.0.0.1:1; }
    memcached_gzip_flag 0;|memcached_gzip_flag 4294967296;|memcached_gzip_flag -1;|memcached_gzip_flag x;|memcached_gzip_flag 1; memcached_gzip_flag 2;
    memcached_next_upstream error timeout invalid_response not_found off;|memcached_next_upstream http_500;|memcached_next_upstream non_idempotent;|memcached_next_upstream invalid_header;|memcached_next_upstream updating;|memcached_next_upstream;
    memcached_buffer_size 0;|memcached_buffer_size 4k;|memcached_buffer_size x;|memcached_bind off;|memcached_bind 127.0.0.1;|memcached_bind $remote_addr transparent;|memcached_bind x;|memcached_bind 127.0.0.1 y;
    memcached_socket_keepalive on;|memcached_socket_keepalive 1;|memcached_connect_timeout 1s;|memcached_connect_timeout x;|memcached_send_timeout x;|memcached_read_timeout x;
    memcached_next_upstream_tries 1;|memcached_next_upstream_tries x;|memcached_next_upstream_timeout 1;|memcached_next_upstream_timeout x;'''.replace('\n', '|').split('|'))
verdicts.each(['set $memcached_key a; memcached_pass 127.0.0.1:1;', 'set $memcached_key a; if ($arg_a) { memcached_pass 127.0.0.1:1; }', 'location / { memcached_pass 127.0.0.1:1; }',
               'location / { memcached_pass 127.0.0.1:1; } location /a { set $memcached_key 1; }', 'location / { return 200 $memcached_key; }'])
# What other gateways have and memcached has not is unknown to both.
verdicts.each([f'memcached_{name};' for name in ('x', 'force_ranges on', 'buffers 8 4k', 'buffering on', 'intercept_errors on', 'ignore_client_abort on', 'hide_header a', 'limit_rate 1', 'store on', 'cache off', 'ssl_verify on', 'request_dynamic on', 'key a')], accepted=False)
test_verdicts = verdicts.tests()
