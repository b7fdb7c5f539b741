"""charset: what Content-Type says, and conversions between charsets."""
import pytest

from weirtest import Client, Table, chunked, get, request, response

MAPS = '''
charset_map koi8-r utf-8 { 80 E282AC; C1 D0B0; C2 D0B1; D7 D0B2; A3 D191; 9C C2B0; }
charset_map windows-1251 utf-8 { 82 E2809A; E0 D0B0; E1 D0B1; E2 D0B2; B8 D191; 88 E282AC; }
charset_map koi8-r windows-1251 { C1 E0; C2 E1; D7 E2; A3 B8; }
'''
charset = Table('''
    types { text/html html; text/plain txt; text/css css; image/png png; application/javascript js; }
    location /utf/ { charset utf-8; root @root@; }
    location /off/ { charset utf-8; location /off/in/ { charset off; root @root@; } }
    location /types/ { charset utf-8; charset_types text/css; root @root@; }
    location /var/ { charset $arg_c; root @root@; }
    location /source/ { charset utf-8; source_charset koi8-r; root @root@; }
    location /same/ { charset utf-8; source_charset UTF-8; root @root@; }
    location /sourceonly/ { source_charset koi8-r; root @root@; }
    location /wintokoi/ { charset koi8-r; source_charset windows-1251; root @root@; }
    location /koitowin/ { charset windows-1251; source_charset koi8-r; root @root@; }
    location /utftokoi/ { charset koi8-r; source_charset utf-8; root @root@; }
    location /utftowin/ { charset windows-1251; source_charset utf-8; root @root@; }
    location /varmap/ { charset $arg_c; source_charset $arg_s; root @root@; }
    location /back { charset utf-8; proxy_pass http://@backend@; }
    location /override { charset utf-8; override_charset on; proxy_pass http://@backend@; }
    location /ignore { charset utf-8; proxy_ignore_headers X-Accel-Charset; proxy_pass http://@backend@; }
    location /nothing { proxy_pass http://@backend@; }
    location /redirect { charset utf-8; return 302 /x; }
    location /redirect303 { charset utf-8; return 303 /x; }
    location /return { charset utf-8; default_type text/plain; return 200 "text"; }
    location /missing { charset utf-8; return 404; }
    location /added { charset utf-8; add_header X-Type $sent_http_content_type; root @root@; }
    location /json { charset utf-8; default_type application/json; return 200 "{}"; }
''', http='proxy_http_version 1.1;' + MAPS, alerts=('charset_map',))
ALL = bytes(range(256))
TEXT = 'а small б text в ё € of °'.encode()
for d, content in (('utf', b'x'), ('off/in', b'x'), ('types', b'x'), ('var', b'x'), ('source', ALL), ('same', TEXT), ('sourceonly', ALL), ('wintokoi', ALL),
                   ('koitowin', ALL), ('utftokoi', TEXT), ('utftowin', TEXT), ('varmap', ALL), ('added', b'x')):
    for e in ('html', 'txt', 'css', 'png', 'js'):
        charset.files[f'{d}/f.{e}'] = content
        if d.startswith('var'):
            continue    # nginx does not answer when the variable is empty
        if e in ('html', 'css') or d in ('utf', 'types'):
            charset.case(f'{d} {e}', get(f'/{d}/f.{e}'))
for args in ('c=utf-8', 'c=anything', 'c=off'):
    charset.case(f'var {args}', get(f'/var/f.html?{args}'))
for args in ('c=utf-8&s=koi8-r', 'c=koi8-r&s=windows-1251', 'c=UTF-8&s=KOI8-R', 'c=utf-8&s=utf-8', 'c=utf-8&s=Utf-8'):
    charset.case(f'varmap {args}', get(f'/varmap/f.html?{args}'))
charset.case('range of recoded bytes', get('/wintokoi/f.html', 'Range: bytes=220-229'), 206)
charset.case('range of a converted file', get('/source/f.html', 'Range: bytes=0-5'))
charset.case('HEAD', request('HEAD', '/utf/f.html'))
charset.case('not modified', get('/source/f.html', 'If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT'), 304)
for path, status in (('redirect', 302), ('redirect303', 303), ('return', 200), ('missing', 404), ('json', 200)):
    charset.case(path, get('/' + path), status)
