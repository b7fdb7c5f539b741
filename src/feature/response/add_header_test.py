"""add_header: when a field is added, inheritance, always."""
from weirtest import Table, get, request, response

headers = Table('''
    add_header X-Server server;
    add_header X-Always server always;
    root @root@;
    location /inherited/ { return 200 text; }
    location /own/ { add_header X-Own own; return 200 text; }
    location /own/deeper/ { return 200 deeper; }
    location /ownalways/ { add_header X-Own own always; return 404; }
    location /proxy/ { add_header X-Uri $uri; add_header X-Status $status always; add_header X-Upstream $upstream_status always;
        add_header X-Up-Type $upstream_http_content_type always; add_header X-Sent $sent_http_content_type always;
        proxy_pass http://@backend@; }
    location /proxyinherited/ { proxy_pass http://@backend@; }
    location /empty/ { add_header X-Empty ""; add_header X-Var $arg_x; return 200 text; }
    location /twice/ { add_header X-Two one; add_header X-Two two; return 200 text; }
    location /special/ { add_header Cache-Control no-cache; add_header Last-Modified "Thu, 01 Jan 1970 00:00:00 GMT";
        add_header ETag '"mine"'; return 200 text; }
    location /emptylm/ { root @root@; add_header Last-Modified ""; }
    location /type/ { add_header Content-Type text/extra; add_header Server mine; return 200 text; }
    location /link/ { add_header Link "<a>; rel=preload"; add_header Link "<b>"; add_header Vary Accept; proxy_pass http://@backend@; }
    location /error/ { add_header X-Error yes; add_header X-Error-Always yes always; error_page 404 /page; return 404; }
    location = /page { add_header X-Page page always; return 404 "page"; }
    location /outer/ { add_header X-Outer outer; location /outer/in/ { return 200 in; }
        location /outer/own/ { add_header X-In in; return 200 own; } }
    location /quoted/ { add_header X-Quoted 'a "b"; c=d'; add_header 'X-Name' "$http_user_agent"; return 200 text; }
    location /trailer/ { add_trailer X-End "$status $uri"; alias @root@/; types { text/plain txt; } }
    location /codes/ { add_header X-Code code; add_header X-Code-Always code always; proxy_pass http://@backend@; }
''', http='proxy_http_version 1.1; add_header X-Http http;', files={'f.txt': 'file', 'emptylm/f.txt': 'file'})
for target, status in (('/inherited/', 200), ('/own/', 200), ('/own/deeper/', 200), ('/ownalways/', 404), ('/proxy/', 200),
                       ('/proxyinherited/', 200), ('/empty/', 200), ('/empty/?x=1', 200), ('/twice/', 200), ('/special/', 200),
                       ('/emptylm/f.txt', 200), ('/type/', 200), ('/link/', 200), ('/error/', 404), ('/page', 404),
                       ('/outer/in/', 200), ('/outer/own/', 200), ('/f.txt', 200), ('/none', 404)):
    headers.case(target, get(target), status)
    headers.case(f'HEAD {target}', request('HEAD', target), status)
headers.case('quoted', get('/quoted/', 'User-Agent: a"b\\c'))
headers.case('not modified', get('/f.txt', 'If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT'), 304)
headers.case('a bad request', b'BAD\r\n\r\n', 400)
for code in (200, 201, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 410, 418, 429, 500, 502, 503, 504):
    headers.case(f'code {code}', get('/codes/'), code, response(b'', status=f'{code} X', length=code not in (204, 304)))
for lines in ([], ['Range: bytes=0-1'], ['Range: bytes=0-0,2-'], ['If-None-Match: "6553f100-4"']):
    headers.case(f'trailer {lines}', get('/trailer/f.txt', *lines), 304 if 'None' in str(lines) else 206 if lines else 200)
    headers.case(f'trailer {lines}, HTTP/1.0', get('/trailer/f.txt', *lines, version='1.0'), 304 if 'None' in str(lines) else 206 if lines else 200)
headers.case('fields of the back end stay', get('/codes/'), 200, response(b'', 'X-Code: upstream', 'X-Code-Always: upstream'))
test_headers = headers.tests()
