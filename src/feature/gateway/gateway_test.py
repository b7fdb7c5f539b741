"""What all gateways share, through proxy_pass: fields hidden and passed, X-Accel-*, ranges, stored files, rates, 103."""
import os
import re
import time

import pytest

from weirtest import ANY, Client, Close, Pause, Table, chunked, exchange, get, post, request, response

STAMP = 'Last-Modified: Mon, 01 Jan 2001 00:00:00 GMT'
LOG = 'request=$request|status=$status|us=$upstream_status|type=$sent_http_content_type|uh=$upstream_http_x_a'

fields = Table('''
    location / { proxy_pass http://@backend@; }
    location /hide/ { proxy_pass http://@backend@; proxy_hide_header X-A; proxy_hide_header x-b; proxy_hide_header ETag; }
    location /hide/pass/ { proxy_pass http://@backend@; proxy_pass_header X-A; }
    location /pass/ { proxy_pass http://@backend@; proxy_pass_header Server; proxy_pass_header Date; proxy_pass_header X-Accel-Expires;
        proxy_pass_header X-Pad; proxy_pass_header X-Accel-Redirect; proxy_ignore_headers X-Accel-Redirect; }
    location /passserver/ { proxy_pass http://@backend@; proxy_pass_header Server; add_header X-Sent "$sent_http_server"; }
    location /ignore/ { proxy_pass http://@backend@; proxy_ignore_headers X-Accel-Redirect X-Accel-Limit-Rate X-Accel-Buffering
        X-Accel-Charset Expires Cache-Control Set-Cookie Vary X-Accel-Expires; }
    location /intercept/ { proxy_pass http://@backend@; proxy_intercept_errors on; error_page 404 =200 /page; error_page 503 /page;
        error_page 302 /page; }
    location /nointercept/ { proxy_pass http://@backend@; error_page 404 /page; }
    location = /page { return 200 "the page\\n"; }
    location /inside/ { internal; return 200 "inside $uri $args"; }
    location /inside/back/ { internal; proxy_pass http://@other@; }
    location /inside/204 { internal; return 204; }
    location /cookies/ { proxy_pass http://@backend@; proxy_cookie_path / /new/; proxy_cookie_domain old.test new.test; proxy_cookie_flags one secure; }
    location /files/ { internal; alias @root@/; }
    location @named { return 200 "named $uri"; }
    location /method/ { proxy_pass http://@backend@; proxy_method PUT; }
    location /methodvar/ { proxy_pass http://@backend@; proxy_method $arg_m; }
    location /body/ { proxy_pass http://@backend@; proxy_set_body "[$request_body]"; }
    location /nobody/ { proxy_pass http://@backend@; proxy_pass_request_body off; proxy_set_header Content-Length ""; }
    location /nofields/ { proxy_pass http://@backend@; proxy_pass_request_headers off; }
    location /flags/ { proxy_pass http://@backend@; proxy_cookie_flags one httponly samesite=strict; proxy_cookie_flags two nosecure nohttponly nosamesite;
        proxy_cookie_flags ~^thr secure $arg_f; }
    location /flags/off/ { proxy_pass http://@backend@; proxy_cookie_flags off; }
    location /flags/all/ { proxy_pass http://@backend@; proxy_cookie_flags ~ secure samesite=lax; proxy_cookie_path / /new/;
        proxy_cookie_domain old.test new.test; }
    location /force/ { proxy_pass http://@backend@; proxy_force_ranges on; }
''', log=LOG, http='proxy_http_version 1.1;', files={'file.html': b'<p>file</p>'})
MANY = response(b'body', 'X-A: 1', 'Server: app/1', 'X-B: 2', 'Date: Mon, 01 Jan 2001 00:00:00 GMT', 'ETag: "e"', STAMP,
                'X-Accel-Expires: 10', 'X-Pad: x', 'Content-Type: a/b', 'Expires: Thu, 01 Jan 1970 00:00:01 GMT', 'Cache-Control: no-cache',
                'Vary: *', 'Set-Cookie: a=b', 'X-Accel-Charset: utf-8', 'X-Powered-By: z')
for target in ('/', '/hide/', '/hide/pass/', '/pass/', '/ignore/'):
    fields.case(target, get(target), 200, MANY)
    fields.case(f'HEAD {target}', request('HEAD', target), 200, MANY)
