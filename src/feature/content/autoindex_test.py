"""autoindex and random_index: listings in all forms, odd names, links, sizes."""
import os
import re

from weirtest import Client, Table, get, post, request

NAMES = ['plain.txt', 'sp ace', 'a&b<c>"d\'e', 'caf\u00e9', 'q?m#h%25', 'col:on', 'back\\slash', '(round)[square]{curly}', '~tilde',
         'semi;colon', 'comma,', 'plus+', 'at@', 'eq=', 'dol$lar', 'star*', 'ex!cl', 'tab\tnl\ncr\r', 'ctl\x01\x08\x0c\x1f\x7f',
         '-dash', '_under', 'caret^', 'back`tick', 'pi|pe', 'Upper', 'upper', '..dots', 'three...']
SIZES = [0, 1, 999, 1023, 1024, 9999, 10000, 10239, 10240, 10752, 1048063, 1048064, 1048575, 1048576, 1572863, 1572864, 10 << 20,
         (1 << 30) - 1, 1 << 30, 3 << 29, 12345678901]


def fill(site):
    os.makedirs(os.path.join(site.root, 'd'))
    d = os.path.join(site.root, 'd').encode()
    for name in NAMES:
        open(os.path.join(d, name.encode()), 'w').write('x' * len(name))
    open(os.path.join(d, b'bad\xff\xc3utf'), 'w').close()
    for n in range(45, 55):
        open(os.path.join(d, b'f' * n), 'w').close()
        os.mkdir(os.path.join(d, b'D' * n))
        open(os.path.join(d, ('\u00e9' * n).encode()), 'w').close()
        open(os.path.join(d, ('&<' * (n // 2)).encode()), 'w').close()
    os.mkdir(os.path.join(d, b'a dir'))
    os.symlink('nowhere', os.path.join(d, b'broken'))
    os.symlink('loop', os.path.join(d, b'loop'))
    os.symlink('a dir', os.path.join(d, b'linkdir'))
    os.symlink('plain.txt', os.path.join(d, b'linkfile'))
    os.mkfifo(os.path.join(d, b'fifo'))
    os.mkdir(os.path.join(site.root, 'sizes'))
    for size in SIZES:
        with open(os.path.join(site.root, 'sizes', f's{size:012}'), 'w') as f:
            f.truncate(size)
    os.mkdir(os.path.join(site.root, 'empty'))
    os.makedirs(os.path.join(site.root, 'x<&"y', 'in'))
    os.makedirs(os.path.join(site.root, 'one'))
    open(os.path.join(site.root, 'one', 'only.txt'), 'w').write('only')
    open(os.path.join(site.root, 'one', '.hidden'), 'w').write('hidden')
    for where, directories, files in os.walk(site.root.encode()):
        for i, name in enumerate(sorted(directories + files)):
            t = 1600000000 + 86400 * 17 * i
            os.utime(os.path.join(where, name), (t, t), follow_symlinks=False)


forms = Table('''
    root @root@; autoindex on;
    location / { }
    location /rough/ { alias @root@/; autoindex_exact_size off; autoindex_localtime on; }
    location /json/ { alias @root@/; autoindex_format json; }
    location /jsonp/ { alias @root@/; autoindex_format jsonp; }
    location /xml/ { alias @root@/; autoindex_format xml; autoindex_exact_size off; }
    location ~ ^/re(/.*)$ { alias @root@$1; }
    location /off/ { alias @root@/; autoindex off; location /off/on/ { alias @root@/; autoindex on; } }
    location /index/ { alias @root@/; index only.txt; }
    location = /exact/ { alias @root@/one/; }
    location /none/ { root @root@/none; }
    location /file/ { alias @root@/one/only.txt/; index never; }
''', setup=fill, http="types { text/plain txt; }")
for form in ('', 'rough/', 'json/', 'jsonp/', 'xml/', 're/'):
    for where in ('d', 'sizes', 'empty', 'one', 'x%3C%26%22y'):
        forms.case(f'/{form}{where}/', get(f'/{form}{where}/'))
    forms.case(f'HEAD /{form}d/', request('HEAD', f'/{form}d/'))
    forms.case(f'HTTP/1.0 /{form}d/', request('GET', f'/{form}d/', version='1.0'))
    forms.case(f'a directory without its slash /{form}d', get(f'/{form}d'), 301)
    forms.case(f'not there /{form}nothing/', get(f'/{form}nothing/'), 404)
    forms.case(f'POST /{form}d/', post(f'/{form}d/', b'x'), 403)
    forms.case(f'PUT /{form}d/', request('PUT', f'/{form}d/', body=b'x'), 405)
for callback, status in (('callback=abc', 200), ('callback=a.b_C9', 200), ('callback=', 200), ('x=1&callback=f', 200),
                         ('callback=a%2Eb', 400), ('callback=a-b', 400), ('callback=a(b)', 400), ('callback=$', 400),
                         ('Callback=up', 200), ('callback', 200), ('callback=' + 'a' * 128, 200), ('callback=' + 'a' * 129, 400)):
    for where in ('d', 'empty'):
        forms.case(f'/jsonp/{where}/?{callback}', get(f'/jsonp/{where}/?{callback}'), status)
for path, status in (('/off/d/', 403), ('/off/on/d/', 200), ('/index/one/', 200), ('/index/d/', 200), ('/exact/', 200),
                     ('/none/', 404), ('/', 200), ('/file/', 404)):
    forms.case(path, get(path), status)
forms.case('conditions do not matter', get('/d/', 'If-None-Match: *', 'If-Modified-Since: Thu, 01 Jan 2099 00:00:00 GMT'))
forms.case('a range does not matter', get('/d/', 'Range: bytes=0-9'))
forms.case('keep-alive', get('/one/') + get('/json/one/') + get('/empty/'), [200, 200, 200])
test_forms = forms.tests()

chance = Table('''
    root @root@;
    location /one/ { random_index on; }
    location /empty/ { random_index on; }
    location /dirs/ { alias @root@/x<&"y/; random_index on; }
    location /both/ { alias @root@/one/; random_index on; index only.txt; autoindex on; }
    location /none/ { random_index on; }
''', setup=fill, http='types { text/plain txt; }')
for path, status in (('/one/', 200), ('/empty/', 403), ('/dirs/', 403), ('/both/', 200), ('/none/', 404), ('/one/only.txt', 200)):
    chance.case(path, get(path), status)
    chance.case(f'POST {path}', post(path, b'x'), {200: 405}.get(status, status))
test_random_index = chance.tests()


def test_random_index_chooses(site):
    for i in range(4):
        site.file(f'r/{i}.txt', str(i))
    site.file('r/.hidden', 'no')
    site.file('r/sub/x.txt', 'no')
    os.symlink('0.txt', os.path.join(site.root, 'r', 'link'))
    server = site.server('root @root@; location /r/ { random_index on; }')
    seen = set()
    with Client(server.port) as client:
        for _ in range(400):
            seen.add(client.ask(get('/r/')).body)
            if len(seen) == 4:
                break
    assert seen == {b'0', b'1', b'2', b'3'}


def test_a_large_directory(site):
    for i in range(3000):
        site.file(f'many/{i:04}.txt')
    server = site.server('root @root@; location / { autoindex on; }')
    with Client(server.port) as client:
        r = client.ask(get('/many/'))
    assert re.findall(rb'<a href="(\d+).txt', r.body) == [b'%04d' % i for i in range(3000)]
