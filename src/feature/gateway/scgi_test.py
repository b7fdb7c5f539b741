"""scgi_pass and uwsgi_pass: what applications are sent, and their answers, as nginx has them."""
import re

import pytest

from weirtest import Close, Reset, Table, UntilClosed, certs, exchange, get, post, request, response

OK = b'Content-Type: text/plain\r\n\r\nhello'
LOG = 'request=$request|status=$status|body_bytes_sent=$body_bytes_sent|us=$upstream_status'
FIELDS = ('User-Agent: t/1', 'X-A: 1', 'X-Under-Score: 2', 'Cookie: a=b', 'Content-Type: text/x')


def table_of(kind):
    table = Table(f'''
        location / {{ {kind}_pass @{kind}@; include /etc/nginx/{kind}_params; }}
        location /unix/ {{ {kind}_pass @{kind}unix@; {kind}_param A $uri; }}
        location /group/ {{ {kind}_pass apps; {kind}_param A b; {kind}_param EMPTY ""; {kind}_param GONE $arg_x if_not_empty; }}
        location /own/ {{ {kind}_pass @{kind}@; {kind}_param HTTP_HOST set; {kind}_param HTTP_X_A ""; }}
        location /nohead/ {{ {kind}_pass @{kind}@; {kind}_pass_request_headers off; {kind}_param A b; }}
        location /next/ {{ {kind}_pass two; {kind}_param A b; {kind}_next_upstream http_503 error; }}
        location /slow/ {{ {kind}_pass @{kind}@; {kind}_read_timeout 200ms; }}
        location /dead/ {{ {kind}_pass @dead@; }}
        location /hide/ {{ {kind}_pass @{kind}@; {kind}_hide_header X-A; {kind}_intercept_errors on; error_page 404 /page; }}
        location = /page {{ return 200 page; }}
        location /ssi/ {{ ssi on; default_type text/html; proxy_http_version 1.1; proxy_pass http://@backend@; }}
        {"location /modified/ { uwsgi_pass uwsgi://@uwsgi@; uwsgi_modifier1 5; uwsgi_modifier2 9; uwsgi_param A b; }" if kind == "uwsgi" else ""}
    ''', log=LOG, http=f'root /srv; upstream apps {{ server @{kind}@; }} upstream two {{ server @dead@ max_fails=0; server @{kind}@ max_fails=0; server @{kind}two@ backup; }}',
                  answer=OK)
    for target in ('/', '/a/b?c=d', '/%20x', '/unix/', '/group/', '/group/?x=1', '/own/', '/nohead/', '/next/', *(('/modified/',) if kind == 'uwsgi' else ())):
        table.case(target, get(target, *FIELDS))
        table.case(f'POST {target}', post(target, b'body=1', *FIELDS))
    table.case('chunked', request('POST', '/', *FIELDS, chunks=[b'abc', b'de']))
    table.case('large body', post('/', b'x' * 200000))
    table.case('HEAD', request('HEAD', '/'))
    for name, (status, out) in {
            'status': (404, b'Status: 404 Not Found\r\nContent-Type: a/b\r\n\r\nno'), 'status line': (201, b'HTTP/1.1 201 Created\r\nContent-Type: a/b\r\n\r\nyes'),
            'status line 1.0': (200, b'HTTP/1.0 200 OK\r\nX-A: 1\r\n\r\nyes'), 'location': (302, b'Location: http://else/\r\n\r\n'),
            'length': (200, b'Content-Length: 5\r\n\r\nhello'), 'bare line feeds': (200, b'X-A: b\n\nbody'), 'large': (200, b'X: y\r\n\r\n' + b'z' * 300000),
            'fields': (200, b'X-A: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nServer: app\r\nDate: Mon, 01 Jan 2001 00:00:00 GMT\r\n\r\nx'),
            '304': (304, b'Status: 304 Not Modified\r\nETag: "x"\r\n\r\n')}.items():
        table.case(name, get('/'), status, out)
    table.case('a subrequest has no body', post('/ssi/', b'body=1'), 200, lambda q: OK if hasattr(q, 'params') else response(b'<!--#include virtual="/sub" -->', 'Content-Type: text/html'),
               weir=200, why='nginx sends the body of the client')
    table.case('hidden', get('/hide/'), 200, b'X-A: 1\r\nX-B: 2\r\n\r\nx')
    table.case('closes', get('/'), 502, [Close()])
    table.case('resets', get('/'), 502, [Reset()])
    table.case('ends in the head', get('/'), 502, [b'Content-Type: a', Close()])
    table.case('silent', get('/slow/'), 504, [b'', UntilClosed()])
    table.case('dead', get('/dead/'), 502)
    table.case('503 goes on', get('/next/'), 200, lambda q: OK if q.backend.name.endswith('two') else b'Status: 503 X\r\n\r\n')
    return table.tests()


test_scgi = table_of('scgi')
test_uwsgi = table_of('uwsgi')


@pytest.mark.parametrize('address', ['suwsgi://apps', 'suwsgi://@uwsgi@', 'suwsgi://$arg_to', '$arg_scheme://$arg_to'])
def test_uwsgi_over_tls(site, address):
    app = site.backend('uwsgi', answer=lambda q: OK, tls=certs.server())
    server = site.server(f'location / {{ uwsgi_pass {address}; uwsgi_param A b; uwsgi_param CONTENT_LENGTH $content_length; uwsgi_ssl_server_name on; uwsgi_ssl_name localhost; '
                         'uwsgi_ssl_verify on; uwsgi_ssl_trusted_certificate @certs@/ca.pem; uwsgi_ssl_session_reuse off; }',
                         http='upstream apps { server @uwsgi@; }')
    for i in range(3):
        r = exchange(server.port, post(f'/{i}?to={app.address}&scheme=suwsgi', b'x' * 20000))[0]
        assert (r.status, r.body) == (200, b'hello')
    assert [h[1] for h in app.handshakes] == ['localhost'] * 3
    assert app.requests[0].params == [('(modifiers)', '0 0'), ('A', 'b'), ('CONTENT_LENGTH', '20000')] + app.requests[0].params[3:] and len(app.requests[0].body) == 20000


def test_uwsgi_over_tls_verifies(site):
    app = site.backend('uwsgi', answer=lambda q: OK, tls=certs.server())
    server = site.server('location / { uwsgi_pass suwsgi://@uwsgi@; uwsgi_ssl_name wrong.test; uwsgi_ssl_verify on; '
                         'uwsgi_ssl_trusted_certificate @certs@/ca.pem; }')
    assert exchange(server.port, get('/'))[0].status == 502 and not app.requests
    server.wait_error('error', 'upstream SSL certificate does not match "wrong.test" while SSL handshaking to upstream.*upstream: "suwsgi://127')


@pytest.mark.parametrize('conf, error', [('uwsgi_pass apps;', 'no port in upstream "apps"'), ('uwsgi_modifier1 256;', 'value must be'),
                                         ('scgi_param A b c;', 'invalid parameter "c"')])
def test_configuration_errors(site, conf, error):
    with pytest.raises(AssertionError, match=re.escape(error)):
        site.server(f'location / {{ {conf} }}')
