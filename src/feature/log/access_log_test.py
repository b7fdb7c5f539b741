"""access_log and log_format: where lines go and what they say."""
import os
import re

import pytest

from weirtest import Client, UntilClosed, exchange, get, post, request, until

COMBINED = re.compile(r'127\.0\.0\.1 - (?P<user>\S+) \[(?P<time>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] '
                      r'"(?P<request>.*)" (?P<status>\d{3}) (?P<bytes>\d+) "(?P<referer>.*)" "(?P<agent>.*)"\Z')


def lines(server, name, count):
    return server.wait_lines(count, name)


def test_combined_is_the_default(site):
    server = site.server('location / { return 200 hello; }', workers=1)
    exchange(server.port, get('/a?b', 'Referer: http://r/', 'User-Agent: agent/1 (x)', 'Authorization: Basic YW5uOnB3'))
    m = COMBINED.match(lines(server, 'access.log', 1)[0])
    assert m and m['request'] == 'GET /a?b HTTP/1.1' and m['status'] == '200' and m['bytes'] == '5'
    assert m['user'] == 'ann' and m['referer'] == 'http://r/' and m['agent'] == 'agent/1 (x)'


def test_combined_of_an_empty_request(site):
    server = site.server('location / { return 200 hello; }', workers=1)
    exchange(server.port, b'\x16\x03\x01\x02\x00\r\n\r\n')
    m = COMBINED.match(lines(server, 'access.log', 1)[0])
    assert m and m['request'] == '\\x16\\x03\\x01\\x02\\x00' and m['status'] == '400'
    assert m['user'] == m['referer'] == m['agent'] == '-'


@pytest.mark.parametrize('value, logged', [
    ('a"b', 'a\\x22b'), ('a\\b', 'a\\x5Cb'), ('caf\u00c3\u00a9', 'caf\\xC3\\xA9'), ('tab\there', 'tab\\x09here'),
    ('', ''), (None, '-'), ("a'b<>&", "a'b<>&"), ('\u00ff', '\\xFF')])
def test_escape_default(site, value, logged):
    server = site.server('access_log @dir@/x.log f; location / { return 204; }', http="log_format f '[$http_x]';", workers=1)
    exchange(server.port, get('/') if value is None else get('/', f'X: {value}'))
    assert lines(server, 'x.log', 1) == [f'[{logged}]']


@pytest.mark.parametrize('value, logged', [
    ('a"b', 'a\\"b'), ('a\\b', 'a\\\\b'), ('tab\there', 'tab\\there'), ('', ''), ('a/b', 'a/b'),
    ('caf\u00c3\u00a9', 'caf\u00e9')])
def test_escape_json(site, value, logged):
    server = site.server('access_log @dir@/x.log f; location / { return 204; }',
                         http="log_format f escape=json '{\"x\": \"$http_x\"}';", workers=1)
    exchange(server.port, get('/', f'X: {value}'))
    assert lines(server, 'x.log', 1) == [f'{{"x": "{logged}"}}']


def test_escape_none(site):
    server = site.server('access_log @dir@/x.log f; location / { return 204; }', http="log_format f escape=none '[$http_x]';", workers=1)
    exchange(server.port, get('/', 'X: a"b\\c'))
    exchange(server.port, get('/'))
    assert lines(server, 'x.log', 2) == ['[a"b\\c]', '[]']


def test_pieces_of_a_format_are_joined(site):
    server = site.server('access_log @dir@/x.log f; location / { return 204; }',
                         http="log_format f '$status ' \"${request_method}x \" $uri ';' '%';", workers=1)
    exchange(server.port, get('/u'))
    assert lines(server, 'x.log', 1) == ['204 GETx /u;%']


