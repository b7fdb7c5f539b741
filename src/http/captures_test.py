"""Captures: $1..$9 belong to the last regular expression that matched, named ones stay."""
from weirtest import ANY, Table, get

SAY = '1=[$1] 2=[$2] 3=[$3] 9=[$9] name=[$name] word=[$word]'
table = Table(f'''
    server {{ listen 127.0.0.1:@port@; server_name "~^(?<name>[a-z]+)(\\d*)\\.re\\.test$";
        location / {{ return 200 "server {SAY}"; }}
        location ~ ^/loc/(?<word>.*)$ {{ return 200 "loc {SAY}"; }}
        location ~ ^/none/ {{ return 200 "none {SAY}"; }}
        location ^~ /prefix/ {{ return 200 "prefix {SAY}"; }}
        location ~ ^/over/(?<name>.*)$ {{ return 200 "over {SAY}"; }}
        location ~ ^/optional/(a)?(b)?(c)?$ {{ return 200 "optional {SAY}"; }}
        location ~ "^/nested/((a)(b(c)))$" {{ return 200 "nested {SAY}"; }}
        location ~ ^/twelve/(.)(.)(.)(.)(.)(.)(.)(.)(.)(.)(.)(.) {{ return 200 "twelve {SAY} $10 $11"; }}
        location ~ ^/rewrite/(.*)$ {{ rewrite ^/rewrite/(..)(.*)$ /loc/$2-$1 last; }}
        location ~ ^/rewritten/(.*)$ {{ rewrite ^/rewritten/ /to/ last; }}
        location /to/ {{ return 200 "to {SAY}"; }}
        location ~ ^/outer/(.)(?<word>.*)$ {{ location ~ inner(.*)$ {{ return 200 "inner {SAY}"; }} return 200 "outer {SAY}"; }}
        location ~ ^/page/(.*)$ {{ error_page 404 /pageto; return 404; }}
        location = /pageto {{ return 200 "pageto {SAY}"; }}
        location ~ ^/pagenamed/(.*)$ {{ error_page 404 @named; return 404; }}
        location @named {{ return 200 "named {SAY}"; }}
        location ~ ^/header/(.*)$ {{ add_header X-One $1; add_header X-Mapped $mapped; add_header X-Then $1; return 200 "{SAY}"; }}
        location ~ ^/try/(.*)$ {{ root @root@; try_files /$1 /to/$1; }}
        location ~ ^/proxy/(.*)$ {{ proxy_pass http://@backend@/$1/$mapped/$1; proxy_set_header X-One $1; proxy_set_header X-Name $name; }}
        location ~ ^/volatile/(.*)$ {{ set $v $1; if ($uri ~ (.)$) {{ set $w $1; }} return 200 "[$v] [$w] {SAY}"; }}
        location ~ ^/dup/(?<x>a)|(?<y>b)$ {{ return 200 "[$x] [$y]"; }}
        location ~ (*UTF8)^/utf/(.)$ {{ return 200 "utf {SAY}"; }}
        location ~ ^/log/(.*)$ {{ return 200 logged; }}
    }}''', http='proxy_http_version 1.1; map $uri $mapped { default none; ~^/(?<m>.)(.) "$2$m"; }', log='request=$request|status=$status|name=$name|word=$word',
    files={'f': 'a file'})
for target in ('/x', '/loc/abc', '/loc/', '/none/x', '/prefix/x', '/over/abc', '/optional/', '/optional/a', '/optional/ac', '/optional/abc', '/nested/abc', '/twelve/abcdefghijkl',
               '/rewrite/abcd', '/rewritten/abcd', '/outer/abinnercd', '/outer/abc', '/page/x', '/pagenamed/x', '/header/val', '/try/f', '/try/g', 
               '/volatile/xyz', '/dup/a', '/dup/b', '/loc/%C3%A9', '/utf/%C3%A9', '/log/a%20b', '/loc/' + 'x' * 2000):
    table.case(target[:60], get(target, host='abc12.re.test'), ANY, log=len(target) < 100)
table.case('two requests', get('/loc/abc', host='abc.re.test') + get('/x', host='de5.re.test'), [200, 200])
table.case('no name', get('/x', host='other'))
table.case('a map that matches while a value is made', get('/proxy/val', host='abc12.re.test'), 200, weir=200, sees='GET /val/rp/p',
           why='nginx goes over a value twice and gives its second captures to both')
test_captures = table.tests()
