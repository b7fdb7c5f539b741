"""A body that fails before anything was sent: the client gets an error, not an empty answer."""
import gzip

import pytest

from weirtest import Client, Close, Pause, Table, get, response

HEAD = b'HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n'
BROKEN = {
    'chunk': ([HEAD + b'Transfer-Encoding: chunked\r\n\r\nnothex\r\nabc\r\n0\r\n\r\n', Close()], 502),
    'gzip': (response(b'\x1f\x8b\x08\0\0\0\0\0\0\3' + b'\xff' * 50, 'Content-Type: text/html', 'Content-Encoding: gzip'), 502),
}


@pytest.mark.parametrize('name', ['chunk', 'gzip'])
@pytest.mark.parametrize('page', [False, True])
def test_error_instead_of_nothing(site, name, page):
    answer, status = BROKEN[name]
    site.backend('backend', lambda q: answer)
    server = site.server('location / { gunzip on; proxy_pass http://@backend@; %s } location = /page { return 200 "sorry $uri"; } '
                         'location = /ok { return 204; }' % ('error_page 502 /page;' if page else ''),
                         http="log_format s '$status'; access_log @dir@/s.log s;")
    with Client(server.port) as c:
        r = c.ask(get('/x'))
        assert r.status == status and (r.text == 'sorry /page' if page else '502 Bad Gateway' in r.text)
        assert not r.all('Content-Encoding') and r.complete
    with Client(server.port) as c:
        assert c.ask(get('/ok')).status == 204
    assert sorted(server.wait_lines(2, 's.log')) == ['204', str(status)]    # of two threads

def test_what_came_before_is_sent(site):
    """Half of a compressed body, then nothing: the answer begins and is cut."""
    data = gzip.compress(bytes(range(256)) * 2000)
    site.backend('backend', lambda q: [HEAD + b'Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n' % len(data) + data[:len(data) // 2], Pause(0.1), Close()])
    server = site.server('location / { gunzip on; proxy_pass http://@backend@; }')
    with Client(server.port) as c:
        c.send(get('/'))
        c.read_to_end()
    assert c.received.startswith(b'HTTP/1.1 200 ') and not c.received.endswith(b'0\r\n\r\n')


kept = Table("""
    location /named/ { try_files /none @once; }
    location /page/ { error_page 404 = @once; return 404; }
    location @once { keepalive_timeout 0; return 200 "once"; }
    location /next { return 200 "next"; }
""", log='request=$request|status=$status')
for path in ('/named/', '/page/'):
    kept.case(path, get(path) + get('/next'))    # the connection ends behind the first answer
kept.case('/next', get('/next') + get('/next'), [200, 200])
test_a_named_location_limits_the_connection = kept.tests()
