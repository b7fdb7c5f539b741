"""wild/applications.conf: what the manuals of well-known applications tell people to write, by differential requests."""
import os

from weirtest import ANY, Table, chunked, get, post, request, response

HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, 'wild', 'applications.conf'), encoding='utf-8') as f:
    CONF = f.read()
with open(os.path.join(os.path.dirname(HERE), 'conf', 'mime.types'), encoding='utf-8') as f:
    TYPES = f.read()

PARAMS = ''.join(f'fastcgi_param {name} ${variable};\n' for name, variable in (
    ('QUERY_STRING', 'query_string'), ('REQUEST_METHOD', 'request_method'), ('CONTENT_TYPE', 'content_type'), ('CONTENT_LENGTH', 'content_length'),
    ('SCRIPT_NAME', 'fastcgi_script_name'), ('REQUEST_URI', 'request_uri'), ('DOCUMENT_URI', 'document_uri'), ('DOCUMENT_ROOT', 'document_root'),
    ('SERVER_PROTOCOL', 'server_protocol'), ('REQUEST_SCHEME', 'scheme'), ('HTTPS', 'https if_not_empty'), ('SERVER_NAME', 'server_name')))
SAID = ('QUERY_STRING', 'REQUEST_METHOD', 'CONTENT_TYPE', 'CONTENT_LENGTH', 'SCRIPT_NAME', 'REQUEST_URI', 'DOCUMENT_URI', 'PATH_INFO', 'HTTPS',
        'HTTP_PROXY', 'HTTP_COOKIE', 'front_controller_active', 'PHP_VALUE', 'SERVER_NAME')
PAGE = '<html><head></head><body>' + '<a href="/x">x</a> text ' * 40 + '</body></html>'
FILES = {
    'mime.types': TYPES, 'fastcgi_params': PARAMS, 'htpasswd': 'alice:{PLAIN}wonder\n',
    'errors/404.html': 'forge: lost', 'errors/500.html': 'forge: broken',
    **{f'site/{name}': text for name, text in {
        'index.php': '<?php', 'index.html': PAGE, '404.html': 'lost', '500.html': 'broken', 'sw.js': 'worker();', 'robots.txt': 'User-agent: *', 'favicon.ico': 'icon',
        'style.css': 'p {} ' * 100, 'app.js': 'x(); ' * 100, 'pic.png': 'png', 'data.json': '{}', 'x.bak': 'secret', '.env': 'secret', 'core/font.woff2': 'font',
        'core/img/logo.svg': '<svg/>', 'assets/app.js': 'a();', 'assets/app.js.gz': 'packed', 'wp-login.php': '<?php', 'wp-admin/index.php': '<?php', 'wp-content/theme.css': 'b {}',
        'wp-content/uploads/shell.php': '<?php', 'remote.php': '<?php', 'status.php': '<?php', 'about/index.html': 'about', 'userContent/readme.txt': 'read me',
        'war/images/x.png': 'war', 'static/frontend/a.css': 'shop {}', 'static/frontend/page.html': 'static', 'media/a.jpg': 'jpg', 'media/feed.xml': '<xml/>',
        'get.php': '<?php', 'static.php': '<?php', 'errors/404.php': '<?php', 'setup/index.php': '<?php', 'w/index.php': '<?php', 'w/thumb.php': '<?php', 'w/rest.php': '<?php',
        'w/images/a/ab/File.png': 'file', 'w/resources/assets/w.css': 'w {}', 'plain/readme': 'no type', 'grafana/x': 'never'}.items()},
    'spa/index.html': '<div id=app></div>', 'spa/main.js': 'main();', 'spa/docs/index.html': 'docs', 'files/a.pdf': 'pdf' * 1000,
}


