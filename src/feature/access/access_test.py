"""allow and deny: the first rule that matches decides."""
import pytest

from weirtest import Client, Table, exchange, get, post

rules = Table('''
    location /none/ { return 200 open; }
    root @root@;
    location /deny/ { deny all; }
    location /allow/ { allow 127.0.0.1; deny all; }
    location /net/ { allow 127.0.0.0/8; deny all; }
    location /other/ { allow 10.0.0.0/8; deny all; }
    location /first/ { deny 127.0.0.1; allow all; }
    location /order/ { allow 127.0.0.1; deny 127.0.0.0/8; }
    location /slash32/ { deny 127.0.0.1/32; }
    location /zero/ { deny 0.0.0.0/0; }
    location /v6/ { deny ::/0; allow all; }
    location /v6one/ { deny ::1; }
    location /nomatch/ { deny 10.0.0.0/8; deny 192.168.1.1; }
    location /unix/ { deny unix:; }
    location /host/ { allow 127.0.0.2; deny all; }
    location /proxy/ { deny all; proxy_pass http://@backend@; }
    location /proxyok/ { allow all; proxy_pass http://@backend@; }
    location /outer/ { deny all; location /outer/in/ { } location /outer/own/ { allow all; } }
    location /return/ { deny all; return 200 "return comes first"; }
    location /page/ { deny all; error_page 403 = /none/x; }
''', http='proxy_http_version 1.1;', files={f'{d}/f': 'file' for d in (
    'deny', 'allow', 'net', 'other', 'first', 'order', 'slash32', 'zero', 'v6', 'v6one', 'nomatch', 'unix', 'host', 'outer',
    'outer/in', 'outer/own', 'page')})
for path, status in (('none/', 200), ('deny/f', 403), ('allow/f', 200), ('net/f', 200), ('other/f', 403), ('first/f', 403),
                     ('order/f', 200), ('slash32/f', 403), ('zero/f', 403), ('v6/f', 200), ('v6one/f', 200), ('nomatch/f', 200),
                     ('unix/f', 200), ('host/f', 403), ('proxy/', 403), ('proxyok/', 200), ('outer/f', 403), ('outer/in/f', 403),
                     ('outer/own/f', 200), ('return/', 200), ('page/f', 200), ('deny/none', 403)):
    rules.case(path, get('/' + path), status)
rules.case('a denied body is read away', post('/proxy/', b'x' * 100000) + get('/none/'), [403, 200], sees=[])
test_rules = rules.tests()


@pytest.mark.parametrize('source, status', [('127.0.0.1', 403), ('127.0.0.2', 200), ('127.1.2.3', 200), ('127.9.0.1', 403)])
def test_by_address(site, source, status):
    site.file('f', 'x')
    server = site.server('root @root@; location / { allow 127.0.0.2; allow 127.1.0.0/16; deny all; }')
    with Client(server.port, source=source) as c:
        assert c.ask(get('/f')).status == status


def test_ipv6_and_unix(site):
    site.file('f', 'x')
    server = site.server('server { listen [::1]:@port@; listen unix:@dir@/l.sock; root @root@; '
                         'location / { allow ::1; deny all; } location /u/ { allow unix:; deny all; return 404; } '
                         'location /net/ { deny ::/64; allow all; } }')
    assert exchange(('::1', server.port), get('/f'))[0].status == 200
    assert exchange(server.directory + '/l.sock', get('/f'))[0].status == 403
    assert exchange(('::1', server.port), get('/net/'))[0].status == 403
