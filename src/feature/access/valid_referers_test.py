"""valid_referers and $invalid_referer."""
from weirtest import ANY, Table, Verdicts, get

SAY = 'return 200 "[$invalid_referer]";'
table = Table(f'''
    server {{ listen 127.0.0.1:@port@; server_name own.test *.own.test ~^re(.*)\\.test$;
        location /none {{ valid_referers none own.example; {SAY} }}
        location /blocked {{ valid_referers blocked own.example; {SAY} }}
        location /names {{ valid_referers server_names; {SAY} }}
        location /hosts {{ valid_referers none blocked exact.test *.star.test tail.* .dot.test; {SAY} }}
        location /paths {{ valid_referers exact.test/some/path *.star.test/gallery/ UPPER.test/Path; {SAY} }}
        location /regex {{ valid_referers ~\\.google\\. ~^bing\\.com/search ~CASE; {SAY} }}
        location /several {{ valid_referers a.test; valid_referers b.test; {SAY} }}
        location /unset {{ {SAY} }}
        location /if {{ valid_referers exact.test; if ($invalid_referer) {{ return 403 no; }} return 200 yes; }} }}
    server {{ listen 127.0.0.1:@port@; server_name second.test; valid_referers inherited.test; location / {{ {SAY} }}
        location /own {{ valid_referers exact.test; {SAY} }} }}
''', log='request=$request|status=$status|invalid=$invalid_referer')
REFERERS = (None, '', 'http://', 'https://', 'http://x', 'http://xy', 'https://x', 'http://abc', 'http://abcd', 'https://ab', 'https://abc', 'exact.test', 'ftp://exact.test/', 'http://exact.test', 'http://exact.test/', 'https://exact.test/x',
            'HTTP://EXACT.TEST/', 'http://exact.test:8080/x', 'http://exact.test:80', 'http://a.star.test/', 'http://star.test/', 'http://tail.org/', 'http://tail/',
            'http://dot.test/', 'http://a.dot.test', 'http://own.test/x', 'http://a.own.test/x', 'http://re5.test/x', 'http://other/', 'http://exact.test/some/path',
            'http://exact.test/some/path/more', 'http://exact.test/some', 'http://exact.test:80/some/path', 'http://exact.test/SOME/path', 'http://x.star.test/gallery/1',
            'http://upper.test/Path', 'http://upper.test/path', 'http://www.google.com/q', 'http://x/y.google.z', 'https://bing.com/search?q', 'http://a/bing.com/search',
            'http://x/case', 'http://a.test/', 'http://b.test/', 'http://inherited.test/', 'http://' + 'x' * 300 + '/', 'http://exact.test.', 'http://exact.test?x',
            'http://exact.test#x', 'http://user@exact.test/', 'http:// exact.test/', 'http://[::1]/', '-', 'http:///exact.test', 'http://own.example/')
for path in ('none', 'blocked', 'names', 'hosts', 'paths', 'regex', 'several', 'unset', 'if'):
    for referer in REFERERS:
        fields = [] if referer is None else [f'Referer: {referer}']
        table.case(f'{path} {referer and referer[:60]}', get('/' + path, *fields, host='own.test'), ANY)
for path in ('x', 'own'):
    for referer in ('http://inherited.test/', 'http://exact.test/', None):
        table.case(f'second {path} {referer}', get('/' + path, *([f'Referer: {referer}'] if referer else []), host='second.test'))
test_referers = table.tests()


verdicts = Verdicts('events {} http { access_log off; server { listen unix:@dir@/s; location / { @here@ } } }')
verdicts.each((
    'valid_referers none;', 'valid_referers none ~x;', 'valid_referers none ~(;', 'valid_referers none server_names;', 'valid_referers server_names;',
    'valid_referers blocked a;', 'valid_referers;', 'valid_referers a a;', 'valid_referers *.a.b .a.b;', 'valid_referers ~;', 'valid_referers http://a.b;',
    'valid_referers a..b;', 'valid_referers a*b;', 'valid_referers * b;', 'valid_referers "";', 'valid_referers a.b/ a.b/x;', 'valid_referers *.a.b/x *.a.b/y;',
    'valid_referers $host;', 'referer_hash_max_size 10; referer_hash_bucket_size 64;', 'valid_referers none; valid_referers blocked;',
    'valid_referers none; valid_referers blocked a;'))
test_configuration = verdicts.tests()
