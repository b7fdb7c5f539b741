"""Configurations as found in the wild, by differential requests: wild/nginx.conf, some 490 lines of a dozen sites that use most of
nginx's HTTP core together, and the guide's routing, CORS, redirect and limit files."""
import base64
import hashlib
import os

from weirtest import ANY, Table, chunked, get, guide, post, request, response
from weirtest.table import OWN_LOG

HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, 'wild', 'nginx.conf'), encoding='utf-8') as f:
    WILD = f.read()
with open(os.path.join(os.path.dirname(HERE), 'conf', 'mime.types'), encoding='utf-8') as f:
    TYPES = f.read()

TEXT = 'Lorem ipsum dolor sit amet, consectetur adipiscing elit. ' * 40
FILES = {
    'mime.types': TYPES, 'redirects.map': '/old /new;\n/old/about.html /about;\n"/with space" /spaced;\n~^/blog/(\\d+)$ /articles/$1;\ndefault "";\n',
    'snippets/security.conf': 'add_header X-Frame-Options SAMEORIGIN always;\nadd_header X-Content-Type-Options nosniff always;\n'
                              'add_header Strict-Transport-Security $hsts always;\n',
    'snippets/drop.conf': 'location ~ /\\. { deny all; }\nlocation ~* \\.(bak|sql|inc)$ { deny all; }\n',
    'htpasswd': 'alice:{PLAIN}wonder\nbob:$apr1$zKqbyp9U$Kx4aaNq8g1ZBX3KhvCBWW.\n',
    'site/index.html': TEXT, 'site/404.html': 'lost', 'site/about.html': '<h1>about</h1>', 'site/style.css': 'p {} ' * 100, 'site/app.js': 'x();',
    'site/pic.png': 'png', 'site/sub/index.htm': 'sub', 'site/empty/x': '', 'site/.git/config': 'secret', 'site/dump.sql': 'secret', 'site/run.php': '<?php',
    'site/members/list.html': 'members', 'site/time.txt': 't', 'site/time/now.txt': 'now', 'site/big.txt': 'b' * 70000, 'site/caf\xe9.html': 'latin',
    'errors/50x.html': 'broken', 'acme/.well-known/acme-challenge/token': 'token', 'files/docs/a.pdf': 'pdf', 'files/docs/b c.pdf': 'spaced', 'files/x.bin': 'x' * 3000,
    'pub/a.txt': 'a', 'pub/d/e.txt': 'e', 'private/p.txt': 'private', 'spa/index.html': '<div id=app></div>', 'spa/contact.html': 'contact', 'spa/assets/app.1a2b.js': 'js',
    'docs/index.html': 'Version @VERSION@ <!--# include virtual="/docs/foot.html" --> <!--# echo var="uri" -->', 'docs/foot.html': '[foot @VERSION@]',
    'docs/d.css': 'v @VERSION@',
}


def answer(q):
    """The applications behind the sites."""
    if q.target.startswith('/check',):
        ok = q.header('Authorization') == 'Bearer good'
        return response('', 'X-User: carol', status='204 No Content' if ok else '401 Unauthorized')
    if 'moved' in q.target:
        return response('', 'Location: http://app/elsewhere', status='302 Found')
    if 'cookie' in q.target:
        return response('c', 'Set-Cookie: a=b; Path=/', 'X-Powered-By: PHP')
    if 'missing' in q.target:
        return response('no', status='404 Not Found')
    if 'accel' in q.target:
        return response('', 'X-Accel-Redirect: /sendfile/x.bin', 'Content-Type: application/x-thing')
    if 'chunks' in q.target:
        return chunked(b'one ', b'two ' * 300, headers=['Content-Type: text/plain'])
    return response(f'{q.backend.name} {q.method} {q.target} {len(q.body)}', 'Content-Type: text/plain', 'X-Secret: s', 'Expires: Thu, 01 Jan 1970 00:00:01 GMT')


