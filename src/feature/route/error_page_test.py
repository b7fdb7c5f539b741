"""error_page: in all its forms."""
from weirtest import ANY, Table, get, post, request, response

pages = Table('''
    root @root@;
    location /plain/ { error_page 404 /err/404.html; return 404; }
    location /file/ { error_page 404 /err/404.html; }
    location /missing/ { error_page 404 /err/none.html; return 404; }
    location /missing403/ { error_page 403 /err/none.html; return 403; }
    location /missing201/ { error_page 403 =201 /err/none.html; return 403; }
    location /missingname/ { error_page 403 @refuses; return 403; }
    location @refuses { return 410; }
    location /newcode/ { error_page 404 =200 /err/404.html; return 404; }
    location /newcode410/ { error_page 404 =410 /err/404.html; return 404; }
    location /handler/ { error_page 404 = /handle; return 404; }
    location = /handle { return 202 "handled $uri $request_uri $status"; }
    location = /handle404 { return 404 "handler says $status"; }
    location /handler404/ { error_page 403 = /handle404; return 403; }
    location /handler404same/ { error_page 403 /handle404; return 403; }
    location /redirect/ { error_page 404 http://other.test/lost; return 404; }
    location /redirect301/ { error_page 404 =301 http://other.test/lost?$args; return 404; }
    location /redirect307/ { error_page 404 =307 https://$host$request_uri; return 404; }
    location /redirect200/ { error_page 404 =200 http://other.test/; return 404; }
    location /named/ { error_page 404 @fallback; return 404; }
    location /namedeq/ { error_page 404 = @fallback; return 404; }
    location /named200/ { error_page 404 =200 @fallback; return 404; }
    location @fallback { return 206 "fallback $uri $request_uri"; }
    location /several/ { error_page 403 404 410 /err/many.html; return 410; }
    location /two/ { error_page 403 /err/403.html; error_page 404 /err/404.html; return 403; }
    location /first/ { error_page 404 /err/404.html; error_page 404 /err/403.html; return 404; }
    location /vars/ { error_page 404 /err/$arg_page.html; return 404; }
    location /args/ { error_page 404 /showargs?x=$arg_y; return 404; }
    location /noargs/ { error_page 404 /showargs; return 404; }
    location = /showargs { return 404 "args=$args query=$query_string uri=$uri"; }
    location /recursive/ { error_page 404 /recursive2/x; return 404; }
    location /recursive2/ { error_page 404 /err/404.html; return 404; }
    location /loop/ { error_page 404 /loop/again; return 404; }
    location /nested/ { error_page 404 /err/404.html; location /nested/in/ { return 404; }
        location /nested/own/ { error_page 403 /err/403.html; return 404; } }
    location /proxied/ { error_page 404 /err/404.html; proxy_pass http://@backend@; }
    location /intercept/ { error_page 404 500 /err/404.html; error_page 502 504 /err/502.html; proxy_intercept_errors on;
        proxy_pass http://@backend@; }
    location /refused/ { error_page 502 /err/502.html; proxy_pass http://@dead@; }
    location /refusednamed/ { error_page 502 = @second; proxy_pass http://@dead@; }
    location @second { proxy_pass http://@backend@; proxy_http_version 1.1; }
    location /large/ { client_max_body_size 10; error_page 413 /err/413.html; proxy_pass http://@backend@; }
    location /largenamed/ { client_max_body_size 10; error_page 413 @fallback; proxy_pass http://@backend@; }
    location /denied/ { error_page 403 =401 /err/403.html; deny all; }
    location /method/ { error_page 405 /err/405.html; }
    location /code400/ { error_page 400 /err/400.html; return 400; }
    location /code200/ { error_page 300 /err/300.html; return 300; }
    location /text/ { error_page 404 /err/404.html; return 404 "own text"; }
    location /dir/ { error_page 301 http://other.test$uri; }
    location /dircode/ { error_page 301 =303 http://other.test$uri; }
    location /dirpage/ { error_page 301 =200 /err/404.html; }
    location /return301/ { error_page 301 302 307 http://other.test$uri; return 307 /elsewhere; }
    location /statusinuri/ { error_page 404 =503 /showargs?x=$status; error_page 410 /showargs?x=$status; return 404;
        location /statusinuri/410 { return 410; } }
    location /internal { error_page 404 /err/404.html; return 404; }
    location /err/ { }
    location /typed/ { error_page 404 /typed/e.json; default_type application/json; return 404; location = /typed/e.json {
        root @root@; } }
    location /proxyerr/ { error_page 404 = /proxyhandler/x?from=error; return 404; }
    location /dirproxied/ { error_page 301 =200 /proxyhandler/x; }
    location /proxypage/ { error_page 404 =410 /proxyhandler/x; return 404; }
    location /proxyhandler/ { proxy_pass http://@backend@; proxy_http_version 1.1; }
''', http='proxy_http_version 1.1; types { text/html html; application/json json; }', files={
    'err/404.html': '<p>lost</p>', 'err/403.html': '<p>forbidden</p>', 'err/many.html': 'many', 'err/502.html': 'bad gateway',
    'err/413.html': 'too large', 'err/405.html': 'method', 'err/400.html': 'bad', 'err/300.html': 'choices',
    **{f'{d}/sub/x': 'x' for d in ('dir', 'dircode', 'dirpage', 'dirproxied')}, 'typed/e.json': '{}', 'method/p': 'p'})
