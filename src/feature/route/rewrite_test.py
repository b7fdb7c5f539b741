"""rewrite, set, if, break and return: the language of the rewrite stage, its oddities included."""
from weirtest import ANY, Table, Verdicts, errors_of_both, get, post

SHOW = 'return 200 "%s uri=$uri args=$args 1=$1 2=$2 request_uri=$request_uri";'

flags = Table('''
    location /last/ { rewrite ^/last/(.*)$ /dest/$1 last; return 200 "not here"; }
    location /dest/ { return 200 "dest uri=$uri args=$args 1=$1"; }
    location /break/ { rewrite ^/break/(.*)$ /dest/$1 break; return 200 "not here"; }
    location /none/ { rewrite ^/none/(.*)$ /dest/$1; }
    location /none2/ { rewrite ^/none2/(.*)$ /middle/$1; rewrite ^/middle/(.*)$ /dest/2/$1; }
    location /nonebreak/ { rewrite ^/nonebreak/(.*)$ /dest/$1; break; return 200 "not here"; }
    location /nonereturn/ { rewrite ^/nonereturn/(.*)$ /dest/$1; return 200 "uri=$uri 1=$1"; }
    location /redirect/ { rewrite ^/redirect/(.*)$ /dest/$1 redirect; }
    location /permanent/ { rewrite ^/permanent/(.*)$ /dest/$1 permanent; }
    location /http/ { rewrite ^/http/(.*)$ http://other.test/$1; return 200 "not here"; }
    location /https/ { rewrite ^/https/(.*)$ https://other.test/$1?x=y; }
    location /scheme/ { rewrite ^/scheme/(.*)$ $scheme://other.test/$1; }
    location /httpperm/ { rewrite ^/httpperm/(.*)$ http://other.test/$1 permanent; }
    location /HTTP/ { rewrite ^/HTTP/(.*)$ HTTP://other.test/$1 break; }
    location /rel/ { rewrite ^/rel/(.*)$ relative/$1 redirect; }
    location /relative/ { rewrite ^/relative/(.*)$ dest/$1 last; }
    location /nomatch/ { rewrite ^/other /dest/ last; return 200 "nomatch uri=$uri 1=$1"; }
    location /case/ { rewrite ^/CASE/ /dest/ last; return 200 "case counts"; }
    location /caseless/ { rewrite (?i)^/CASELESS/(.*) /dest/$1 last; }
    location /named/ { rewrite ^/named/(?<first>[^/]*)/(?<second>.*)$ /dest/$second/$first last; }
    location /optional/ { rewrite ^/optional/(a)?(b)?$ /dest/[$1][$2][$3] last; }
    location /nine/ { rewrite ^/nine/(.)(.)(.)(.)(.)(.)(.)(.)(.)(.)$ /dest/$9$8$7$6$5$4$3$2$1$10 last; }
    location /whole/ { rewrite ^ /dest/whole last; }
    location /dot/ { rewrite ^/dot/(.*)$ /dest/../dest//$1 last; }
    location /empty/ { rewrite ^ $arg_nothing last; }
    location /emptyq/ { rewrite ^ ?x=1 last; }
    location /braces/ { rewrite "^/braces/([a-z]{2,3})$" /dest/$1x last; }
    location /var/ { rewrite ^ $arg_to? last; }
    location /internal/ { internal; return 200 "internal uri=$uri"; }
    location /tointernal/ { rewrite ^/to(.*)$ /$1 last; }
    location /proxied/ { rewrite ^/proxied/(.*)$ /back/$1 break; proxy_pass http://@backend@; }
    location /proxieduri/ { rewrite ^/proxieduri/(.*)$ /back/$1 break; proxy_pass http://@backend@/prefix/; }
    location /proxiedlast/ { rewrite ^/proxiedlast/(.*)$ /proxieddest/$1 last; }
    location /proxieddest/ { proxy_pass http://@backend@/prefix/; }
    location /proxiedplain/ { rewrite ^/proxiedplain/(.*)$ /back/$1; break; proxy_pass http://@backend@/prefix/; }
    location /proxiednomatch/ { rewrite ^/nothing /x break; proxy_pass http://@backend@/prefix/; }
    location /proxiedargs/ { set $args a=b; proxy_pass http://@backend@; }
    location /file/ { root @root@; rewrite ^/file/(.*)$ /$1.txt break; }
''', http='proxy_http_version 1.1;', files={'a.txt': 'file a', 'a b.txt': 'file a b'})
ENDS = {'redirect': 302, 'permanent': 301, 'http': 302, 'https': 302, 'scheme': 302, 'httpperm': 301, 'rel': 302, 'empty': 500,
        'emptyq': 500}
