"""satisfy all and any, with rules of several kinds; internal; where these hold."""
from weirtest import ANY, Table, get, post

AUTH = {200: '/auth200', 401: '/auth401', 403: '/auth403', 500: '/auth500'}
RULES = {'allow': 'allow 127.0.0.1; deny all;', 'deny': 'deny all;', 'nothing': 'allow 10.0.0.1;', 'none': ''}
blocks, paths = [], []
for satisfy in ('all', 'any'):
    for rule, text in RULES.items():
        for status, uri in (*AUTH.items(), (None, None)):
            path = f'/{satisfy}-{rule}-{status}/'
            paths.append(path)
            auth = f'auth_request {uri};' if uri else ''
            blocks.append(f'location {path} {{ satisfy {satisfy}; {text} {auth} root @root@; add_header X-Where {path}; try_files /f =404; }}')
table = Table('\n'.join(blocks) + '\n'.join(f'location = {uri} {{ internal; return {status}; }}' for status, uri in AUTH.items()) + '''
    location /page/ { satisfy any; deny all; auth_request /auth401; error_page 401 = @login; error_page 403 = @forbidden; root @root@; }
    location /pageall/ { deny all; auth_request /auth401; error_page 401 = @login; error_page 403 = @forbidden; root @root@; }
    location @login { return 200 login; }
    location @forbidden { return 200 forbidden; }
    location /outer/ { satisfy any; deny all; root @root@; location /outer/in/ { auth_request /auth200; } location /outer/all/ { satisfy all; auth_request /auth200; } }
    location /rewritten/ { rewrite ^/rewritten/(.*)$ /any-deny-401/$1 last; }
    location /hidden/ { internal; root @root@; error_page 404 /hidden/page; }
    location /tohidden/ { rewrite ^/tohidden/(.*)$ /hidden/$1 last; }
    location /trytohidden/ { root @root@; try_files /none /hidden/page; }
    location /errtohidden/ { error_page 403 /hidden/page; return 403; }
    location /x-accel/ { proxy_pass http://@backend@; }
    location = /hiddenexact { internal; return 200 exact; }
''', files={'f': 'a file', 'hidden/page': 'hidden page', 'outer/in/x': 'in', 'outer/all/x': 'all', 'page/x': 'x'}, http='proxy_http_version 1.1;')
for path in paths:
    table.case(path, get(path + 'x'), ANY)
for target in ('/page/x', '/pageall/x', '/outer/x', '/outer/in/x', '/outer/all/x', '/rewritten/x', '/hidden/page', '/hidden/none', '/tohidden/page', '/tohidden/none', '/trytohidden/x',
               '/errtohidden/x', '/hiddenexact', '/auth200'):
    table.case(target, get(target), ANY)
table.case('a body that is refused', post('/any-deny-403/x', b'y' * 50000) + get('/all-none-None/x'), [403, 200])
test_satisfy = table.tests()
