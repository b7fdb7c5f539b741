"""Where redirects lead: absolute_redirect, server_name_in_redirect, port_in_redirect; and merge_slashes."""
from weirtest import ANY, Table, get, request

servers = ''
HOSTS = []
for i, settings in enumerate((
        '', 'absolute_redirect off;', 'server_name_in_redirect on;', 'port_in_redirect off;', 'server_name_in_redirect on; port_in_redirect off;',
        'absolute_redirect off; server_name_in_redirect on;')):
    HOSTS.append(f'h{i}.test')
    servers += f'''server {{ listen 127.0.0.1:@port@; server_name h{i}.test other{i}.test *.wild{i}.test; {settings} root @root@;
        location /return {{ return 301 /to?x=$arg_x; }} location /abs {{ return 302 http://a.test/x; }} location /rel {{ return 302 to; }}
        location /rewrite {{ rewrite ^ /to permanent; }} location /double {{ return 301 //evil.test/; }} location /empty {{ return 301 ""; }}
        location /dir {{ }} location /proxied/ {{ proxy_pass http://@backend@; }} location /off {{ absolute_redirect off; return 301 /to; }}
        location /page {{ error_page 404 =301 /to; return 404; }} location /pageabs {{ error_page 404 =301 http://b.test/; return 404; }}
        location = /exactdir {{ }} location /sub {{ location /sub/in/ {{ proxy_pass http://@backend@; }} }} }}\n'''
servers += 'server { listen 127.0.0.1:@port@; server_name ~^re; server_name_in_redirect on; return 301 /to; }\n'
servers += 'server { listen 127.0.0.1:@port@; server_name *.star.test; server_name_in_redirect on; return 301 /to; }\n'
servers += 'server { listen 127.0.0.1:@port@; server_name .dot.test; server_name_in_redirect on; return 301 /to; }\n'
servers += 'server { listen 127.0.0.1:@port@; server_name ""; server_name_in_redirect on; return 301 /to; }\n'
table = Table(servers, files={'dir/x': 'x', 'exactdir/x': 'x', 'd i/x': 'x', 'to': 'to'})
for host in HOSTS:
    for target in ('/return?x=1', '/abs', '/rel', '/rewrite?a=b', '/double', '/empty', '/dir', '/dir?x=y', '/proxied', '/proxied?x', '/off', '/page', '/pageabs', '/exactdir', '/sub/in', '/d%20i', '/dir/../dir'):
        table.case(f'{host} {target}', get(target, host=host), ANY)
    table.case(f'{host} with a port', get('/return', host=host + ':8080'), 301)
    table.case(f'{host} by another name', get('/return', host=host.replace('h', 'x.wild')), 301)
    table.case(f'{host} HTTP/1.0', request('GET', '/return', host=host, version='1.0'), 301)
    table.case(f'{host} absolute form', get(f'http://{host}/return', host='x'), 301)
for host in ('re.test', 'a.star.test', 'dot.test', 'a.dot.test', 'UPPER.H0.test', '127.0.0.1', '[::1]'):
    table.case(f'host {host}', get('/return', host=host), ANY)
table.case('no host', request('GET', '/return', host=None, version='1.0'), 301, weir=301, why='nginx writes http://:port/ then')
test_redirects = table.tests()

slashes = Table('''
    server { listen 127.0.0.1:@port@; server_name on; location /a/b { return 200 "ab $uri $request_uri"; } location / { return 200 "root $uri"; } location ~ //x { return 200 "double $uri"; }
        location /p/ { proxy_pass http://@backend@; } location /pu/ { proxy_pass http://@backend@/up/; } }
    server { listen 127.0.0.1:@port@; server_name off; merge_slashes off; location /a/b { return 200 "ab $uri $request_uri"; } location / { return 200 "root $uri"; }
        location ~ //x { return 200 "double $uri"; } location /p/ { proxy_pass http://@backend@; } location /pu/ { proxy_pass http://@backend@/up/; } }
''', http='proxy_http_version 1.1;')
for host in ('on', 'off'):
    for target in ('/a/b', '//a/b', '/a//b', '/a/b//', '///', '//', '/a/%2Fb', '/a%2F%2Fb', '//x', '/y//x', '/y/%2f/x', '/a/./b', '/a//./b', '/a/..//b', '/a//../b', '/p//x//', '/pu//x//y', '//p/x', '/pu/%2F/x',
                   '/a/b?//x', '/a/b/..//', '/..//x', '/./', '/.//a', '/a/.', '/a/..', '/a//..'):
        slashes.case(f'{host} {target}', get(target, host=host), ANY)
test_slashes = slashes.tests()