for name in ('last', 'none', 'none2', 'nonebreak', 'nonereturn', 'redirect', 'permanent', 'http', 'https', 'scheme', 'httpperm',
             'HTTP', 'rel', 'relative', 'nomatch', 'case', 'caseless', 'whole', 'dot', 'empty', 'emptyq', 'tointernal', 'break',
             'proxied', 'proxieduri', 'proxiedlast', 'proxiedplain', 'proxiednomatch', 'proxiedargs', 'file'):
    for rest in ('a', 'a?q=1', 'a?', 'a%20b', 'a+b?c+d', 'a%2Fb', 'a%3Fb?x', 'a%25b', 'a%26b=c', '', 'caf%C3%A9', 'a/../b'):
        status = ENDS.get(name, 404 if name in ('HTTP', 'relative', 'break', 'nonebreak') else 200)
        if name == 'file' and rest.split('?')[0] not in ('a', 'a%20b'):
            status = 404
        flags.case(f'{name} {rest}', get(f'/{name}/{rest}'), status)
for target in ('/named/x/y', '/named/x%20y/z', '/optional/', '/optional/a', '/optional/b', '/optional/ab', '/nine/abcdefghij',
               '/braces/ab', '/braces/abc', '/var/?to=/dest/x', '/var/x?to=/dest/a%20b', '/var/x?to=/dest/?y'):
    flags.case(target, get(target))
flags.case('braces that do not match', get('/braces/a'), 404)
flags.case('var to internal', get('/var/?to=/internal/x'))
flags.case('internal from outside', get('/internal/x'), 404)
flags.case('post', post('/last/x', b'body'))
flags.case('post proxied', post('/proxied/x', b'body'))
test_flags = flags.tests()

arguments = Table('''
    location /keep/ { rewrite ^/keep/(.*)$ /show/?page=$1 last; }
    location /drop/ { rewrite ^/drop/(.*)$ /show/?page=$1? last; }
    location /dropall/ { rewrite ^/dropall/(.*)$ /show/$1? last; }
    location /two/ { rewrite ^/two/(.*)$ /show/?a=1?b=$1 last; }
    location /own/ { rewrite ^/own/(.*)$ /show/?$args&more=$1? last; }
    location /after/ { rewrite ^/after/(.*)$ /show/$1?x=$1; rewrite ^/show/(.*)$ /show/2$1?y=1 last; }
    location /rkeep/ { rewrite ^/rkeep/(.*)$ /show/?page=$1 redirect; }
    location /rdrop/ { rewrite ^/rdrop/(.*)$ /show/?page=$1? redirect; }
    location /rplain/ { rewrite ^/rplain/(.*)$ /show/$1 redirect; }
    location /rdropall/ { rewrite ^/rdropall/(.*)$ /show/$1? permanent; }
    location /rquery/ { rewrite ^/rquery/(.*)$ /show/%20%3f$1?x=%41%20 redirect; }
    location /rlit/ { rewrite ^/rlit/(.*)$ /show/%41%2x%zz%$1 redirect; }
    location /rvar/ { rewrite ^ $arg_to redirect; }
    location /ruri/ { rewrite ^/ruri(.*)$ http://other.test$uri redirect; }
    location /setargs/ { set $args "new=$arg_q"; rewrite ^/setargs/(.*)$ /show/$1 last; }
    location /setargs2/ { set $args "new=$arg_q"; return 200 "args=$args q=$query_string is=$is_args uri=$request_uri"; }
    location /setempty/ { set $args ""; rewrite ^/setempty/(.*)$ /show/$1 last; }
    location /proxy/ { rewrite ^/proxy/(.*)$ /back?page=$1 break; proxy_pass http://@backend@; }
    location /show/ { return 200 "uri=$uri args=$args is_args=$is_args page=$arg_page"; }
''', http='proxy_http_version 1.1;')
for name in ('keep', 'drop', 'dropall', 'two', 'own', 'after', 'rkeep', 'rdrop', 'rplain', 'rdropall', 'rquery', 'rlit', 'ruri',
             'setargs', 'setargs2', 'setempty', 'proxy'):
    for rest in ('a', 'a?q=1', 'a?', 'a%20b?q=1', 'a+b?q=a+b', 'a%26b?q=%26', 'a%3Fb', 'a%3db%23c', '%41%C3%A9?q', '%25?q=%25',
                 'a;b%3Bc', '"\'<>', '%7F', 'a&b'):
        if (name, rest) == ('ruri', '%7F'):
            continue    # nginx sends the byte
        status = 302 if name[0] == 'r' else 200
        arguments.case(f'{name} {rest}', get(f'/{name}/{rest}'), 301 if name == 'rdropall' else status)
