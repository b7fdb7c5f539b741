"""error_log: the format of a line, byte for byte, and what is said when."""
import re

import pytest

from weirtest import Close, ReadRequest, UntilClosed, exchange, get, is_nginx, post, response, until

# weir adds, in brackets, which limit of which directive it was; everything else is nginx's.
TAIL = r'(?: \([^)]*\))?, client: 127\.0\.0\.1, server: {server}, request: "{request}"{upstream}, host: "{host}"(?:, hint: ".*")?\Z'


def tail(request_line, server='e\\.test', upstream='', host='e.test'):
    return TAIL.format(server=server, request=re.escape(request_line), upstream=upstream, host=re.escape(host))


def test_refused(site):
    """connect() to a dead back end: nginx's whole line; fail2ban and people match on it."""
    server = site.server('server { listen 127.0.0.1:@port@; server_name e.test; location / { proxy_pass http://@dead@; } }')
    assert exchange(server.port, get('/a?b', host='e.test'))[0].status == 502
    address = f'127.0.0.1:{site.dead["dead"]}'
    line = server.wait_error('error', r'\Aconnect\(\) failed \(111: Connection refused\) while connecting to upstream'
                             + tail('GET /a?b HTTP/1.1', upstream=f', upstream: "http://{re.escape(address)}/a\\?b"'))
    assert line.connection and line.pid in server.processes() and line.tid


def test_unix_socket_missing(site):
    server = site.server('server_name e.test; location / { proxy_pass http://unix:@dir@/none.sock:/u/; }')
    assert exchange(server.port, get('/x', host='e.test'))[0].status == 502
    server.wait_error('crit', r'\Aconnect\(\) to unix:\S+/none\.sock failed \(2: No such file or directory\) '
                      r'while connecting to upstream' + tail('GET /x HTTP/1.1', upstream=r', upstream: "http://unix:\S+/none\.sock:/u/x"'))


def test_closed_before_an_answer(site):
    site.backend(answer=[ReadRequest(), Close()])
    server = site.server('server_name e.test; location / { proxy_pass http://@backend@; }')
    assert exchange(server.port, get('/x', host='e.test'))[0].status == 502
    server.wait_error('error', r'\Aupstream prematurely closed connection while reading response header from upstream'
                      + tail('GET /x HTTP/1.1', upstream=rf', upstream: "http://{site.backend().address}/x"'))


def test_timed_out(site):
    site.backend(answer=[b'', UntilClosed()])
    server = site.server('server_name e.test; location / { proxy_pass http://@backend@; proxy_read_timeout 200ms; }')
    assert exchange(server.port, get('/x', host='e.test'))[0].status == 504
    server.wait_error('error', r'\Aupstream timed out \(110: Connection timed out\) while reading response header from upstream'
                      + tail('GET /x HTTP/1.1', upstream=rf', upstream: "http://{site.backend().address}/x"'))


def test_no_live_upstreams(site):
    server = site.server('server_name e.test; location / { proxy_pass http://g; }',
                         http='upstream g { server @dead@ max_fails=1 fail_timeout=1h; server @dead2@ max_fails=1 fail_timeout=1h; }',
                         workers=1)
    for _ in range(2):
        assert exchange(server.port, get('/x', host='e.test'))[0].status == 502
    server.wait_error('error', r'\Ano live upstreams while connecting to upstream'
                      + tail('GET /x HTTP/1.1', upstream=', upstream: "http://g/x"'))


def test_too_large_body(site):
    server = site.server('server_name e.test; client_max_body_size 10; location / { return 200; }')
    assert exchange(server.port, post('/x', b'y' * 11, host='e.test'))[0].status == 413
    server.wait_error('error', r'\Aclient intended to send too large body: 11 bytes' + tail('POST /x HTTP/1.1'))


def test_missing_file(site):
    server = site.server('server_name e.test; root @root@;')
    assert exchange(server.port, get('/none', host='e.test'))[0].status == 404
    server.wait_error('error', rf'\Aopen\(\) "{re.escape(site.root)}/none" failed \(2: No such file or directory\)'
                      + tail('GET /none HTTP/1.1'))


def test_directory_without_index(site):
    site.file('d/x')
    server = site.server('server_name e.test; root @root@;')
    assert exchange(server.port, get('/d/', host='e.test'))[0].status == 403
    server.wait_error('error', rf'\Adirectory index of "{re.escape(site.root)}/d/" is forbidden' + tail('GET /d/ HTTP/1.1'))


def test_denied(site):
    server = site.server('server_name e.test; location / { deny all; return 200; } location /f { deny all; root @root@; }')
    assert exchange(server.port, get('/f', host='e.test'))[0].status == 403
    server.wait_error('error', r'\Aaccess forbidden by rule' + tail('GET /f HTTP/1.1'))


def test_referer_is_last(site):
    server = site.server('server_name e.test; root @root@;')
    exchange(server.port, get('/none', 'Referer: http://r/', host='e.test'))
    assert server.wait_error('error', 'open').message.endswith(', host: "e.test", referrer: "http://r/"')


