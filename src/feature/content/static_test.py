"""Files: root, index, types, default_type."""
from weirtest import Table, get, post, request

FILES = {
    'index.html': '<p>root index</p>', 'a.txt': 'text a\n', 'empty.txt': '', 'data.bin': bytes(range(256)) * 300,
    'page.HTML': 'upper', 'noext': 'noext', 'dir/index.html': 'dir index', 'dir/b.json': '{}', 'bare/x.css': 'css',
    'second/index.htm': 'second', 'with space.txt': 'space', 'per%cent.txt': 'percent', 'q?mark.txt': 'question',
    'caf\u00e9.txt': 'utf-8', 'a.tar.gz': 'gz', '.hidden': 'hidden', 'trailing.': 'trailing', 'x.unknown': 'unknown',
    'other/a.txt': 'other a', 'var/one.test/v.txt': 'by host', 'nested/deep/er/f.js': 'js', 'big.txt': b'0123456789' * 300000,
}
TYPES = 'types { text/html html htm; text/css css; application/json json; text/plain txt; application/javascript js; }'

static = Table('''
    root @root@;
    location / { }
    location /other/ { }
    location /list/ { root @root@/none; }
    location = /one { root @root@/dir; index b.json; }
    location /second/ { index nothing.html index.htm index.html; }
    location /absindex/ { index none.html /dir/b.json; }
    location /varindex/ { root @root@; index $arg_i.html /a.txt; }
    location /var/ { root @root@/var/$host; }
    location ~ ^/re/(.+)$ { root @root@/$1; }
    location /typed/ { root @root@; types { text/x-special txt; } default_type application/x-none; }
    location /notypes/ { root @root@; types { } default_type text/x-all; }
''', http=TYPES + ' default_type application/octet-stream;', files={
    **FILES, 'typed/a.txt': 'typed', 'typed/b.css': 'css', 'notypes/a.txt': 'a', 'varindex/yes.html': 'var index',
    'var/localhost/var/v.txt': 'host root', 'absindex/f': ''})
for target, status in (
        ('/', 200), ('/index.html', 200), ('/a.txt', 200), ('/empty.txt', 200), ('/data.bin', 200), ('/page.HTML', 200),
        ('/noext', 200), ('/dir/', 200), ('/dir', 301), ('/dir?x=1', 301), ('/dir/b.json', 200), ('/bare/', 403), ('/bare', 301),
        ('/second/', 200), ('/none', 404), ('/none/', 404), ('/a.txt/', 404), ('/a.txt/x', 404), ('/with%20space.txt', 200),
        ('/per%25cent.txt', 200), ('/q%3Fmark.txt', 200), ('/caf%C3%A9.txt', 200), ('/a.tar.gz', 200), ('/.hidden', 200),
        ('/trailing.', 200), ('/x.unknown', 200), ('/other/a.txt', 200), ('/list/', 404), ('/one', 404),
        ('/absindex/', 200), ('/varindex/?i=yes', 200), ('/varindex/?i=no', 200), ('/var/v.txt', 200), ('/re/dir', 404),
        ('/typed/a.txt', 200), ('/typed/b.css', 200), ('/notypes/a.txt', 200), ('/nested/deep/er/f.js', 200),
        ('/nested//deep/./er/../er/f.js', 200), ('/a.txt?query=1', 200), ('/dir%2Fb.json', 200),
        ('/nested/deep', 301), ('/with%20space', 404), ('/big.txt', 200), ('/A.TXT', 404), ('/%2e/a.txt', 200)):
    static.case(target, get(target), status)
for target, status in (('/a.txt', 200), ('/', 200), ('/dir', 301), ('/none', 404), ('/bare/', 403), ('/big.txt', 200)):
    static.case(f'HEAD {target}', request('HEAD', target), status)
    static.case(f'HTTP/1.0 {target}', request('GET', target, version='1.0'), status)
static.case('POST to a file', post('/a.txt', b'x=1'), 405)
static.case('POST to a directory', post('/dir/', b'x=1'), 405)
static.case('PUT', request('PUT', '/a.txt', body=b''), 405)
static.case('OPTIONS', request('OPTIONS', '/a.txt'), 405)
static.case('DELETE', request('DELETE', '/a.txt'), 405)
static.case('PROPFIND', request('PROPFIND', '/a.txt'), 405)
static.case('unknown method', request('FOO', '/a.txt'), 405)
static.case('keep-alive', get('/a.txt') + get('/none') + get('/dir/') + request('HEAD', '/a.txt') + get('/a.txt'),
            [200, 404, 200, 200, 200])
