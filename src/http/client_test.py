"""The client's side: what is accepted for nginx's sake changes nothing, the rest does what nginx does."""
import os
import re
import socket
import time

import pytest

from weirtest import ANY, Client, Table, Verdicts, exchange, get, is_nginx, post, request, response, until

# Directives that tune nginx's own machinery: the answers are those of a server without them.
TUNED = '''
    connection_pool_size 512; request_pool_size 8k; output_buffers 2 64k; postpone_output 0; send_lowat 0; read_ahead 64k; directio 4m;
    directio_alignment 4k; aio threads; aio_write on; sendfile on; sendfile_max_chunk 64k; tcp_nopush on; tcp_nodelay off; msie_padding off;
    msie_refresh off; subrequest_output_buffer_size 8k; client_body_in_single_buffer on; types_hash_max_size 1024; types_hash_bucket_size 64;
    variables_hash_max_size 2048; variables_hash_bucket_size 64; server_names_hash_max_size 1024; server_names_hash_bucket_size 128;
'''
MAIN = 'thread_pool default threads=4 max_queue=100; pcre_jit on; timer_resolution 100ms; events { accept_mutex on; accept_mutex_delay 100ms; ' \
       'multi_accept on; worker_aio_requests 16; debug_connection 10.9.8.0/24; use epoll; worker_connections 100; }'
FILES = {'a.txt': 'text', 'big.bin': bytes(range(256)) * 4000, 'empty': ''}
tuned = Table('server { listen 127.0.0.1:@port@; root @root@; location / { } location /proxy/ { proxy_http_version 1.1; proxy_pass http://@backend@; } '
              'location /error { return 404; } }', http=TUNED, main=MAIN, files=FILES)
plain = Table('root @root@; sendfile off; tcp_nopush off; location / { } location /one { alias @root@/big.bin; sendfile on; sendfile_max_chunk 1k; }', files=FILES)
for t in (tuned, plain):
    for path, status in (('/a.txt', 200), ('/big.bin', 200), ('/empty', 200), ('/none', 404)):
        t.case(path, get(path), status, log=t is plain)    # nginx with aio threads may log the file's bytes as 0
        t.case(f'HEAD {path}', request('HEAD', path), status)
        t.case(f'HTTP/1.0 {path}', request('GET', path, version='1.0'), status)
        t.case(f'twice {path}', get(path) * 2, [status] * 2)
    t.case('a range', get('/big.bin', 'Range: bytes=1000-200000'), 206)
tuned.case('proxy', post('/proxy/x', b'b' * 50000))
tuned.case('error for an old browser', get('/error', 'User-Agent: Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)'), 404)
plain.case('small chunks', get('/one'))
test_tuned, test_plain = tuned.tests(), plain.tests()

