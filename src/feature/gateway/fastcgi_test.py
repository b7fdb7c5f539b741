"""fastcgi_pass: parameters, bodies, answers and failures of FastCGI applications, as nginx has them."""
import re

import pytest

from weirtest import (Client, Close, Pause, Raw, Reset, Stderr, Table, UntilClosed, exchange, get, post, record, request, until)

OK = b'Content-Type: text/plain\r\n\r\nhello'
LOG = 'request=$request|status=$status|body_bytes_sent=$body_bytes_sent|us=$upstream_status'



def standard_params(site):
    """Debian's file, but for the version of the server."""
    with open('/etc/nginx/fastcgi.conf', 'rb') as f:
        site.file('fastcgi.conf', re.sub(rb'(?m)^.*SERVER_SOFTWARE.*$', b'', f.read()))


params = Table('''
    location / { fastcgi_pass @fcgi@; include @root@/fastcgi.conf; }
    location /unix/ { fastcgi_pass @fcgiunix@; fastcgi_param A $uri; }
    location /group/ { fastcgi_pass apps; fastcgi_param A b; }
    location /none/ { fastcgi_pass @fcgi@; }
    location /own/ { fastcgi_pass @fcgi@; fastcgi_param HTTP_HOST set; fastcgi_param HTTP_X_A ""; fastcgi_param EMPTY "";
        fastcgi_param GONE $arg_gone if_not_empty; fastcgi_param KEPT $arg_kept if_not_empty; fastcgi_param TWICE 1;
        fastcgi_param TWICE 2; }
    location /index/ { fastcgi_pass @fcgi@; fastcgi_index index.php; fastcgi_param SCRIPT $fastcgi_script_name;
        fastcgi_param INFO "[$fastcgi_path_info]"; fastcgi_param FILE $document_root$fastcgi_script_name; }
    location ~ ^/split/.+\\.php(/|$) { fastcgi_pass @fcgi@; fastcgi_split_path_info ^(.+\\.php)(.*)$;
        fastcgi_param SCRIPT $fastcgi_script_name; fastcgi_param INFO "[$fastcgi_path_info]"; }
    location /nosplit/ { fastcgi_pass @fcgi@; fastcgi_split_path_info ^(.+\\.php)(/.+)$; fastcgi_index x.php;
        fastcgi_param SCRIPT $fastcgi_script_name; fastcgi_param INFO "[$fastcgi_path_info]"; }
    location /nohead/ { fastcgi_pass @fcgi@; fastcgi_pass_request_headers off; fastcgi_param A b; }
    location /nobody/ { fastcgi_pass @fcgi@; fastcgi_pass_request_body off; fastcgi_param A b; }
    location /var/ { fastcgi_pass $arg_to; fastcgi_param A b; }
    location /slash/ { fastcgi_pass @fcgi@; }
    location /inherit/ { location /inherit/one/ { fastcgi_pass @fcgi@; } location /inherit/two/ { fastcgi_pass @fcgi@;
        fastcgi_param INNER 1; } fastcgi_param OUTER 1; }
''', log=LOG, http='root /srv/www; fastcgi_param HTTP 1; upstream apps { server @fcgi@; }', answer=OK, setup=standard_params)
FIELDS = ('User-Agent: t/1', 'X-A: 1', 'X-Under-Score: 2', 'Cookie: a=b', 'Content-Type: text/x', 'Accept: */*')
for target in ('/', '/a/b.php?c=d', '/%20x%2fy', '/unix/', '/group/x', '/none/', '/own/', '/own/?gone=1&kept=2', '/index/', '/index/a/',
               '/index/a.php', '/split/a.php', '/split/a.php/info/x', '/split/b.php/c.php/d', '/nosplit/', '/nosplit/a.php/', '/nosplit/a.php/i',
               '/nohead/', '/inherit/one/', '/inherit/two/', '/var/?to=apps', '/var/?to=nobody', '/slash'):
    status = {'/var/?to=nobody': 500, '/slash': 301}.get(target, 200)
    params.case(target, get(target, *FIELDS), status)
    params.case(f'POST {target}', post(target, b'body=1', *FIELDS), status)
params.case('HEAD', request('HEAD', '/a.php', *FIELDS))
params.case('chunked', request('POST', '/', *FIELDS, chunks=[b'abc', b'de']))
params.case('large body', post('/', b'x' * 200000))
params.case('no body passed', post('/nobody/', b'gone'))
params.case('long values', get('/none/?' + 'q' * 3000, 'X-Long: ' + 'v' * 3000))
params.case('HTTP/1.0', request('GET', '/', version='1.0', host=None))
test_params = params.tests()