for path, status in (('plain/', 404), ('file/x', 404), ('missing/', 404), ('missing403/', 404), ('missing201/', 404), ('missingname/', 410), ('newcode/', 200), ('newcode410/', 410),
                     ('handler/', 202), ('handler404/', 404), ('handler404same/', 403), ('redirect/', 302),
                     ('redirect301/?q=1', 301), ('redirect307/x', 307), ('redirect200/', 302), ('named/', 404),
                     ('namedeq/x?y', 206), ('named200/', 200), ('several/', 410), ('two/', 403), ('first/', 404),
                     ('vars/?page=404', 404), ('vars/?page=none', 404), ('args/?y=1', 404), ('noargs/?y=1', 404),
                     ('recursive/', 404), ('loop/', 404), ('nested/in/', 404), ('nested/own/', 404), ('refused/', 502),
                     ('refusednamed/x?y', 200), ('refusednamed/a%2fb/../c//%64?q=%20', 200), ('denied/', 401), ('method/x', 404), ('code400/', 400), ('code200/', 300),
                     ('text/', 404), ('err/404.html', 200), ('typed/', 404), ('proxyerr/x?y', 200),
                     ('dir/sub', 302), ('dircode/sub', 303), ('dirpage/sub', 200), ('return301/', 302), ('statusinuri/', 503), ('statusinuri/410', 410)):
    pages.case(path, get('/' + path), status)
    pages.case(f'HEAD {path}', request('HEAD', '/' + path), status)
for path, status in (('plain/', 404), ('handler/', 202), ('namedeq/', 206), ('redirect/', 302), ('refusednamed/', 200),
                     ('proxyerr/', 200), ('newcode/', 200)):
    pages.case(f'POST {path}', post('/' + path, b'a body'), status)
    pages.case(f'kept {path}', post('/' + path, b'a body') + get('/plain/'), [status, 404])
    pages.case(f'PUT {path}', request('PUT', '/' + path, body=b'a body'), status)
for code in (200, 404, 500, 502, 503, 504):
    answer = response(b'from the back end', 'Content-Type: text/x', status=f'{code} Status')
    pages.case(f'not intercepted {code}', get('/proxied/'), code, answer)
    pages.case(f'intercepted {code}', get('/intercept/'), code, answer)
pages.case('a redirect that a back end answers', get('/dirproxied/sub'), 200, response(b'page'))
pages.case('the same with a Location', get('/dirproxied/sub'), 200, response(b'page', 'Location: /own'), weir=200, why='nginx sends two Location fields')
pages.case('a page of a back end has its time', get('/proxypage/'), 410, response(b'page', 'Last-Modified: Tue, 14 Nov 2023 22:13:20 GMT', 'ETag: "x"'))
pages.case('too large', post('/large/', b'x' * 11), 413)
pages.case('too large, named', post('/largenamed/', b'x' * 11), 413)
pages.case('too large, much', post('/large/', b'x' * 100000), 413)
pages.case('method', post('/err/404.html', b''), 405)
pages.case('method with a page', post('/method/p', b'x'), 405)
test_pages = pages.tests()

special = Table('''
    root @root@;
    error_page 400 /bad.html;
    error_page 414 /long.html;
    error_page 494 /header.html;
    error_page 501 /encoding.html;
    error_page 505 /version.html;
    error_page 404 /lost.html;
''', files={'bad.html': 'bad page', 'long.html': 'long page', 'header.html': 'header page', 'encoding.html': 'encoding page',
            'version.html': 'version page', 'lost.html': 'lost page'})
