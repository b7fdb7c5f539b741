"""Variables of the core, of the connection and of the upstream, as nginx documents them."""
import os
import re
import time

import pytest

from weirtest import Client, Pause, Table, chunked, exchange, get, post, request, response

STABLE = ['arg_a', 'arg_b_c', 'args', 'body_bytes_sent', 'content_length', 'content_type', 'cookie_a', 'cookie_b', 'document_root',
          'document_uri', 'host', 'http_x_one', 'http_user_agent', 'http_cookie', 'http_x_two', 'https', 'is_args',
          'limit_rate', 'query_string', 'realpath_root', 'remote_addr', 'remote_user',
          'request_body', 'request_completion', 'request_filename', 'request_length', 'request_method',
          'request_uri', 'scheme', 'sent_http_content_type', 'sent_http_content_length', 'sent_http_location',
          'sent_http_x_answer', 'sent_http_transfer_encoding', 'sent_http_last_modified',
          'sent_http_cache_control', 'sent_http_keep_alive',
          'server_addr', 'server_name', 'server_port', 'server_protocol', 'status', 'uri', 'request', 'proxy_host', 'proxy_port',
          'proxy_add_x_forwarded_for', 'upstream_addr', 'upstream_status', 'upstream_http_x_answer', 'upstream_http_server',
          'upstream_cookie_session', 'upstream_cookie_other', 'upstream_bytes_received', 'upstream_response_length',
          'upstream_cache_status', 'upstream_trailer_x', 'upstream_http_set_cookie', 'pipe', 'connection_requests',
          'binary_remote_addr', 'proxy_protocol_addr', 'proxy_protocol_port', 'http_referer', 'http_via', 'http_host',
          'http_x_forwarded_for', 'http_content_length', 'http_transfer_encoding', 'remote_port']
LOG = '|'.join(f'{name}=${name}' for name in STABLE)

logged = Table('''
    server { listen 127.0.0.1:@port@; server_name main.test alias.test; root @root@;
        location / { return 200 "text"; }
        location /file/ { }
        location /redirect/ { return 301 /x; }
        location /proxy/ { proxy_pass http://group/base/; }
        location /plain/ { proxy_pass http://@backend@; }
        location /unix/ { proxy_pass http://@unix@; }
        location /dead/ { proxy_pass http://@dead@; }
        location /both/ { proxy_pass http://both; }
        location /error/ { error_page 404 = /plain/x?from=page; return 404; }
        location /notype/ { default_type ""; root @root@; }
        location /small/ { client_max_body_size 2; proxy_pass http://@backend@; }
    }
''', log=LOG, http='proxy_http_version 1.1; upstream group { server @backend@; } '
    'upstream both { server @dead@ max_fails=0; server @backend@ max_fails=0; }',
    files={'file/a.txt': 'a file', 'notype/x.unknown': 'x'}, answer=response(
        b'an answer', 'Content-Type: text/x', 'X-Answer: yes', 'Server: Behind/1', 'Set-Cookie: session=s1; Path=/',
        'Cache-Control: no-cache'))
RICH = ('User-Agent: agent', 'Cookie: a=1; b=2', 'X-One: one', 'X-Two: two', 'Referer: http://r/',
        'X-Forwarded-For: 9.9.9.9')
for target, status in (('/', 200), ('/x?a=1&b_c=2&A=3', 200), ('/x?', 200), ('/file/a.txt', 200), ('/file/none', 404), ('/notype/x.unknown', 200),
                       ('/redirect/', 301), ('/proxy/x%20y?a=b', 200), ('/plain/', 200), ('/unix/', 200), ('/dead/', 502),
                       ('/error/', 200), ('//x/../y/%41', 200), ('/x?a=%20', 200), ('/file', 200), ('/x?a&b_c', 200),
                       ('/x?xa=1&a=2&a=3', 200), ('/x?a=1?2', 200)):
    logged.case(target, get(target, *RICH, host='main.test'), status)
    logged.case(f'HEAD {target}', request('HEAD', target, *RICH, host='Alias.test:80'), status)
logged.case('HTTP/1.0', request('GET', '/x', host=None, version='1.0'))
logged.case('POST', post('/plain/', b'a=1&b=2', 'Content-Type: application/x-www-form-urlencoded'))
logged.case('POST chunked', request('POST', '/plain/', chunks=[b'abc', b'defg']), log=False)
logged.case('POST that is not read', post('/', b'unread'), log=False)
logged.case('too large', post('/small/', b'abc'), 413)
logged.case('user', get('/', 'Authorization: Basic YW5uOnB3'))
logged.case('user without password', get('/', 'Authorization: Basic YW5u'))
logged.case('user in bad base64', get('/', 'Authorization: Basic ====!'))
logged.case('bearer', get('/', 'Authorization: Bearer abc'))
logged.case('cookies', get('/', 'Cookie: ab=0; a=x;b=y', 'Cookie: c=1'))
logged.case('cookie spaces', get('/', 'Cookie:  a = 1; b="q"'))
logged.case('cookie case', get('/', 'Cookie: A=1'))
logged.case('second of a connection', get('/') + get('/plain/') + get('/'), [200, 200, 200])
logged.case('chunked answer', get('/plain/'), answer=chunked(b'abc', b'defgh', headers=['X-Answer: c']), log=False)
logged.case('bad request', b'GET /\r\r\n\r\n', 400, log=False)
test_logged = logged.tests()

