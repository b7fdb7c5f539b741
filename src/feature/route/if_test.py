"""if: its conditions, and what its block changes; the oddities are nginx's."""
import os

from weirtest import ANY, Table, get, post, request

conditions = Table('''
    location /true/ { if ($arg_x) { return 200 yes; } return 200 no; }
    location /equal/ { if ($arg_x = abc) { return 200 yes; } return 200 no; }
    location /equalvar/ { if ($arg_x = $arg_y) { return 200 yes; } return 200 no; }
    location /equaltext/ { if ($arg_x = "a $arg_y") { return 200 yes; } return 200 no; }
    location /differs/ { if ($arg_x != abc) { return 200 yes; } return 200 no; }
    location /regex/ { if ($arg_x ~ ^(a+)b(?<rest>.*)$) { return 200 "yes $1 $rest"; } return 200 "no $1"; }
    location /regexi/ { if ($arg_x ~* ^a(.)) { return 200 "yes $1"; } return 200 "no $1"; }
    location /noregex/ { if ($arg_x !~ ^a(.)) { return 200 "yes $1"; } return 200 "no $1"; }
    location /noregexi/ { if ($arg_x !~* ^a(.)) { return 200 "yes $1"; } return 200 "no $1"; }
    location /empty/ { if ($arg_x = "") { return 200 yes; } return 200 no; }
    location /method/ { if ($request_method = POST) { return 405; } return 200 "$request_method"; }
    location /cookie/ { if ($http_cookie ~* "id=([^;]+)(?:;|$)") { set $id $1; } return 200 "[$id]"; }
    location /quoted/ { if ($arg_x ~ "^a{2}$") { return 200 yes; } return 200 no; }
    location /agent/ { if ($http_user_agent ~* (bot|crawler)) { return 403 "$1"; } return 200 no; }
    location /host/ { if ($host != localhost) { return 301 http://localhost$request_uri; } return 200 same; }
    location /missing/ { if ($http_nothing) { return 200 yes; } if ($http_nothing = "") { return 200 empty; } return 200 no; }
    location /spaces/ { if ( $arg_x = a ) { return 200 yes; } if ( $arg_x = b) { return 200 b; } if ($arg_x = c ) { return 200 c; } return 200 no; }
    location /set/ { set $state ""; if ($arg_a) { set $state "${state}A"; } if ($arg_b) { set $state "${state}B"; }
        if ($state = AB) { return 200 both; } if ($state) { return 200 "one: $state"; } return 200 none; }
''')
for name in ('true', 'equal', 'equalvar', 'equaltext', 'differs', 'regex', 'regexi', 'noregex', 'noregexi', 'empty', 'quoted', 'spaces'):
    for query in ('', '?x', '?x=', '?x=0', '?x=00', '?x=1', '?x=abc', '?x=ABC', '?x=aab', '?x=aabcd&y=aabcd', '?x=a%20b&y=b', '?y=1', '?x=aa',
                  '?x=a', '?x=b', '?x=c', '?x=%', '?x=a+b&y=+b', '?x=a&x=b', '?x=aXb', '?X=abc'):
        conditions.case(name + query, get(f'/{name}/{query}'))
for query in ('', '?a=1', '?b=1', '?a=1&b=1', '?a=0&b=1'):
    conditions.case('set' + query, get('/set/' + query))
for method in ('GET', 'POST', 'HEAD', 'PUT', 'FOO'):
    conditions.case(f'method {method}', request(method, '/method/'), ANY)
for cookie in ('id=5', 'x=1; ID=6; y=2', 'id=', 'x=y', 'id=a b'):
    conditions.case(f'cookie {cookie}', get('/cookie/', 'Cookie: ' + cookie))
for agent in ('Mozilla', 'GoogleBot/2', 'my crawler'):
    conditions.case(f'agent {agent}', get('/agent/', 'User-Agent: ' + agent), ANY)
conditions.case('host same', get('/host/?x=y'))
conditions.case('host other', get('/host/?x=y', host='other'), 301)
conditions.case('missing', get('/missing/'))
test_conditions = conditions.tests()


def links(site):
    os.makedirs(os.path.join(site.root, 'files/dir'))
    os.symlink('plain', os.path.join(site.root, 'files/link'))
    os.symlink('nowhere', os.path.join(site.root, 'files/dangling'))
    os.chmod(os.path.join(site.root, 'files/script'), 0o755)