def application(q):
    if q.backend.name == 'fcgi':
        values = dict(q.params)
        status = b'Status: 404 Not Found\r\n' if 'nopage' in values.get('REQUEST_URI', '') else b''
        said = ' '.join(f'{n}={values.get(n)}' for n in SAID) + f' file={os.path.basename(values.get("SCRIPT_FILENAME", ""))} {len(q.body)}'
        return [status + b'Content-Type: text/html; charset=UTF-8\r\nX-Powered-By: PHP/8\r\nSet-Cookie: s=1; path=/\r\n\r\n' + said.encode()]
    if q.target == '/oauth2/auth':
        ok = q.header('Cookie') == 'session=good'
        return response('', 'X-User: carol', 'Set-Cookie: session=good; Path=/', status='202 Accepted' if ok else '401 Unauthorized')
    for word, status in (('missing', '404 Not Found'), ('failing', '500 Internal Server Error'), ('unavailable', '503 Service Unavailable'), ('unprocessable', '422 Unprocessable')):
        if word in q.target:
            return response(f'application: {word}', status=status)
    if 'moved' in q.target:
        return response('', 'Location: http://app/elsewhere', status='302 Found')
    if 'sendfile' in q.target:
        return response('', 'X-Accel-Redirect: /protected/a.pdf', 'Content-Type: application/pdf', 'Content-Disposition: attachment')
    if 'chunks' in q.target:
        return chunked(b'one ', b'two ' * 300, headers=['Content-Type: text/html'])
    fields = [f'X-Seen-{name}: {q.header(name)}' for name in ('Host', 'X-Tenant', 'X-User', 'X-Sub', 'X-Bucket', 'X-Forwarded-For', 'X-Original-URI', 'Authorization') if q.header(name)]
    return response(f'{q.backend.name} {q.method} {q.target} {len(q.body)} <a href="/x">', 'Content-Type: text/html', 'Server: app', 'Set-Cookie: a=b; path=/', *fields)


