"""proxy_set_header and the fields of a request on their way to the back end."""
import pytest

from weirtest import Table, exchange, get, post, request
from weirtest.h2 import H2

inherit = Table('''
    proxy_set_header X-Server server;
    proxy_set_header X-Both server;
    location /inherited/ { proxy_pass http://@backend@; }
    location /own/ { proxy_pass http://@backend@; proxy_set_header X-Own own; }
    location /own/deeper/ { proxy_pass http://@backend@; }
    location /outer/ { proxy_set_header X-Outer outer; location /outer/in/ { proxy_pass http://@backend@; }
        location /outer/own/ { proxy_pass http://@backend@; proxy_set_header X-Both inner; } }
    location /same/ { proxy_pass http://@backend@; proxy_set_header X-Both $http_x_both-more; }
    location /host/ { proxy_pass http://@backend@; proxy_set_header Host set.test; }
''', http='proxy_http_version 1.1; proxy_set_header X-Http http;', connection=False)
for target in ('/inherited/', '/own/', '/own/deeper/', '/outer/in/', '/outer/own/', '/same/', '/host/'):
    inherit.case(target, get(target, 'X-Both: client', 'X-Server: client', 'Other: kept'))
test_inherit = inherit.tests()

values = Table('''
    location /empty/ { proxy_pass http://@backend@; proxy_set_header X-Gone ""; proxy_set_header User-Agent "";
        proxy_set_header Accept-Encoding ""; }
    location /emptyvar/ { proxy_pass http://@backend@; proxy_set_header X-Var $arg_v; proxy_set_header X-Pre "pre$arg_v"; }
    location /replace/ { proxy_pass http://@backend@; proxy_set_header user-agent weirtest; proxy_set_header X-A a$arg_v; }
    location /twice/ { proxy_pass http://@backend@; proxy_set_header X-Two one; proxy_set_header X-Two two; }
    location /forwarded/ { proxy_pass http://@backend@; proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header X-Forwarded-Port $server_port; proxy_set_header X-Forwarded-Host $host;
        proxy_set_header Host $http_host; }
    location /odd/ { proxy_pass http://@backend@; proxy_set_header X_Under score; proxy_set_header "X-Q" 'a "b" c';
        proxy_set_header X-Space "  inner  "; proxy_set_header X-Semi "a;b{c}"; }
    location /length/ { proxy_pass http://@backend@; proxy_set_header Content-Type text/forced; }
    location /transfer/ { proxy_pass http://@backend@; proxy_set_header Transfer-Encoding ""; }
    location /te/ { proxy_pass http://@backend@; proxy_set_header TE $http_te; }
    location /cond/ { proxy_pass http://@backend@; proxy_set_header If-None-Match ""; }
''', http='proxy_http_version 1.1;')
FIELDS = ('User-Agent: client/1', 'X-Gone: here', 'Accept-Encoding: gzip', 'Accept: */*', 'X-A: client')
for target in ('/empty/', '/emptyvar/', '/emptyvar/?v=x', '/replace/?v=1', '/replace/', '/twice/', '/forwarded/', '/odd/',
               '/length/', '/te/', '/cond/'):
    values.case(target, get(target, *FIELDS))
values.case('two X-Forwarded-For', get('/forwarded/', 'X-Forwarded-For: 1.1.1.1', 'X-Forwarded-For: 2.2.2.2'))
values.case('X-Forwarded-For', get('/forwarded/', 'X-Forwarded-For: 1.1.1.1, 3.3.3.3'))
values.case('X-Forwarded-For empty', get('/forwarded/', 'X-Forwarded-For:'))
values.case('POST with a set type', post('/length/', b'abc', 'Content-Type: text/client'))
values.case('chunked stays readable', request('POST', '/transfer/', chunks=[b'abc']))
values.case('conditional', get('/cond/', 'If-None-Match: "x"', 'If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT'))
test_values = values.tests()

fields = Table('location / { proxy_pass http://@backend@; }', http='proxy_http_version 1.1;')
for name, lines in {
        'plain': ['A: 1', 'B: 2'], 'order and repetition': ['B: 1', 'A: 2', 'B: 3'], 'empty value': ['X:', 'Y: '],
        'spaces around': ['X:   a b   '], 'no space': ['X:a'], 'case kept': ['x-LOWER-Upper: V'],
        'colons in the value': ['X: a:b:c'], 'utf-8': ['X: caf\u00c3\u00a9'], 'latin-1': ['X: caf\u00e9'],
        'long': ['X: ' + 'y' * 900], 'many': [f'X-{i}: {i}' for i in range(90)], 'cookies': ['Cookie: a=1; b=2'],
        'two cookies': ['Cookie: a=1', 'Cookie: b=2'], 'expect nothing': ['Range: bytes=0-1'], 'authorization': ['Authorization: Basic YTpi'],
        'date': ['If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT'], 'keep-alive': ['Connection: keep-alive'],
        'keep-alive field': ['Keep-Alive: timeout=5'], 'close': ['Connection: close'], 'TE': ['TE: trailers'],
        'upgrade': ['Upgrade: websocket', 'Connection: Upgrade'],
        'proxy authorization': ['Proxy-Authorization: Basic YTpi'],
        'via': ['Via: 1.1 other'], 'forwarded': ['Forwarded: for=1.2.3.4'], 'httpoxy': ['Proxy: http://evil'],
        'digits and marks': ["A1!#$%&'*+-.^`|~: x"], 'tab in the value': ['X: a\tb'],
        'accept-encoding': ['Accept-Encoding: gzip, br'], 'origin': ['Origin: null', 'Referer: http://x/?a"b']}.items():
    fields.case(name, get('/', *lines))
