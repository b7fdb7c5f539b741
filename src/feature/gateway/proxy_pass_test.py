"""proxy_pass: which URI and which Host the back end gets, in every way of writing it."""
import pytest

from weirtest import ANY, Table, Verdicts, exchange, get, post, request, response

LOG = ('request=$request|status=$status|upstream_addr=$upstream_addr|upstream_status=$upstream_status|uri=$uri|'
       'host=$proxy_host|port=$proxy_port')
HTTP = 'proxy_http_version 1.1; upstream group { server @backend@; }'

# Each location proxies in a way of its own; /kind/ is where the request goes.
mapping = Table('''
    location /none/ { proxy_pass http://@backend@; }
    location /slash/ { proxy_pass http://@backend@/; }
    location /v1/ { proxy_pass http://@backend@/api/v1/; }
    location /noslash/ { proxy_pass http://@backend@/api/v1; }
    location /bare { proxy_pass http://@backend@/to; }
    location /bareslash { proxy_pass http://@backend@/; }
    location /query/ { proxy_pass http://@backend@/q?fixed=1&; }
    location = /exact { proxy_pass http://@backend@/exactly; }
    location = /exactnone { proxy_pass http://@backend@; }
    location ~ ^/regex/ { proxy_pass http://@backend@; }
    location ~ ^/regexvar/(.*)$ { proxy_pass http://@backend@/captured/$1; }
    location ~ ^/regexargs/(.*)$ { proxy_pass http://@backend@/captured/$1$is_args$args; }
    location /varuri/ { proxy_pass http://@backend@$request_uri; }
    location /vardoc/ { proxy_pass http://@backend@$uri; }
    location /varfixed/ { proxy_pass http://@backend@/fixed$is_args$args; }
    location /varhost/ { proxy_pass http://$arg_to; }
    location /varhosturi/ { proxy_pass http://$arg_to/with/uri; }
    location /scheme/ { proxy_pass $scheme://@backend@/s/; }
    location /group/ { proxy_pass http://group; }
    location /groupslash/ { proxy_pass http://group/; }
    location /groupvar/ { proxy_pass http://$arg_group; }
    location /unixnone/ { proxy_pass http://@unix@; }
    location /unixslash/ { proxy_pass http://@unix@:/; }
    location /unixuri/ { proxy_pass http://@unix@:/deep/; }
    location /capital/ { proxy_pass HTTP://@backend@/; }
    location /escaped/ { proxy_pass http://@backend@/a%20b/%2F/; }
    location /dots/ { proxy_pass http://@backend@/a/../b/; }
    location /double/ { proxy_pass http://@backend@//d//; }
    location /a%20b/ { proxy_pass http://@backend@/never/; }
    location "/c d/" { proxy_pass http://@backend@/cd/; }
    location /outer/ { proxy_pass http://@backend@/o/; location /outer/inner/ { proxy_pass http://@backend@/i/; }
                       location /outer/file { return 200 here; } }
''', log=LOG, http=HTTP)
for location in ('none', 'slash', 'v1', 'noslash', 'regex', 'varuri', 'vardoc', 'varfixed', 'query', 'regexvar', 'regexargs',
                 'group', 'groupslash', 'unixnone', 'unixslash', 'unixuri', 'capital', 'escaped', 'double'):
    for rest in ('', 'users', 'users/1?a=b&c=d', 'a%20b', 'a%2Fb', 'a%2fb?q=%2F', 'x%3Fy', 'x%3Fy?z', '%25', 'a%2541', 'a//b',
                 './a', 'a/./b', 'a/../b', '../' + location + '/up', 'a/..', '%2e%2e/' + location + '/e', 'caf%C3%A9',
                 'caf\u00c3\u00a9', '?', '?a=b?c', '?a b', 'a;b=c,d', "a'b(c)*!$&+:@=~-._", '"<>\\^`{|}',
                 'a+b', '%41%7e%2D', '%E2%82%AC', '%00', '%0a', '%0d%0aX:y', '%7f', '%80', 'a%23b', 'a%26b%3D', '%3B%2C'):
        # nginx writes decoded line ends and spaces of a variable raw into the request line: test_no_injection.
        if location in ('regexvar', 'regexargs', 'vardoc') and rest in ('%0a', '%0d%0aX:y', '%7f', 'a%20b'):
            continue
        status = 400 if rest in ('?a b', '%00') else 200
        mapping.case(f'{location}: {rest}', get(f'/{location}/{rest}'), status, log=status != 400)