for status in (200, 404, 301):
    fields.case(f'no Server to pass, {status}', get('/passserver/'), status, response(b'x', status=f'{status} Said'))
    fields.case(f'a Server to pass, {status}', get('/passserver/'), status, response(b'x', 'Server: app', status=f'{status} Said'))
for name, lines in {'path': ['X-Accel-Redirect: /inside/a?b=c'], 'escaped': ['X-Accel-Redirect: /inside/%20x'], 'file': ['X-Accel-Redirect: /files/file.html'],
                    'file and type': ['Content-Type: a/b', 'X-Accel-Redirect: /files/file.html'], 'named': ['X-Accel-Redirect: @named'],
                    'no file': ['X-Accel-Redirect: /files/none'], 'unsafe': ['X-Accel-Redirect: /inside/../../x'],
                    'kept': ['X-Accel-Redirect: /inside/', 'Set-Cookie: a=b', 'Content-Disposition: attachment', 'Cache-Control: no-store', 'X-A: lost',
                             'Expires: Thu, 01 Jan 1970 00:00:01 GMT', 'Accept-Ranges: bytes', 'ETag: "x"', STAMP]}.items():
    status = {'no file': 404, 'unsafe': 404}.get(name, 200)
    fields.case(f'X-Accel-Redirect: {name}', get('/'), status, response(b'gone', *lines))
    fields.case(f'X-Accel-Redirect: {name}, HEAD', request('HEAD', '/'), status, response(b'gone', *lines))
for name, lines in {'a type': ['Content-Type: image/png', 'ETag: "own"'], 'no type': ['X-A: 1']}.items():
    fields.case(f'X-Accel-Redirect to a back end whose response has {name}', get('/'), 200, lambda q, lines=lines: response(b'own', *lines) if q.backend.name == 'other' else response(
        b'gone', 'X-Accel-Redirect: /inside/back/', 'Content-Type: text/html', 'Set-Cookie: a=b', 'ETag: "gone"'))
fields.case('X-Accel-Redirect: cookies', get('/cookies/'), 200, response(b'gone', 'X-Accel-Redirect: /inside/', 'Set-Cookie: one=1; path=/; domain=old.test', 'Set-Cookie: two=2; path=/x'))
fields.case('X-Accel-Redirect: 204', get('/'), 204, response(b'gone', 'X-Accel-Redirect: /inside/204', 'Content-Type: a/b'))
fields.case('204 with a type', get('/'), 204, response(b'', 'Content-Type: text/plain; charset=koi8-r', 'X-A: 1', status='204 No Content', length=False))
fields.case('X-Accel-Redirect of a POST', post('/', b'x'), 200, response(b'gone', 'X-Accel-Redirect: /inside/m'))
fields.case('X-Accel-Redirect with a status', get('/'), 200, response(b'gone', 'X-Accel-Redirect: /inside/s', status='404 Not Found'))
for status in ('404 Not Found', '503 Service Unavailable', '302 Found', '500 Internal Server Error', '401 Unauthorized'):
    answer = response(b'own', 'X-A: 1', 'WWW-Authenticate: Basic realm="x"', 'Location: /l', status=status)
    fields.case(f'intercept {status}', get('/intercept/'), {'404': 200}.get(status[:3], int(status[:3])), answer)
    fields.case(f'intercept {status} with X-Accel-Redirect', get('/intercept/'), 200 if status[:3] in ('404', '500', '401') else int(status[:3]),
                response(b'own', 'X-Accel-Redirect: /inside/x', 'WWW-Authenticate: Basic realm="x"', status=status))
    fields.case(f'no interception of {status}', get('/nointercept/'), int(status[:3]), answer)
fields.case('proxy_method', get('/method/'))
fields.case('proxy_method of a POST', post('/method/', b'abc'))
fields.case('proxy_method by a variable', get('/methodvar/?m=OPTIONS'))
fields.case('proxy_set_body', post('/body/', b'abc'))
fields.case('proxy_set_body of a GET', get('/body/'))
fields.case('no body passed', post('/nobody/', b'abc'))
fields.case('no fields passed', get('/nofields/', 'X-A: 1', 'Cookie: a'))
for cookie in ('one=1', 'one=1; Path=/; Secure', 'one=1; SameSite=None', 'two=2; Secure; HttpOnly; SameSite=Lax; Path=/x', 'three=3; path=/', 'four=4; Secure',
               'ONE=x;HttpOnly', 'one', 'two=a=b; Domain=.old.test; Expires=Thu, 01 Jan 1970 00:00:01 GMT'):
    for target in ('/flags/?f=httponly', '/flags/', '/flags/off/', '/flags/all/'):
        fields.case(f'{target} {cookie}', get(target), 200, response(b'', f'Set-Cookie: {cookie}'))