def test_where_lines_go(site):
    """off, several logs, inheritance: a level that has access_log forgets those of the outer levels."""
    server = site.server('''
        access_log @dir@/server.log f;
        location / { return 204; }
        location /off/ { access_log off; return 204; }
        location /own/ { access_log @dir@/own.log f; location /own/deeper/ { return 204; } return 204; }
        location /two/ { access_log @dir@/one.log f; access_log @dir@/two.log g; return 204; }
        location /offout/ { access_log off; location /offout/in/ { access_log @dir@/in.log f; return 204; } return 204; }
        location /default/ { access_log @dir@/default.log; return 204; }
        location /internal/ { error_page 404 /own/; return 404; }
    ''', http="log_format f '$request_uri'; log_format g 'g $request_uri';", workers=1)
    for target in ('/', '/off/', '/own/', '/own/deeper/', '/two/', '/offout/', '/offout/in/', '/default/', '/internal/'):
        exchange(server.port, get(target))
    server.stop()
    read = server.lines
    assert read('server.log') == ['/']
    assert read('own.log') == ['/own/', '/own/deeper/', '/internal/']
    assert read('one.log') == ['/two/'] and read('two.log') == ['g /two/']
    assert read('in.log') == ['/offout/in/']
    assert len(read('default.log')) == 1 and COMBINED.match(read('default.log')[0])
    assert read('access.log') == []


def test_if(site):
    server = site.server('access_log @dir@/x.log f if=$arg_log; location / { return 204; }',
                         http="log_format f '$request_uri';", workers=1)
    for target in ('/?log=1', '/?log=0', '/?log=', '/', '/?log=yes'):
        exchange(server.port, get(target))
    server.stop()
    assert server.lines('x.log') == ['/?log=1', '/?log=yes']


def test_buffer_is_written_at_the_end(site):
    server = site.server('access_log @dir@/x.log f buffer=64k flush=1h; location / { return 204; }',
                         http="log_format f '$request_uri';", workers=1)
    for i in range(50):
        exchange(server.port, get(f'/{i}'))
    server.stop()
    assert sorted(server.lines('x.log')) == sorted(f'/{i}' for i in range(50))


def test_flush(site):
    server = site.server('access_log @dir@/x.log f buffer=64k flush=100ms; location / { return 204; }',
                         http="log_format f '$request_uri';", workers=1)
    exchange(server.port, get('/x'))
    assert lines(server, 'x.log', 1) == ['/x']


def test_variables_in_the_path(site):
    server = site.server('root @root@; access_log @dir@/$arg_name.log f; location / { return 204; }',
                         http="log_format f '$request_uri';", main='user root;' if os.getuid() == 0 else '', workers=1)
    exchange(server.port, get('/?name=a'))
    exchange(server.port, get('/?name=b'))
    assert lines(server, 'a.log', 1) == ['/?name=a'] and lines(server, 'b.log', 1) == ['/?name=b']


def test_every_request_is_logged_once(site):
    """Pipelined, HEAD, bad and large requests, two threads: as many lines as answers, none torn."""
    server = site.server('access_log @dir@/x.log f; location / { return 200 ok; }', http="log_format f '$request $status end';", workers=1)
    count = 0
    for i in range(40):
        batch = get(f'/{i}/' + 'x' * (i * 50)) * 5 + post('/p', b'abc') + request('HEAD', '/h')
        assert len(exchange(server.port, batch, 7)) == 7
        count += 7
    server.stop()
    assert len(server.lines('x.log')) == count
    assert all(re.fullmatch(r'(GET|POST|HEAD) /\S+ HTTP/1\.1 200 end', line) for line in server.lines('x.log'))


def test_a_log_that_cannot_be_opened_stops_the_start(site):
    with pytest.raises(AssertionError) as e:
        site.server('access_log @dir@/no/such/x.log; location / { return 204; }', workers=1)
    assert re.search(r'open\(\) "\S+/no/such/x\.log" failed \(2: No such file or directory\)', str(e.value))


def test_aborted_request_is_499(site):
    """The client leaves while the back end thinks: 499, and the back end's connection is closed."""
    site.backend(answer=[b'', UntilClosed()])
    server = site.server('access_log @dir@/x.log f; location / { proxy_pass http://@backend@; }',
                         http="log_format f '$status $body_bytes_sent $upstream_status';", workers=1)
    with Client(server.port) as c:
        c.send(get('/slow'))
        site.backend().wait_requests(1)
    assert lines(server, 'x.log', 1) == ['499 0 -']
    until(lambda: all(k.closed for k in site.backend().open), 'the connection to the back end to be closed')