for target in ('/bare', '/barex', '/bare/x', '/bare?x', '/bareslash', '/bareslashx', '/bareslash/x', '/exact', '/exact?a=1',
               '/exactnone?a=1', '/none', '/slash', '/v1', '/dots/x', '/c%20d/x', '/c%20d/a%20b',
               '/outer/x', '/outer/inner/x', '/outer/file', '/outer/inner', '/x/../v1/y', '//v1//y', '/v1/../v1/y?z', '/%761/y',
               'http://elsewhere/v1/y?q', '/varhost/?to=@no@'):
    status = {'/none': 301, '/slash': 301, '/v1': 301, '/outer/inner': 301, '/varhost/?to=@no@': 502}.get(target, 200)
    mapping.case(target, get(target), status, log=status != 502)
test_mapping = mapping.tests()

documented = Table('''
    location /api/ { proxy_pass http://@backend@; }
    location /strip/ { proxy_pass http://@backend@/; }
    location /replace/ { proxy_pass http://@backend@/v1/; }
    location /half { proxy_pass http://@backend@/; }
    location ~ ^/re/(\\w+) { proxy_pass http://@backend@; }
    location /whole/ { proxy_pass http://@backend@$request_uri; }
''', http='proxy_http_version 1.1;')
documented.case('no URI: as it is', get('/api/users?x=1'), sees='GET /api/users?x=1')
documented.case('no URI: escapes as they are', get('/api/a%2Fb%20c%41'), sees='GET /api/a%2Fb%20c%41')
documented.case('no URI: dots as they are', get('/api/x/../y//z'), sees='GET /api/x/../y//z')
documented.case('slash: the location is cut', get('/strip/users?x=1'), sees='GET /users?x=1')
documented.case('slash: normalised', get('/strip/x/../y//z'), sees='GET /y/z')
documented.case('slash: escaped again', get('/strip/a%20b%3Fc%25'), sees='GET /a%20b%3Fc%25')
documented.case('slash: an escaped slash is a slash', get('/strip/a%2Fb'), sees='GET /a/b')
documented.case('replaced', get('/replace/users'), sees='GET /v1/users')
documented.case('location without a slash', get('/half/users'), sees='GET //users')
documented.case('regex without URI', get('/re/users/%41?b'), sees='GET /re/users/%41?b')
documented.case('variable URI', get('/whole/a%2fb?c'), sees='GET /whole/a%2fb?c')
test_documented = documented.tests()

hosts = Table('''
    location /plain/ { proxy_pass http://@backend@; }
    location /named/ { proxy_pass http://group; }
    location /unix/ { proxy_pass http://@unix@; }
    location /unixgroup/ { proxy_pass http://sockets/x; }
    location /var/ { proxy_pass http://$arg_to$uri; }
    location /capital/ { proxy_pass http://GROUP/; }
    location /host/ { proxy_pass http://@backend@; proxy_set_header Host $host; }
    location /hosthttp/ { proxy_pass http://@backend@; proxy_set_header Host $http_host; }
    location /hostempty/ { proxy_pass http://@backend@; proxy_set_header Host ""; }
    location /proxyhost/ { proxy_pass http://group; proxy_set_header X-Host $proxy_host; proxy_set_header X-Port $proxy_port; }
''', log=LOG, http=HTTP + 'upstream sockets { server @unix@; }')
for target in ('/plain/', '/named/', '/unix/', '/unixgroup/', '/var/?to=group', '/capital/', '/host/', '/hosthttp/',
               '/hostempty/', '/proxyhost/'):
    hosts.case(target, get(target, host='Client.test:81'))
