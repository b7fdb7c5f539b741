"""mirror: copies of requests in the background."""
import threading

import pytest

from weirtest import Client, Table, get, post, request, response, until

mirrors = Table('''
    location /one/ { mirror /mirror; proxy_pass http://@backend@; }
    location /two/ { mirror /mirror; mirror /second; proxy_pass http://@backend@; }
    location /uri/ { mirror /original; proxy_pass http://@backend@; }
    location /nobody/ { mirror /nobodymirror; mirror_request_body off; proxy_pass http://@backend@; }
    location /off/ { mirror /mirror; location /off/in/ { mirror off; proxy_pass http://@backend@; } }
    location /bad/ { mirror /none; proxy_pass http://@backend@; }
    location /dead/ { mirror /deadmirror; proxy_pass http://@backend@; }
    location /file/ { mirror /mirror; root @root@; }
    location /missing/ { mirror /mirror; root @root@; }
    location /tried/ { mirror /mirror; try_files /file/f =404; root @root@; }
    location /named/ { mirror /mirror; try_files /nosuch @back; root @root@; }
    location @back { proxy_pass http://@backend@; }
    location = /mirror { internal; proxy_pass http://@mirrored@; proxy_set_header X-Uri $uri; proxy_set_header X-Request-Uri $request_uri; }
    location = /second { internal; proxy_pass http://@second@; }
    location = /original { internal; proxy_pass http://@mirrored@$request_uri; }
    location = /nobodymirror { internal; proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_pass http://@mirrored@; }
    location = /sync { return 204; }
    location = /none { internal; return 404; }
    location = /deadmirror { internal; proxy_pass http://@dead@; }
''', http='proxy_http_version 1.1;', files={'file/f': 'file', 'tried/f': 'tried'})
SYNC = get('/sync')    # both servers answer it when the copies of the request before are through
big = bytes(range(256)) * 1200
for where in ('one', 'two', 'uri', 'nobody', 'off/in', 'bad', 'dead'):
    mirrors.case(f'{where} GET', get(f'/{where}/x?a=b', 'X-Field: value') + SYNC, [200, 204])
    mirrors.case(f'{where} HEAD', request('HEAD', f'/{where}/x') + SYNC, [200, 204])
    mirrors.case(f'{where} POST', post(f'/{where}/x', b'a body') + SYNC, [200, 204])
    mirrors.case(f'{where} PUT, large', request('PUT', f'/{where}/', body=big) + SYNC, [200, 204])
mirrors.case('chunked', b'POST /one/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n' + SYNC, [200, 204])
for where, status in (('named/f', 200), ('mirror', 404)):
    mirrors.case(where, get('/' + where) + SYNC, [status, 204])
mirrors.case('pipelined', get('/one/') + get('/two/') + post('/one/', b'x') + SYNC, [200, 200, 200, 204])
mirrors.case('the mirror fails', get('/one/') + SYNC, [200, 204], lambda q: response(b'', status='500 X') if q.backend.name == 'mirrored' else response(b'fine'))
mirrors.case('a large answer of the mirror', get('/one/') + SYNC, [200, 204], lambda q: response(b'x' * 300000) if q.backend.name == 'mirrored' else response(b'fine'))
test_mirrors = mirrors.tests()


def test_the_client_does_not_wait(site):
    release = threading.Event()

    def slow(q):
        release.wait(20)
        return response(b'')
    mirrored = site.backend('mirrored', slow)
    server = site.server('location / { mirror /m; return 200; } location /p/ { mirror /m; proxy_pass http://@backend@; } '
                         'location = /m { internal; proxy_pass http://@mirrored@; }')
    with Client(server.port) as c:
        assert c.ask(get('/p/x')).status == 200
        assert len(mirrored.requests) == 1 or not release.is_set()
        release.set()
        assert c.ask(get('/p/y')).status == 200


def test_log_subrequest(site):
    server = site.server('location / { mirror /m; proxy_pass http://@backend@; } '
                         'location = /m { log_subrequest on; access_log @dir@/m.log f; proxy_pass http://@mirrored@; }',
                         http="access_log off; log_format f '$uri $status $request_uri';")
    with Client(server.port) as c:
        assert c.ask(get('/x?y')).status == 200
    assert server.wait_lines(1, 'm.log') == ['/m 200 /x?y']


@pytest.mark.parametrize('target, status', [('/file/f', 200), ('/missing/f', 404), ('/tried/f', 200)])
def test_beside_files(site, target, status):
    """The copy may come later than the answer."""
    site.file('file/f', 'file')
    mirrored = site.backend('mirrored')
    server = site.server('location /file/ { mirror /mirror; root @root@; } location /missing/ { mirror /mirror; root @root@; } '
                         'location /tried/ { mirror /mirror; try_files /file/f =404; root @root@; } '
                         'location = /mirror { internal; proxy_pass http://@mirrored@; }')
    with Client(server.port) as c:
        assert c.ask(get(target)).status == status
    until(lambda: len(mirrored.requests) == 1, 'the copy')