for to in ('/x', '/x%20y', 'http://a.test/?b', '//a.test/', 'x'):
    arguments.case(f'rvar {to}', get(f'/rvar/?to={to}'), 302)
test_arguments = arguments.tests()

sets = Table('''
    set $server_var "from server";
    set $changed one;
    location /const/ { set $a text; return 200 "[$a] [$server_var]"; }
    location /chain/ { set $a 1; set $b "${a}2"; set $a "$b$a"; return 200 "[$a] [$b]"; }
    location /none/ { return 200 "[$a] [$server_var]"; }
    location /change/ { set $changed two; rewrite ^/change/ /after/ last; }
    location /after/ { return 200 "[$changed]"; }
    location ~ ^/capture/(.*)/(.*)$ { set $x $1; set $y "$2-$1"; return 200 "[$x] [$y] [$1] [$2]"; }
    location ~ ^/quote/(.*)$ { set $x $1; rewrite ^/quote/(.*)$ /quote/$1; set $y $1; break; return 200 "never [$x] [$y]"; }
    location ~ ^/quote2/(.*)$ { set $x $1; if ($uri ~ ^/quote2/(.*)$) { set $y $1; } return 200 "[$x] [$y] [$1]"; }
    location ~ ^/quote3/(.*)$ { rewrite ^/quote3/(.*)$ /quote3/$1; set $y $1; return 200 "[$y] [$1]"; }
    location ~ ^/quote4/(.*)$ { rewrite ^/nothing/(.*)$ /quote4/$1; set $y $1; return 200 "[$y] [$1]"; }
    location ~ ^/lost/(.*)$ { rewrite ^/nothing/(.*)$ /x; return 200 "[$1]"; }
    location ~ ^/lostif/(.*)$ { if ($uri ~ nothing) { } return 200 "[$1]"; }
    location ~ ^/lostnot/(.*)$ { if ($uri !~ (n)othing) { set $z "$1"; } return 200 "[$1] [$z]"; }
    location ~ ^/kept/(?<word>.*)$ { if ($uri ~ nothing) { } return 200 "[$word]"; }
    location ~ ^/kept2/(?<word>.*)$ { if ($uri ~ ^/(?<word>.)) { } return 200 "[$word]"; }
    location ~ ^/kept3/(?<word>.*)$ { rewrite ^ /after2/; }
    location /after2/ { return 200 "[$word] [$1]"; }
    location /empty/ { set $a ""; return 200 "[$a]"; }
    location /upper/ { set $UPPER x; return 200 "[$upper] [$UPPER]"; }
    location /header/ { set $http_made made; return 200 "[$http_made] [$http_other]"; }
    location /header2/ { return 200 "[$http_made]"; }
    location /argmade/ { set $arg_made made; return 200 "[$arg_made]"; }
    location /lazy/ { set $a "$uri"; rewrite ^/lazy/ /lazy2/; set $b "$uri"; return 200 "[$a] [$b]"; }
    location /page/ { set $a page; error_page 404 /show; return 404; }
    location /show { return 200 "[$a] [$uri]"; }
    location /status/ { set $a "$status"; return 200 "[$a]"; }
    location /percent/ { set $a "100%"; set $b "a%20b"; return 200 "[$a] [$b]"; }
''', log='request=$request|status=$status|a=$a|b=$b')
for path in ('const/', 'chain/', 'none/', 'change/', 'capture/a/b', 'capture/a%20b/c+d', 'capture/%26/%3F', 'quote/a', 'quote2/a%20b',
             'quote2/a+b', 'quote2/ab', 'quote3/a%20b', 'quote3/ab', 'quote4/a%20b', 'lost/a', 'lostif/a', 'lostnot/a%20b', 'kept/a%20b',
             'kept2/ab', 'kept3/ab', 'empty/', 'upper/', 'header/', 'header2/', 'argmade/?made=no', 'lazy/', 'page/', 'status/',
             'percent/', 'percent/%20'):
    sets.case(path, get('/' + path, 'Made: no', 'Other: yes'), 404 if path in ('quote/a',) or path[:4] == 'page' else 200)
test_sets = sets.tests()