hosts.case('HTTP/1.0 without a host', request('GET', '/plain/', host=None, version='1.0'))
hosts.case('HTTP/1.0 without a host, $host', request('GET', '/host/', host=None, version='1.0'))
hosts.case('HTTP/1.0 without a host, $http_host', request('GET', '/hosthttp/', host=None, version='1.0'))
hosts.case('unknown group by variable', get('/var/?to=nobody'), 502, log=False)
test_hosts = hosts.tests()

versions = Table('''
    location /default/ { proxy_pass http://@backend@; proxy_http_version 1.0; }
    location /one/ { proxy_pass http://@backend@; proxy_http_version 1.1; proxy_set_header Connection ""; }
    location /close/ { proxy_pass http://@backend@; proxy_http_version 1.1; proxy_set_header Connection close; }
    location /upgrade/ { proxy_pass http://@backend@; proxy_http_version 1.1; proxy_set_header Connection upgrade;
                         proxy_set_header Upgrade $http_upgrade; }
''', connection=True)
for target in ('/default/', '/one/', '/close/', '/upgrade/'):
    versions.case(target, get(target))
    versions.case(f'POST {target}', post(target, b'body'))
    versions.case(f'chunked {target}', request('POST', target, chunks=[b'abc', b'de']))
    versions.case(f'HEAD {target}', request('HEAD', target))
test_versions = versions.tests()

methods = Table('location / { proxy_pass http://@backend@; proxy_http_version 1.1; }')
for method in ('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'PROPFIND', 'MKCOL', 'COPY', 'MOVE', 'LOCK', 'UNLOCK',
               'REPORT', 'PURGE', 'FOO', 'A', 'M-SEARCH', 'A_B'):
    methods.case(method, request(method, '/x'), sees=f'{method} /x')
methods.case('CONNECT', request('CONNECT', 'x:443'), 400)
methods.case('TRACE', request('TRACE', '/x'), 405)
methods.case('OPTIONS *', request('OPTIONS', '*'), 400)
test_methods = methods.tests()


@pytest.mark.weir_only('nginx forwards a fragment inside the target')
@pytest.mark.parametrize('location', ['none', 'slash'])
def test_no_fragment_is_forwarded(site, location):
    """RFC 9110 4.2.3: a fragment is no part of a request; it must not reach the back end."""
    server = site.server('''
        location /none/ { proxy_pass http://@backend@; }
        location /slash/ { proxy_pass http://@backend@/; }
    ''')
    answer = exchange(server.port, get(f'/{location}/a#b?c'))[0]
    assert answer.status in (200, 400)
    assert all('#' not in q.target for q in site.backend().requests)
    assert answer.status == 400 or site.backend().requests


@pytest.mark.weir_only('nginx writes decoded line ends of a variable into the request to the back end')
@pytest.mark.parametrize('escaped', ['%0a', '%0d%0aX:y', '%0d%0a%0d%0aGET%20/', 'a%20b', '%20HTTP/1.1%0d%0aX:y', '%7f'])
@pytest.mark.parametrize('location', ['capture', 'uri'])
def test_no_injection(site, location, escaped):
    """Whatever a client encodes, the back end sees one request line of three words and no field that nobody wrote."""
    server = site.server('''
        location ~ ^/capture/([^?]*)$ { proxy_pass http://@backend@/to/$1; }
        location /uri/ { proxy_pass http://@backend@$uri; }
    ''')
    answer = exchange(server.port, get(f'/{location}/{escaped}'))[0]
    assert 200 <= answer.status < 600
    for q in site.backend().requests:
        line = q.raw.split(b'\r\n')[0]
        assert len(line.split(b' ')) == 3 and b'\n' not in line and b'\r' not in line and b'\x7f' not in line, q
        assert not q.all('X') and len(site.backend().requests) == 1


