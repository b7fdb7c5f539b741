"""set_real_ip_from, real_ip_header, real_ip_recursive."""
import pytest

from weirtest import ANY, Table, Verdicts, errors_of_both, exchange, get

SAY = 'return 200 "addr=$remote_addr port=$remote_port realip=$realip_remote_addr binary=$binary_remote_addr xff=$proxy_add_x_forwarded_for";'
LOG = 'request=$request|status=$status|addr=$remote_addr|real=$realip_remote_addr'


def table_for(directives):
    return Table(f'''
        {directives}
        location / {{ {SAY} }}
        location /proxy {{ proxy_set_header X-Real $remote_addr; proxy_pass http://@backend@; proxy_http_version 1.1; }}
        location /deny {{ deny 1.1.1.1; allow all; root @root@; }}''', log=LOG, files={'deny': 'deny'})


VALUES = ('1.1.1.1', '1.1.1.1, 2.2.2.2', '2.2.2.2, 10.0.0.1', '2.2.2.2, 10.0.0.1, 10.0.0.2', '10.0.0.9, 10.0.0.1', 'x, 10.0.0.1', '1.1.1.1, x', '', ',',
          '1.1.1.1:8080', '[2001:db8::1]:99', '2001:db8::5', '[2001:db8::5]', ' 1.1.1.1 ', '1.1.1.1,,', '127.0.0.1', '1.1.1.1:0', '1.1.1.1:99999', 'unix:', 'nonsense',
          '1.1.1.1 2.2.2.2', '255.255.255.255', '0.0.0.0', '::ffff:1.1.1.1')


def fill(table, field):
    for value in VALUES:
        table.case(f'{value!r}', get('/', f'{field}: {value}'))
    table.case('none', get('/'))
    table.case('two', get('/', f'{field}: 1.1.1.1', f'{field.lower()}: 10.0.0.1'))
    table.case('second request', get('/', f'{field}: 1.1.1.1') + get('/') + get('/', f'{field}: 2.2.2.2'), [200, 200, 200])
    table.case('proxied', get('/proxy', f'{field}: 1.1.1.1'))
    table.case('denied', get('/deny', f'{field}: 1.1.1.1'), 403)
    table.case('allowed', get('/deny', f'{field}: 2.2.2.2'))
    return table.tests()


test_default = fill(table_for('set_real_ip_from 127.0.0.0/8; set_real_ip_from 10.0.0.0/8;'), 'X-Real-IP')
test_forwarded = fill(table_for('set_real_ip_from 127.0.0.1; set_real_ip_from 10.0.0.0/8; real_ip_header X-Forwarded-For;'), 'X-Forwarded-For')
test_recursive = fill(table_for('set_real_ip_from 127.0.0.1; set_real_ip_from 10.0.0.0/8; real_ip_header X-Forwarded-For; real_ip_recursive on;'),
                      'X-Forwarded-For')
own = Table(f'set_real_ip_from 127.0.0.1; real_ip_header CF-Connecting-IP; location / {{ {SAY} }}', log=LOG)
for value in VALUES:
    own.case(f'{value!r}', get('/', f'cf-connecting-ip: {value}'))
own.case('another field', get('/', 'X-Real-IP: 1.1.1.1'))
test_own = own.tests()

untrusted = Table(f'set_real_ip_from 10.0.0.0/8; set_real_ip_from unix:; location / {{ {SAY} }}', log=LOG)
for value in VALUES[:6]:
    untrusted.case(f'{value!r}', get('/', f'X-Real-IP: {value}'))
test_untrusted = untrusted.tests()

# In a location the address is replaced after the rewrite stage, and only once.
where = Table('''
    server { listen 127.0.0.1:@port@; server_name a;
        location / { set_real_ip_from 127.0.0.1; add_header X-Addr $remote_addr; root @root@; deny 1.1.1.1; allow all; }
        location /rewrite { set_real_ip_from 127.0.0.1; return 200 "$remote_addr"; }
        location /off { root @root@; add_header X-Addr $remote_addr; } }
    server { listen 127.0.0.1:@port@; server_name b; set_real_ip_from 127.0.0.1; add_header X-Addr $remote_addr; root @root@;
        location /other { real_ip_header X-Other; }
        location /more { set_real_ip_from 1.1.1.1; real_ip_header X-Other; }
        location /return { return 200 "$remote_addr $realip_remote_addr"; } }
    server { listen 127.0.0.1:@port@; server_name c; add_header X-Addr $remote_addr; root @root@; }
    ''', http='set_real_ip_from 10.0.0.0/8;', log=LOG, files={'f': 'f', 'off': 'off', 'other': 'other', 'more': 'more'})
for host in 'abc':
    for path in ('f', 'off', 'other', 'more', 'rewrite', 'return'):
        for value in ('1.1.1.1', '2.2.2.2'):
            where.case(f'{host} {path} {value}', get('/' + path, f'X-Real-IP: {value}', 'X-Other: 3.3.3.3', host=host), ANY)
test_where = where.tests()


verdicts = Verdicts('events {} http { access_log off; @here@ }')
verdicts.each((
    'set_real_ip_from a.b.c.invalid;', 'set_real_ip_from 1.2.3.4/24;', 'set_real_ip_from localhost;', 'set_real_ip_from unix:;', 'set_real_ip_from 1.2.3.4 5.6.7.8;',
    'set_real_ip_from 10.0.0.0/40;', 'set_real_ip_from ::1; set_real_ip_from fe80::/10;', 'set_real_ip_from [::1];', 'real_ip_header a b;', 'set_real_ip_from all;',
    'real_ip_header proxy_protocol; real_ip_header x;', 'real_ip_recursive x;', 'set_real_ip_from "";'))
test_configuration = verdicts.tests()


@pytest.mark.parametrize('directives, want', (
    ('set_real_ip_from unix:;', '1.1.1.1'), ('set_real_ip_from unix:; set_real_ip_from 10.0.0.0/8;', '1.1.1.1'),
    ('set_real_ip_from 10.0.0.0/8; set_real_ip_from unix:;', '1.1.1.1'), ('set_real_ip_from 10.0.0.0/8;', 'unix:'), ('', 'unix:'),
    ('set_real_ip_from unix:; real_ip_recursive on; real_ip_header X-Real-IP;', '1.1.1.1')))
def test_unix_sockets(site, directives, want):
    server = site.server(f'server {{ listen unix:@dir@/s; {directives} location / {{ return 200 "$remote_addr|$realip_remote_addr|$remote_port|$realip_remote_port"; }} '
                         'location /net { return 200 "$remote_addr"; } }', http='set_real_ip_from 1.2.3.4;')
    r = exchange(server.directory + '/s', get('/', 'X-Real-IP: 1.1.1.1', 'Connection: close'))[0]
    assert r.text == f'{want}|unix:||'


def test_error_log_names_the_real_client(site):
    nginx, weir = errors_of_both(site, 'set_real_ip_from 127.0.0.1; root @root@;', [get('/none', 'X-Real-IP: 1.1.1.1', 'Connection: close')])
    assert len(nginx) == 1 and 'client: 1.1.1.1' in nginx[0]
    assert weir == nginx
