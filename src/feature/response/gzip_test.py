"""gzip: which answers are compressed for whom, what becomes of their heads, streaming; gzip_static and gunzip."""
import gzip as gz
import random
import threading
import zlib

import pytest

from weirtest import Client, Close, Table, Wait, chunked, get, request, response

TEXT = b'the quick brown fox jumps over the lazy dog. ' * 40
# No decimal numbers: those that look like a port are masked.
LARGE = b''.join(b'x%xy: line of a large answer, never twice the same: x%xy\n' % (i, i * i) for i in range(4000))
files = {f'{d}/f.{e}': TEXT for d in ('on', 'off', 'types', 'star', 'min', 'vary', 'v10', 'any', 'proxied', 'disable', 'level9',
                                      'level5', 'window', 'varyoff') for e in ('html', 'txt', 'css', 'unknown')}
gzip = Table('''
    root @root@;
    default_type application/x-unknown;
    types { text/html html; text/plain txt; text/css css; }
    location /on/ { gzip on; }
    location /off/ { gzip on; location /off/in/ { gzip off; } }
    location /types/ { gzip on; gzip_types text/plain text/css; }
    location /star/ { gzip on; gzip_types *; }
    location /min/ { gzip on; gzip_min_length 1800; }
    location /vary/ { gzip on; gzip_vary on; add_header X-Added yes; }
    location /varyoff/ { gzip_vary on; }
    location /v10/ { gzip on; gzip_http_version 1.0; }
    location /any/ { gzip on; gzip_proxied any; }
    location /proxied/ { gzip on; gzip_proxied $arg; }
    location /disable/ { gzip on; gzip_disable msie6 "Mozilla/4" bot; }
    location /level9/ { gzip on; gzip_comp_level 9; gzip_buffers 4 8k; gzip_no_buffer on; }
    location /level5/ { gzip on; gzip_comp_level 5; }
    location /window/ { gzip on; gzip_window 1k; gzip_hash 512; postpone_gzipping 10; }
    location /large { gzip on; }
    location /nobytes/ { gzip on; gzip_min_length 0; root @root@; }
    location /empty { gzip on; return 200 ""; }
    location /short { gzip on; default_type text/html; return 200 "nineteen characters"; }
    location /twenty { gzip on; default_type text/html; return 200 "twenty characters..."; }
    location /error { gzip on; return 404; }
    location /e403 { gzip on; return 403; }
    location /e500 { gzip on; return 500; }
    location /moved { gzip on; return 302 /x; }
    location /back/ { gzip on; proxy_pass http://@backend@; }
    location /backvary/ { gzip on; gzip_vary on; gzip_proxied any; proxy_pass http://@backend@; }
    location /backproxied/ { gzip on; gzip_proxied expired no-cache no-store private auth; proxy_pass http://@backend@; }
    location /backnolm/ { gzip on; gzip_proxied no_last_modified no_etag; proxy_pass http://@backend@; }
'''.replace('    location /proxied/ { gzip on; gzip_proxied $arg; }\n', ''), http='proxy_http_version 1.1;',
             log='request=$request|status=$status|body_bytes_sent=$body_bytes_sent', files=files | {
                 'nobytes/f.html': b'', 'large.html': LARGE, 'empty.html': b''})
AE = 'Accept-Encoding: gzip'
for path in ('on/f.html', 'on/f.txt', 'on/f.unknown', 'off/f.html', 'types/f.html', 'types/f.css', 'types/f.txt', 'types/f.unknown',
             'star/f.unknown', 'star/f.css', 'min/f.html', 'vary/f.html', 'vary/f.txt', 'varyoff/f.html', 'v10/f.html', 'any/f.html',
             'disable/f.html', 'level9/f.html', 'level5/f.html', 'window/f.html', 'large.html', 'empty', 'empty.html', 'nobytes/f.html', 'short', 'twenty'):
    gzip.case(path, get('/' + path, AE))
    gzip.case(f'{path} not accepted', get('/' + path))
    gzip.case(f'{path} by HTTP/1.0', f'GET /{path} HTTP/1.0\r\n{AE}\r\n\r\n'.encode())
    gzip.case(f'{path} HEAD', request('HEAD', '/' + path, AE), weir=200, why='Transfer-Encoding is shown as it would be for GET')