for path in ('back', 'override', 'ignore', 'nothing'):
    for kind in ('text/html', 'text/html; charset=koi8-r', 'text/html;charset=KOI8-R', 'text/html; charset="windows-1251"', 'text/html; a=b',
                 'text/html; charset=unknown', 'image/png', 'image/png; charset=koi8-r', 'text/html; charset=utf-8', 'TEXT/HTML'):
        if path == 'override' and 'a=b' in kind:
            continue
        charset.case(f'{path} {kind}', get('/' + path), 200, response(b'a\xc1\xe0', f'Content-Type: {kind}') if 'windows' not in kind else
                     response(b'a\xe0\xe1', f'Content-Type: {kind}'))
    charset.case(f'{path} encoded', get('/' + path), 200, response(b'\xc1', 'Content-Type: text/html; charset=koi8-r', 'Content-Encoding: gzip'))
    for accel in ('koi8-r', 'utf-8', 'nonsense', 'windows-1251'):
        for kind in ('text/html', 'text/html; charset=koi8-r'):
            charset.case(f'{path} {kind} accel {accel}', get('/' + path), 200,
                         response(b'a\xc1\xc2', f'Content-Type: {kind}', f'X-Accel-Charset: {accel}'))
for cut in range(1, len(TEXT)):
    charset.case(f'cut at {cut}', get('/back'), 200,
                 chunked(TEXT[:cut], TEXT[cut:], headers=['Content-Type: text/html; charset=utf-8', 'X-Accel-Charset: koi8-r']))
test_charset = charset.tests()


@pytest.mark.parametrize('text, message', [
    ('charset_map a A { }', '"charset_map" between the same charsets "a" and "A"'), ('charset_map koi8-r utf-8 { 80 E282AC; }', 'duplicate "charset_map" between'),
    ('charset_map a b { 8; }', 'invalid parameters number'), ('charset_map a b { 800 80; }', 'invalid value "800"'), ('charset_map a b { xx 80; }', 'invalid value "xx"'),
    ('charset_map a utf-8 { 80 80808080; }', 'invalid value "80808080"'), ('charset a; source_charset b;', 'no "charset_map" between the charsets "b" and "a"')])
def test_errors(site, text, message):
    with pytest.raises(AssertionError) as e:
        site.server('location / { }', http=MAPS + text)
    assert message in str(e.value)


@pytest.mark.parametrize('name, encoding', [('koi-utf', 'koi8-r'), ('win-utf', 'windows-1251')])
def test_distributed_maps(site, name, encoding):
    text = 'Съешь же ещё этих мягких французских булок, да выпей чаю' * 300
    site.file('f.html', text.encode(encoding))
    site.file('u.html', text.encode())
    server = site.server(f'location = /f.html {{ charset utf-8; source_charset {encoding}; root @root@; }} '
                         f'location = /u.html {{ charset {encoding}; source_charset utf-8; root @root@; }} types {{ text/html html; }}',
                         http=f'include /etc/nginx/{name};')
    with Client(server.port) as c:
        r = c.ask(get('/f.html'))
        assert r.body.decode() == text and r.header('Content-Type') == 'text/html; charset=utf-8'
        assert c.ask(get('/u.html')).body.decode(encoding) == text


@pytest.mark.parametrize('text, made', [(b'a\x80b', b'a?b'), (b'a\xd0', b'a?'), (b'\xd0a\xd0\xb0', b'?a\xc1'), ('a\u0436\u5b57'.encode(), b'a&#1078;&#23383;'),
                                        (b'\xe2\x82', b'?'), (b'\xe9t\xe9 ', b'?t? '), ('\U0001f600'.encode(), b'&#128512;'), (b'\xc0\x80', b'??')])
def test_what_is_no_utf_8(site, text, made):
    """Each broken sequence is one '?'; nothing behind it is lost (nginx swallows some)."""
    site.backend('backend', response(text, 'Content-Type: text/html; charset=utf-8', 'X-Accel-Charset: koi8-r'))
    server = site.server('location / { proxy_pass http://@backend@; }', http=MAPS)
    with Client(server.port) as c:
        assert c.ask(get('/')).body == made


def test_ranges_of_recoded_bytes(site):
    """A part is cut from what was converted, not from the file."""
    site.file('f.html', b'\xe0\xe1\xe2' * 10)
    server = site.server('location / { charset koi8-r; source_charset windows-1251; root @root@; types { text/html html; } }', http=MAPS)
    with Client(server.port) as c:
        r = c.ask(get('/f.html', 'Range: bytes=1-4'))
    assert r.status == 206 and r.body == b'\xc2\xd7\xc1\xc2'
