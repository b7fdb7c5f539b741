"""dav_methods and relatives: PUT, DELETE, MKCOL, COPY and MOVE, status by status and file by file."""
import os
import stat

import pytest

from weirtest import Table, Verdicts, exchange, get, is_nginx, request

CONF = '''
    root @dir@/www; dav_methods PUT DELETE MKCOL COPY MOVE; client_max_body_size 2000; create_full_put_path on; types { text/plain txt; }
    location / { }
    location /plain/ { create_full_put_path off; }
    location /access/ { dav_access group:rw all:r; }
    location /deep/ { min_delete_depth 3; }
    location /only/ { dav_methods PUT; }
    location /off/ { dav_methods off; }
    location /alias/ { alias @dir@/www/aliased/; }
'''
USER = 'user root;' if os.getuid() == 0 else ''


def put(path, body='x', *headers):
    if not any(h.startswith('Date:') for h in headers):
        headers += ('Date: Sun, 06 Nov 1994 08:49:00 GMT',)    # or else the time of the file is that of the test
    return request('PUT', path, *headers, body=body.encode())


def dest(method, path, to, *headers):
    return request(method, path, *([f'Destination: {to}'] if to is not None else []), *headers)


table = Table(CONF, main=USER)


def case(name, *steps):
    """steps: (bytes, status); all in one connection each, in order."""
    table.case(name, b''.join(data for data, _ in steps), [status for _, status in steps])


case('PUT and GET', (put('/a.txt', 'hello'), 201), (put('/a.txt', 'hello again'), 204), (request('HEAD', '/b.txt'), 404),
     (put('/e', '', 'Content-Type: x/y'), 201), (get('/e'), 200))
table.case('PUT to a collection', put('/dir/'), 409)
case('PUT into new directories', (put('/x/y/z.txt'), 201), (put('/x/y'), 409))
table.case('PUT below a file', put('/a.txt/b'), 500)
table.case('PUT without its directory', put('/plain/y/z.txt'), 500)
case('PUT with Date', (put('/dated', 'x', 'Date: Sun, 06 Nov 1994 08:49:37 GMT'), 201), (get('/dated'), 200))
table.case('PUT with a bad Date', put('/dated2', 'x', 'Date: yesterday'), 201)
table.case('PUT with Content-Range', put('/cr', 'x', 'Content-Range: bytes 0-0/5'), 501)
case('PUT chunked', (request('PUT', '/chunked', chunks=[b'abc', b'def' * 100]), 201))
table.case('PUT too large', put('/big', 'x' * 2001), 413)
case('PUT of 2000 bytes', (put('/big2', 'x' * 2000), 201), (put('/big2', 'y' * 1999), 204))
table.case('PUT where it is off', put('/off/a'), 405)
case('PUT by alias', (put('/alias/q/w'), 201), (put('/sp%20ace%3F?x=1'), 201))
case('PUT alone is allowed', (put('/only/a'), 201), (request('DELETE', '/only/a'), 405), (request('MKCOL', '/only/b/'), 405))
case('MKCOL', (request('MKCOL', '/d1'), 409), (request('MKCOL', '/d1/'), 201), (request('MKCOL', '/d1/'), 405),
     (request('MKCOL', '/no/such/'), 409), (request('MKCOL', '/d3/', 'Content-Length: 0'), 201))
table.case('MKCOL with a body', request('MKCOL', '/d2/', body=b'x'), 415)
case('MKCOL below a file', (put('/mf'), 201), (request('MKCOL', '/mf/'), 405), (request('MKCOL', '/mf/x/'), 409))
case('DELETE', (put('/del/f'), 201), (request('DELETE', '/del/f'), 204), (request('DELETE', '/del/f'), 404),
     (request('DELETE', '/del'), 409), (request('DELETE', '/del/'), 204), (request('DELETE', '/del/'), 404))
table.case('DELETE with a body', request('DELETE', '/a.txt', body=b'x'), 415)
for depth, file, directory in (('0', 204, 400), ('1', 400, 400), ('infinity', 204, 204), ('bogus', 400, 400), ('', 400, 400)):
    case(f'DELETE a file with Depth {depth}', (put(f'/dd{depth}/f'), 201))
    table.case(f'DELETE with Depth {depth}: file', request('DELETE', f'/dd{depth}/f', f'Depth: {depth}'), file)
    table.case(f'DELETE with Depth {depth}: directory', request('DELETE', f'/dd{depth}/', f'Depth: {depth}'), directory)
case('DELETE a file as a directory', (put('/df'), 201), (request('DELETE', '/df/'), 409))
case('DELETE a tree', (put('/t/a/b/c/d'), 201), (put('/t/a/e'), 201), (put('/t/f'), 201), (request('DELETE', '/t/'), 204),
     (get('/t/f'), 404))
case('min_delete_depth', (put('/deep/f'), 201), (request('DELETE', '/deep/f'), 409), (put('/deep/a/f'), 201),
     (request('DELETE', '/deep/a/f'), 204), (request('DELETE', '/deep/a/'), 409), (put('/deep/a/b/c'), 201),
     (request('DELETE', '/deep/a/b/'), 204))