for path, status in (('error', 404), ('e403', 403), ('e500', 500), ('moved', 302), ('on/none', 404)):
    gzip.case(path, get('/' + path, AE), status)
for value in ('gzip', 'gzip, deflate', 'deflate, gzip', 'deflate,gzip', 'GZIP', 'gzip;q=1', 'gzip;q=0', 'gzip;q=0.0', 'gzip; q=0.000',
              'gzip;q=0.001', 'gzip;q=0.5, deflate', 'deflate', 'identity', 'xgzip', 'gzipx', 'br', '', 'gzip;q=1.000', 'gzip ;q=0',
              'deflate;q=0, gzip', 'gz'):
    gzip.case(f'accept {value!r}', get('/vary/f.html', f'Accept-Encoding: {value}'))
gzip.case('accept *', get('/on/f.html', 'Accept-Encoding: *'))
for agent in ('Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)', 'Mozilla/5.0 (compatible; MSIE 6.0; SV1)', 'Mozilla/5.0 (MSIE 6.0)',
              'Mozilla/5.0 (MSIE 7.0)', 'Mozilla/5.0 (MSIE 4.0; x)', 'Mozilla/5.0 (MSIE 5.5)', 'mozilla/4.0', 'a BOT', 'curl', 'MSIE 6'):
    gzip.case(f'agent {agent}', get('/disable/f.html', AE, f'User-Agent: {agent}'))
gzip.case('range', get('/on/f.html', AE, 'Range: bytes=0-9'))
gzip.case('range, not accepted', get('/on/f.html', 'Range: bytes=0-9'), 206)
gzip.case('not modified', get('/on/f.html', AE, 'If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT'), 304)
gzip.case('not modified with vary', get('/vary/f.html', AE, 'If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT'), 304)
gzip.case('by weak etag', get('/on/f.html', AE, 'If-None-Match: W/"6553f100-708"'), 304)
for via in ('1.1 proxy', ''):
    for where in ('on', 'any'):
        gzip.case(f'via {via!r} {where}', get(f'/{where}/f.html', AE, f'Via: {via}'))
HTML = 'Content-Type: text/html'
for name, fields in (('plain', ()), ('etag', ('ETag: "strong"',)), ('weak', ('ETag: W/"weak"',)), ('bad etag', ('ETag: unquoted',)),
                     ('encoded', ('Content-Encoding: br',)), ('identity', ('Content-Encoding: identity',)), ('ranges', ('Accept-Ranges: bytes',)),
                     ('charset', ('X: y',)), ('vary', ('Vary: Cookie',)), ('no-cache', ('Cache-Control: no-cache',)), ('no-store', ('Cache-Control: max-age=0, no-store',)),
                     ('private', ('Cache-Control: private',)), ('public', ('Cache-Control: public',)),
                     ('expired', ('Expires: Thu, 01 Jan 1970 00:00:01 GMT',)), ('fresh', ('Expires: Thu, 31 Dec 2037 23:55:55 GMT',)),
                     ('bad expires', ('Expires: never',))):
    for where in ('back', 'backvary', 'backproxied', 'backnolm'):
        for extra in ((), ('Via: 1.1 x',), ('Via: 1.1 x', 'Authorization: Basic eDp5')):
            gzip.case(f'{name} {where} {extra}', get(f'/{where}/', AE, *extra), 200,
                      response(TEXT, 'Date: Tue, 14 Nov 2023 22:13:20 GMT', 'Content-Type: text/html; charset=utf-8' if name == 'charset' else HTML, *fields))
gzip.case('large, proxied', get('/back/', AE), 200, response(LARGE, HTML))
gzip.case('chunks', get('/back/', AE), 200, chunked(TEXT, b'x', LARGE, headers=[HTML]))
gzip.case('empty chunks', get('/back/', AE), 200, chunked(headers=[HTML]))
gzip.case('until close', get('/back/', AE), 200, [response(LARGE, HTML, length=False), Close()])
gzip.case('pipelined', get('/on/f.html', AE) + get('/on/f.html') + get('/back/', AE), [200, 200, 200], response(TEXT, HTML))
for status in (200, 201, 206, 304, 400, 403, 404, 500, 502):
    body = b'' if status == 304 else TEXT
    gzip.case(f'proxied {status}', get('/back/', AE), status, response(body, HTML, status=f'{status} X', length=bool(body)))
