"""include: files, globs, relative paths, nesting, and what -t says of a broken one."""
import os

import pytest

from weirtest import exchange, get, run


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'w') as f:
        f.write(text)


def locations(site, names):
    return {name: exchange(site.port, get(f'/{name}'))[0].status for name in names}


def test_file_and_glob(site):
    for name in 'abc':
        write(f'{site.root}/d/{name}.conf', f'location /{name} {{ return 200 {name}; }}')
    write(f'{site.root}/d/x.other', 'nonsense')
    write(f'{site.root}/one.inc', 'location /one { return 200; }')
    server = site.server('include @root@/d/*.conf; include @root@/one.inc; include @root@/none/*.conf;')
    assert locations(server, ['a', 'b', 'c', 'one', 'x']) == {'a': 200, 'b': 200, 'c': 200, 'one': 200, 'x': 404}


@pytest.mark.parametrize('pattern, found', [('[ab].conf', 'ab'), ('?.conf', 'abc'), ('*', 'abc'), ('a*', 'a'), ('[!a].conf', 'bc')])
def test_patterns(site, pattern, found):
    for name in 'abc':
        write(f'{site.root}/{name}.conf', f'location /{name} {{ return 200 {name}; }}')
    server = site.server(f'include @root@/{pattern};')
    assert ''.join(n for n, s in locations(server, 'abc').items() if s == 200) == found


def test_sorted_order(site):
    """Files of a glob come in sorted order: the first server is the default."""
    for name in ('20-b', '10-a', '30-c'):
        write(f'{site.root}/{name}.conf', f'server {{ listen 127.0.0.1:PORT; server_name {name}; return 200 {name}; }}')
    port = site.port()
    for name in os.listdir(site.root):
        path = f'{site.root}/{name}'
        with open(path) as f:
            text = f.read()
        write(path, text.replace('PORT', str(port)))
    site.server('http { include @root@/*.conf; }')
    assert exchange(port, get('/'))[0].text == '10-a'


def test_relative_and_nested(site):
    """Relative to the directory of the configuration, at every depth."""
    directory = site.directory_for('base')
    write(f'{directory}/sub/first.inc', 'include sub/second.inc;')
    write(f'{directory}/sub/second.inc', 'location /deep { return 200 deep; }')
    write(f'{directory}/nginx.conf.tmp', '')
    site.directory_for = lambda label: directory
    server = site.server('include sub/*st.inc;')
    assert exchange(server.port, get('/deep'))[0].text == 'deep'


def test_types_file_and_any_level(site):
    write(f'{site.root}/types.inc', 'types { text/special sp; }')
    write(f'{site.root}/main.inc', 'events { worker_connections 100; }')
    write(f'{site.root}/up.inc', 'server @;'.replace('@', site.backend().address))
    write(f'{site.root}/params.inc', 'proxy_set_header X-Inc yes;')
    site.file('f.sp', 'x')
    server = site.server('server { listen 127.0.0.1:@port@; root @root@; location /p/ { include @root@/params.inc; proxy_pass http://g; } }',
                         http='include @root@/types.inc; upstream g { include @root@/up.inc; }', main='include @root@/main.inc; # events here')
    assert exchange(server.port, get('/f.sp'))[0].header('Content-Type') == 'text/special'
    assert exchange(server.port, get('/p/'))[0].status == 200
    assert site.backend().requests[0].header('X-Inc') == 'yes'


def check(site, text):
    path = f'{site.root}/nginx.conf'
    write(path, f'pid {site.root}/pid; error_log {site.root}/e.log; events {{ }}\nhttp {{ access_log off;\n{text}\n}}\n')
    result = run('-t', '-p', site.root, '-c', path, '-e', f'{site.root}/e.log')
    return result, path


def test_missing_file(site):
    result, path = check(site, 'include none.conf;')
    assert result.returncode == 1
    assert f'[emerg] open() "{site.root}/none.conf" failed (2: No such file or directory) in {path}:3' in result.stderr


def test_error_in_an_included_file_names_it(site):
    write(f'{site.root}/bad.inc', '# one\n\nbogus on;\n')
    result, _ = check(site, 'include bad.inc;')
    assert result.returncode == 1
    assert f'[emerg] unknown directive "bogus" in {site.root}/bad.inc:3' in result.stderr


def test_unclosed_block_in_an_included_file(site):
    write(f'{site.root}/bad.inc', 'server {\n')
    result, _ = check(site, 'include bad.inc;')
    assert result.returncode == 1 and f'unexpected end of file, expecting "}}" in {site.root}/bad.inc:2' in result.stderr