# The same in a text: what a variable is while the request is handled.
names = ('args', 'arg_a', 'uri', 'document_uri', 'request_uri', 'query_string', 'is_args', 'request', 'request_method', 'host',
         'http_host', 'server_name', 'server_port', 'server_addr', 'server_protocol', 'scheme', 'https', 'remote_addr',
         'content_length', 'content_type', 'document_root', 'request_filename', 'realpath_root', 'limit_rate', 'status',
         'connection_requests', 'request_completion', 'proxy_add_x_forwarded_for', 'body_bytes_sent', 'bytes_sent', 'pipe',
         'http_x', 'cookie_c', 'remote_user', 'upstream_addr', 'upstream_status', 'sent_http_x', 'request_body')
said = Table('server { listen 127.0.0.1:@port@; server_name "" said.test; root @root@; %s '
             'location /sub/ { root @root@/sub; %s } }' % (
                 ' '.join(f'location = /{n} {{ return 200 "${n}"; }}' for n in names),
                 'return 200 "$document_root $realpath_root $request_filename ${uri}x$args";'),
             files={'sub/x': ''})
for name in names:
    said.case(name, get(f'/{name}?a=1&b=%20', 'X: one', 'Cookie: c=d', host='said.test:8080'))
    said.case(f'bare {name}', request('GET', f'/{name}', host=None, version='1.0'))
said.case('escaped', get('/%75ri?a=%41'))
said.case('below', get('/sub/./x?q'))
test_said = said.tests()

# Of values that change from run to run, the shape.
SHAPES = {
    'connection': r'\d+', 'connection_time': r'\d+\.\d{3}', 'msec': r'\d{10}\.\d{3}', 'pid': r'\d+', 'remote_port': r'\d{5}',
    'request_id': r'[0-9a-f]{32}', 'request_time': r'\d+\.\d{3}', 'time_iso8601': r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d',
    'time_local': r'\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}', 'hostname': r'[^ ]+', 'nginx_version': r'\d+\.\d+\.\d+',
    'tcpinfo_rtt': r'\d+', 'tcpinfo_rttvar': r'\d+', 'tcpinfo_snd_cwnd': r'\d+', 'tcpinfo_rcv_space': r'\d+',
    'upstream_connect_time': r'\d\.\d{3}', 'upstream_header_time': r'\d\.\d{3}', 'upstream_response_time': r'\d\.\d{3}',
    'upstream_bytes_sent': r'\d+', 'bytes_sent': r'\d+'}


@pytest.mark.parametrize('name', SHAPES)
def test_shape(site, name):
    server = site.server('access_log @dir@/x.log f; location / { proxy_pass http://@backend@; }',
                         http=f"log_format f '${name}';")
    with Client(server.port) as c:
        raw = c.ask(get('/')).raw
        port = c.port
    value = server.wait_lines(1, 'x.log')[0]
    assert re.fullmatch(SHAPES[name], value), value
    exact = {'bytes_sent': lambda: len(raw), 'remote_port': lambda: port, 'hostname': lambda: os.uname().nodename.lower(),
             'upstream_bytes_sent': lambda: len(site.backend().requests[0].raw)}
    if name in exact:
        assert value == str(exact[name]())
    if name == 'msec':
        assert abs(float(value) - time.time()) < 30
    if name == 'pid':
        assert int(value) in server.processes()


def test_times_are_measured(site):
    """A back end that thinks 0.3 s before and 0.2 s inside its answer shows in the times."""
    site.backend(answer=[b'', Pause(0.3), b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na', Pause(0.2), b'b'])
    server = site.server('access_log @dir@/x.log f; location / { proxy_pass http://@backend@; }', http="log_format f "
                         "'$upstream_connect_time $upstream_header_time $upstream_response_time $request_time';")
    exchange(server.port, get('/'))
    connect, header, whole, total = map(float, server.wait_lines(1, 'x.log')[0].split())
    assert connect < 0.25 and 0.28 <= header < 0.48 and 0.48 <= whole <= total + 0.002 and total < 3


def test_two_tries_are_listed(site):
    server = site.server('access_log @dir@/x.log f; location / { proxy_pass http://both; }', http="log_format f "
                         "'$upstream_addr|$upstream_status|$upstream_response_length|$upstream_connect_time';"
                         'upstream both { server @dead@; server @backend@; }')
    for _ in range(2):
        assert exchange(server.port, get('/'))[0].status == 200
    logged_lines = server.wait_lines(2, 'x.log')
    dead, alive = f'127.0.0.1:{site.dead["dead"]}', site.backend().address
    addresses = [line.split('|')[0] for line in logged_lines]
    assert f'{dead}, {alive}' in addresses
    line = logged_lines[addresses.index(f'{dead}, {alive}')].split('|')
    assert line[1:3] == ['502, 200', '0, 15'] and re.fullmatch(r'-, \d\.\d{3}', line[3]), line


@pytest.mark.weir_only('nginx joins them since 1.23')
def test_repeated_fields_are_joined(site):
    """$http_x, $upstream_http_x and $sent_http_x of a repeated field are all its values, with a comma between."""
    site.backend(answer=response(b'', 'X-Up: 1', 'X-Up: 2', 'Set-Cookie: a=1', 'Set-Cookie: b=2'))
    server = site.server('access_log @dir@/x.log f; location / { proxy_pass http://@backend@; }', http="log_format f "
                         "'$http_x|$http_cookie|$http_x_forwarded_for|$upstream_http_x_up|$sent_http_x_up|$upstream_cookie_b';")
    exchange(server.port, get('/', 'X: a', 'X: b', 'Cookie: c=1', 'Cookie: d=2', 'X-Forwarded-For: 1', 'X-Forwarded-For: 2'))
    assert server.wait_lines(1, 'x.log') == ['a, b|c=1; d=2|1, 2|1, 2|1, 2|2']


def test_request_ids_differ(site):
    server = site.server('location / { return 200 "$request_id $request_id"; }')
    seen = [r.text.split() for r in exchange(server.port, get() * 3, 3)]
    assert all(a == b for a, b in seen) and len({a for a, _ in seen}) == 3