HOSTS = {
    'cloud.test': ('/remote.php/dav/files?x=1', '/remote', '/remote/x', '/.well-known/carddav', '/.well-known/webfinger?r=a', '/.well-known/acme-challenge/none', '/core/font.woff2',
                   '/core/none.woff2', '/core/img/logo.svg', '/style.css?v=1', '/none.css', '/config/config.php', '/data', '/occ', '/status.php', '/ocs/v2.php/x', '/apps/a/b.php/c'),
    'forge.test': ('/g/p?private_token=s&x=1', '/api/v4/projects/g%2Fp', '/x?feed_token=a&Private-Token=b', '/missing', '/failing', '/unprocessable', '/unavailable', '/down/x', '/404.html'),
    'social.test': ('/@user', '/users/a%2Fb/../c', '/sw.js', '/assets/app.js', '/assets/none.js', '/api/v1/streaming/user', '/missing', '/failing', '//double//slash', '/chunks'),
    'static.test': ('/style.abc123.css', '/style.none.js', '/none.abc.css', '/.env', '/x.bak', '/about', '/about/', '/data.json', '/pic.png', '/core/', '/plain/readme', '/404.html'),
    'blog.test': ('/wp-admin', '/wp-admin/', '/sub/wp-admin/index.php', '/sub/wp-content/theme.css', '/wp-login.php', '/xmlrpc.php', '/wp-content/uploads/shell.php', '/2026/11/a-post/', '/feed/',
                  '/none.php', '/index.php/a/b', '/?p=1', '/sitemap.xml'),
    'sso.test': ('/x?y', '/oauth2/auth', '/oauth2/start?rd=%2F', '/acme/api/users/3?x=%20y', '/acme/api/a%2Fb', '/a%20b/api/c', '/dl/pic.png', '/dl/pic.png?md5=x&expires=1', '/nginx_status', '/failing'),
    'login.sso.test': ('/who',), 'a.b.sso.test': ('/who',),
    'registry.test': ('/v2/', '/v2/library/nginx/manifests/latest', '/v2/missing', '/v1/x', '/v2'),
    'builds.test': ('/job/a%2Fb/1/', '/static/0a1b2c3d/images/x.png', '/static/0a1b2c3d/none', '/userContent/readme.txt', '/userContent/none', '/moved', '/failing'),
    'metrics.test': ('/grafana/d/x?y=1', '/grafana', '/grafana/api/live/ws', '/grafana/a%2Fb', '/prometheus/graph?g=%20', '/prometheus/moved', '/prometheus/', '/kibana', '/kibana/app', '/loki/v1/push?x=1',
                     '/tempo/', '/loki/a%2Fb', '/health'),
    'shop.test': ('/static/version123/frontend/a.css', '/static/frontend/a.css', '/static/frontend/none.css', '/static/version1/none', '/static/frontend/page.html', '/media/a.jpg', '/media/none.jpg?x=1',
                  '/media/feed.xml', '/media/none.xml', '/media/theme_customization/a.xml', '/setup/', '/setup/index.php', '/setup/x', '/setup/pub/x', '/get.php', '/cron.php', '/a.phtml', '/errors/404.php',
                  '/category/item.html', '/nopage'),
    'wiki.test': ('/wiki/Main_Page', '/wiki/A/B?action=edit', '/w/index.php?title=x', '/w/images/a/ab/File.png', '/w/images/thumb/a/ab/File.png/120px-File.png', '/w/images/deleted/x', '/w/rest.php/v1/page',
                  '/w/resources/assets/w.css', '/w/resources/src/none', '/w/nopage.php', '/wiki/'),
    'rails.test': ('/orders/1', '/sendfile', '/protected/a.pdf', '/assets/app.js', '/about', '/missing', '/failing', '/unavailable', '/pic.png', '/none.png', '/orders/a%2Fb', '/moved'),
    'framework.test': ('/user/1?x=2', '/index.php', '/index.php/x', '/wp-login.php', '/.well-known/x', '/.env', '/favicon.ico', '/about/', '/none.css'),
    'chat.test': ('/_matrix/client/v3/sync?since=a%2Fb', '/_matrix/%23room:chat.test', '/_synapse/client/x', '/.well-known/matrix/client', '/.well-known/matrix/server', '/none'),
    'objects.test': ('/b/o%2Fp', '/b/a b', '/ui/', '/ui/browse/b%2Fc', '/chunks', '/missing'), 'my-bucket.objects.test': ('/k', '/ui/k'),
    'front.test': ('/deep/link', '/main.js', '/none.js', '/docs', '/docs/', '/api', '/api/x?y=z', '/api/v2/users', '/api/v2/unavailable', '/api/v2/missing', '/legacy/x/old/y', '/legacy/a/b', '/legacy',
                   '/u/42', '/u/42/posts?p=2', '/u/42/', '/u/x', '/?print=yes', '/apix'),
}
EVERYWHERE = '/', '/index.php', '/index.html', '/none', '/none/', '/style.css', '/..%2f..%2fetc/passwd', '/a%20b', '/?a=%20b&c', '/robots.txt'
EXTRA = {
    'with everything': ('Accept-Encoding: gzip', 'Cookie: session=good; wordpress_logged_in=1', 'Referer: http://a.test/b?c=d', 'User-Agent: Googlebot/2.1', 'X-Forwarded-For: 10.1.2.3', 'X-Real-IP: 10.9.9.9',
                        'Origin: http://o.test', 'Authorization: Basic YWxpY2U6d29uZGVy', 'X_Under: score'),
    'in parts': ('Range: bytes=0-3',), 'known': ('If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT',), 'signed in': ('Cookie: session=good',),
}

applications = Table(CONF, files=FILES, answer=application, workers=2)
for host, own in HOSTS.items():
    for target in dict.fromkeys(own + EVERYWHERE):
        legible = '..%2f' not in target    # nginx logs no fields of a target that it refuses, and no target
        applications.case(f'{host} {target}', get(target, host=host), ANY, log=legible)
        for name, fields in EXTRA.items():
            applications.case(f'{host} {target} {name}', get(target, *fields, host=host), ANY, log=legible)
        for method in ('POST', 'HEAD', 'OPTIONS', 'DELETE'):
            body = {'body': b'a=1&b=2'} if method == 'POST' else {}
            applications.case(f'{method} {host} {target}', request(method, target, host=host, **body), ANY, log=legible)
    applications.case(f'{host} a long conversation', get('/', host=host) + get('/none', host=host) + post('/index.php', b'x=1', host=host) + get('/style.css', host=host), [ANY] * 4)
    applications.case(f'{host} an old client', request('GET', '/', version='1.0', host=host), ANY)
test_applications = applications.tests()