test_gzip = gzip.tests()

static = Table('''
    root @root@;
    types { text/html html; text/css css; application/gzip gz; }
    location /on/ { gzip_static on; }
    location /always/ { gzip_static always; }
    location /vary/ { gzip_static on; gzip_vary on; gzip_proxied any; }
    location /both/ { gzip_static on; gzip on; }
    location /alwaysgunzip/ { gzip_static always; gunzip on; }
    location /alwaysgunzipvary/ { gzip_static always; gunzip on; gzip_vary on; }
    location /proxies/ { gzip_static on; gunzip on; gzip_proxied expired no-cache no-store private auth; expires max; }
    location /alias/ { alias @root@/on/; gzip_static on; }
''', files={f'{d}/{n}': c for d in ('on', 'always', 'vary', 'both', 'alwaysgunzip', 'alwaysgunzipvary', 'proxies') for n, c in {
    'f.css': TEXT, 'f.css.gz': gz.compress(b'from the compressed file ' * 10), 'plain.html': TEXT, 'only.css.gz': gz.compress(TEXT),
    'empty.css': b'', 'empty.css.gz': b'', 'dir.css.gz/x': b'', 'dir.css': b'a file', 'index.html.gz': gz.compress(TEXT),
    'broken.css.gz': gz.compress(LARGE)[:2000], 'two.css.gz': gz.compress(TEXT) + gz.compress(LARGE)}.items()})
for d in ('on', 'always', 'vary', 'both', 'alwaysgunzip', 'alwaysgunzipvary', 'alias', 'proxies'):
    for n in ('f.css', 'plain.html', 'only.css', 'empty.css', 'dir.css', '', 'f.css.gz', 'none', 'two.css'):
        where = f'/{d}/{n}'
        for fields in ((AE,), (), (AE, 'Via: 1.1 x')):
            if d.startswith('alwaysgunzip') and n == 'empty.css':
                continue    # an empty file is no gzip: an error in both
            static.case(f'{where} {fields}', get(where, *fields), [200, 403, 404][
                (1 if n == '' else 2 if n == 'none' else 0) if not (n in ('only.css', 'two.css') and not d.startswith('always') and
                                                                    (not fields or d not in ('vary', 'proxies') and len(fields) == 2)) else 2])
    static.case(f'through a proxy {d}', get(f'/{d}/f.css', AE, 'Via: 1.1 x'))
    static.case(f'HEAD {d}', request('HEAD', f'/{d}/plain.html', AE)) if d != 'both' else None
    static.case(f'POST {d}', request('POST', f'/{d}/f.css', AE, body=b'x'), 405)
    static.case(f'range {d}', get(f'/{d}/f.css', AE, 'Range: bytes=1-5'), None if d == '?' else 200 if d != '?' else 206)
    static.case(f'not modified {d}', get(f'/{d}/f.css', AE, 'If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT'), 304)
test_static = static.tests()

gunzip = Table('''
    location / { gunzip on; gunzip_buffers 16 8k; proxy_pass http://@backend@; }
    location /vary/ { gunzip on; gzip_vary on; proxy_pass http://@backend@; }
    location /again/ { gunzip on; gzip on; proxy_pass http://@backend@; }
''', http='proxy_http_version 1.1;')
ENC = 'Content-Encoding: gzip'
for where in ('/', '/vary/', '/again/'):
    for fields in ((AE,), ()):
        for name, body in (('text', gz.compress(TEXT)), ('large', gz.compress(LARGE)), ('level 0', gz.compress(LARGE, 0)),
                           ('members', gz.compress(TEXT) + gz.compress(b'') + gz.compress(LARGE)), ('bomb', gz.compress(b'\0' * 3000000))):
            gunzip.case(f'{where} {name} {fields}', get(where, *fields), 200, response(body, HTML, ENC, 'ETag: "x"', 'Accept-Ranges: bytes'))
        gunzip.case(f'{where} other coding {fields}', get(where, *fields), 200, response(b'x', HTML, 'Content-Encoding: br'))
        gunzip.case(f'{where} not coded {fields}', get(where, *fields), 200, response(b'x' * 30, HTML))
        gunzip.case(f'{where} chunks {fields}', get(where, *fields), 200, chunked(*[bytes([b]) for b in gz.compress(TEXT)], headers=[HTML, ENC]))