def test_name_is_resolved(site):
    """A name in proxy_pass is resolved at start, by the system's hosts file too."""
    backend = site.backend()
    server = site.server(f'location / {{ proxy_pass http://localhost:{backend.port}/n/; }}')
    assert exchange(server.port, get('/x'))[0].status == 200
    assert backend.requests[-1].target == '/n/x'
    assert backend.requests[-1].header('Host') == f'localhost:{backend.port}'


def test_big_headers_reach_the_client(site):
    """An answer whose head fills proxy_buffer_size exactly is passed on."""
    site.backend(answer=response(b'x', 'X-Long: ' + 'y' * 3900))
    server = site.server('location / { proxy_pass http://@backend@; proxy_buffer_size 4k; }')
    assert exchange(server.port, get('/'))[0].header('X-Long') == 'y' * 3900


named = Table(r"""
    root @root@;
    location /try/ { try_files $uri @app; }
    location /page/ { error_page 404 = @app; return 404; }
    location /if/ { error_page 418 = @app; if ($arg_a) { return 418; } }
    location /changed/ { rewrite ^/changed/(.*)$ /try/$1 last; }
    location /broken/ { rewrite ^/broken/(.*)$ /$1 break; try_files /none @app; }
    location /accel/ { proxy_pass http://@accel@; }
    location @app { proxy_pass http://@backend@; }
""", http='proxy_http_version 1.1;', log='status=$status|uri=$uri|host=$proxy_host|port=$proxy_port',
    setup=lambda site: site.backend('accel'), answer=lambda q: response('', 'X-Accel-Redirect: @app') if q.target.startswith('/accel') and q.backend.name == 'accel' else response('x'))
for path in ('try', 'page', 'if', 'changed', 'broken', 'accel'):
    for target in ('a%2Fb//c%20d/../e?a=%20', 'plain?a=1', '%41?a=1', '?a'):
        named.case(f'{path} {target}', get(f'/{path}/{target}'), ANY)
test_named_locations = named.tests()    # the URI goes to the back end as the client wrote it

nested = Table(r"""
    root @root@;
    location /a/ {
        proxy_pass http://@backend@;
        location /a/except/ { limit_except POST { allow all; } }
        location /a/if/ { if ($arg_a) { set $x 1; } }
        location ~ ^/a/regex/ { if ($arg_a) { add_header X-If 1; } }
        limit_except GET { allow all; }
        if ($arg_b) { set $x 1; }
    }
    location /f/ { fastcgi_pass @fcgi@; location /f/except/ { limit_except POST { allow all; } } location /f/if/ { if ($arg_a) { set $x 1; } } }
""", http='proxy_http_version 1.1;', log='status=$status', files={'a/except/x': 'a file', 'a/if/x': 'a file', 'a/regex/x': 'a file', 'f/except/x': 'a file', 'f/if/x': 'a file'})
for target in ('/a/x', '/a/except/x', '/a/if/x', '/a/if/x?a=1', '/a/regex/x?a=1', '/a/x?b=1', '/f/except/x', '/f/if/x?a=1'):
    nested.case(f'GET {target}', get(target))
    nested.case(f'POST {target}', post(target, b'x'), ANY)
test_pass_is_not_inherited = nested.tests()

repeated = Verdicts()
OWN = 'access_log off; listen unix:@dir@/t;'
for name in ('proxy_cookie_domain', 'proxy_cookie_path', 'proxy_cookie_flags'):
    one = f'{name} a secure;' if name.endswith('flags') else f'{name} a b;'
    repeated.each([f'{name} off; {name} off;', f'{name} off; {one}', f'{one} {name} off;'], accepted=False)
    repeated.each([f'{one} {one}', f'{name} off; server {{ {OWN} {one} }}', f'{one} server {{ {OWN} {name} off; }}'], accepted=True)
test_off_stands_alone = repeated.tests()
