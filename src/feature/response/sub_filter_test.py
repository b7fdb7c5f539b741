"""sub_filter: what is replaced, in which answers, however the bytes are cut."""
import random

from weirtest import Client, Table, chunked, get, request, response

HTML = 'Content-Type: text/html'
sub = Table('''
    location /once { sub_filter hello HI; proxy_pass http://@backend@; }
    location /all { sub_filter hello HI; sub_filter_once off; proxy_pass http://@backend@; }
    location /two { sub_filter ab 1; sub_filter bc 2; sub_filter_once off; proxy_pass http://@backend@; }
    location /prefix { sub_filter abcd long; sub_filter ab short; sub_filter_once off; proxy_pass http://@backend@; }
    location /xiferp { sub_filter ab short; sub_filter abcd long; sub_filter_once off; proxy_pass http://@backend@; }
    location /twoonce { sub_filter ab 1; sub_filter b 2; proxy_pass http://@backend@; }
    location /vars { sub_filter $arg_x "[$arg_y]"; sub_filter "x${arg_x}x" '$request_uri'; sub_filter_once off; proxy_pass http://@backend@; }
    location /empty { sub_filter hello ""; sub_filter_once off; proxy_pass http://@backend@; }
    location /tags { sub_filter </head> '<script src="/x.js"></script></head>'; proxy_pass http://@backend@; }
    location /one { sub_filter a b; sub_filter_once off; proxy_pass http://@backend@; }
    location /self { sub_filter aa a; sub_filter_once off; proxy_pass http://@backend@; }
    location /types { sub_filter hello HI; sub_filter_types text/plain text/css; proxy_pass http://@backend@; }
    location /star { sub_filter hello HI; sub_filter_types *; proxy_pass http://@backend@; }
    location /lm { sub_filter hello HI; sub_filter_last_modified on; root @root@; }
    location /file/ { sub_filter hello HI; root @root@; }
    location /inherit { sub_filter hello HI; location /inherit/own { sub_filter world W; proxy_pass http://@backend@; }
        location /inherit/in { sub_filter_once off; proxy_pass http://@backend@; } }
    location /return { sub_filter hello HI; default_type text/html; return 200 "oh hello hello"; }
    location /page { sub_filter Not HI; return 404; }
    location /long { sub_filter "@long@" short; sub_filter_once off; proxy_pass http://@backend@; }
'''.replace('@long@', 'x' * 300 + 'y'), http='proxy_http_version 1.1; types { text/html html; text/plain txt; }', files={
    'lm.html': 'a hello b', 'file/f.html': 'hello' * 30000, 'file/f.txt': 'hello', 'file/empty.html': ''})
BODIES = {'once': b'Hello, hello HELLO', 'all': b'Hello, hello HELLOhellohelhello', 'two': b'abc bc ab abcbcabab', 'prefix': b'abcabcdab abcdabcd ab ...',
          'xiferp': b'abcd ab', 'twoonce': b'b ab ab b', 'vars?x=key&y=value': b'key xkeyx KEY xxkeyxx ke', 'vars?y=z': b'xx key', 'empty': b'hello hello x hello',
          'tags': b'<html><head><title>x</title></HEAD></head>', 'one': b'aAbaaa', 'self': b'aaaaa', 'types': b'hello', 'star': b'hello', 'inherit/own': b'hello world hello',
          'inherit/in': b'hello world hello', 'long': b'x' * 1000 + b'y' + b'x' * 300 + b'y', 'return': b'', 'page': b''}
for path, body in BODIES.items():
    status = 404 if path == 'page' else 200
    sub.case(path, get("/" + path), status, response(body, HTML))
    sub.case(f'{path}, byte by byte', get('/' + path), status, chunked(*[bytes([b]) for b in body[:400]], headers=[HTML]))
    for cut in range(1, min(len(body), 25)):
        sub.case(f'{path}, cut at {cut}', get('/' + path), status, chunked(body[:cut], body[cut:], headers=[HTML]))
for kind in ('text/html', 'text/plain', 'text/css', 'image/png', 'TEXT/HTML', 'text/html; charset=utf-8', 'text/htmlx', ''):
    for path in ('once', 'types', 'star'):
        sub.case(f'{path}, type {kind!r}', get('/' + path), 200, response(b'hello', f'Content-Type: {kind}', 'ETag: "x"'))
for path in ('lm.html', 'file/f.html', 'file/f.txt', 'file/empty.html'):
    sub.case(path, get('/' + path))
    if 'empty' not in path:
        sub.case(f'range of {path}', get('/' + path, 'Range: bytes=1-2'), 206 if path.endswith('txt') else 200)
    sub.case(f'{path} not modified', get('/' + path, 'If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT'), 304)
sub.case('HEAD', request('HEAD', '/lm.html'), weir=200, why='Transfer-Encoding is shown as it would be for GET')
sub.case('no body', get('/once'), 200, response(b'', HTML))
sub.case('an error', get('/once'), 500, response(b'hello', HTML, status='500 X'))
rng = random.Random(1)
for i in range(40):
    text = bytes(rng.choice(b'abcdABx \n') for _ in range(rng.randrange(1, 3000))) + b'....'
    cuts = sorted(rng.randrange(len(text) + 1) for _ in range(rng.randrange(6)))
    parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)]) if a < b]
    for path in ('two', 'prefix', 'xiferp', 'twoonce', 'one', 'self'):
        sub.case(f'random {i} {path}', get('/' + path), 200, chunked(*parts, headers=[HTML]))
test_sub = sub.tests()


def test_large_answers_stream(site):
    body = (b'x' * 1000 + b'hello') * 5000
    site.backend('backend', response(body, HTML))
    server = site.server('location / { sub_filter hello HI; sub_filter_once off; proxy_pass http://@backend@; }')
    with Client(server.port) as c:
        assert c.ask(get('/')).body == body.replace(b'hello', b'HI')


def test_a_short_text_at_the_end(site):
    """A longer text that does not come to its end must not hide it (it does in nginx)."""
    site.backend('backend', response(b'x ab', HTML, 'Accept-Ranges: bytes'))
    server = site.server('location / { sub_filter abcd long; sub_filter ab short; proxy_pass http://@backend@; }')
    with Client(server.port) as c:
        r = c.ask(get('/'))
    assert r.body == b'x short' and not r.all('Accept-Ranges')
