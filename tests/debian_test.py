"""Debian's own /etc/nginx: it loads and answers as nginx does. Only paths, ports and the user's need of a log are mapped."""
import os
import re
import shutil

import pytest

from weirtest import WEIR, Table, get, is_nginx, post, request, run

ETC = '/etc/nginx'
if not os.path.exists(f'{ETC}/sites-available/default') or not os.path.exists(f'{ETC}/mime.types'):
    pytest.skip('Debian\'s nginx is not installed here', allow_module_level=True)


def mapped(text):
    """Paths of the system become those of the test; the site listens on its port, without IPv6."""
    text = re.sub(r'(?m)^\s*(pid|error_log|access_log) .*', '', text)
    text = text.replace('/etc/nginx/', '@root@/etc/').replace('/var/www/html', '@root@/www')
    text = re.sub(r'listen \[::\]:80[^;]*;', '', text)
    text = text.replace('load_module modules/', 'load_module /usr/lib/nginx/modules/')
    return re.sub(r'listen 80\b', 'listen 127.0.0.1:@port@', text)


def copy(site):
    shutil.copytree(ETC, f'{site.root}/etc')
    for where, _, files in os.walk(f'{site.root}/etc'):
        for name in files:
            path = os.path.join(where, name)
            if os.path.islink(path):    # sites-enabled/default
                target = os.path.realpath(path).replace(ETC, f'{site.root}/etc')
                os.unlink(path)
                shutil.copy(target.replace(f'{site.root}/etc', ETC), path)
            with open(path, encoding='latin-1') as f:
                text = f.read()
            text = mapped(text).replace('@root@', site.root)
            with open(path, 'w', encoding='latin-1') as f:
                f.write(text)


def config():
    with open(f'{ETC}/nginx.conf') as f:
        text = f.read()
    with open(f'{ETC}/sites-available/default') as f:
        site = f.read()
    # The port of the site is known only to the table: its file stands in place of the include.
    text = re.sub(r'include /etc/nginx/sites-enabled/\*;', lambda m: site, text)
    if not is_nginx(WEIR) and '### ssl_protocols' not in run('manual').stdout:    # a weir that was built without TLS
        text = re.sub(r'(?m)^\s*ssl_.*', '', text)
    return re.sub(r'worker_processes\s+auto;', 'worker_processes 2;', mapped(text))


FILES = {'www/index.nginx-debian.html': '<html>' + '<p>Welcome</p>' * 100, 'www/a.txt': 'text ' * 500, 'www/x.json': '{}' * 300, 'www/s.css': 'p {}' * 300,
         'www/p.svg': '<svg/>', 'www/m.js': 'x', 'www/f.woff2': 'w', 'www/n': 'none', 'www/d/index.html': 'in d', 'www/d/deep/x.html': '<p>' * 500, 'www/e/x': '',
         'www/v.mp4': 'v', 'www/z.tar.gz': 'z', 'www/b.bin': 'b', 'www/i.webp': 'i', 'www/page.xhtml': 'x', 'www/t.ts': 't', 'www/q.m4a': 'q'}
debian = Table(config(), files=FILES, setup=copy)
for path, status in (('/', 200), ('/a.txt', 200), ('/x.json', 200), ('/s.css', 200), ('/p.svg', 200), ('/m.js', 200), ('/f.woff2', 200), ('/n', 200), ('/d/', 200),
                     ('/d', 301), ('/d/deep/x.html', 200), ('/d/deep/', 403), ('/e/', 403), ('/none', 404), ('/none/', 404), ('/.htaccess', 404), ('/v.mp4', 200),
                     ('/z.tar.gz', 200), ('/b.bin', 200), ('/i.webp', 200), ('/page.xhtml', 200), ('/t.ts', 200), ('/q.m4a', 200), ('/../etc/passwd', 400), ('/%2e%2e/x', 400),
                     ('/a.txt?q=1', 200), ('//a.txt', 200), ('/d/../a.txt', 200), ('/index.php', 404)):
    debian.case(path, get(path), status)
    debian.case(f'HEAD {path}', request('HEAD', path), status)
    debian.case(f'gzip {path}', get(path, 'Accept-Encoding: gzip, deflate'), status, log=False)
debian.case('POST', post('/a.txt', b'x'), 405)
debian.case('a range', get('/a.txt', 'Range: bytes=5-9'), 206)
debian.case('not modified', get('/a.txt', 'If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT'), 304)
debian.case('HTTP/1.0', request('GET', '/', version='1.0', host=None))
debian.case('keep-alive', get('/') + get('/a.txt') + get('/none'), [200, 200, 404])
test_debian = debian.tests()
