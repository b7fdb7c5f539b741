"""Which server answers: names exact, by wildcard and by regex, the default server, and what $host and $server_name say."""
from weirtest import ANY, Table, exchange, get, request
from weirtest.h2 import H2

LOG = 'host=$host|http_host=$http_host|server=$server_name|status=$status|request=$request'
SAY = 'return 200 "%s host=$host http_host=$http_host server=$server_name";'

names = Table('\n'.join(f'server {{ listen 127.0.0.1:@port@; {directives} {SAY % label} }}' for label, directives in (
    ('first', 'server_name first.test;'),
    ('exact', 'server_name exact.test alias.test;'),
    ('www', 'server_name www.example.test;'),
    ('star', 'server_name *.example.test;'),
    ('longer star', 'server_name *.deep.example.test;'),
    ('tail', 'server_name mail.*;'),
    ('longer tail', 'server_name mail.example.*;'),
    ('dot', 'server_name .dot.test;'),
    ('regex', 'server_name ~^re(?<number>\\d+)\\.test$;'),
    ('second regex', 'server_name ~^re1.*\\.test$;'),
    ('regex nocase', 'server_name "~^(www\\.)?(?<name>.+)\\.shop$";'),
    ('upper', 'server_name UPPER.test;'),
    ('empty', 'server_name "";'),
    ('ip', 'server_name 127.0.0.1;'),
    ('many', 'server_name a.many b.many *.many;'))), log=LOG)
for host in ('first.test', 'exact.test', 'EXACT.test', 'alias.test', 'www.example.test', 'x.example.test', 'x.y.example.test',
             'example.test', 'deep.example.test', 'x.deep.example.test', 'mail.org', 'mail.co.uk', 'mail.example.org', 'mail',
             'dot.test', 'a.dot.test', 'a.b.dot.test', 'xdot.test', 're1.test', 're12.test', 're1x.test', 'rex.test',
             'www.cat.shop', 'cat.shop', 'CAT.SHOP', 'upper.test', 'UPPER.TEST', 'unknown.test', '127.0.0.1', '127.0.0.2',
             'a.many', 'b.many', 'c.many', 'many', 'exact.test.', 'EXACT.test.', 'exact.test:80',
             'exact.test.:80', 'localhost:@port@', '[::1]', '[::1]:80', 'exact.test:', 'a_b.test', 'x-.test', '-x.test',
             'xn--bcher-kva.test', 'www.example.test.', '1.2.3.4.5', '*.example.test', 'a,b', "a'b"):
    names.case(f'host {host}', get(host=host))
for bad in ('..', 'a..b', '.', 'a b', 'a/b', '', ':80', 'exact.test/', '\x7fa', 'a\tb', '::1', '.:80'):
    names.case(f'refused host {bad!r}', get(host=bad), 400, log=False)
for odd in ('a%00b', 'a;b', 'caf\u00e9.test'):
    names.case(f'odd host {odd!r}', get(host=odd))
for odd in ('a\\b', '[::1', 'a:b:c', 'a@b', 'a#b', 'a?b', 'a"b', 'a<b', 'a:80:80', 'exact.test:http'):
    names.case(f'host that is none {odd!r}', get(host=odd), weir=400, why='RFC 3986 3.2.2; nginx is laxer in 1.22')
names.case('no host in HTTP/1.1', request(host=None), 400, log=False)
names.case('no host in HTTP/1.0', request(host=None, version='1.0'))
names.case('host in HTTP/1.0', request(host='exact.test', version='1.0'))
names.case('two hosts', get('/', 'Host: exact.test', host='first.test'), 400, log=False)
names.case('two equal hosts', get('/', 'Host: exact.test', host='exact.test'), 400, log=False)
names.case('absolute form wins', get('http://exact.test/', host='first.test'))
names.case('absolute form with a port wins', get('http://exact.test:8080/', host='first.test'))
names.case('absolute form without a host', request('GET', 'http://exact.test/', host=None), 400, log=False)
names.case('absolute form in HTTP/1.0', request('GET', 'http://exact.test/', host=None, version='1.0'))
names.case('absolute form in capitals', get('http://EXACT.test/', host='first.test'))
names.case('absolute form with an empty host', get('http:///x', host='exact.test'), 400, log=False)
names.case('host with spaces around', b'GET / HTTP/1.1\r\nHost:   exact.test  \r\n\r\n')
names.case('host with tabs around', b'GET / HTTP/1.1\r\nHost:\texact.test\t\r\n\r\n', weir=200,
           why='a tab is white space as good as a space')
names.case('host without a space', b'GET / HTTP/1.1\r\nHost:exact.test\r\n\r\n')
names.case('host in small letters', b'GET / HTTP/1.1\r\nhost: exact.test\r\n\r\n')
names.case('second request changes the host', get(host='exact.test') + get(host='first.test'), [200, 200])
test_names = names.tests()

default = Table(
    'server { listen 127.0.0.1:@port@; server_name one.test; %s }' % (SAY % 'one') +
    'server { listen 127.0.0.1:@port@ default_server; server_name two.test; %s }' % (SAY % 'two') +
    'server { listen 127.0.0.1:@port2@; server_name one.test; %s }' % (SAY % 'other port'), log=LOG)
for host in ('one.test', 'two.test', 'three.test'):
    default.case(f'host {host}', get(host=host))
default.case('HTTP/1.0 without a host', request(host=None, version='1.0'))
default.case('bad request line is answered by the default server', b'\r\n\r\nBAD\r\n\r\n', 400)
test_default = default.tests()