LOGGED = '''
    rewrite_log on;
    location /last/ { rewrite ^/last/(.*)$ /dest/$1?x=1 last; }
    location /two/ { rewrite ^/none /x; rewrite ^/two/(.*)$ /dest/$1; if ($uri ~ ^/dest) { break; } }
    location /redirect/ { rewrite ^ /dest/a%20b? redirect; }
    location /if/ { if ($arg_a !~* "^b(.)") { return 204; } return 200; }
    location /empty/ { rewrite ^ $arg_nothing; }
    location /loop/ { rewrite ^(.*)$ $1; }
    location /page/ { error_page 404 /page/; recursive_error_pages on; return 404; }
    location /named/ { error_page 404 @named; recursive_error_pages on; return 404; }
    location @named { error_page 404 @named; recursive_error_pages on; return 404; }
    location /lost/ { error_page 404 @nowhere; return 404; }
    location /unset/ { return 200 "$never"; }
    location /unsetquiet/ { uninitialized_variable_warn off; return 200 "$never"; }
    location /set/ { set $never 1; return 200; }
    location /quiet/ { rewrite_log off; rewrite ^ /dest/; }
    location /dest/ { return 200; }
    location /any/ { satisfy any; deny all; }
    location /internal/ { internal; }
'''


def test_error_log(site):
    """Both servers say the same in the error log: messages and levels."""
    targets = ('/last/a%20b?y=2', '/two/a', '/redirect/?q', '/if/', '/if/?a=bc', '/empty/', '/loop/', '/page/x', '/named/', '/lost/',
               '/unset/', '/unsetquiet/', '/set/', '/quiet/', '/any/', '/internal/')
    nginx, weir = errors_of_both(site, LOGGED, [get(t, 'Connection: close') for t in targets], main='error_log @dir@/error.log notice;')
    assert len(nginx) > 30
    assert weir == nginx


WRONG = (
    'rewrite a "";', 'rewrite a "" last;', 'rewrite ( "";',
    'set x y;', 'set $uri x;', 'if x {}', 'if ($x {}', 'if ($uri ~~ x) {}', 'if ($uri = x y) {}', 'if (-q /x) {}', 'if (!-q /x) {}',
    'if (-f) {}', 'if () {}', 'if ( ) {}', 'if ( {}', 'if (x) {}', 'if (!$uri) {}', 'if (a = b) {}', 'if ($uri = ) {}',
    'if ($uri ~ "(") {}', 'rewrite a b c;', 'rewrite ( b;', 'rewrite a;', 'rewrite a b last x;', 'break x;', 'return x;', 'return;',
    'return 1000;', 'return "";', 'return 200 a b;', 'rewrite_log maybe;', 'if ($uri) { root /x; }', 'if ($uri) { location / { } }',
    'location / { if ($uri) { if ($uri) {} } }', 'location / { limit_except GET { deny all; return 200; } }',
    'location / { limit_except get Foo { deny all; } }', 'limit_except GET { deny all; }', 'location / { limit_except { deny all; } }',
    'location / { limit_except GET { deny all; }  limit_except GET { deny all; } }', 'set $a;', 'set $a b c;', 'set $ b;')
RIGHT = (
    'set $a b;', 'set $http_a b;', 'set $arg_a b;', 'set $args b;', 'if ( $uri = x ) {} if ( $uri = x) {} if ($uri = x ) {}',
    'if ($uri = "x y") {} if ( -f /x ) { } if ( !-f /x){}', 'if ($uri){}', 'return https://x;', 'return 200;', 'rewrite a b;',
    'rewrite "a{2}" b permanent;', 'location / { limit_except GET { proxy_pass http://127.0.0.1:1; } }')


verdicts = Verdicts('events {} http { access_log off; server { listen unix:@dir@/s; @here@ } }')
verdicts.each(WRONG, accepted=False)
verdicts.each(RIGHT, accepted=True)
test_configuration = verdicts.tests()


aliases = Table(r"""
    location /files/ { rewrite ^/files/(.*)$ /$1 break; alias @root@/inside/; }
    location /index/ { rewrite ^ /index/sub/ break; alias @root@/; }
    location /last/ { rewrite ^/last/(.*)$ /files2/$1 last; }
    location /files2/ { alias @root@/; }
    rewrite ^/early/(.*)$ /files2/$1 break;
""", files={'a': 'a', 'secret': 'secret', 'inside/a': 'a', 'sub/index.html': 'x', 'index.html': 'x'}, alerts=['"alias" cannot be used in location'], log='status=$status|uri=$uri|file=$request_filename')
for target in ('/files/a', '/files/aaaaaa../secret', '/files/none', '/files/', '/index/', '/last/a', '/last/none', '/early/a', '/files2/a'):
    aliases.case(target, get(target), ANY)
test_alias_needs_its_prefix = aliases.tests()

emptied = Table('location /a/ { rewrite ^/a/(.*)$ /b/$1? break; } location /c/ { rewrite ^/c/(.*)$ /d/$1? last; } location /d/ { return 200 "$uri"; }', log='args=$args|query=$query_string|uri=$uri')
for target in ('/a/x?q', '/a/x', '/c/x?q', '/c/x', '/d/x'):
    emptied.case(target, get(target), ANY)
test_no_query_is_empty = emptied.tests()
