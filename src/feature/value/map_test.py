"""map: strings, hosts and expressions to values."""
from weirtest import Table, Verdicts, exchange, get

MAPS = '''
map $arg_k $plain { default dflt; abc one; "with space" two; ABCD three; "" empty; \\default word; \\~x tilde; \\hostnames hosts;
    0 zero; *.star literal; .dot literaldot; \\\\back slash; "a$b" dollar; include @root@/more.map; }
map $arg_k $nodefault { abc one; }
map $arg_k $regex { default "none:$1"; ~^a(.)c$ "first:$1"; ~*^a(.)c "second:$1"; ~^b(?<word>.*) "word:$word"; abx exact; ~. any; }
map $host $hosts { hostnames; default dflt; example.test exact; *.example.test star; .dot.test dot; mail.* tail;
    *.deep.example.test deeper; mail.example.* longer; ~^re(.*)\\.test$ "re:$1"; }
map $arg_k $value { default $arg_v; a "v=$arg_v u=$uri"; b ""; c $plain; ~^d(.*) $1; }
map $arg_k$arg_v $joined { ab yes; default no; }
map "$arg_k-$arg_v" $dashed { a-b yes; default "no $arg_k"; }
map $count $volatile { volatile; default v$count; }
map $count $cached { default c$count; }
map $twice $uses { default "first"; }
map $uses $chain { first "second"; }
map $arg_k $twice { default 1; }
map $arg_k $again { default first; }
map $arg_k $again { default second; }
map $args $http_made { default made; }
map $cycle $cycle { default $cycle; }
map $http_upgrade $connection_upgrade { default upgrade; '' close; }
map $request_method $is_write { default 0; POST 1; ~^P 2; }
'''
SHOW = ('plain=[$plain] nodefault=[$nodefault] regex=[$regex] value=[$value] joined=[$joined] dashed=[$dashed] chain=[$chain] '
        'again=[$again] made=[$http_made] up=[$connection_upgrade] write=[$is_write]')
table = Table('server { listen 127.0.0.1:@port@; location / { return 200 "' + SHOW + '"; }'
              ' location /hosts { return 200 "[$hosts]"; }'
              ' location ~ ^/lifetime/(.*)$ { set $before $1; set $m $regex; return 200 "[$before] [$m] [$1]"; }'
              ' location ~ ^/inside/(.*)$ { set $m "$1 $plain"; return 200 "$m"; }'
              ' location /volatile { set $count 1; set $x "$volatile $cached"; set $count 2; return 200 "$x $volatile $cached"; }'
              ' location /set { set $plain changed; return 200 "$plain"; }'
              ' location /if { if ($plain = one) { return 200 yes; } return 200 no; }'
              ' location /proxy { proxy_set_header Connection $connection_upgrade; proxy_pass http://@backend@; proxy_http_version 1.1; }'
              '}', http=MAPS, files={'more.map': '# comment\nincluded yes;\n"included too" "yes too";\n'},
              log='request=$request|status=$status|plain=$plain|nodefault=$nodefault', connection=True)
for k in ('abc', 'ABC', 'aBc', 'abcd', 'with%20space', '', 'default', '~x', 'hostnames', '0', 'x.star', '*.star', 'x.dot', '.dot', 'dot',
          '%5Cback', 'a$b', 'included', 'axc', 'aXC', 'axcd', 'abx', 'ABX', 'bword', 'b', 'zzz', 'a', 'c', 'd1', 'd', 'x' * 3000, '\u00e9',
          'abc&v=b', 'a&v=b', 'a&v=%20'):
    table.case(f'k={k[:20]}', get(f'/?k={k}'), log=len(k) < 100)
for host in ('example.test', 'EXAMPLE.test', 'a.example.test', 'example.test.', 'a.b.example.test', 'x.deep.example.test', 'dot.test', 'a.dot.test',
             'mail.org', 'mail.example.org', 'mail', 're5.test', 'other', 'example.test:80'):
    table.case(f'host {host}', get('/hosts', host=host))
for target in ('/', '/lifetime/a?k=abc', '/lifetime/a?k=bzz', '/lifetime/a?k=zz', '/lifetime/a?k=', '/inside/x?k=abc', '/volatile', '/set?k=abc',
               '/if?k=abc', '/if?k=x', '/proxy'):
    table.case(target, get(target))
table.case('upgrade', get('/proxy', 'Upgrade: websocket'))
table.case('upgrade empty', get('/proxy', 'Upgrade:'))
for method in ('GET', 'POST', 'PUT', 'PATCH', 'post'):
    table.case(f'method {method}', f'{method} / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n'.encode(), 400 if method == 'post' else 200,
               log=method != 'post')
test_map = table.tests()

MAP = ('', 'a b;', 'default a;', 'default a; default b;', 'a b; a c;', 'A b; a c;', 'hostnames; *.a.b c; .a.b d;', 'hostnames; *a.b c;',
       'hostnames; a.*.b c;', '*a.b c;', 'hostnames; *.a.b c; *.a.b d;', '~( c;', '~ c;', '~* c;', 'a $nope;', 'a;', 'a b c;', 'volatile;',
       'hostnames; .a.b c; a.b d;', 'hostnames; "" c;', 'hostnames; .. c;', 'hostnames; a..b c;', 'hostnames; . c;', 'hostnames; a.* c;',
       'hostnames; * c;', 'hostnames; *. c;', 'hostnames; .* c;', 'a "${uri";', 'default;', 'hostnames b; volatile c;', '~a(?<uri>b) c;',
       '~a(?<y>b) $y;', 'a { }', 'a { b c; }', r'\default a; \hostnames b; \volatile c; \include d; \~x e;', 'include nothere*;')
WHOLE = ('map $uri x { }', 'map $uri { }', 'map $uri $x y { }', 'map $uri $uri { }', 'map "a b" $x { }', 'map $uri $x;', 'server { map $uri $x { } }',
         'map $nope $x { }', 'map $uri $x { a b; } map $uri $x { c d; }', 'map_hash_max_size 4096; map_hash_bucket_size 128;')


verdicts = Verdicts('events {} http { access_log off; @here@ }')
verdicts.each([*(f'map $uri $x {{ {m} }}' for m in MAP), *WHOLE])
test_configuration = verdicts.tests()


def test_hundred_thousand_strings(site):
    """A large map answers as a small one does."""
    site.file('large.map', ''.join(f'key{i} value{i};\n' for i in range(100000)))
    server = site.server('server { listen 127.0.0.1:@port@; return 200 $x; }', http='map $arg_k $x { default none; include @root@/large.map; }\n'
                         'map_hash_max_size 1000000; map_hash_bucket_size 128;')
    for k, want in (('key0', 'value0'), ('key99999', 'value99999'), ('KEY500', 'value500'), ('key100000', 'none')):
        assert exchange(server.port, get(f'/?k={k}'))[0].text == want