def fcgi(q):
    values = dict(q.params)
    names = ('SCRIPT_FILENAME', 'PATH_INFO', 'QUERY_STRING', 'REQUEST_METHOD')
    return [b'Content-Type: text/html\r\n\r\n' + ' '.join(f'{n}={values.get(n)}' for n in names).encode()]


def signed(path, expires):
    digest = hashlib.md5(f'{expires}{path} hush'.encode()).digest()
    return f'{path}?md5={base64.urlsafe_b64encode(digest).decode().rstrip("=")}&expires={expires}'


wild = Table(WILD, files=FILES, log=OWN_LOG, answer=lambda q: fcgi(q) if q.backend.name == 'fcgi' else answer(q), workers=2)
AE, BASIC = 'Accept-Encoding: gzip', base64.b64encode
PHONE = 'User-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 16_0) Mobile/15E148'
REFUSED = '/%2e%2e/etc/passwd', '/..%2f..%2fetc/passwd', '/a%00b', '/%zz'
ASKED = {
    'example.test': (
        '/', '/index.html', '/about', '/about.html', '/style.css', '/app.js', '/pic.png', '/sub/', '/sub', '/empty/',
        '/none', '/none.html', '/none.css', '/none.php', '/run.php', '/run.php/extra/path?q=1', '/run.php?a=b&c', '/.git/config',
        '/dump.sql', '/x.bak', '/404.html', '/50x.html', '/favicon.ico', '/robots.txt', '/old', '/old/about.html', '/with%20space',
        '/blog/42', '/blog/x', '/OLD', '/download/docs/a.pdf', '/download/docs/b%20c.pdf', '/download/docs/none', '/download/DOCS/a.pdf',
        '/pub/', '/pub', '/pub/a.txt', '/pub/d/', '/pub/../private/p.txt', '/private/p.txt', '/members/', '/members/list.html',
        '/country?ip=192.0.2.7', '/country?ip=203.0.113.200', '/country?ip=2001:db8::5', '/country?ip=nonsense', '/country', '/signed/a.pdf',
        '/signed/a.pdf?md5=x&expires=1', '/time.txt', '/big.txt', '//about.html', '/./about.html', '/sub/../about.html', '/%61bout.html',
        '/about.html?x=%20y', '/index.php', '/index.php/x', '/cafe%CC%81', '/%2e%2e/etc/passwd', '/..%2f..%2fetc/passwd', '/a%00b', '/%zz',
        '/about.html/', '/about.html/x'),
    'www.example.test': ('/', '/a/b?c=d', '/.well-known/acme-challenge/token', '/.well-known/acme-challenge/none', '/a%20b', '/%2F?%2F'),
    'sub.old-example.test': ('/x',), 'old-example.test': ('/',),
    'app.example.test': (
        '/', '/a?b', '/moved', '/cookie', '/missing', '/api/v1/users', '/api/v2/users?x=1', '/api/users', '/api/missing',
        '/api/v1/missing/x?y', '/api/down/x', '/busy.json', '/login', '/keyed/x', '/auth', '/protected/x', '/docs/', '/docs/d.css',
        '/docs/none', '/files/x', '/accel', '/sendfile/x.bin', '/user/7/name?x=y', '/user/x/name', '/user/7/', '/chunks', '/upload'),
    'acme.app.test': ('/', '/who',), 'a-b.app.test': ('/',), 'A.app.test': ('/',),
    'shop.example.test': (
        '/', '/contact', '/contact.html', '/assets/app.1a2b.js', '/assets/none.js', '/cart', '/cart/1', '/checkout', '/cartoon',
        '/go/abc', '/go/abc/12', '/go/', '/p/x?y=z', '/any/thing', '/assets', '/assets/', '/go/abc?keep=1'),
    'status.internal.test': ('/', '/trusted', '/limits', '/json', '/time/now.txt', '/time'),
}
for host in ('nobody.test', 'mail.example.test'):
    wild.case(f'{host}, which nobody has', get('/', host=host), None)
