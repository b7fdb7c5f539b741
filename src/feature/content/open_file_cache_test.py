"""open_file_cache: what is remembered, for how long, and that descriptors come back."""
import os
import time

import pytest

from weirtest import WEIR, Client, exchange, get, is_nginx, until


def ask(server, path, *headers):
    return exchange(server.port, get(path, *headers))[0]


def serve(site, cache, workers=1, **how):
    return site.server(f'root @root@; {cache}', http='types { text/plain txt; }', workers=workers, **how)


def replace(site, name, content, mtime=1700000000):
    """Another file under the same name."""
    site.file(name + '.new', content, mtime)
    os.rename(os.path.join(site.root, name + '.new'), os.path.join(site.root, name))


def test_a_replaced_file_is_seen_after_valid(site):
    site.file('a.txt', 'old')
    server = serve(site, 'open_file_cache max=10; open_file_cache_valid 1s;')
    assert ask(server, '/a.txt').body == b'old'
    replace(site, 'a.txt', 'newer')
    assert ask(server, '/a.txt').body == b'old'
    until(lambda: ask(server, '/a.txt').body == b'newer', 'the new file')
    r = ask(server, '/a.txt')
    assert r.header('Content-Length') == '5'


def test_without_a_cache_it_is_seen_at_once(site):
    site.file('a.txt', 'old')
    server = serve(site, 'open_file_cache off;')
    assert ask(server, '/a.txt').body == b'old'
    replace(site, 'a.txt', 'newer')
    assert ask(server, '/a.txt').body == b'newer'


def test_an_unchanged_file_stays_open_after_valid(site):
    path = site.file('a.txt', 'text')
    server = serve(site, 'open_file_cache max=10; open_file_cache_valid 1s;')
    assert ask(server, '/a.txt').body == b'text'
    time.sleep(1.3)
    assert ask(server, '/a.txt').body == b'text'
    os.unlink(path)
    assert ask(server, '/a.txt').body == b'text'    # checked a moment ago
    until(lambda: ask(server, '/a.txt').status == 404, 'the file to be gone')


def test_errors_are_remembered_only_when_asked_for(site):
    server = serve(site, 'open_file_cache max=10; location /e/ { open_file_cache_errors on; } location / { }')
    assert ask(server, '/a.txt').status == 404 and ask(server, '/e/a.txt').status == 404
    site.file('a.txt', 'now')
    site.file('e/a.txt', 'now')
    assert ask(server, '/a.txt').status == 200
    assert ask(server, '/e/a.txt').status == 404


def test_min_uses(site):
    """A file asked for less often keeps no descriptor: its new content is seen."""
    site.file('a.txt', 'one')
    server = serve(site, 'open_file_cache max=10; open_file_cache_min_uses 3;')
    assert ask(server, '/a.txt').body == b'one'
    replace(site, 'a.txt', 'two')
    assert ask(server, '/a.txt').body == b'two'
    assert ask(server, '/a.txt').body == b'two'
    replace(site, 'a.txt', 'six')
    assert ask(server, '/a.txt').body == b'two'     # the third use kept it open


def open_files(server, root):
    found = 0
    for pid in server.processes():
        for fd in os.listdir(f'/proc/{pid}/fd'):
            try:
                found += os.readlink(f'/proc/{pid}/fd/{fd}').startswith(root)
            except OSError:
                pass
    return found


@pytest.mark.parametrize('size', [10, 100000])
def test_max_bounds_the_descriptors(site, size):
    for i in range(40):
        site.file(f'{i}.txt', b'x' * size)
    server = serve(site, 'open_file_cache max=8;')
    with Client(server.port) as client:
        for _ in range(2):
            for i in range(40):
                assert len(client.ask(get(f'/{i}.txt')).body) == size
    assert 0 < open_files(server, site.root) <= 8


@pytest.mark.weir_only('nginx closes them only when something else is asked for')
def test_inactive_files_are_closed_by_themselves(site):
    site.file('a.txt', 'x' * 50000)
    server = serve(site, 'open_file_cache max=8 inactive=1s;', workers=2)
    for _ in range(6):
        ask(server, '/a.txt')
    assert open_files(server, site.root) > 0
    until(lambda: open_files(server, site.root) == 0, 'the descriptors to be closed')


def test_directories_and_indexes(site):
    site.file('d/index.html', 'index')
    os.makedirs(os.path.join(site.root, 'bare'))
    server = serve(site, 'open_file_cache max=8; open_file_cache_errors on; location /try/ { try_files $uri /d/index.html; }')
    for _ in range(3):
        assert ask(server, '/d/').body == b'index'
        assert ask(server, '/d').status == 301
        assert ask(server, '/bare/').status == 403
        assert ask(server, '/try/none').body == b'index'


def test_conditions_and_ranges_of_a_cached_file(site):
    site.file('a.txt', b'0123456789' * 5000)
    server = serve(site, 'open_file_cache max=8;')
    for _ in range(3):
        r = ask(server, '/a.txt')
        assert r.status == 200 and len(r.body) == 50000
        assert ask(server, '/a.txt', f'If-None-Match: {r.header("ETag")}').status == 304
        part = ask(server, '/a.txt', 'Range: bytes=12345-12349')
        assert part.status == 206 and part.body == b'56789'
        parts = ask(server, '/a.txt', 'Range: bytes=40000-40001,5-6')
        assert parts.status == 206 and b'\r\n\r\n01\r\n' in parts.body and b'\r\n\r\n56\r\n' in parts.body


def test_a_file_cut_under_the_cache(site):
    """nginx's answer is cut short; it must not hang or end the server."""
    path = site.file('a.txt', b'x' * 300000)
    server = serve(site, 'open_file_cache max=8; location /small { alias @root@/small.txt; }')
    if is_nginx(server.binary):
        server.alerts.append('read only')
    small = site.file('small.txt', b'y' * 100)
    assert len(ask(server, '/a.txt').body) == 300000 and len(ask(server, '/small').body) == 100
    os.truncate(path, 1000)
    os.truncate(small, 10)
    for target in ('/a.txt', '/small'):
        with Client(server.port) as client:
            client.send(get(target))
            client.read_to_end()
    site.file('b.txt', 'fine')
    assert ask(server, '/b.txt').body == b'fine'


@pytest.mark.parametrize('name, suffix, coding', [('gzip', 'gz', 'gzip'), ('brotli', 'br', 'br'), ('zstd', 'zst', 'zstd')])
def test_of_files_compressed_before(site, name, suffix, coding):
    """gzip_static and its kin look through the cache too."""
    if name != 'gzip' and is_nginx(WEIR):
        pytest.skip('nginx does not have it')
    site.file('a.txt', 'plain')
    site.file(f'a.txt.{suffix}', 'old')
    server = serve(site, f'{name}_static on; open_file_cache max=10; open_file_cache_valid 1s; location /off/ {{ alias @root@/; open_file_cache off; }}')
    asked = f'Accept-Encoding: {coding}'
    assert ask(server, '/a.txt', asked).body == b'old'
    replace(site, f'a.txt.{suffix}', 'newer')
    assert ask(server, '/a.txt', asked).body == b'old'
    assert ask(server, '/off/a.txt', asked).body == b'newer'
    until(lambda: ask(server, '/a.txt', asked).body == b'newer', 'the new file')
    assert ask(server, '/a.txt').body == b'plain'
