"""limit_except: other rules for other methods."""
from weirtest import ANY, Table, request

table = Table('''
    root @root@;
    location /read/ { limit_except GET { deny all; } return 200 "rewrite ran"; }
    location /file/ { limit_except GET { deny all; } }
    location /write/ { limit_except POST PUT { deny all; } proxy_pass http://@backend@; }
    location /other/ { limit_except GET { proxy_pass http://@backend@/limited/; } }
    location /otherplain/ { limit_except GET { proxy_pass http://@backend@; } }
    location /both/ { limit_except GET { proxy_pass http://@second@; } proxy_pass http://@backend@; }
    location /inherit/ { limit_except GET { allow all; } proxy_pass http://@backend@; }
    location /case/ { limit_except get PoSt { deny all; } proxy_pass http://@backend@; }
    location /any/ { satisfy any; deny all; limit_except GET { allow all; } proxy_pass http://@backend@; }
    location /empty/ { limit_except GET { } proxy_pass http://@backend@; }
    location /nested/ { limit_except GET { deny all; } proxy_pass http://@backend@;
        location /nested/in/ { proxy_pass http://@backend@; } }
    location /if/ { limit_except GET { deny all; } if ($arg_x) { return 200 "if"; } proxy_pass http://@backend@; }
    location /head/ { limit_except HEAD { deny all; } proxy_pass http://@backend@; }
    location /lock/ { limit_except LOCK PROPFIND PATCH { deny all; } proxy_pass http://@backend@; }
    location /page/ { error_page 403 = @denied; limit_except GET { deny all; } proxy_pass http://@backend@; }
    location /named/ { error_page 404 = @limited; return 404; }
    location @denied { return 200 "denied $request_method"; }
    location @limited { limit_except GET { deny all; } proxy_pass http://@backend@; }
'''.replace('@backend@/limited/', '@backend@'), http='proxy_http_version 1.1;',
    files={'file/x': 'a file', 'other/x': 'another'})
for path in ('read', 'file', 'write', 'other', 'otherplain', 'both', 'inherit', 'case', 'any', 'empty', 'nested', 'nested/in', 'if',
             'head', 'lock', 'page', 'named'):
    for method in ('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'LOCK', 'PROPFIND', 'FOO'):
        table.case(f'{method} {path}', request(method, f'/{path}/x?x=1'), ANY)
test_limit_except = table.tests()