paths = Table('\n'.join(f'''
    location /{name}/ {{ root @root@; set $r no; if ({op} @root@/files/$arg_f) {{ set $r yes; }} return 200 "$r"; }}'''
    for name, op in (('f', '-f'), ('d', '-d'), ('e', '-e'), ('x', '-x'), ('nf', '!-f'), ('nd', '!-d'), ('ne', '!-e'), ('nx', '!-x'))) + '''
    location /files/ { root @root@; if (!-f $request_filename) { return 200 "no $request_filename"; } }
    location /rel/ { if (-f $arg_f) { return 200 yes; } return 200 no; }
    location / { root @root@; if (!-e $request_filename) { rewrite ^(.*)$ /index.php?q=$1 last; } }
    location = /index.php { return 200 "args=$args uri=$uri"; }
''', files={'files/plain': 'plain', 'files/script': '#!', 'files/a b': 'space', 'page.html': 'page'}, setup=links)
for name in ('f', 'd', 'e', 'x', 'nf', 'nd', 'ne', 'nx'):
    for f in ('plain', 'dir', 'dir/', 'link', 'dangling', 'script', 'none', 'plain/x', '', '../files', 'x' * 300, 'a%20b'):
        paths.case(f'{name} {f[:20]}', get(f'/{name}/?f={f}'), log=len(f) < 100)
for target in ('/files/plain', '/files/none', '/files/a%20b', '/files/dir', '/rel/?f=/etc/passwd', '/rel/?f=etc', '/page.html', '/a/b?c=d',
               '/a%20b', '/', '/%2e%2e%2fx?'):
    paths.case(target, get(target), ANY)
test_paths = paths.tests()

# Of several blocks that hold, the last one's settings are in force; rewrite directives go on in the outer block.
settings = Table('''
    root @root@;
    location /header/ { add_header X-Outer outer; if ($arg_a) { add_header X-A a; } if ($arg_b) { add_header X-B b; }
        return 204; }
    location /headerfile/ { root @root@; add_header X-Outer outer; if ($arg_a) { add_header X-A a; } if ($arg_b) { set $x 1; } }
    location /proxy/ { if ($arg_a) { proxy_pass http://@a@; } proxy_pass http://@outer@; }
    location /proxyuri/ { if ($arg_a) { proxy_pass http://@a@; } proxy_pass http://@outer@/uri/; }
    location /proxyset/ { proxy_set_header X-Outer outer; if ($arg_a) { set $x 1; } proxy_pass http://@outer@/uri/; }
    location /proxyrw/ { if ($arg_a) { rewrite ^/proxyrw(.*)$ /changed$1 break; } proxy_pass http://@outer@/uri/; }
    location /proxyrwlast/ { if ($arg_a) { rewrite ^/proxyrwlast(.*)$ /proxy$1 last; } proxy_pass http://@outer@/uri/; }
    location /proxyafter/ { if ($arg_a) { proxy_pass http://@a@; } rewrite ^/proxyafter(.*)$ /changed$1 break; proxy_pass http://@outer@; }
    location /proxynested/ { proxy_pass http://@outer@; location /proxynested/in/ { if ($arg_a) { add_header X-A a; } limit_except GET { allow all; } } }
    location /fcginested/ { fastcgi_pass @fcgi@; location /fcginested/in/ { if ($arg_a) { add_header X-A a; } limit_except GET { allow all; } } }
    location /break/ { if ($arg_a) { break; } rewrite ^ /changed; }
    location /changed { return 200 "changed $uri"; }
    location /return/ { if ($arg_a) { set $x a; } if ($arg_b) { return 200 "b x=$x"; } return 200 "end x=$x"; }
    location /page/ { error_page 404 /outer; if ($arg_a) { error_page 404 /inner; } return 404; }
    location = /outer { return 200 outer; }
    location = /inner { return 200 inner; }
    location /files/ { root @root@/one; if ($arg_a) { root @root@/two; } }
    location /alias/ { alias @root@/one/files/; if ($arg_a) { add_header X-A a; } }
    location /try/ { root @root@/one; try_files $uri /fallback; if ($arg_a) { set $x 1; } }
    location = /fallback { return 200 fallback; }
    location /expires/ { expires max; root @root@/one; if ($arg_a) { expires epoch; } }
    location /nested/ { if ($arg_a) { add_header X-A a; } location /nested/in/ { if ($arg_b) { add_header X-B b; } return 200 in; }
        return 200 out; }
    location ~ ^/regex/(.*)$ { if ($arg_a ~ (.)) { set $y $1; } return 200 "[$1] [$y]"; }
    location ~ ^/regexproxy/(.*)$ { if ($arg_a) { proxy_pass http://@a@/$1; } proxy_pass http://@outer@/$1; }
    location /log/ { if ($arg_a) { access_log off; } return 200 x; }
    location /deny/ { allow all; if ($arg_a) { set $x 1; } deny all; proxy_pass http://@outer@; }
    location /server/ { return 200 "[$from_server]"; }
    if ($arg_server) { set $from_server $arg_server; }
    if ($arg_server = go) { rewrite ^ /server/went; }
    if ($arg_server = stop) { return 403 stopped; }
    if ($arg_server = break) { rewrite ^ /server/broke; break; }
    set $last_server 1;
''', http='proxy_http_version 1.1;', files={'one/files/x': 'one', 'two/files/x': 'two', 'headerfile/x': 'x', 'one/try/x': 'try',
                                          'one/expires/x': 'x', 'proxynested/in/x': 'file', 'fcginested/in/x': 'file'})