for lines in ([], ['Range: bytes=0-3'], ['Range: bytes=2-'], ['Range: bytes=-2'], ['Range: bytes=0-0,4-5'], ['Range: bytes=50-'], ['Range: bytes=0-1', 'If-Range: "e"'],
              ['Range: bytes=0-1', 'If-Range: "other"'], ['Range: bytes=0-1', 'If-Range: Mon, 01 Jan 2001 00:00:00 GMT'],
              ['If-None-Match: "e"'], ['If-Modified-Since: Mon, 01 Jan 2001 00:00:00 GMT'], ['If-Match: "other"']):
    for target in ('/', '/force/'):
        status = 200
        if target == '/force/' and any(line.startswith('Range') for line in lines) and 'other' not in str(lines) and ',4' not in str(lines):
            status = 416 if '50-' in str(lines) else 206
        fields.case(f'{target} {lines}', get(target, *lines), status, response(b'0123456789', 'ETag: "e"', STAMP, 'Accept-Ranges: bytes', 'Content-Type: a/b'))
fields.case('force of chunks', get('/force/', 'Range: bytes=0-1'), 200, chunked(b'0123', b'456'))
test_fields = fields.tests()


# --- stored files ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('answer', [response(b'stored', STAMP), chunked(b'sto', b'red', headers=(STAMP,))])
def test_store(site, answer):
    site.backend(answer=answer)
    server = site.server('location /on/ { root @dir@; proxy_pass http://@backend@; proxy_store on; }'
                         'location /path/ { proxy_pass http://@backend@; proxy_store @dir@/s$uri; proxy_store_access user:rw group:rw all:r; }',
                         main='user root;' if os.getuid() == 0 else '')
    for target, path, mode in (('/on/a/b.txt', 'on/a/b.txt', 0o600), ('/path/c', 's/path/c', 0o664)):
        assert exchange(server.port, get(target))[0].body == b'stored'
        file = os.path.join(server.directory, path)
        deadline = time.monotonic() + 5
        while not os.path.exists(file) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert open(file, 'rb').read() == b'stored'
        assert os.stat(file).st_mode & 0o777 == mode and os.stat(file).st_mtime == 978307200
        assert os.listdir(os.path.dirname(file)) == [os.path.basename(file)]


def test_store_large_and_replaced(site):
    data = os.urandom(3 << 20)
    server = site.server('location / { proxy_pass http://@backend@; proxy_store @dir@/s$uri; }', main='user root;' if os.getuid() == 0 else '')
    for body in (b'old', data):
        site.backend(answer=response(body))
        assert exchange(server.port, get('/f'))[0].body == body
    assert open(os.path.join(server.directory, 's/f'), 'rb').read() == data