for method in ('COPY', 'MOVE'):
    m = '/' + method.lower()
    for i, (to, status) in enumerate((('rel', 204), ('http://localhost', 400), ('http://other/x', 400), ('https://localhost/x', 400), ('foo', 400),
                       ('', 400), (None, 400), ('http://localhost:99/np', 204), ('http://localhost/q?x=y', 204), ('/a/../../../etc', 400),
                       ('/a/%2e%2e/%2e%2e/esc', 400), ('/nul%00', 400))):
        case(f'{method} source for {to}', (put(f'{m}/s{i}'), 201))
        if to in ('rel', ):
            to = f'{m}/rel'
        table.case(f'{method} to {to}', dest(method, f'{m}/s{i}', to), status)
    case(f'{method} over a file', (put(f'{m}/o1', 'one'), 201), (put(f'{m}/o2', 'two'), 201), (dest(method, f'{m}/o1', f'{m}/o2'), 204),
         (request('HEAD', f'{m}/o1'), 200 if method == 'COPY' else 404), (request('DELETE', f'{m}/o2'), 204))
    case(f'{method} with Overwrite', (put(f'{m}/w1', 'one'), 201), (put(f'{m}/w2', 'two'), 201),
         (dest(method, f'{m}/w1', f'{m}/w2', 'Overwrite: F'), 412), (dest(method, f'{m}/w1', f'{m}/w2', 'Overwrite: f'), 412),
         (dest(method, f'{m}/w1', f'{m}/w3', 'Overwrite: F'), 204))
    case(f'{method} with Overwrite T', (put(f'{m}/wt1', 'one'), 201), (put(f'{m}/wt2', 'two'), 201),
         (dest(method, f'{m}/wt1', f'{m}/wt2', 'Overwrite: t'), 204))
    table.case(f'{method} with a bad Overwrite', dest(method, f'{m}/w2', f'{m}/w9', 'Overwrite: X'), 400)
    case(f'{method} a file to a directory', (put(f'{m}/fd/x'), 201), (put(f'{m}/ff'), 201), (dest(method, f'{m}/ff', f'{m}/c/'), 409),
         (dest(method, f'{m}/ff', f'{m}/fd'), 409), (dest(method, f'{m}/fd/', f'{m}/ff'), 409), (dest(method, f'{m}/fd', f'{m}/fz/'), 409))
    case(f'{method} what is not there', (dest(method, f'{m}/none', f'{m}/x'), 404), (dest(method, f'{m}/none/', f'{m}/x/'), 404))
    table.case(f'{method} with a body', request(method, f'{m}/w2', f'Destination: {m}/b', body=b'x'), 415)
    case(f'{method} a directory', (put(f'{m}/k/a/b', 'b'), 201), (put(f'{m}/k/c', 'c'), 201), (dest(method, f'{m}/k/', f'{m}/k2/'), 201),
         (request('DELETE', f'{m}/k2/a/b'), 204), (request('DELETE', f'{m}/k2/c'), 204),
         (request('HEAD', f'{m}/k/c'), 200 if method == 'COPY' else 404))
    case(f'{method} over a directory', (put(f'{m}/l/new'), 201), (put(f'{m}/l2/old'), 201), (dest(method, f'{m}/l/', f'{m}/l2/', 'Overwrite: F'), 412),
         (dest(method, f'{m}/l/', f'{m}/l2/'), 201), (request('DELETE', f'{m}/l2/old'), 404 if method == 'MOVE' else 204) if method == 'MOVE' else
         (request('DELETE', f'{m}/l2/new'), 204))
    for depth, file, directory in (('0', 204, 201), ('1', 400, 400), ('infinity', 204, 201), ('bogus', 400, 400)):
        if method == 'MOVE' and depth == '0':
            file = directory = 400
        case(f'{method} source for Depth {depth}', (put(f'{m}/v{depth}/f'), 201), (put(f'{m}/vf{depth}'), 201))
        table.case(f'{method} Depth {depth}: file', dest(method, f'{m}/vf{depth}', f'{m}/vfto{depth}', f'Depth: {depth}'), file)
        table.case(f'{method} Depth {depth}: directory', dest(method, f'{m}/v{depth}/', f'{m}/vto{depth}/', f'Depth: {depth}'), directory)
    case(f'{method} by alias', (put(f'/alias{m}/a'), 201), (dest(method, f'/alias{m}/a', f'/alias{m}/b'), 204),
         (request('DELETE', f'/alias{m}/b'), 204))
    case(f'{method} without the parent', (put(f'{m}/np'), 201), (dest(method, f'{m}/np', f'{m}/nodir/b'), 500 if method == 'COPY' else 204))
test_dav = table.tests()


def serve(site, more=''):
    return site.server(CONF + more, main=USER)