for host, paths in ASKED.items():
    for path in paths:
        wild.case(f'{host} {path}', get(path, host=host), ANY)
        if '/keyed' not in path:
            # Of a target that is refused nginx logs no fields: it has not read them.
            wild.case(f'{host} {path} with everything', get(path, AE, PHONE, 'Cookie: a=b; skin=dark', 'X-Forwarded-For: 192.0.2.9, 10.1.1.1', 'X-Forwarded-Proto: https',
                                                             'Referer: http://other.test/', 'Origin: http://o.test', host=host), ANY, log=path not in REFUSED)
            wild.case(f'{host} HEAD {path}', request('HEAD', path, host=host), ANY)
for path in ('/pic.png', '/none.png'):
    for referer in ('http://example.test/x', 'http://www.example.test/', 'http://partner.test/gallery/1', 'http://partner.test/', 'http://search.engine.test/', 'garbage', 'http://evil.test/'):
        wild.case(f'{path} from {referer}', get(path, f'Referer: {referer}', host='example.test'), ANY)
for user in ('alice:wonder', 'alice:wrong', 'bob:secret', 'carol:x', 'alice', ':', 'alice:wonder:x'):
    wild.case(f'members as {user}', get('/members/list.html', 'Authorization: Basic ' + BASIC(user.encode()).decode(), host='example.test'), ANY)
