"""auth_request: what the subrequest answers decides; auth_request_set; what the subrequest sees."""
import threading

from weirtest import Client, Table, chunked, get, post, request, response

# The back end "auth" answers with the status that the client asks for in X-Want.
auth = Table('''
    location = /auth { internal; proxy_pass http://@auth@; proxy_pass_request_body off; proxy_set_header Content-Length "";
        proxy_set_header X-Original-URI $request_uri; proxy_set_header X-Own-URI $uri; proxy_set_header X-Method $request_method; }
    location /plain/ { auth_request /auth; proxy_pass http://@backend@; }
    location /text/ { auth_request /auth; root @root@; }
    location /set/ { auth_request /auth; auth_request_set $user $upstream_http_x_user; auth_request_set $st $upstream_status;
        proxy_set_header X-User $user; proxy_set_header X-Auth-Status $st; proxy_pass http://@backend@; }
    location /setpage/ { auth_request /auth; auth_request_set $user $upstream_http_x_user; error_page 401 403 /page; root @root@; }
    location = /page { return 200 "page for $user of $uri $request_uri"; }
    location = /ok { return 200 "fine"; }
    location = /no { return 403 "no"; }
    location = /moved { return 302 /elsewhere; }
    location = /nothing { return 204; }
    location /ok/ { auth_request /ok; root @root@; }
    location /no/ { auth_request /no; root @root@; }
    location /moved/ { auth_request /moved; root @root@; }
    location /nothing/ { auth_request /nothing; root @root@; }
    location /file/ { auth_request /text.txt; root @root@; }
    location /missing/ { auth_request /does-not-exist; root @root@; }
    location /off/ { auth_request /no; location /off/in/ { auth_request off; root @root@; } }
    location /any/ { satisfy any; deny all; auth_request /auth; root @root@; }
    location /anyallow/ { satisfy any; allow all; auth_request /no; root @root@; }
    location /nested/ { auth_request /inner; root @root@; }
    location = /inner { auth_request /no; return 200 x; }
    location /slow/ { auth_request /auth; return 200 "the return comes first"; }
    location /dead/ { auth_request /dead; root @root@; }
    location = /dead { proxy_pass http://@dead@; }
    location /args/ { auth_request /auth; proxy_pass http://@backend@; }
    location = /text.txt { root @root@; }
    root @root@;
''', http='proxy_http_version 1.1;', files={f'{d}/f': f'file of {d}' for d in (
    'text', 'setpage', 'ok', 'no', 'moved', 'nothing', 'file', 'missing', 'off', 'off/in', 'any', 'anyallow', 'nested', 'dead')}
    | {'text.txt': 'some text'})


def says(status, *fields, body=b'auth body'):
    """A back end that refuses or lets pass with this answer, and answers everything else."""
    def answer(q):
        if q.target == '/auth':
            return response(body, *fields, status=f'{status} X')
        return response(b'from the back end')
    return answer


for status, seen in ((200, 200), (201, 200), (204, 200), (299, 200), (300, 500), (302, 500), (400, 500), (401, 401), (402, 500),
                     (403, 403), (404, 500), (429, 500), (500, 500), (502, 500), (503, 500)):
    body = b'' if status == 204 else b'auth body'
    for where in ('plain/x?a=b', 'text/f'):
        auth.case(f'{where} {status}', get(f'/{where}', 'X-A: b', 'Cookie: c=d'), seen,
                  lambda q, s=status, b=body: (response(b, status=f'{s} X', length=s != 204) if q.target == '/auth'
                                               else response(b'back')))
auth.case('challenge', get('/text/f'), 401, says(401, 'WWW-Authenticate: Basic realm="a"', 'X-Other: b'))
auth.case('two challenges', get('/plain/'), 401, says(401, 'WWW-Authenticate: Basic realm="a"', 'WWW-Authenticate: Digest x'),
          weir=401, why='nginx 1.22 gives the last challenge only, later ones all')
auth.case('no challenge with 403', get('/text/f'), 403, says(403, 'WWW-Authenticate: Basic realm="a"'))
for status in (200, 401, 403):
    auth.case(f'variables {status}', get('/set/x'), status, says(status, 'X-User: joe'))
    auth.case(f'variables in the page {status}', get('/setpage/f'), status, says(status, 'X-User: joe'))
auth.case('variables without a value', get('/set/x'), 200, says(200))
for path, status in (('ok', 200), ('no', 403), ('moved', 500), ('nothing', 200), ('file', 200), ('missing', 500), ('off', 403),
                     ('off/in', 200), ('anyallow', 200), ('nested', 200), ('dead', 500)):
    auth.case(path, get(f'/{path}/f'), status)
    auth.case(f'HEAD {path}', request('HEAD', f'/{path}/f'), status)
for status in (200, 401, 403, 404):
    auth.case(f'any {status}', get('/any/f'), {404: 500}.get(status, status), says(status))
auth.case('a body is not taken', post('/plain/', b'hello body'), 200, says(200))
auth.case('a denied body', post('/plain/', b'x' * 5000) + get('/ok'), [403, 200], says(403))
auth.case('chunked body', b'POST /plain/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n', 200, says(200))
auth.case('pipelined', get('/text/f') + get('/plain/') + get('/ok/f'), [200, 200, 200], says(200))
auth.case('not asked when the answer comes before', get('/slow/'), 200, sees=[])
auth.case('a direct request', get('/auth'), 404)
auth.case('an answer in chunks', get('/text/f'), 200, lambda q: chunked(b'x' * 70000) if q.target == '/auth' else response(b''))
test_auth = auth.tests()


def test_unexpected_status_is_logged(site):
    site.file('f', 'x')
    server = site.server('location / { auth_request /a; root @root@; } location = /a { return 404; }')
    with Client(server.port) as c:
        assert c.ask(get('/f')).status == 500
    server.wait_error('error', 'auth request unexpected status: 404, client: 127.0.0.1')


def test_variables_are_shared(site):
    """A variable that was asked once keeps its value in the subrequest and after it."""
    backend = site.backend('backend', lambda q: response(q.target.encode()))
    server = site.server('''location / { auth_request /a; proxy_set_header X-Id $request_id; proxy_pass http://@backend@; }
        location = /a { internal; proxy_set_header X-Id $request_id; proxy_pass http://@backend@; }''')
    with Client(server.port) as c:
        assert c.ask(get('/f')).status == 200
    ids = [q.header('X-Id') for q in backend.requests]
    assert len(ids) == 2 and ids[0] == ids[1] and len(ids[0]) == 32


def test_client_leaves_while_it_is_asked(site):
    asked, release = threading.Event(), threading.Event()

    def answer(q):
        asked.set()
        release.wait(10)
        return response(b'')
    site.backend('auth', answer)
    server = site.server('''location / { auth_request /a; root @root@; } location = /a { proxy_pass http://@auth@; }
        location = /alive { return 200 yes; }''',
                         http="log_format s '$status'; access_log @dir@/s.log s;")
    c = Client(server.port)
    c.send(get('/f'))
    assert asked.wait(5)
    c.close()
    server.wait_lines(1, 's.log')
    release.set()
    assert server.lines('s.log')[0] == '499'
    with Client(server.port) as c:
        assert c.ask(get('/alive')).status == 200