def test_client_sent_nonsense(site):
    """At level info, without a request: the line ends with the server."""
    server = site.server('server_name e.test; location / { return 200; }')
    assert exchange(server.port, b'NON\1SENSE\r\n\r\n')[0].status == 400
    server.wait_error('info', r'\Aclient sent invalid method while reading client request line, client: 127\.0\.0\.1, '
                      r'server: e\.test, request: "NON')


def test_too_long_uri(site):
    server = site.server('server_name e.test; location / { return 200; }')
    assert exchange(server.port, get('/' + 'x' * 9000))[0].status == 414
    server.wait_error('info', r'\Aclient sent too long URI(?: \([^)]*\))? while reading client request line, client: 127\.0\.0\.1, server: e\.test')


def test_too_big_header(site):
    site.backend(answer=response(b'x', 'X: ' + 'y' * 70000))
    server = site.server('server_name e.test; location / { proxy_pass http://@backend@; proxy_buffer_size 4k; proxy_buffers 8 4k; }')
    assert exchange(server.port, get('/x', host='e.test'))[0].status == 502
    server.wait_error('error', r'\Aupstream sent too big header while reading response header from upstream')


@pytest.mark.parametrize('level, seen', [('crit', []), ('error', ['error']), ('warn', ['error']), ('info', ['error', 'info'])])
def test_levels(site, level, seen):
    """A line of a lower level than asked for is not written."""
    server = site.server('error_log @dir@/error-own.log %s; server_name e.test; root @root@;' % level)
    exchange(server.port, get('/none', host='e.test'))
    exchange(server.port, get('/' + 'x' * 9000))
    server.stop()
    assert sorted({line.level for line in server.errors(name='error-own.log')} - {'notice'}) == seen


def test_the_default_level_is_error(site):
    server = site.server('error_log @dir@/error-own.log; root @root@;')
    exchange(server.port, get('/none'))
    exchange(server.port, get('/' + 'x' * 9000))
    server.stop()
    assert {line.level for line in server.errors(name='error-own.log')} == {'error'}


def test_inheritance_and_several(site):
    """A block that has error_log forgets those of the outer blocks; several logs all get the line."""
    server = site.server('''
        error_log @dir@/error-one.log error;
        error_log @dir@/error-two.log error;
        root @root@;
        location /own/ { error_log @dir@/error-three.log; root @root@; }
        location /in/ { root @root@; }
    ''')
    exchange(server.port, get('/in/x'))
    exchange(server.port, get('/own/x'))
    server.stop()
    counts = {name: len(server.errors(name=f'error-{name}.log')) for name in ('one', 'two', 'three')}
    assert counts == {'one': 1, 'two': 1, 'three': 1}
    assert not server.errors('error')


def test_stderr(site):
    server = site.server('error_log stderr; root @root@;')
    exchange(server.port, get('/none'))
    until(lambda: 'failed (2: No such file or directory)' in server.stderr(), 'the line on stderr')


def test_no_line_breaks_from_clients(site):
    """Whatever a client sends, one event is one line: nginx fails this, so does everyone who trusts $uri."""
    server = site.server('root @root@;')
    if is_nginx(server.binary):
        pytest.skip('nginx writes decoded line ends into its error log')
    exchange(server.port, get('/a%0d%0a2026/01/01 00:00:00 [emerg] 1: forged'.replace(' ', '%20')))
    server.stop()
    assert len(server.errors('error')) == 1 and not server.errors('emerg')


def debug_lines(server):
    return [e.message for e in server.errors('debug')]


CHAT = ('http request line: "GET /a?b HTTP/1.1"', 'http header: "X-Own: yes"', 'using configuration', 'http upstream:', 'upstream header',
        'http answer header: ')


@pytest.mark.parametrize('who, logged', [('127.0.0.1', True), ('127.0.0.0/8', True), ('localhost', True), ('10.0.0.0/8', False), ('unix:', False),
                                         ('::1', False)])
def test_debug_connection(site, who, logged):
    """Requests of the clients that it names are told of at level debug, whatever error_log says; nobody else's are."""
    site.backend(answer=lambda r: response('hello'))
    server = site.server('events { debug_connection 192.0.2.7; debug_connection %s; }\n' % who
                         + 'error_log @dir@/error.log error;\nhttp { server { listen 127.0.0.1:@port@; location / { proxy_pass http://@backend@; } } }')
    assert exchange(server.port, get('/a?b', 'X-Own: yes'))[0].status == 200
    server.stop()
    said = '\n'.join(debug_lines(server))
    if not logged:
        assert said == ''
    elif is_nginx(server.binary):
        assert 'http request line: "GET /a?b HTTP/1.1"' in said and 'http header: "X-Own: yes"' in said and 'using configuration "/"' in said
    else:
        for part in CHAT:
            assert part in said, f'{part} is not in\n{said}'
        assert 'http://%s/a?b' % site.backend().address in said


def test_debug_level(site):
    """`error_log ... debug` of one location tells of its requests alone, in its own file alone."""
    server = site.server('location / { return 200 a; }\n location /b { error_log @dir@/error-b.log debug; return 200 b; }')
    assert [exchange(server.port, get(p))[0].text for p in ('/', '/b', '/')] == ['a', 'b', 'a']
    server.stop()
    assert debug_lines(server) == []
    said = [e.message for e in server.errors('debug', 'error-b.log')]
    assert said and all('/a' not in line for line in said)
