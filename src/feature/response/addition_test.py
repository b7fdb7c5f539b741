"""add_before_body, add_after_body: other answers around an answer."""
from weirtest import Client, Table, get, request, response

addition = Table('''
    root @root@;
    location /both/ { add_before_body /before; add_after_body /after; root @root@; }
    location /before/ { add_before_body /before; root @root@; }
    location /after/ { add_after_body /after; root @root@; }
    location /off/ { add_after_body /after; add_before_body /before; location /off/in/ { add_after_body ""; root @root@; } }
    location /types/ { add_after_body /after; addition_types text/plain; root @root@; }
    location /star/ { add_after_body /after; addition_types *; root @root@; }
    location /missing/ { add_before_body /none; add_after_body /none; root @root@; }
    location /proxy/ { add_before_body /back/1; add_after_body /back/2; proxy_pass http://@backend@; }
    location /file/ { add_before_body /head.html; add_after_body /tail.html; root @root@; }
    location /nested/ { add_before_body /both/f.html; root @root@; }
    location /empty/ { add_before_body /nothing; add_after_body /nothing; root @root@; }
    location /nobytes/ { add_before_body /before; add_after_body /after; root @root@; }
    location /nobytes/text { add_before_body /before; default_type text/html; return 200 ""; }
    location /nobytes/none { add_before_body /before; default_type text/html; return 200; }
    location /asked/ { add_before_body /back/1; root @root@; }
    location = /before { return 200 "before "; }
    location = /after { return 200 " after $uri $request_uri $args"; }
    location = /nothing { return 204; }
    location /back/ { proxy_pass http://@backend@; }
    default_type text/plain;
    types { text/html html; text/plain txt; image/png png; }
''', http='proxy_http_version 1.1;', files={f'{d}/f.{e}': f'{d} {e}' for d in (
    'both', 'before', 'after', 'off', 'off/in', 'types', 'star', 'missing', 'file', 'nested', 'empty') for e in ('html', 'txt', 'png')}
    | {'nobytes/f.html': '', 'asked/f.html': 'asked', 'head.html': '<head>', 'tail.html': '</html>' * 20000})
for d in ('both', 'before', 'after', 'off', 'off/in', 'types', 'star', 'missing', 'file', 'nested', 'empty'):
    for e in ('html', 'txt', 'png'):
        if d == 'missing' and e == 'html':
            continue    # the pages of the servers differ: see below
        addition.case(f'{d} {e}', get(f'/{d}/f.{e}?x=y'))
    addition.case(f'HEAD {d}', request('HEAD', f'/{d}/f.html'), weir=200, why='Transfer-Encoding is shown as it would be for GET')
    if d != 'missing':
        addition.case(f'range {d}', get(f'/{d}/f.html', 'Range: bytes=1-3'), 200)
addition.case('range of another type', get('/both/f.png', 'Range: bytes=1-3'), 206)
addition.case('not modified', get('/both/f.html', 'If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT'), 304)
addition.case('HTTP/1.0', b'GET /both/f.html HTTP/1.0\r\n\r\n')
for target in ('f.html', 'text', 'none'):
    addition.case(f'an answer without bytes: {target}', get(f'/nobytes/{target}'))
addition.case('HEAD asks for nothing else', request('HEAD', '/asked/f.html', 'Range: bytes=0-1'), sees=())
addition.case('errors', get('/both/none'), 404)


def page(q):
    if q.target.startswith('/back/'):
        return response(f'[{q.target}]' * 9000, 'Content-Type: text/html')
    return response(b'own' * 50000, 'Content-Type: text/html; charset=utf-8', 'ETag: "strong"')


addition.case('proxied', get('/proxy/x'), 200, page)
addition.case('proxied, other type', get('/proxy/x'), 200, lambda q: response(b'own', 'Content-Type: text/css'))
addition.case('proxied, not 200', get('/proxy/x'), 201, lambda q: response(b'own', 'Content-Type: text/html', status='201 X'))
test_addition = addition.tests()


def test_part_that_fails(site):
    """The first part fails after it began: the client must see that the answer is cut."""
    server = site.server('location / { add_after_body /dead; root @root@; default_type text/html; } '
                         'location = /dead { return 444; }')
    site.file('f', 'own')
    with Client(server.port) as c:
        c.send(get('/f'))
        c.read_to_end()
        assert b'own' in c.received and not c.received.endswith(b'0\r\n\r\n')


def test_errors_of_the_parts_are_shown(site):
    site.file('f', 'own')
    server = site.server('location / { add_before_body /none; add_after_body /none; root @root@; default_type text/html; }')
    with Client(server.port) as c:
        r = c.ask(get('/f'))
    assert r.status == 200 and r.text.count('404 Not Found') == 4 and '</html>\r\nown<html>' in r.text
