"""brotli and zstd: the same as gzip, with their own decoders; which coding is taken of several."""
import gzip as gz
import subprocess

import pytest

from weirtest import Client, get, request, response

TEXT = b'the quick brown fox jumps over the lazy dog. ' * 40
LARGE = b''.join(b'%d: line of a large answer, never twice the same: %d\n' % (i, i * i) for i in range(8000))


def decode(coding, data):
    command = {'br': ['brotli', '-dc'], 'zstd': ['zstd', '-dcq'], 'gzip': ['gzip', '-dc']}[coding]
    return subprocess.run(command, input=data, capture_output=True, check=True).stdout


CONF = '''root @root@; gzip_vary on; brotli on; zstd on; gzip on; types { text/html html; text/css css; image/png png; }
    location /br/ { alias @root@/; zstd off; brotli_types text/css; brotli_comp_level 5; brotli_window 64k; brotli_buffers 4 8k; brotli_min_length 100; }
    location /zstd/ { alias @root@/; brotli off; zstd_types *; zstd_comp_level 3; zstd_min_length 100; zstd_buffers 4 8k; }
    location /back/ { proxy_pass http://@backend@; }'''


@pytest.mark.parametrize('accept, coding', [
    ('br', 'br'), ('zstd', 'zstd'), ('gzip', 'gzip'), ('gzip, deflate, br, zstd', 'zstd'), ('gzip, br', 'br'), ('br;q=0, gzip', 'gzip'),
    ('zstd;q=0, br', 'br'), ('identity', None), ('BR', 'br'), ('brx', None), ('', None)])
def test_which_coding(site, accept, coding):
    site.file('f.html', LARGE)
    server = site.server(CONF)
    with Client(server.port) as c:
        r = c.ask(get('/f.html', f'Accept-Encoding: {accept}'))
    assert r.header('Content-Encoding') == coding and r.header('Vary') == 'Accept-Encoding'
    assert (decode(coding, r.body) if coding else r.body) == LARGE
    assert r.header('ETag').startswith('W/') == bool(coding)
    assert not coding or len(r.body) < len(LARGE) / 3


@pytest.mark.parametrize('where, coding', [('br', 'br'), ('zstd', 'zstd')])
def test_answers(site, where, coding):
    site.file('f.html', TEXT)
    site.file('f.css', TEXT)
    site.file('f.png', TEXT)
    site.file('short.html', b'x' * 99)
    site.file('large.html', LARGE)
    server = site.server(CONF)
    accept = f'Accept-Encoding: {coding}'
    with Client(server.port) as c:
        for name in ('f.html', 'f.css', 'large.html', 'f.html'):
            r = c.ask(get(f'/{where}/{name}', accept))
            assert r.header('Content-Encoding') == coding and decode(coding, r.body) == (LARGE if name == 'large.html' else TEXT)
        assert c.ask(get(f'/{where}/short.html', accept)).body == b'x' * 99
        assert (c.ask(get(f'/{where}/f.png', accept)).header('Content-Encoding') == coding) == (where == 'zstd')
        head = c.ask(request('HEAD', f'/{where}/f.html', accept))
        assert head.header('Content-Encoding') == coding and not head.all('Content-Length')
        assert c.ask(get(f'/{where}/f.html', accept, 'Range: bytes=0-5')).status == 200
        assert c.ask(get(f'/{where}/f.html', accept, 'Via: 1.1 x')).header('Content-Encoding') is None
        assert c.ask(get(f'/{where}/f.html', accept, 'If-None-Match: "6553f100-708"')).status == 304


def test_a_body_that_is_compressed_already(site):
    site.backend('backend', response(gz.compress(TEXT), 'Content-Type: text/html', 'Content-Encoding: gzip'))
    server = site.server(CONF)
    with Client(server.port) as c:
        r = c.ask(get('/back/', 'Accept-Encoding: br, zstd, gzip'))
    assert r.header('Content-Encoding') == 'gzip' and gz.decompress(r.body) == TEXT


@pytest.mark.parametrize('name, suffix, coding', [('brotli_static', 'br', 'br'), ('zstd_static', 'zst', 'zstd')])
def test_static(site, name, suffix, coding):
    site.file('f.html', TEXT)
    site.file(f'f.html.{suffix}', b'compressed before')
    server = site.server(f'root @root@; types {{ text/html html; }} {name} on; gzip_vary on; location /always/ {{ alias @root@/; {name} always; }}')
    with Client(server.port) as c:
        r = c.ask(get('/f.html', f'Accept-Encoding: {coding}'))
        assert r.body == b'compressed before' and r.header('Content-Encoding') == coding and r.header('Content-Type') == 'text/html'
        assert r.header('Vary') == 'Accept-Encoding'
        r = c.ask(get('/f.html'))
        assert r.body == TEXT and r.header('Vary') == 'Accept-Encoding'
        assert c.ask(get('/always/f.html')).body == b'compressed before'


def test_ratio(site):
    site.file('f.html', LARGE)
    server = site.server('root @root@; types { text/html html; } location /b/ { alias @root@/; brotli on; access_log @dir@/b.log b; } '
                         'location /z/ { alias @root@/; zstd on; access_log @dir@/z.log z; }',
                         http="access_log off; log_format b '$brotli_ratio'; log_format z '$zstd_ratio';")
    with Client(server.port) as c:
        for where, coding in (('b', 'br'), ('z', 'zstd')):
            r = c.ask(get(f'/{where}/f.html', f'Accept-Encoding: {coding}'))
            assert abs(float(server.wait_lines(1, f'{where}.log')[0]) - len(LARGE) / len(r.body)) < 0.02


@pytest.mark.parametrize('text', ['brotli_comp_level 12;', 'brotli_window 3k;', 'zstd_comp_level 0;', 'zstd_comp_level 23;', 'brotli maybe;'])
def test_errors(site, text):
    with pytest.raises(AssertionError, match='value|must be'):
        site.server(text)


def test_every_level_decodes(site):
    """The highest levels too: what they need of the stack must be there."""
    site.file('f.html', LARGE)
    brotli = ' '.join(f'location /br/{n}/ {{ alias @root@/; brotli on; brotli_comp_level {n}; }}' for n in (0, 1, 2, 4, 5, 6, 9, 10, 11))
    zstd = ' '.join(f'location /zstd/{n}/ {{ alias @root@/; zstd on; zstd_comp_level {n}; }}' for n in (1, 3, 6, 9, 13, 17, 19, 22))
    server = site.server('types { text/html html; } ' + brotli + zstd)
    with Client(server.port) as c:
        for coding, levels in (('br', (0, 1, 2, 4, 5, 6, 9, 10, 11)), ('zstd', (1, 3, 6, 9, 13, 17, 19, 22))):
            for n in levels:
                assert decode(coding, c.ask(get(f'/{coding}/{n}/f.html', f'Accept-Encoding: {coding}')).body) == LARGE, (coding, n)