test_gunzip = gunzip.tests()


def test_every_level_decodes(site):
    site.file('f.html', LARGE)
    server = site.server(' '.join(f'location /{n}/ {{ alias @root@/; gzip on; gzip_comp_level {n}; }}' for n in range(1, 10)))
    with Client(server.port) as c:
        for n in range(1, 10):
            for _ in range(2):    # the second time with an encoder of the pool
                r = c.ask(get(f'/{n}/f.html', AE))
                assert gz.decompress(r.body) == LARGE and len(r.body) < len(LARGE) / 3, n


def test_events_are_flushed(site):
    """Each event must come out before the next one goes in, compressed or not."""
    steps = [threading.Event() for _ in range(3)]
    head = b'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n'
    script = [head]
    for i, step in enumerate(steps):
        script += [b'11\r\ndata: event %3d\n\n\r\n' % i, Wait(step)]
    site.backend('backend', lambda q: script + [b'0\r\n\r\n'])
    server = site.server('location / { gzip on; gzip_types text/event-stream; proxy_pass http://@backend@; }')
    with Client(server.port) as c:
        c.send(get('/', AE))
        seen = zlib.decompressobj(31)
        plain, at = b'', None
        for i, step in enumerate(steps):
            want = b'data: event %3d\n\n' % i
            while want not in plain:
                if at is None and b'\r\n\r\n' in c.received:
                    at = c.received.index(b'\r\n\r\n') + 4
                end = c.received.find(b'\r\n', at) if at is not None else -1
                size = int(bytes(c.received[at:end]), 16) if end > 0 else None
                if size and len(c.received) >= end + 2 + size + 2:
                    plain += seen.decompress(bytes(c.received[end + 2:end + 2 + size]))
                    at = end + 2 + size + 2
                    continue
                assert c.receive(), 'an event was held back'
            step.set()


def test_ratio(site):
    site.file('f.html', TEXT)
    server = site.server('location / { root @root@; gzip on; gzip_comp_level 6; access_log @dir@/r.log r; }', http="access_log off; log_format r '$gzip_ratio';")
    with Client(server.port) as c:
        size = len(c.ask(get('/f.html', AE)).body)
        c.ask(get('/f.html'))
    first, second = server.wait_lines(2, 'r.log')
    assert abs(float(first) - len(TEXT) / size) < 0.02 and second == '-'


@pytest.mark.parametrize('text, message', [
    ('gzip_comp_level 10;', 'value must be between 1 and 9'), ('gzip_comp_level 0;', 'value must be between 1 and 9'),
    ('gzip_window 3k;', '"gzip_window" directive'), ('gzip_hash 1;', '"gzip_hash" directive'), ('gzip_http_version 2;', 'invalid value "2"'),
    ('gzip_proxied sometimes;', 'invalid value "sometimes"'), ('gzip maybe;', 'invalid value "maybe" in "gzip" directive')])
def test_errors(site, text, message):
    with pytest.raises(AssertionError, match=message.replace('"', '.')):
        site.server(text)


def test_duplicate_type_is_warned_of(site):
    server = site.server('location / { gzip on; gzip_types text/html text/css text/css; return 200; }')
    assert server.stderr().count('duplicate MIME type "text/html"') + server.read('error.log').count('duplicate MIME type "text/html"') == 1


def test_encoders_forget(site):
    """One answer after the other through the same encoder: nothing of one may come into another."""
    rng, texts = random.Random(5), []
    for i in range(150):
        words = [bytes(rng.choice(b'abcdefghij \n') for _ in range(rng.randrange(1, 12))) for _ in range(40)]
        texts.append(b''.join(rng.choice(words) for _ in range(rng.choice((5, 50, 500, 5000, 20000)))) + b'.' * 20)
        site.file(f'{i}.html', texts[-1])
    server = site.server('root @root@; types { text/html html; } gzip on; location /6/ { alias @root@/; gzip_comp_level 6; } location /3/ { alias @root@/; gzip_comp_level 3; }',
                         workers=1)
    with Client(server.port) as c:
        for i in range(150):
            for where in ('', '3/', '6/'):
                assert gz.decompress(c.ask(get(f'/{where}{i}.html', AE)).body) == texts[i], (i, where)
