"""return: a text, a redirect, a bare status."""
from weirtest import Table, get, post, request

returns = Table('''
    default_type text/x-default;
    location = /text { return 200 "hello $arg_who!\\n"; }
    location = /empty { return 200 ""; }
    location = /bare200 { return 200; }
    location = /json { default_type application/json; return 200 '{"a": "$uri"}'; }
    location = /201 { return 201 created; }
    location = /204 { return 204; }
    location = /204text { return 204 text; }
    location = /301 { return 301 /there?$args; }
    location = /301abs { return 301 https://other.test/$uri; }
    location = /301bare { return 301; }
    location = /302 { return 302 http://$host:8080$request_uri; }
    location = /303 { return 303 /see; }
    location = /307 { return 307 there; }
    location = /308 { return 308 /kept; }
    location = /300 { return 300 text; }
    location = /305 { return 305 /x; }
    location = /url { return http://other.test/x; }
    location = /urls { return https://$host/x; }
    location = /urlscheme { return $scheme://$host/x; }
    location = /400 { return 400; }
    location = /401 { return 401; }
    location = /402 { return 402; }
    location = /403 { return 403; }
    location = /403text { return 403 "no: $request_method"; }
    location = /404 { return 404; }
    location = /405 { return 405; }
    location = /406 { return 406; }
    location = /408 { return 408; }
    location = /409 { return 409; }
    location = /410 { return 410; }
    location = /411 { return 411; }
    location = /412 { return 412; }
    location = /413 { return 413; }
    location = /414 { return 414; }
    location = /415 { return 415; }
    location = /416 { return 416; }
    location = /418 { return 418; }
    location = /421 { return 421; }
    location = /422 { return 422; }
    location = /425 { return 425; }
    location = /429 { return 429; }
    location = /431 { return 431; }
    location = /451 { return 451; }
    location = /495 { return 495; }
    location = /496 { return 496; }
    location = /497 { return 497; }
    location = /499 { return 499; }
    location = /500 { return 500; }
    location = /501 { return 501; }
    location = /502 { return 502; }
    location = /503 { return 503; }
    location = /504 { return 504; }
    location = /505 { return 505; }
    location = /507 { return 507; }
    location = /508 { return 508; }
    location = /511 { return 511; }
    location = /999 { return 999 odd; }
    location = /bare999 { return 999; }
    location = /bare250 { return 250; }
    location = /long { return 200 "%s"; }
    location ~ ^/(c)(a) { return 200 "$1-$2-$3"; }
    location ~ ^/re/(?<word>\\w+)/(\\w+)$ { return 200 "$word $1 $2"; }
    location = /dollar { return 200 "a${arg_x}b"; }
    location = /quote { return 200 "say \\"hi\\" and \\\\ and 'single'"; }
''' % ('0123456789' * 390))
for path, status in (('text?who=you', 200), ('empty', 200), ('bare200', 200), ('json', 200), ('201', 201), ('204', 204),
                     ('204text', 204), ('301?x=1', 301), ('301abs', 301), ('301bare', 301), ('302?q', 302), ('303', 303),
                     ('307', 307), ('308', 308), ('300', 300), ('305', 305), ('url', 302), ('urls', 302),
                     ('urlscheme', 302), ('403text', 403), ('418', 418), ('408', None), ('499', None), ('999', 999), ('bare999', 999),
                     ('bare250', 250), ('long', 200), ('re/ab/cd', 200), ('dollar?x=1', 200), ('dollar', 200), ('quote', 200),
                     ('none', 404), *((str(n), n) for n in (
                         400, 401, 402, 403, 404, 405, 406, 409, 410, 411, 412, 413, 414, 415, 416, 421, 422, 425, 429,
                         431, 451, 495, 496, 497, 500, 501, 502, 503, 504, 505, 507, 508, 511))):
    if status in (495, 496, 497):
        status = 400
    returns.case(path, get('/' + path), status)
for path, status in (('text', 200), ('empty', 200), ('301', 301), ('403', 403), ('204', 204), ('403text', 403), ('404', 404)):
    returns.case(f'HEAD {path}', request('HEAD', f'/{path}'), status)
    returns.case(f'HTTP/1.0 {path}', request('GET', f'/{path}', version='1.0'), status)
    returns.case(f'keep-alive {path}', get(f'/{path}') + get(f'/{path}'), [status, status])
for method in ('POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'PROPFIND', 'TRACE', 'FOO', 'X-Y_Z'):
    returns.case(f'method {method}', request(method, '/text?who=x'),
                 405 if method == 'TRACE' else 200)
returns.case('a body is read away', post('/text', b'x' * 5000) + get('/text'), [200, 200])
returns.case('a big body is read away', post('/text', b'x' * 200000) + get('/text'), [200, 200])
returns.case('a chunked body is read away', request('POST', '/text', chunks=[b'abc', b'd' * 3000]) + get('/text'), [200, 200])
returns.case('twenty in one go', get('/long') * 20, [200] * 20)
returns.case('conditions do not matter', get('/text', 'If-Modified-Since: Thu, 01 Jan 2099 00:00:00 GMT', 'If-None-Match: *'))
returns.case('a range does not matter', get('/text', 'Range: bytes=0-1'))
test_returns = returns.tests()

ports = Table('''
    server { listen 127.0.0.1:@port@; server_name named.test;
        location /rel { return 301 /x; }
        location /abs { return 301 http://a.test/x; } }
''')
for host in ('named.test', 'other.test', 'named.test:80', 'named.test:@port@', '127.0.0.1'):
    ports.case(f'relative redirect for {host}', get('/rel', host=host), 301)
ports.case('absolute redirect stays', get('/abs'), 301)
ports.case('no host', request('GET', '/rel', host=None, version='1.0'), 301)
test_ports = ports.tests()

server_level = Table('''
    server { listen 127.0.0.1:@port@; server_name a; return 301 https://$host$request_uri; location / { return 200 no; } }
    server { listen 127.0.0.1:@port@; server_name b; return 444; }
''')
server_level.case('server', get('/x?y', host='a'), 301)
server_level.case('444 closes without an answer', get('/x', host='b'), None)
server_level.case('444 after an answer', get('/x', host='a') + get('/x', host='b'), [301])
test_server_level = server_level.tests()