special.case('404', get('/x'), 404)
special.case('400 of a bad line', b'BAD LINE\r\nHost: x\r\n\r\n', 400)
special.case('400 of a missing host', request(host=None), 400)
special.case('400 of a bad URI', get('/%'), 400)
special.case('414', get('/' + 'x' * 9000), 414, log=False)
special.case('494', get('/', 'X: ' + 'y' * 9000), 400)
special.case('501', b'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n', 501)
special.case('505', b'GET / HTTP/2.0\r\nHost: x\r\n\r\n', 505)
test_special = special.tests()

inherited = Table('''
    server { listen 127.0.0.1:@port@; root @root@; error_page 404 /server.html;
        location / { }
        location /own/ { error_page 403 /own.html; }
        location /both/ { error_page 403 /own.html; error_page 404 /own.html; } }
    server { listen 127.0.0.1:@port@; server_name plain; root @root@; }
''', http='error_page 404 /http.html; error_page 403 /http.html;',
    files={'server.html': 'server', 'own.html': 'own', 'http.html': 'http'})
for path in ('x', 'own/x', 'both/x'):
    inherited.case(path, get('/' + path), 404)
inherited.case('from http', get('/x', host='plain'), 404)
test_inherited = inherited.tests()


IMPOSSIBLE = 'a status that no client can read is not sent'
impossible = Table('''
    location /return { return 99; }
    location /text { return 7 "text"; }
    location /zero { return 0; }
    location /page { error_page 404 =1000 /e; return 404; }
    location /huge { error_page 404 =99999999999 /e; return 404; }
    location /small { error_page 404 =99 /e; return 404; }
    location /try { try_files /none =99; }
    location /e { return 200 e; }
    location /high { return 999 "nine"; }
    location /interim { error_page 404 =600 /e; return 404; }
''')
for where in ('return', 'text', 'zero', 'page', 'huge', 'small', 'try'):
    impossible.case(where, get(f'/{where}'), weir=500, why=IMPOSSIBLE)
impossible.case('high', get('/high'), 999)
impossible.case('page with 600', get('/interim'), 600)
test_impossible = impossible.tests()


methods = Table('''
    error_page 404 /page; error_page 403 @named; error_page 405 =200 /page;
    location /lost { return 404; }
    location /denied { deny all; }
    location = /page { return 200 "$request_method $uri"; }
    location @named { return 403 "$request_method $uri"; }
    location /proxied { error_page 502 /behind; proxy_pass http://@dead@; }
    location = /behind { proxy_pass http://@backend@; }
    location /accel { proxy_pass http://@backend@/accel; }
    location /inside { internal; return 200 "$request_method"; }
    location /args { error_page 404 /page?x=y; return 404; }
    location /try { try_files /none /page; }
    location /tryargs { try_files /none /page?a; }
''', http='proxy_http_version 1.1;', log='request=$request|method=$request_method|uri=$uri|args=$args|is_args=$is_args|status=$status|request_uri=$request_uri',
    answer=lambda q: response('', 'X-Accel-Redirect: /inside') if 'accel' in q.target else response(q.method))
for method in ('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'FOO'):
    for path in ('/lost', '/denied', '/proxied', '/accel', '/args?q', '/try?q', '/tryargs?q', '/page'):
        methods.case(f'{method} {path}', request(method, path, body=b'' if method in ('GET', 'HEAD', 'FOO') else b'body'), ANY)
test_methods = methods.tests()


statuses = Table("""
    root @root@;
    location /kept/ { error_page 404 /nowhere; return 404; }
    location /changed/ { error_page 502 =302 /nowhere; proxy_pass http://@dead@; }
    location /asked/ { error_page 502 =200 /nowhere; proxy_pass http://@dead@; }
    location /plain/ { error_page 502 = /nowhere; proxy_pass http://@dead@; }
    location /uri/ { error_page 404 =201 /say/$status; return 404; }
    location /uri/kept/ { error_page 404 /say/$status; return 404; }
    location /named/ { error_page 403 =201 @named; return 403; }
    location /say/ { return 200 "$uri $status"; }
    location @named { return 404; }
""", log='request=$request|status=$status|uri=$uri')
for path in ('kept', 'changed', 'asked', 'plain', 'uri', 'uri/kept', 'named'):
    for method in ('GET', 'HEAD'):
        statuses.case(f'{method} {path}', request(method, f'/{path}/'), ANY)
test_status_is_what_is_sent = statuses.tests()
