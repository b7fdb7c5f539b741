"""Directives that may stand again in a block. Sets of words: it adds to them, and a word that was there gets a warning. Methods of
balancing: the last one holds, with a warning."""
from weirtest import Table, Verdicts, get, response

SETS = [(f'{p}_{name}', one, two) for p in ('proxy', 'fastcgi', 'uwsgi', 'scgi') for name, one, two in (
    ('ignore_headers', 'Expires', 'Vary'), ('next_upstream', 'error', 'timeout'), ('next_upstream', 'off', 'error'), ('cache_methods', 'GET', 'POST'), ('cache_use_stale', 'error', 'timeout'))] + [
    ('grpc_ignore_headers', 'Expires', 'Vary'), ('grpc_next_upstream', 'error', 'timeout'), ('gzip_proxied', 'any', 'expired'), ('keepalive_disable', 'none', 'safari'), ('userid_flags', 'off', 'secure'),
    ('ssl_protocols', 'TLSv1.2', 'TLSv1.3'), ('proxy_ssl_protocols', 'TLSv1.2', 'TLSv1.3'), ('dav_methods', 'PUT', 'DELETE')]
verdicts = Verdicts()
for name, one, two in SETS:
    verdicts.each([f'{name} {one}; {name} {two};', f'{name} {two}; {name} {two};', f'{name} {one} {two}; {name} {two};',
                   f'{name} {one}; server {{ access_log off; listen unix:@dir@/t; {name} {two}; }}'], accepted=True)
test_verdicts = verdicts.tests()

methods = Verdicts('events {} http { upstream u { server 127.0.0.1:1; @here@ } server { access_log off; listen unix:@dir@/s; } }')
methods.each([f'{one} {two}' for one in ('ip_hash;', 'least_conn;', 'hash a;', 'random;') for two in ('ip_hash;', 'least_conn;', 'hash b consistent;', 'random two;')], accepted=True)
test_methods = methods.tests()

table = Table("""
    proxy_ignore_headers Expires;
    location / { proxy_pass http://u; proxy_next_upstream http_404; proxy_next_upstream http_500; }
    location /one/ { proxy_pass http://u; proxy_next_upstream http_404; }
    location /inner/ { proxy_next_upstream http_404; location /inner/x { proxy_next_upstream http_500; proxy_pass http://u; } proxy_pass http://u; }
""", http='proxy_http_version 1.1; upstream u { server @backend@ max_fails=0; server @backend2@ max_fails=0; }', log='status=$status|us=$upstream_status',
    answer=lambda q: response('no', status='404 Not Found' if '404' in q.target else '500 Internal Server Error'))
for target, tries, status in (('/404', 2, 404), ('/500', 2, 500), ('/one/404', 2, 404), ('/one/500', 1, 500), ('/inner/404', 2, 404), ('/inner/x404', 1, 404), ('/inner/x500', 2, 500)):
    table.case(target, get(target), status, sees=[f'GET {target}'] * tries)
test_words_add = table.tests()