@pytest.mark.parametrize('answer', [response(b'no', status='404 Not Found'), [b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc', Close()]])
def test_what_is_not_stored(site, answer):
    site.backend(answer=answer)
    server = site.server('location / { proxy_pass http://@backend@; proxy_store @dir@/s$uri; }', main='user root;' if os.getuid() == 0 else '')
    with Client(server.port) as c:
        c.send(get('/f'))
        c.read_to_end() if isinstance(answer, list) else c.response()
    assert not os.path.exists(os.path.join(server.directory, 's/f'))


@pytest.mark.weir_only('nginx cuts the answer')
def test_a_store_that_fails_does_not_harm_the_answer(site):
    site.backend(answer=response(b'x' * 100000))
    server = site.server('location / { proxy_pass http://@backend@; proxy_store /proc/none$uri; }')
    assert exchange(server.port, get('/f'))[0].body == b'x' * 100000
    server.wait_error('crit', 'the response is not stored')


# --- rates, 103, conditions ------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('conf', ['proxy_limit_rate 20k;', 'proxy_limit_rate $arg_r;'])
def test_limit_rate(site, conf):
    """A second's worth comes at once, the rest at the rate."""
    site.backend(answer=response(b'x' * 40000))
    server = site.server(f'location / {{ proxy_pass http://@backend@; {conf} }}')
    begin = time.monotonic()
    assert len(exchange(server.port, get('/?r=20k'))[0].body) == 40000
    assert time.monotonic() - begin > 0.8


HINTS = b'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-Accel-Expires: 1\r\nConnection: x\r\n\r\n'


@pytest.mark.weir_only('nginx 1.22 has no early_hints')
@pytest.mark.parametrize('conf, passed', [('early_hints $http_x_mode;', True), ('early_hints $http_x_mode $http_none;', False), ('early_hints "0";', False), ('', False)])
def test_early_hints(site, conf, passed):
    site.backend(answer=[HINTS, Pause(0.3), response(b'page')])
    server = site.server(f'location / {{ proxy_pass http://@backend@; {conf} }}')
    with Client(server.port) as c:
        begin = time.monotonic()
        c.send(get('/', 'X-Mode: navigate'))
        if passed:
            c.interim(103)
            assert time.monotonic() - begin < 0.25, 'before the answer'
        r = c.response()
        assert r.body == b'page' and [i.status for i in r.interim] == ([103] if passed else [])
        if passed:
            assert r.interim[0].headers == [('Link', '</a.css>; rel=preload')]


@pytest.mark.weir_only('nginx 1.22 has no early_hints')
def test_no_early_hints_for_http_1_0(site):
    site.backend(answer=[HINTS, response(b'page')])
    server = site.server('location / { proxy_pass http://@backend@; early_hints 1; }')
    r = exchange(server.port, request('GET', '/', version='1.0'))[0]
    assert r.body == b'page' and not r.interim


@pytest.mark.weir_only('a directive of nginx 1.29')
def test_allow_upstream(site):
    server = site.server('location / { proxy_pass http://both; proxy_allow_upstream $arg_ok; }'
                         'location /next/ { proxy_pass http://both; proxy_allow_upstream $arg_ok 1; proxy_next_upstream denied; }',
                         http='upstream both { server @one@; server @two@; }')
    assert exchange(server.port, get('/?ok=1'))[0].status == 200
    assert exchange(server.port, get('/?ok=0'))[0].status == 502
    server.wait_error('error', r'access to upstream is denied while connecting to upstream \(proxy_allow_upstream\)')
    assert exchange(server.port, get('/next/?ok='))[0].status == 502


@pytest.mark.weir_only('directives and variables of the commercial nginx')
def test_each_try_is_made_for_its_server(site):
    """The server that was chosen is known to what is evaluated for a try: whether it may be asked, the request, the local
    address."""
    site.backend('two', answer=response(b'two'))
    server = site.server('location / { proxy_pass http://g; proxy_allow_upstream $allowed; proxy_next_upstream denied error; proxy_request_dynamic on; '
                         'proxy_set_header Host $upstream_last_server_name; proxy_bind $from; proxy_bind_dynamic on; }',
                         http='upstream g { server @dead@ weight=5; server @dead2@ weight=5; server @two@; } '
                              'map $upstream_last_server_name $from { volatile; @two@ 127.0.0.7; } map $upstream_last_addr $allowed { volatile; @dead2@ 0; default 1; } '
                              "log_format t '$upstream_addr $upstream_last_addr $upstream_last_server_name'; access_log @dir@/t.log t;")
    seen = []
    for _ in range(4):
        assert exchange(server.port, get('/'))[0].body == b'two'
    two = site.backend('two')
    assert {q.header('Host') for q in two.requests} == {two.address}
    dead, dead2 = (f'127.0.0.1:{site.dead[n]}' for n in ('dead', 'dead2'))
    for line in server.wait_lines(4, 't.log'):
        assert line.endswith(f'{two.address} {two.address} {two.address}'), line
        seen += line.split(', ')
    assert dead2 in seen and dead in seen
    assert {q.peer for q in two.requests} == {'127.0.0.7'}
    for line in server.errors('error'):
        assert 'is denied' not in line.message or f'upstream: "http://{dead2}/"' in line.message


@pytest.mark.weir_only('trailers and their directive came with nginx 1.27')
@pytest.mark.parametrize('conf, passed', [('', False), ('proxy_pass_trailers on;', True)])
def test_pass_trailers(site, conf, passed):
    site.backend(answer=chunked(b'abc', trailers=('X-Sum: 1',)))
    server = site.server(f'location / {{ proxy_pass http://@backend@; {conf} }}', http="log_format t '$upstream_trailer_x_sum'; access_log @dir@/t.log t;")
    r = exchange(server.port, get('/'))[0]
    assert r.trailers == ([('X-Sum', '1')] if passed else [])
    assert server.wait_lines(1, 't.log') == ['1']


@pytest.mark.parametrize('conf, error', [
    ('proxy_store_access user:x;', 'invalid value "user:x"'), ('proxy_limit_rate x;', 'invalid value'), ('proxy_bind 1.2.3.4 x;', 'invalid parameter "x"'),
    ('proxy_cookie_flags one bad;', 'invalid parameter "bad"')])
def test_configuration_errors(site, conf, error):
    with pytest.raises(AssertionError, match=re.escape(error)):
        site.server(f'location / {{ proxy_pass http://@backend@; {conf} }}')


# Who answers: one directive, that of the innermost block, there the last.
answers = Table('''
    location /a/ { proxy_pass http://@backend@; if ($arg_m) { fastcgi_pass @fcgi@; } }
    location /b/ { fastcgi_pass @fcgi@; if ($arg_m) { proxy_pass http://@backend@; } }
    location /c/ { if ($arg_m) { fastcgi_pass @fcgi@; } proxy_pass http://@backend@; }
    location /d/ { uwsgi_pass @uwsgi@; if ($arg_m) { scgi_pass @scgi@; } if ($arg_n) { fastcgi_pass @fcgi@; } }
    location /e/ { fastcgi_pass @fcgi@; proxy_pass http://@backend@; }
    location /f/ { proxy_pass http://@backend@; fastcgi_pass @fcgi@; }
    location /g/ { proxy_pass http://@backend@; empty_gif; }
    location /h/ { empty_gif; proxy_pass http://@backend@; }
    location /i/ { stub_status; proxy_pass http://@backend@; limit_except GET { proxy_pass http://@other@; } }
    location /j/ { proxy_pass http://@backend@; if ($arg_m) { set $x 1; } location /j/k/ { fastcgi_pass @fcgi@; } }
    scgi_param A b; uwsgi_param A b; fastcgi_param A b;
''', http='proxy_http_version 1.1;')
of_any = lambda q: response(q.backend.name.encode()) if q.backend.name in ('backend', 'other') else b'Content-Type: a/b\r\n\r\n' + q.backend.name.encode()
for target in '/a/ /a/?m=1 /b/ /b/?m=1 /c/ /c/?m=1 /d/ /d/?m=1 /d/?n=1 /d/?m=1&n=1 /e/ /f/ /g/ /h/ /i/ /j/ /j/?m=1 /j/k/'.split():
    answers.case(target, get(target), 200, of_any)
answers.case('limit_except', post('/i/', b''), 200, of_any)
test_answers = answers.tests()


@pytest.mark.parametrize('data', [get('/', 'Range: bytes=1-2'), get('/')])
def test_counters_of_an_answer_that_is_not_read_to_its_end(site, data):
    """The access log knows what was sent and received all the same."""
    site.backend(answer=[response(b'x' * 1000000)])
    server = site.server('location / { proxy_pass http://@backend@; proxy_force_ranges on; }',
                         http="log_format u '$upstream_bytes_sent $upstream_bytes_received $upstream_response_time $upstream_response_length'; access_log @dir@/cases.log u;")
    with Client(server.port) as client:
        client.send(data)
        client.wait_for(b'xx')
    sent, received, time, length = server.wait_lines(1, 'cases.log')[0].split()
    assert int(sent) > 30 and 1000 < int(received) <= 1000100 and float(time) >= 0 and int(length) > 0


accel = Table("""
    location / { proxy_pass http://@backend@; }
    location /next/ { proxy_pass http://@next@; }
    location /page/ { return 404; }
    location @named { proxy_pass http://@dead@; }
""", http='proxy_http_version 1.1;', log='status=$status|rate=$limit_rate|type=$sent_http_content_type|host=$proxy_host|us=$upstream_status',
    setup=lambda site: site.backend('next'), answer=lambda q: response('next', 'Content-Type: text/next', 'X-Accel-Limit-Rate: 70000' if 'rate' in q.target else 'X-A: 1') if q.backend.name == 'next' else response(
        '', f'X-Accel-Redirect: {q.target[3:]}', 'Content-Type: text/accel', 'X-Accel-Limit-Rate: 100000'))
for target in ('/next/', '/next/rate', '/page/', '@named'):
    for method in ('GET', 'HEAD'):
        accel.case(f'{method} {target}', request(method, f'/to{target}'), ANY)
test_accel_goes_on = accel.tests()