def test_rights_and_content(site):
    server = serve(site)
    www = os.path.join(server.directory, 'www')
    assert exchange(server.port, put('/access/n/f', 'text'))[0].status == 201
    assert exchange(server.port, put('/p', 'x' * 1500))[0].status == 201
    assert stat.S_IMODE(os.stat(f'{www}/access/n/f').st_mode) == 0o664 and open(f'{www}/access/n/f').read() == 'text'
    assert stat.S_IMODE(os.stat(f'{www}/p').st_mode) == 0o600 and os.path.getsize(f'{www}/p') == 1500
    r = exchange(server.port, put('/p', 'dated', 'Date: Sun, 06 Nov 1994 08:49:37 GMT'))[0]
    assert r.status == 204 and os.stat(f'{www}/p').st_mtime == 784111777
    assert exchange(server.port, dest('COPY', '/p', '/access/p'))[0].status == 204
    assert os.stat(f'{www}/access/p').st_mtime == 784111777 and open(f'{www}/access/p').read() == 'dated'
    r = exchange(server.port, put('/sp%20ace'))[0]
    assert r.status == 201 and r.header('Location') == f'http://localhost:{server.port}/sp%20ace'
    assert os.path.exists(f'{www}/sp ace')
    if not is_nginx(server.binary):
        left = [f for _, _, files in os.walk(www) for f in files if f.startswith('.')]
        assert not left


def test_a_broken_put_leaves_nothing(site):
    from weirtest import Client, until
    server = serve(site)
    assert exchange(server.port, put('/keep', 'old'))[0].status == 201
    with Client(server.port) as client:
        client.send(b'PUT /keep HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhalf of it')
    www = os.path.join(server.directory, 'www')
    until(lambda: os.listdir(www) == ['keep'], 'the temporary file to be gone')
    assert open(f'{www}/keep').read() == 'old'


def test_links(site):
    server = serve(site)
    www = os.path.join(server.directory, 'www')
    assert exchange(server.port, put('/t/in/f', 'inside'))[0].status == 201
    outside = os.path.join(site.directory, 'outside')
    os.mkdir(outside)
    open(os.path.join(outside, 'f'), 'w').write('kept')
    os.symlink(outside, f'{www}/t/out')
    os.symlink('in/f', f'{www}/t/link')
    assert exchange(server.port, dest('MOVE', '/t/link', '/t/moved'))[0].status == 204
    assert os.readlink(f'{www}/t/moved') == 'in/f'
    assert exchange(server.port, request('DELETE', '/t/'))[0].status == 204
    assert not os.path.exists(f'{www}/t') and open(os.path.join(outside, 'f')).read() == 'kept'


@pytest.mark.weir_only('nginx copies until the path is too long, or loses the tree')
@pytest.mark.parametrize('method', ['COPY', 'MOVE'])
def test_a_tree_into_itself(site, method):
    server = serve(site)
    www = os.path.join(server.directory, 'www')
    assert exchange(server.port, put('/t/in/f', 'inside'))[0].status == 201
    for source, to in (('/t/', '/t/in/deeper/'), ('/t/', '/t/'), ('/t/in/', '/t/'), ('/t/', '/t/x/')):
        assert exchange(server.port, dest(method, source, to))[0].status == 409
    assert open(f'{www}/t/in/f').read() == 'inside'


@pytest.mark.weir_only('nginx 1.22 takes the length of the prefix off whatever the Destination is')
def test_a_destination_outside_of_the_alias(site):
    server = serve(site, 'location ~ ^/re/(.*)$ { alias @dir@/www/re/$1; }')
    assert exchange(server.port, put('/alias/a'))[0].status == 201
    assert exchange(server.port, put('/re/a'))[0].status == 201
    for source, to in (('/alias/a', '/b'), ('/alias/a', '/other/b'), ('/re/a', '/re/b')):
        assert exchange(server.port, dest('MOVE', source, to))[0].status == 400


@pytest.mark.weir_only('nginx answers 500 to a PUT that has no body at all')
def test_put_of_nothing(site):
    server = serve(site)
    assert exchange(server.port, request('PUT', '/empty'))[0].status == 201
    assert exchange(server.port, get('/empty'))[0].body == b''


verdicts = Verdicts()
for text in ('dav_methods;', 'dav_methods X;', 'dav_methods put;', 'dav_methods PUT off;', 'dav_methods PUT PUT;', 'dav_access user:rw;',
             'dav_access;', 'dav_access x:rw;', 'dav_access user:x;', 'dav_access user:rw group:rw all:r x;', 'dav_access user;',
             'dav_access user:wr;', 'min_delete_depth x;', 'min_delete_depth -1;', 'create_full_put_path x;', 'dav_access group:r all:rw;'):
    verdicts.case(text)
test_verdicts = verdicts.tests()


@pytest.mark.parametrize('to', ['/other/moved.txt', '/d/moved.txt'])
def test_a_moved_file_is_the_same_file(site, to):
    """MOVE renames, into another directory too: nothing is copied."""
    path = site.file('d/f.txt', 'x' * 1000)
    site.file('other/x', '')
    server = site.server('root @root@; dav_methods MOVE;', main=USER)
    inode = os.stat(path).st_ino
    r = exchange(server.port, request('MOVE', '/d/f.txt', f'Destination: http://localhost{to}', 'Host: localhost', host=None))[0]
    assert r.status == 204
    assert os.stat(site.root + to).st_ino == inode and not os.path.exists(path)