captures = Table(
    'server { listen 127.0.0.1:@port@; server_name "~^(?<user>[a-z]+)\\.(?<zone>[a-z]{2,3})$"; '
    'return 200 "user=$user zone=$zone one=$1 two=$2 name=$server_name"; }'
    'server { listen 127.0.0.1:@port@; server_name ~^(.+)-(.+)$; '
    'location ~ ^/([a-z]+) { return 200 "location $1"; } location / { return 200 "server $1 $2"; } }', log=LOG)
captures.case('named', get(host='ann.org'))
captures.case('capitals', get(host='ANN.ORG'))
captures.case('numbered', get('/1', host='a-b'))
captures.case("a location's regex replaces the numbers", get('/abc', host='a-b'))
captures.case('no match is the default server', get(host='nothing'))
test_captures = captures.tests()


def test_ports_are_apart(site):
    """The same name on two ports: each port has its own servers and its own default."""
    server = site.server('server { listen 127.0.0.1:@port@; server_name x; return 200 one; }'
                         'server { listen 127.0.0.1:@port2@; server_name x; return 200 two; }'
                         'server { listen 127.0.0.1:@port2@; server_name y; return 200 three; }')
    for port, host, text in (('port', 'x', 'one'), ('port2', 'x', 'two'), ('port2', 'y', 'three'), ('port', 'y', 'one'),
                             ('port2', 'z', 'two')):
        assert exchange(int(server.names[port]), get(host=host))[0].text == text


# A head that is refused for one of its lines: what came before it says who answers and logs.
late = Table('''
    server { listen 127.0.0.1:@port@; server_name first.test; error_page 400 494 = /first; location / { return 200 first; } location = /first { return 200 "first page $uri $args"; } }
    server { listen 127.0.0.1:@port@; server_name second.test; add_header X-Second always always; error_page 494 =431 /large; error_page 400 /bad;
        location = /large { return 200 "too large $request_uri"; } location = /bad { return 200 "bad $request_uri"; } location / { return 200 second; } }
''', log='request=$request|uri=$uri|args=$args|host=$host|server=$server_name|status=$status|method=$request_method|http_host=$http_host')
LARGE, BAD, NUL = b'Cookie: ' + b'c' * 40000 + b'\r\n', b'No colon here\r\n', b'X: a\0b\r\n'
for host in ('first', 'second', 'other'):
    own = b'Host: %s.test\r\n' % host.encode()
    for name, line in (('large', LARGE), ('NUL', NUL), ('space', b'X : a\r\n')):
        for place, head in (('behind', own + line), ('before', line + own), ('behind more', b'A: b\r\n' + own + b'C: d\r\n' + line), ('twice', own + line + own)):
            late.case(f'{host}: {name} {place} Host', b'GET /a/b?c=d HTTP/1.1\r\n' + head + b'\r\n', ANY, lingers=True)
late.case('many lines', b'GET /x HTTP/1.1\r\nHost: second.test\r\n' + b''.join(b'F%d: %s\r\n' % (i, b'v' * 7000) for i in range(20)) + b'\r\n', ANY, lingers=True)
late.case('an absolute target', b'GET http://second.test/x?y HTTP/1.1\r\nHost: first.test\r\n' + LARGE + b'\r\n', ANY, lingers=True)
late.case('HTTP/1.0', b'GET /x HTTP/1.0\r\nHost: second.test\r\n' + LARGE + b'\r\n', ANY, lingers=True)
late.case('no target', b'GET\r\nHost: second.test\r\n\r\n', ANY, lingers=True)
late.case('a bad target', b'GET /%zz HTTP/1.1\r\n' + LARGE + b'\r\n', ANY, lingers=True)
late.case('POST', b'POST /x HTTP/1.1\r\nHost: second.test\r\nContent-Length: 5\r\n' + LARGE + b'\r\nabcde', ANY, lingers=True)
test_late = late.tests()


FIELDS = 'location / { proxy_pass http://@backend@; } location /say { return 200 "$http_x_a|$http_x_b|$http_xb"; }'
spellings = Table('\n'.join(f'server {{ listen 127.0.0.1:@port@; server_name {name}; {directives} {FIELDS} }}' for name, directives in (
    ('usual.test', ''), ('under.test', 'underscores_in_headers on;'), ('any.test', 'ignore_invalid_headers off;'), ('both.test', 'underscores_in_headers on; ignore_invalid_headers off;'))),
    http='proxy_http_version 1.1;', log='host=$host|status=$status')
for name in ('usual', 'under', 'any', 'both'):
    for target in ('/x', '/say'):
        for lines in (['X_A: 1'], ['X-A: 1', 'X_B: 2', 'X.B: 3', 'XB: 4'], ['X!B: 1', 'X-A: 2']):
            spellings.case(f'{name} {target} {lines}', get(target, *lines, host=f'{name}.test'))
spellings.case('twice', get('/say', 'X_A: 1', host='under.test') + get('/say', 'X_A: 1', host='usual.test') + get('/say', 'X_A: 1', host='under.test'), [200, 200, 200])
test_names_of_fields = spellings.tests()    # are those of the server that is asked


def test_names_of_fields_over_http2(site):
    """So over HTTP/2, with an authority that another server has than the default."""
    server = site.server('server { listen 127.0.0.1:@port@ http2; server_name usual.test; return 200 "$http_x_a|$http_xb"; }'
                         'server { listen 127.0.0.1:@port@ http2; server_name under.test; underscores_in_headers on; return 200 "$http_x_a|$http_xb"; }'
                         'server { listen 127.0.0.1:@port@ http2; server_name any.test; ignore_invalid_headers off; return 200 "$http_x_a|$http_xb"; }')
    with H2(server.port) as client:
        for name, said in (('usual', '|b'), ('under', '1|b'), ('any', '1|b')):
            answer = client.ask('/', 'GET', ('x_a', '1'), ('xb', 'b'), ('x.b', 'c'), authority=f'{name}.test')
            assert answer.body.decode() == said, name