answers = Table('location / { fastcgi_pass @fcgi@; fastcgi_param A b; } location /cut/ { fastcgi_pass @fcgi@; fastcgi_buffering off; }'
                'location /errors/ { fastcgi_pass @fcgi@; fastcgi_intercept_errors on; error_page 404 /page; }'
                'location = /page { return 200 "page"; } location /internal/ { internal; return 200 "inside $uri"; }'
                'location /hide/ { fastcgi_pass @fcgi@; fastcgi_hide_header X-A; fastcgi_pass_header Status; fastcgi_ignore_headers X-Accel-Redirect; }',
                log=LOG)
for name, out in {
        'status': b'Status: 404 Not Found\r\nContent-Type: text/html\r\n\r\nno', 'status alone': b'Status: 201\r\n\r\n',
        'odd reason': b'Status: 299 Whatever You Say\r\n\r\nx', 'location': b'Location: http://else/\r\n\r\n',
        'local location': b'Location: /else?x\r\n\r\n', 'location with status': b'Status: 301 Moved Permanently\r\nLocation: /x\r\n\r\nbody',
        'no type': b'X-A: b\r\n\r\nbody', 'bare line feeds': b'Content-Type: text/plain\nX-A: b\n\nbody',
        'length': b'Content-Length: 5\r\nContent-Type: a/b\r\n\r\nhello', 'no body': b'Content-Type: a/b\r\n\r\n',
        'fields': b'X-Powered-By: PHP\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nDate: Mon, 01 Jan 2001 00:00:00 GMT\r\nServer: app\r\n\r\nx',
        'redirect inside': b'X-Accel-Redirect: /internal/x\r\nContent-Type: a/b\r\n\r\n', '500': b'Status: 500 Internal Server Error\r\n\r\nboom',
        '304': b'Status: 304 Not Modified\r\nETag: "x"\r\n\r\n', '204': b'Status: 204 No Content\r\n\r\n', 'empty output': [b'']}.items():
    answers.case(name, get('/'), {'status': 404, 'status alone': 201, 'odd reason': 299, 'location': 302, 'local location': 302,
                                  'location with status': 301, '500': 500, '304': 304, '204': 204, 'empty output': 502}.get(name, 200), out)
    if name not in ('empty output', 'odd reason', 'status alone'):
        answers.case(f'HEAD {name}', request('HEAD', '/'), {'status': 404, 'location': 302, 'local location': 302,
                                                            'location with status': 301, '500': 500, '304': 304, '204': 204}.get(name, 200), out)
answers.case('in pieces', get('/'), 200, [b'Content-Ty', Pause(0.05), b'pe: a/b\r\n', Pause(0.05), b'\r\nbo', Pause(0.05), b'dy'])
answers.case('records cut anywhere', get('/'), 200, lambda q: [step for i in range(0, len(WIRE), 3) for step in (Raw(WIRE[i:i + 3]), Pause(0.002))] + [Close()])
answers.case('standard error', get('/'), 200, [Stderr(b'PHP message: oh\n'), OK, Stderr(b'later')])
answers.case('large', get('/'), 200, b'Content-Type: a/b\r\n\r\n' + b'y' * 300000)
answers.case('large, unbuffered', get('/cut/'), 200, b'Content-Type: a/b\r\n\r\n' + b'y' * 300000)
answers.case('more than the length', get('/'), 200, b'Content-Length: 2\r\n\r\nhello')
answers.case('less than the length', get('/'), 200, b'Content-Length: 9\r\n\r\nhello')
answers.case('intercepted', get('/errors/'), 404, b'Status: 404 Not Found\r\n\r\nno', log=False)
answers.case('hidden', get('/hide/'), 200, b'X-A: 1\r\nX-B: 2\r\nX-Accel-Redirect: /x\r\nStatus: 200 OK\r\n\r\nx')
answers.case('invalid status', get('/'), 502, b'Status: abc\r\n\r\nx')
answers.case('closed before all', get('/'), 502, [Close()])
answers.case('reset', get('/'), 502, [Reset()])
answers.case('ended in the head', get('/'), 502, b'Content-Type: a')
answers.case('closed in the body', get('/'), 200, [OK, Close()])
answers.case('no FastCGI', get('/'), 502, [Raw(b'HTTP/1.1 200 OK\r\n\r\n'), UntilClosed()])
answers.case('wrong version', get('/'), 502, [Raw(b'\2' + record(6, OK)[1:]), UntilClosed()])
answers.case('wrong id', get('/'), 502, [Raw(record(6, OK)[:3] + b'\2' + record(6, OK)[4:]), UntilClosed()])
WIRE = record(6, b'Content-Type: a/b\r\n\r\nbody', padding=5) + record(7, b'err') + record(6, b'more') + record(6) + record(3, bytes(8))
test_answers = answers.tests()

