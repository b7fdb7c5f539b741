"""try_files in all its forms, with root and alias, and what follows it."""
import os

from weirtest import ANY, Table, get, post, request


def tree(site):
    for path, text in {'a.html': 'a', 'index.html': 'index', 'dir/index.html': 'dir index', 'dir/x': 'dir x', 'with space': 'space', 'maintenance.html': 'down',
                       'empty/.keep': '', 'cache/page.html': 'cached', 'up/a.html': 'aliased a', 'up/dir/index.html': 'aliased dir', 'a.php': 'php source',
                       'q?x': 'question', '%41': 'percent'}.items():
        site.file(path, text)


table = Table('''
    root @root@;
    location /plain/ { try_files $uri =404; }
    location / { try_files $uri $uri/ /index.html; }
    location /spa/ { try_files $uri $uri.html /index.html?from=$uri; }
    location /args/ { try_files /none /show?x=1&y=$arg_y; }
    location /noargs/ { try_files /none /show; }
    location /qargs/ { try_files /none /show$is_args$args; }
    location /show { return 200 "uri=$uri args=$args request_uri=$request_uri"; }
    location /code/ { try_files /none =418; }
    location /code2/ { try_files /none =204; }
    location /code3/ { try_files /none =500; }
    location /code4/ { error_page 404 = /show; try_files /none =404; }
    location /named/ { try_files /none @named; }
    location @named { return 200 "named uri=$uri args=$args"; }
    location /nowhere/ { try_files /none @nowhere; }
    location /first/ { try_files /a.html /index.html =404; }
    location /dir/ { try_files $uri =404; }
    location /dirslash/ { try_files /dir/ =404; }
    location /dironly/ { try_files /dir =404; }
    location /emptydir/ { try_files /empty/ =404; }
    location /proxy/ { try_files /none @proxy; }
    location @proxy { proxy_pass http://@backend@; }
    location /proxyuri/ { try_files /none @proxyuri; }
    location @proxyuri { rewrite ^/proxyuri/(.*)$ /mapped/$1 break; proxy_pass http://@backend@; }
    location /content/ { try_files /a.html =404; proxy_pass http://@backend@; }
    location /contenturi/ { try_files /a.html =404; proxy_pass http://@backend@/sub/; }
    location /alias/ { alias @root@/up/; try_files $uri $uri/ =404; }
    location /alias2/ { alias @root@/up/; try_files a.html =404; }
    location /alias3 { alias @root@/up; try_files $uri $uri/index.html =404; }
    location /alias4/ { alias @root@/up/; try_files /alias4/a.html =404; }
    location ~ ^/regexalias/(.*)$ { alias @root@/up/$1; try_files "" =404; }
    location ~ ^/regexalias2/(.*)$ { alias @root@/up/; try_files $1 =404; }
    location ~ ^/cap/(.*)$ { try_files /$1 /$1.html =404; }
    location ~ \\.php$ { try_files $uri =404; proxy_pass http://@backend@; }
    location /rewritten/ { rewrite ^/rewritten/(.*)$ /$1 break; try_files $uri =404; }
    location /maintenance/ { try_files /maintenance.html $uri =404; }
    location /var/ { try_files $arg_f =404; }
    location /post/ { try_files /none @postnamed; }
    location @postnamed { proxy_pass http://@backend@; }
    location /noslash/ { try_files /none show; }
    location /absolute/ { try_files /none http://other/; }
    location /emptylast/ { try_files /none $arg_none; }
    location /nested/ { try_files /none =410; location /nested/in/ { } location /nested/own/ { try_files /none =409; } }
    location /if/ { try_files /none =410; if ($arg_a) { set $x 1; } }
    location /limit/ { try_files /none =410; limit_except GET { allow all; } }
''', http='proxy_http_version 1.1; types { text/html html; }', setup=tree)
for target in ('/plain/', '/plain/a', '/', '/a.html', '/dir', '/dir/', '/dir/x', '/dir/none', '/none', '/none/x?q=1', '/with%20space', '/spa/', '/spa/x?q', '/spa/a',
               '/args/?y=2', '/args/', '/noargs/?q=1', '/noargs/', '/qargs/?a=b', '/qargs/', '/code/', '/code2/', '/code3/', '/code4/?x', '/named/x?q=1', '/nowhere/',
               '/first/', '/dirslash/', '/dironly/', '/emptydir/', '/proxy/x%20y?q', '/proxy/a%2fb/../c//%64?q=%20', '/proxyuri/a%20b?q', '/content/x', '/alias/a.html', '/alias/dir', '/alias/dir/',
               '/alias/', '/alias/none', '/alias2/', '/alias2/x', '/alias3/a.html', '/alias3', '/alias3/dir', '/alias4/', '/regexalias/a.html', '/regexalias/none', '/regexalias2/a.html',
               '/cap/a', '/cap/a.html', '/cap/none', '/cap/..%2fetc', '/a.php', '/none.php', '/rewritten/a.html', '/rewritten/none', '/maintenance/x', '/var/?f=/a.html', '/var/?f=a.html',
               '/var/?f=/../../etc/passwd', '/var/?f=', '/var/', '/var/?f=/with%20space', '/noslash/', '/absolute/', '/nested/x', '/nested/in/x', '/nested/own/x', '/if/', '/if/?a=1',
               '/limit/x', '/%2541', '/q%3Fx', '/dir/..', '/dir//index.html', '/index.html/', '/a.html/'):
    table.case(target, get(target), ANY)
for target in ('/post/x', '/limit/x', '/a.html', '/proxy/x', '/none'):
    table.case(f'POST {target}', post(target, b'a body'), ANY)
    table.case(f'HEAD {target}', request('HEAD', target), ANY)
table.case('/contenturi/x?q', get('/contenturi/x?q'), 200, weir=200, why='nginx 1.22 crashes: the URI is shorter than its location',
           sees='GET /a.html?q')
table.case('/emptylast/', get('/emptylast/'), 500, weir=500, why='there is no location for an empty URI; nginx redirects to /')
test_try_files = table.tests()

level = Table('root @root@; try_files $uri /fallback.html; location /own/ { root @root@; }', files={'fallback.html': 'fallback', 'x': 'x', 'own/y': 'y'})
for target in ('/x', '/none', '/own/y', '/own/none', '/', '/fallback.html'):
    level.case(target, get(target), ANY)
test_server_level = level.tests()