static.case('directory redirect with a host', get('/dir', host='name.test'), 301)
static.case('directory redirect without a host', request('GET', '/dir', host=None, version='1.0'), 301)
test_static = static.tests()

everything = Table("""root /; add_header X-Root "$document_root|$realpath_root|$request_filename";
    location /below/ { alias /; } location /try/ { try_files $uri /etc/hostname; } location = /none { return 200; }""")
for path, status in (('/etc/hostname', 200), ('/below/etc/hostname', 200), ('/try/x', 200), ('/none', 200), ('/etc', 301), ('/nowhere', 404)):
    everything.case(path, get(path), status)
test_everything = everything.tests()

times = Table('root @root@; location / { }', files={'a.txt': 'text a\n'}, http=TYPES)
SAME, EARLIER, LATER = ('Tue, 14 Nov 2023 22:13:20 GMT', 'Tue, 14 Nov 2023 22:13:19 GMT', 'Tue, 14 Nov 2023 22:13:21 GMT')
ETAG = '"6553f100-7"'
for name, field, status in (
        ('modified since the same', f'If-Modified-Since: {SAME}', 304),
        ('modified since an earlier time', f'If-Modified-Since: {EARLIER}', 200),
        ('modified since a later time', f'If-Modified-Since: {LATER}', 200),
        ('modified since nonsense', 'If-Modified-Since: yesterday', 200),
        ('modified since, RFC 850', 'If-Modified-Since: Tuesday, 14-Nov-23 22:13:20 GMT', 304),
        ('modified since, asctime', 'If-Modified-Since: Tue Nov 14 22:13:20 2023', 304),
        ('none match the same', f'If-None-Match: {ETAG}', 304),
        ('none match weak', f'If-None-Match: W/{ETAG}', 304),
        ('none match another', 'If-None-Match: "x"', 200),
        ('none match a list', f'If-None-Match: "x", {ETAG}', 304),
        ('none match any', 'If-None-Match: *', 304),
        ('match the same', f'If-Match: {ETAG}', 200),
        ('match another', 'If-Match: "x"', 412),
        ('match any', 'If-Match: *', 200),
        ('unmodified since the same', f'If-Unmodified-Since: {SAME}', 200),
        ('unmodified since an earlier time', f'If-Unmodified-Since: {EARLIER}', 412)):
    times.case(name, get('/a.txt', field), status)
times.case('none match wins over modified since', get('/a.txt', 'If-None-Match: "x"', f'If-Modified-Since: {SAME}'))
times.case('HEAD not modified', request('HEAD', '/a.txt', f'If-None-Match: {ETAG}'), 304)
for spec, status in (('bytes=0-1', 206), ('bytes=2-', 206), ('bytes=-3', 206), ('bytes=0-0', 206), ('bytes=6-100', 206),
                     ('bytes=7-', 416), ('bytes=-0', 416), ('bytes=3-2', 416), ('bytes=x', 416), ('items=0-1', 200),
                     ('bytes=0-1,3-4', 206), ('bytes=-100', 206), ('bytes=', 200)):
    if spec != 'bytes=0-1,3-4':
        times.case(f'Range {spec}', get('/a.txt', f'Range: {spec}'), status)
times.case('If-Range with the tag', get('/a.txt', 'Range: bytes=0-1', f'If-Range: {ETAG}'), 206)
times.case('If-Range with another tag', get('/a.txt', 'Range: bytes=0-1', 'If-Range: "x"'))
times.case('If-Range with the time', get('/a.txt', 'Range: bytes=0-1', f'If-Range: {SAME}'), 206)
times.case('If-Range with another time', get('/a.txt', 'Range: bytes=0-1', f'If-Range: {LATER}'))
test_times = times.tests()

inherit = Table('''
    root @root@;
    index first.html;
    location / { }
    location /d/ { index second.html; location /d/e/ { } location /d/f/ { index third.html; } }
    location /r/ { root @root@/sub; }
''', files={'first.html': 'first', 'd/first.html': 'd first', 'd/second.html': 'd second', 'd/e/second.html': 'e second',
            'd/f/third.html': 'f third', 'd/f/second.html': 'wrong', 'sub/r/first.html': 'sub first'})
for target in ('/', '/d/', '/d/e/', '/d/f/', '/r/'):
    inherit.case(target, get(target))
test_inherit = inherit.tests()