wild.case('members from a known net', get('/members/list.html', 'X-Forwarded-For: 192.0.2.9', host='example.test'), 200)
wild.case('members by another scheme', get('/members/list.html', 'Authorization: Bearer x', host='example.test'), 401)
wild.case('signed', get(signed('/signed/a.pdf', 4000000000), host='example.test'), 200)
wild.case('signed long ago', get(signed('/signed/a.pdf', 1000000000), host='example.test'), 410)
for method in ('POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'HEAD', 'PROPFIND'):
    for host, path in (('example.test', '/about.html'), ('example.test', '/run.php'), ('example.test', '/robots.txt'), ('app.example.test', '/api/v1/x'), ('app.example.test', '/x'),
                       ('shop.example.test', '/cart')):
        wild.case(f'{method} {host}{path}', request(method, path, 'Origin: http://o.test', host=host, body=b'' if method in ('OPTIONS', 'HEAD', 'DELETE') else b'a=1&b=2'), ANY)
for field in ('Range: bytes=0-9', 'Range: bytes=-5', 'Range: bytes=0-1,5-6', 'Range: lines=1', 'If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT',
              'If-Modified-Since: Mon, 13 Nov 2023 22:13:20 GMT', 'If-None-Match: *', 'If-None-Match: "x"', 'If-Range: "x"', 'Accept-Encoding: gzip;q=0', 'Accept-Encoding: br, gzip;q=0.5',
              'Connection: close', 'Via: 1.1 p', 'Upgrade: h2c'):
    for host, path in (('example.test', '/big.txt'), ('example.test', '/style.css'), ('example.test', '/pic.png'), ('shop.example.test', '/assets/app.1a2b.js'), ('app.example.test', '/chunks')):
        if not field.startswith('Upgrade') or host != 'app.example.test':
            wild.case(f'{path} {field}', get(path, field, host=host), ANY)
for agent in ('', 'curl/8', 'Googlebot/2.1', 'iPad', 'Android Mobile', 'Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1)', 'MSIE 6 SV1'):
    wild.case(f'agent {agent!r}', get('/json', f'User-Agent: {agent}', AE, host='status.internal.test'), 200)
for token in ('good', 'bad', ''):
    wild.case(f'protected with {token!r}', get('/protected/x?y', f'Authorization: Bearer {token}', host='app.example.test'), ANY)
wild.case('protected, a body', post('/protected/x', b'body' * 100, 'Authorization: Bearer good', host='app.example.test'), 200)
wild.case('status from elsewhere', get('/json', 'X-Forwarded-For: 203.0.113.5', host='status.internal.test'), ANY)
wild.case('limits from elsewhere', get('/limits', 'X-Forwarded-For: 203.0.113.5', host='status.internal.test'), ANY)
wild.case('files from elsewhere', get('/time/now.txt', 'X-Forwarded-For: 203.0.113.5', host='status.internal.test'), 403)
wild.case('trusted from inside', get('/trusted', 'X-Forwarded-For: 10.2.3.4, 127.0.0.1', host='status.internal.test'), ANY)
wild.case('no host', request('GET', '/trusted', version='1.0', host=None), 200)
wild.case('keyed once', get('/keyed/x', 'X-Limit-Key: k1', host='app.example.test'), 200)
wild.case('keyed twice', get('/keyed/x', 'X-Limit-Key: k1', host='app.example.test'), 429)
wild.case('upload', post('/upload', b'u' * 60000, host='app.example.test'), 200)
wild.case('upload too large', post('/upload', b'u' * 70000, host='app.example.test'), 413, lingers=True)
wild.case('a long conversation', get('/', host='example.test') + get('/none.css', host='example.test') + get('/', host='shop.example.test') + get('/api/v1/x', host='app.example.test')
          + post('/run.php', b'x=1', host='example.test'), [200, 404, 200, 200, 200])
wild.case('a large cookie', get('/about.html', 'Cookie: ' + 'c' * 12000, host='example.test'), 200)
wild.case('too large a cookie', get('/about.html', 'Cookie: ' + 'c' * 70000, host='example.test'), 400, lingers=True)
wild.case('a long target', get('/about.html?' + 'q' * 15000, host='example.test'), 200)
wild.case('an absolute target', request('GET', 'http://shop.example.test/contact', host='example.test'), 200)
wild.case('underscores', get('/', 'X_Bad: 1', host='app.example.test'), 200)
test_wild = wild.tests()


# --- the guide's routing, CORS, redirects and limits -----------------------------------------------------------------------

def said(q):
    if 'away' in q.target:
        return response('', 'Location: http://internal.test/there', status='302 Found')
    return response(f'{q.backend.name} {q.method} {q.target} {len(q.body)}', 'Access-Control-Allow-Origin: *' if 'cors' in q.target else 'X-A: b', 'Server: secret', 'X-Powered-By: p')


METHODS, PATHS = ('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'), ('/', '/a?b=c', '/api/', '/api', '/api/users/1?x=%20', '/auth/', '/auth/login', '/upload/', '/upload/f%2Fg',
                                                                                '/apix', '//api//x', '/api/../auth/x', '/API/', '/away', '/api/away', '/api/cors', '/auth/away')


def table_of(text, **how):
    table = Table(text, answer=said, **how)
    for method in METHODS:
        for path in PATHS:
            body = {'body': b'x' * 300} if method in ('POST', 'PUT', 'PATCH') else {}
            table.case(f'{method} {path}', request(method, path, 'Origin: https://app.example.com', host='example.com', **body), ANY)
    table.case('no origin', get('/api/x', host='example.com'), ANY)
    table.case('an origin of odd bytes', get('/api/x', 'Origin: "a\\b" <x>', host='example.com'), ANY)
    table.case('HTTP/1.0', request('GET', '/api/x', version='1.0', host=None), ANY)
    table.case('preflight', request('OPTIONS', '/api/x', 'Origin: https://a.test', 'Access-Control-Request-Method: PUT', 'Access-Control-Request-Headers: x', host='example.com'), ANY)
    return table


OLD = 'proxy_http_version 1.1;'
test_routing = table_of(guide('05-1-path-routing.conf', {3000: '@front@', 4000: '@api@', 5000: '@auth@', 6000: '@upload@'}),
                        http=OLD + 'limit_req_zone $uri$request_method zone=auth_limit:1m rate=5r/m;').tests()
test_cors = table_of(guide('10-5-cors.conf'), http=OLD + 'upstream api_backend { server @api@; }').tests()
test_redirects = table_of(guide('10-4-redirects.conf'), http=OLD + 'upstream backend { server @backend@; }').tests()
test_hosts = table_of(guide('05-2-host-routing.conf', {3000: '@app@', 4000: '@api@', 5000: '@admin@'}), http=OLD).tests()
test_limits = table_of(guide('10-3-413.conf'), http=OLD + 'upstream upload_backend { server @backend@; }').tests()