for name in ('header', 'headerfile', 'proxy', 'proxyuri', 'proxyset', 'proxyrw', 'proxyrwlast', 'proxyafter', 'break', 'return', 'page',
             'files', 'alias', 'try', 'expires', 'nested', 'nested/in', 'regex', 'regexproxy', 'deny', 'server'):
    for query in ('', '?a=1', '?b=1', '?a=1&b=1', '?a=x%20y', '?server=go', '?server=stop', '?server=break', '?server=x'):
        settings.case(f'{name}{query}', get(f'/{name}/x{query}'), ANY)
for query in ('', '?a=1'):
    settings.case(f'log{query}', get(f'/log/x{query}'))
    for name in ('proxynested', 'fcginested'):
        settings.case(f'nothing from two blocks away: {name}{query}', get(f'/{name}/in/x{query}'), 200, sees=())
        settings.case(f'nothing from two blocks away: POST {name}{query}', post(f'/{name}/in/x{query}', b'x'), 405, sees=())
test_settings = settings.tests()

loops = Table('''
    location /loop/ { rewrite ^/loop/(.*)$ /loop/x$1 last; }
    location /ping/ { rewrite ^ /pong/ last; }
    location /pong/ { rewrite ^ /ping/ last; }
    location /count/ { if ($uri ~ ^/count/(x*)y) { return 200 "$1"; } rewrite ^/count/(x*)([0-9])$ /count/x$1$2 last; }
    location /ten/ { rewrite "^/ten/(x{0,8})$" /ten/x$1 last; rewrite ^ /end last; }
    location /eleven/ { rewrite "^/eleven/(x{0,9})$" /eleven/x$1 last; rewrite ^ /end last; }
    location = /end { return 200 "end $uri"; }
    location /page/ { error_page 500 /fifty; rewrite ^/page/(.*)$ /page/x$1 last; }
    location = /fifty { return 200 fifty; }
    location /pageloop/ { error_page 404 /pageloop/x; recursive_error_pages on; return 404; }
    location /mixed/ { error_page 404 /mixed2/; recursive_error_pages on; rewrite ^/mixed/.*$ /mixed3/ last; }
    location /mixed2/ { error_page 404 /mixed/; recursive_error_pages on; return 404; }
    location /mixed3/ { error_page 404 /mixed2/; recursive_error_pages on; return 404; }
    location /named/ { error_page 404 @one; recursive_error_pages on; return 404; }
    location @one { error_page 404 @two; recursive_error_pages on; return 404; }
    location @two { error_page 404 @one; recursive_error_pages on; return 404; }
    location /try/ { root @root@; try_files /none /try/; }
    location /trynamed/ { root @root@; try_files /none @try; }
    location @try { root @root@; try_files /none @try; }
    location /self/ { rewrite ^(.*)$ $1; }
    location /selfbreak/ { rewrite ^(.*)$ $1 break; return 200 never; }
    location /rtrip/ { rewrite ^(.*)$ $1; break; }
    location /index/ { root @root@; index /index/; }
''', files={'index/x': ''})
for name in ('loop', 'ping', 'ten', 'eleven', 'page', 'pageloop', 'mixed', 'named', 'try', 'trynamed', 'self', 'selfbreak', 'rtrip', 'index'):
    loops.case(name, get(f'/{name}/'), ANY)
test_loops = loops.tests()