MSIE6, MSIE7 = 'User-Agent: Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)', 'User-Agent: Mozilla/4.0 (compatible; MSIE 7.0; Windows NT 6.0)'
OPERA = 'User-Agent: Mozilla/4.0 (compatible; MSIE 6.0; X11; Linux i686; en) Opera 9.0'
SAFARI = 'User-Agent: Mozilla/5.0 (Macintosh; Intel Mac OS X 10_6) AppleWebKit/534.50 (KHTML, like Gecko) Version/5.1 Safari/534.50'
CHROME = 'User-Agent: Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/96.0.4664.110 Safari/537.36'
kept = Table('''
    location / { return 200 x; }
    location /header/ { keepalive_timeout 30s 20s; return 200 x; }
    location /none/ { keepalive_timeout 0; return 200 x; }
    location /two/ { keepalive_requests 2; return 200 x; }
    location /time/ { keepalive_time 1h; return 200 x; }
    location /nochunk/ { chunked_transfer_encoding off; proxy_http_version 1.1; proxy_pass http://@backend@; }
    location /pages { return 404; }
    location /500 { return 500; }
    location /refresh { msie_refresh on; location /refresh/1 { return 301 '/x?"<a>'; } location /refresh/2 { return 302 http://a/b; } location /refresh/3 { return 303 /; } }
''', answer=lambda r: b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n')
for name, agent in (('MSIE 6', MSIE6), ('MSIE 7', MSIE7), ('Opera', OPERA), ('Safari', SAFARI), ('Chrome', CHROME)):
    kept.case(f'GET of {name}', get('/', agent))
    kept.case(f'POST of {name}', post('/', b'x', agent))
    kept.case(f'page for {name}', get('/pages', agent), 404)
    kept.case(f'page of 500 for {name}', get('/500', agent), 500)
    for i in (1, 2, 3):
        kept.case(f'refresh {i} for {name}', get(f'/refresh/{i}', agent), ANY)
        kept.case(f'HEAD refresh {i} for {name}', request('HEAD', f'/refresh/{i}', agent), ANY)
for path in ('/header/', '/none/', '/time/', '/nochunk/'):
    kept.case(path, get(path))
    kept.case(f'HTTP/1.0 {path}', request('GET', path, 'Connection: keep-alive', version='1.0'))
kept.case('/two/', get('/two/') * 2, [200, 200])
test_kept = kept.tests()

disabled = Table('keepalive_disable safari; location / { return 200 x; }')
for name, agent in (('MSIE 6', MSIE6), ('Safari', SAFARI), ('Chrome', CHROME)):
    disabled.case(f'GET of {name}', get('/', agent))
    disabled.case(f'POST of {name}', post('/', b'x', agent))
test_disabled = disabled.tests()


@pytest.mark.parametrize('tokens, server, page', [('on', r'weir/', 'weir/'), ('off', 'weir', '>weir<'), ('build', 'weir/', 'weir/'), ('"mine $host"', 'mine h', 'mine h')])
@pytest.mark.weir_only('its name is weir')
def test_server_tokens(site, tokens, server, page):
    s = site.server(f'server_tokens {tokens}; location / {{ return 404; }}')
    r = exchange(s.port, get('/', host='h'))[0]
    assert r.header('Server').startswith(server) and page in r.text
    assert ('/' in r.header('Server')) == (tokens in ('on', 'build'))


@pytest.mark.weir_only('nginx has it since 1.29')
def test_max_headers(site):
    server = site.server('max_headers 5; location / { return 204; }')
    assert exchange(server.port, get('/', *(f'X-{i}: x' for i in range(4))))[0].status == 204
    assert exchange(server.port, get('/', *(f'X-{i}: x' for i in range(5))))[0].status == 400
    server.wait_error('info', r'too many header lines')


def outcome(server, data, wait=0.0):
    """How the connection ended: "closed" or "reset"."""
    with socket.create_connection(('127.0.0.1', server.port)) as s:
        s.settimeout(10)
        s.sendall(data)
        time.sleep(wait)
        try:
            while s.recv(65536):
                pass
        except ConnectionResetError:
            return 'reset'
    return 'closed'


@pytest.mark.parametrize('reset', ['on', 'off'])
def test_reset_timedout_connection(site, reset):
    server = site.server(f'''server {{ listen 127.0.0.1:@port@; reset_timedout_connection {reset}; client_header_timeout 1s; client_body_timeout 1s;
        location / {{ return 444; }} location /body {{ proxy_pass http://@backend@; }} }}''')
    wanted = 'reset' if reset == 'on' else 'closed'
    assert outcome(server, get('/')) == wanted
    assert outcome(server, b'GET / HT') == wanted
    assert outcome(server, b'POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc') == wanted


@pytest.mark.parametrize('linger, wanted', [('on', 'answer'), ('always', 'answer'), ('off', 'reset')])
def test_lingering_close(site, linger, wanted):
    """A body that is too large: with lingering the client can send it and read the answer."""
    server = site.server(f'lingering_close {linger}; lingering_time 5s; lingering_timeout 2s; client_max_body_size 1k; location / {{ return 200; }}', workers=1)
    with socket.create_connection(('127.0.0.1', server.port)) as s:
        s.settimeout(10)
        s.sendall(b'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n')
        time.sleep(0.3)
        got = b''
        try:
            for _ in range(30):
                s.sendall(b'x' * 100000)
                time.sleep(0.01)
            while True:
                data = s.recv(65536)
                if not data:
                    break
                got += data
        except (ConnectionResetError, BrokenPipeError):
            got = b'reset'
    assert (b' 413 ' in got) == (wanted == 'answer')


def bodies(server):
    path = os.path.join(server.directory, 'client_body_temp')
    return sorted(open(os.path.join(d, f), 'rb').read() for d, _, files in os.walk(path) for f in files)


@pytest.mark.parametrize('how', ['on', 'clean', 'off'])
def test_client_body_in_file_only(site, how):
    seen = []

    def answer(r):
        name = r.header('X-File', '')
        seen.append((name, open(name, 'rb').read() if name and os.path.exists(name) else None))
        return response('ok')
    site.backend(answer=answer)
    server = site.server(f'''client_body_in_file_only {how}; location / {{ proxy_pass http://@backend@; proxy_set_header X-File $request_body_file; }}
        location /only {{ proxy_pass http://@backend@; proxy_set_header X-File $request_body_file; proxy_set_body $request_body_file; }}''',
                         main='user root;' if os.getuid() == 0 else '', workers=1)
    server.temporary = []
    assert exchange(server.port, post('/', b'first body'))[0].status == 200
    assert exchange(server.port, post('/', b'second' * 20000))[0].status == 200
    assert exchange(server.port, request('POST', '/', chunks=[b'third', b' body']))[0].status == 200
    assert exchange(server.port, get('/'))[0].status == 200
    sent = [b'first body', b'second' * 20000, b'third body']
    if how == 'off':
        assert seen[0] == ('', None) and seen[3] == ('', None)
    else:
        assert [s[1] for s in seen] == sent + [None]
        assert all(s[0].startswith(server.directory + '/client_body_temp/') for s in seen[:3]) and len({s[0] for s in seen[:3]}) == 3
    if how == 'clean':
        until(lambda: bodies(server) == [], 'the files to be removed')
    else:
        assert bodies(server) == (sorted(sent) if how == 'on' else [])
    assert [r.body for r in site.backend().requests] == sent + [b'']


@pytest.mark.parametrize('levels, where', [('1', r'(\d)/\d{9}\1'), ('2', r'(\d\d)/\d{8}\1'), ('1 2', r'(\d)/(\d\d)/\d{7}\2\1'),
                                           ('1 2 3', r'(\d)/(\d\d)/(\d{3})/\d{4}\3\2\1'), ('2 2 1', r'(\d\d)/(\d\d)/(\d)/\d{5}\3\2\1')])
def test_levels_of_client_body_temp_path(site, levels, where):
    """Files with names lie in directories named by the last digits of their numbers."""
    site.backend(answer=lambda r: response('ok'))
    server = site.server(f'client_body_in_file_only on; client_body_temp_path @dir@/leveled {levels}; location / {{ proxy_pass http://@backend@; }}',
                         main='user root;' if os.getuid() == 0 else '', workers=1)
    bodies = [b'body %d' % i for i in range(12)]
    for body in bodies:
        assert exchange(server.port, post('/', body))[0].status == 200
    top = os.path.join(server.directory, 'leveled')
    found = {os.path.relpath(os.path.join(d, f), top): open(os.path.join(d, f), 'rb').read() for d, _, files in os.walk(top) for f in files}
    assert sorted(found.values()) == sorted(bodies)
    for name in found:
        assert re.fullmatch(where, name), name


verdicts = Verdicts()
for text in ('client_body_in_file_only x;', 'client_body_in_file_only clean;', 'client_body_in_single_buffer x;', 'keepalive_disable x;', 'keepalive_disable msie6 safari;',
             'keepalive_disable none;', 'keepalive_timeout x;', 'keepalive_timeout 10 x;', 'keepalive_timeout 10 20;', 'keepalive_requests x;', 'keepalive_time x;', 'lingering_close x;',
             'lingering_close always;', 'lingering_time x;', 'lingering_timeout 5x;', 'reset_timedout_connection x;', 'send_timeout x;', 'client_header_timeout x;',
             'client_max_body_size x;', 'client_max_body_size 1g;', 'client_max_body_size 0;', 'client_body_buffer_size x;', 'client_header_buffer_size x;',
             'large_client_header_buffers 4;', 'large_client_header_buffers x 8k;', 'large_client_header_buffers 0 8k;', 'client_body_timeout x;', 'tcp_nodelay x;', 'tcp_nopush x;',
             'sendfile x;', 'sendfile_max_chunk x;', 'postpone_output x;', 'underscores_in_headers x;', 'ignore_invalid_headers x;', 'chunked_transfer_encoding x;',
             'if_modified_since x;', 'etag x;', 'max_ranges x;', 'max_ranges -1;', 'expires x;', 'expires;', 'expires 1d 2d;', 'expires modified 1d;', 'expires modified @1d;',
             'expires @25h;', 'expires @24h;', 'expires -1;', 'expires +1h;', 'expires epoch;', 'expires max;', 'expires $host;', 'expires modified $host;', 'expires modified off;',
             'add_header X;', 'add_header X y z;', 'add_header X y always;', 'add_header X $nosuch;', 'add_trailer X y;', 'add_trailer X y z;', 'client_body_temp_path;',
             'client_body_temp_path /tmp/weirtest-x 1 2 x;', 'autoindex x;', 'autoindex_format x;', 'autoindex_localtime x;', 'random_index on;', 'open_file_cache on;', 'open_file_cache max=0;',
             'open_file_cache inactive=5s;', 'open_file_cache max=5 inactive=x;', 'open_file_cache off max=5;', 'open_file_cache max=5;', 'open_file_cache_min_uses -1;',
             'open_file_cache_errors x;', 'open_file_cache_valid x;', 'disable_symlinks on from;', 'disable_symlinks;', 'disable_symlinks x;', 'disable_symlinks off from=/x;',
             'disable_symlinks on from=;', 'disable_symlinks from=/x;', 'disable_symlinks from=/x if_not_owner;', 'disable_symlinks on on;', 'disable_symlinks on if_not_owner;'):
    if 'temp_path' not in text:
        verdicts.case(text)
test_verdicts = verdicts.tests()