for name, line in {'underscore': 'X_Y: 1', 'dot': 'X.Y: 1', 'at': 'X@Y: 1', 'slash': 'X/Y: 1', 'non-ascii': 'X\u00e9: 1',
                   'space before the colon': 'X : 1', 'brackets': 'X(Y): 1'}.items():
    fields.case(f'invalid name: {name}', get('/', line, 'Z: 2'), 400 if ' :' in line else 200)
test_fields = fields.tests()

underscores = Table('server { listen 127.0.0.1:@port@; underscores_in_headers on; ignore_invalid_headers off; '
                    'location / { proxy_pass http://@backend@; proxy_http_version 1.1; } }')
for line in ('X_Y: 1', 'X.Y: 1', 'X_: 1', '_: 1'):
    underscores.case(line, get('/', line, 'Z: 2'))
test_underscores = underscores.tests()

# What the server says that is asked for, not what the default server of the address says.
names = Table('server { listen 127.0.0.1:@port@; server_name strict.test; location / { proxy_pass http://@backend@; } } '
              'server { listen 127.0.0.1:@port@; server_name under.test; underscores_in_headers on; location / { proxy_pass http://@backend@; } } '
              'server { listen 127.0.0.1:@port@; server_name any.test; ignore_invalid_headers off; location / { proxy_pass http://@backend@; } }',
              http='proxy_http_version 1.1;')
for host in ('strict.test', 'under.test', 'any.test'):
    for line in ('X_Y: 1', 'X.Y: 1', 'X_: 1', '_: 1', 'X-Y: 1', 'x~y_z: 1'):
        names.case(f'{host} {line}', get('/', line, 'Z: 2', host=host))
    names.case(f'{host} several', get('/', 'a_b: 1', 'c.d: 2', 'e: 3', 'f_g: 4', host=host) * 2, [200, 200])
names.case('a name that is none', get('/', 'X(Y): 1', host='any.test'), 200, weir=400, why='RFC 9110 5.6.2')
test_names = names.tests()


@pytest.mark.parametrize('host, seen', [('strict.test', []), ('under.test', ['x_y']), ('any.test', ['x_y', 'x.y'])])
def test_names_over_http2(site, host, seen):
    be = site.backend()
    server = site.server(''.join(
        f'server {{ listen 127.0.0.1:@port@ http2; server_name {name}; {how} location / {{ proxy_pass http://{be.address}; }} }}'
        for name, how in (('strict.test', ''), ('under.test', 'underscores_in_headers on;'), ('any.test', 'ignore_invalid_headers off;'))))
    with H2(server.port) as c:
        assert c.ask('/', 'GET', ('x_y', '1'), ('x.y', '2'), ('z', '3'), authority=host).status == 200
    assert [n for n, _ in be.requests[0].headers if n in ('x_y', 'x.y')] == seen


@pytest.mark.weir_only('nginx forwards them')
@pytest.mark.parametrize('line', ['Proxy-Connection: keep-alive', 'Trailer: X', 'Keep-Alive: timeout=5', 'Connection: close',
                                  'Upgrade: x', 'TE: trailers'])
def test_fields_of_this_hop_stay_here(site, line):
    """RFC 9110 7.6.1."""
    server = site.server('location / { proxy_pass http://@backend@; }')
    assert exchange(server.port, get('/', line, 'X-Kept: 1'))[0].status == 200
    q = site.backend().requests[0]
    assert q.header('X-Kept') == '1' and not q.all(line.split(':')[0])


@pytest.mark.weir_only('nginx forwards the fields that Connection names')
def test_fields_named_in_connection_stay_here(site):
    """RFC 9110 7.6.1: fields that Connection names are for this hop only."""
    server = site.server('location / { proxy_pass http://@backend@; }')
    answer = exchange(server.port, get('/', 'Connection: X-Hop, keep-alive, x-other', 'X-Hop: 1', 'X-OTHER: 2', 'X-Kept: 3'))
    assert answer[0].status == 200
    q = site.backend().requests[0]
    assert q.header('X-Kept') == '3' and q.header('Host')
    assert not q.all('X-Hop') and not q.all('X-Other') and not q.all('Keep-Alive')


def test_connection_cannot_remove_what_frames_the_request(site):
    """A client must not strip Host, Content-Length or what proxy_set_header says by naming it in Connection."""
    server = site.server('location / { proxy_pass http://@backend@; proxy_set_header X-Real-IP $remote_addr; }')
    answer = exchange(server.port, post('/', b'body', 'Connection: Host, Content-Length, X-Real-IP, Transfer-Encoding'))
    assert answer[0].status in (200, 400)
    for q in site.backend().requests:
        assert q.header('X-Real-IP') == '127.0.0.1' and q.header('Host') and q.body == b'body'