failures = Table('location / { fastcgi_pass apps; fastcgi_param A b; } location /dead/ { fastcgi_pass @dead@; }'
                 'location /status/ { fastcgi_pass both; fastcgi_next_upstream http_503 invalid_header; }'
                 'location /slow/ { fastcgi_pass @fcgi@; fastcgi_read_timeout 200ms; }'
                 'location /caught/ { fastcgi_pass both; fastcgi_catch_stderr "Fatal error"; fastcgi_next_upstream invalid_header; }',
                 http='upstream apps { server @dead@ max_fails=0; server @fcgi@ max_fails=0; }'
                      'upstream both { server @fcgi@ max_fails=0; server @fcgitwo@ backup; }', log='status=$status|us=$upstream_status|ua=$upstream_addr')
failures.case('next', get('/'), 200, OK)
failures.case('POST goes on from a dead one', post('/', b'x'), 200, OK)
failures.case('dead', get('/dead/'), 502)
failures.case('time-out', get('/slow/'), 504, [b'', UntilClosed()])
failures.case('503 goes on', get('/status/'), 200, lambda q: OK if q.backend.name == 'fcgitwo' else b'Status: 503 X\r\n\r\n')
failures.case('invalid goes on', get('/status/'), 200, lambda q: OK if q.backend.name == 'fcgitwo' else [Raw(b'garbage!'), Close()])
failures.case('caught', get('/caught/'), 200, lambda q: OK if q.backend.name == 'fcgitwo' else [Stderr(b'PHP Fatal error: x'), OK])
failures.case('not caught', get('/caught/'), 200, [Stderr(b'PHP Warning: x'), OK])
test_failures = failures.tests()


def test_standard_error_is_logged(site):
    site.backend('fcgi', answer=[Stderr(b'PHP message: first\nsecond\n'), b'Content-Type: a/b\r\n\r\nbody', Stderr(b'late')])
    server = site.server('location / { fastcgi_pass @fcgi@; }')
    assert exchange(server.port, get('/x'))[0].body == b'body'
    line = server.wait_error('error', 'FastCGI sent in stderr: "PHP message: first').message
    assert re.search(r'while reading response header from upstream, client: 127.0.0.1, server: [^,]*, request: "GET /x HTTP/1.1", '
                     r'upstream: "fastcgi://127.0.0.1:\d+", host: "localhost"', line)
    server.wait_error('error', 'FastCGI sent in stderr: "late" while reading upstream')


@pytest.mark.weir_only('nginx 1.22 needs keepalive in an upstream block')
def test_keep_conn(site):
    site.backend('fcgi', answer=OK)
    server = site.server('location / { fastcgi_pass @fcgi@; fastcgi_keep_conn on; } location /off/ { fastcgi_pass @fcgi@; }', workers=1)
    for i in range(5):
        assert exchange(server.port, request('PUT', f'/{i}', body=b'abc'))[0].body == b'hello'
    assert site.backend('fcgi').connections == 1 and all(q.keep for q in site.backend('fcgi').requests)
    assert exchange(server.port, get('/off/'))[0].status == 200
    assert not site.backend('fcgi').requests[-1].keep, 'on a kept connection, which the application closes then'
    assert exchange(server.port, get('/'))[0].status == 200 and site.backend('fcgi').connections == 2


def test_unbuffered_body_streams(site):
    server = site.server('location / { fastcgi_pass @fcgi@; fastcgi_request_buffering off; fastcgi_param L $content_length; }')
    site.backend('fcgi', answer=lambda q: b'Content-Type: a/b\r\n\r\n' + str(len(q.body)).encode())
    with Client(server.port) as c:
        c.send(b'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n' + b'x' * 1000)
        until(lambda: site.backend('fcgi').connections == 1, 'the request to begin')
        c.send_raw(b'x' * 99000)
        assert c.response().text == '100000'


def test_stream_flushes(site):
    """Output goes to the client as it comes where buffering is off, and for event streams."""
    site.backend('fcgi', answer=[b'Content-Type: text/event-stream\r\n\r\ndata: 1\n\n', Pause(0.5), b'data: 2\n\n'])
    server = site.server('location / { fastcgi_pass @fcgi@; fastcgi_buffering off; }')
    with Client(server.port) as c:
        c.send(get('/'))
        c.wait_for(b'data: 1')
        assert b'data: 2' not in c.received
        assert c.response().body == b'data: 1\n\ndata: 2\n\n'


@pytest.mark.parametrize('conf, error', [
    ('fastcgi_pass apps;', 'no port in upstream "apps"'), ('fastcgi_pass @fcgi@; fastcgi_param A b c;', 'invalid parameter "c"'),
    ('fastcgi_pass @fcgi@; fastcgi_split_path_info ^(.+)$;', 'pattern "^(.+)$" must have 2 captures')])
def test_configuration_errors(site, conf, error):
    with pytest.raises(AssertionError, match=re.escape(error)):
        site.server(f'location / {{ {conf} }}')
