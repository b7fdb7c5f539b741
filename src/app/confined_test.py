"""A worker that Landlock confines to the places of its first configuration serves all the same what nginx serves: links that
lead elsewhere, directories that were replaced, places of later configurations. And not what no configuration names."""
import ctypes
import os
import shutil
import signal

import pytest

from weirtest import Client, certs, exchange, get, is_nginx, request, response, run, until

LANDLOCK_CREATE_RULESET = 444


def kernel_confines():
    return ctypes.CDLL(None).syscall(LANDLOCK_CREATE_RULESET, None, 0, 1) >= 2


landlock = pytest.mark.skipif(not kernel_confines(), reason='needs a kernel with Landlock')


class Places:
    """Directories beside the root of a site, open to everybody."""

    def __init__(self, site):
        self.site, self.base = site, site.directory_for('places')
        os.chmod(self.base, 0o777)

    def path(self, name):
        return f'{self.base}/{name}'

    def make(self, name, **files):
        os.makedirs(self.path(name))
        os.chmod(self.path(name), 0o777)
        for file, text in files.items():
            self.write(f'{name}/{file}', text)
        return self.path(name)

    def write(self, name, text):
        with open(self.path(name), 'w') as f:
            f.write(text)


@pytest.fixture
def places(site):
    return Places(site)


def asked(server, target, method='GET', body=None):
    r = exchange(server.port, request(method, target, body=body))[0]
    return (r.status, r.text) if r.status == 200 else r.status


def reload_with(server, find, put):
    with open(server.conf_path) as f:
        text = f.read()
    assert find in text
    with open(server.conf_path, 'w') as f:
        f.write(text.replace(find, put, 1))
    before = until(server.workers, "workers")
    done = run('-p', server.directory + '/', '-c', server.conf_path, '-e', server.error_log_path, '-s', 'reload', binary=server.binary)
    assert done.returncode == 0, done.stderr
    if is_nginx(server.binary):    # its new workers
        until(lambda: not set(before) & set(server.workers()), 'the old workers to end')
    return before


def test_links_lead_out(site, places):
    """Of files, of directories, and of the root itself."""
    places.make('out', f='file', g='other')
    places.make('www', own='own')
    os.symlink(places.path('out/f'), places.path('www/file'))
    os.symlink(places.path('out'), places.path('www/dir'))
    os.symlink('www', places.path('root'))
    server = site.server(f'root {places.path("root")}; autoindex on;')
    assert asked(server, '/own') == (200, 'own')
    for _ in range(3):
        assert asked(server, '/file') == (200, 'file')
        assert asked(server, '/dir/g') == (200, 'other')
        assert asked(server, '/dir/none') == 404
    assert 'href="g"' in asked(server, '/dir/')[1]


def test_a_release_takes_the_place_of_another(site, places):
    """A root that is a link to the newest, and a directory that is renamed away: the next request has the new files."""
    for name in ('1', '2'):
        places.make(name, f=f'release {name}')
    os.symlink('1', places.path('now'))
    places.make('plain', f='old')
    server = site.server(f'location / {{ root {places.path("now")}; }} location /plain/ {{ root {places.base}; }}')
    assert asked(server, '/f') == (200, 'release 1') and asked(server, '/plain/f') == (200, 'old')
    os.symlink('2', places.path('next'))
    os.rename(places.path('next'), places.path('now'))
    assert asked(server, '/f') == (200, 'release 2')
    os.rename(places.path('plain'), places.path('away'))
    places.make('plain', f='new')
    assert asked(server, '/plain/f') == (200, 'new')
    for text in ('newer', 'newest'):
        places.write('plain/f', text)
        assert asked(server, '/plain/f') == (200, text)
    os.chmod(places.path('plain/f'), 0o600)
    assert asked(server, '/plain/f') == 403
    os.chmod(places.path('plain/f'), 0o644)
    assert asked(server, '/plain/f') == (200, 'newest')
    places.write('plain/x', 'another')
    os.rename(places.path('plain/x'), places.path('plain/f'))
    assert asked(server, '/plain/f') == (200, 'another')
    os.unlink(places.path('plain/f'))
    assert asked(server, '/plain/f') == 404


@pytest.mark.parametrize('conf, target', [
    ('location /n/ { root %(base)s; }', '/n/f'),
    ('location /x/ { alias %(base)s/n/; }', '/x/f'),
    ('location /x { alias %(base)s/n/; }', '/xf'),
    ('location /x { alias %(base)s/n; }', '/x/f'),
    ('location ~ ^/y/(.*) { alias %(base)s/n/$1; }', '/y/f'),
    ('location /n/ { root $arg_root; }', '/n/f?root=%(base)s'),
    ('location /n/ { root %(base)s/$arg_more; }', '/n/f'),
    ('location /f { root %(base)s/$arg_d; }', '/f?d=n'),
    ('location /n/ { root %(base)s; open_file_cache max=10; }', '/n/f'),
    ('location /n/ { root %(base)s; disable_symlinks on; }', '/n/f'),
    ('location /n/ { root %(base)s; disable_symlinks if_not_owner from=$document_root; }', '/n/f'),
    ('location /x { root %(base)s; try_files /none /n/f =404; }', '/x'),
])
def test_a_reload_names_more(site, places, conf, target):
    """Files of a place that came later, with the same worker."""
    places.make('n', f='file')
    server = site.server('location /old { return 200; } # more')
    own = {'base': places.base}
    before = reload_with(server, '# more', conf % own + ' # more')
    for _ in range(2):
        assert asked(server, target % own) == (200, 'file')
    assert is_nginx(server.binary) or server.workers() == before
    reload_with(server, '# more', 'location /gone { return 200; }')
    assert asked(server, target % own) == (200, 'file')


def test_what_is_written_after_a_reload(site, places):
    """PUT, MKCOL, MOVE, COPY, DELETE; *_store; a log for each host; request bodies as files; temp files; a cache."""
    site.backend(answer=lambda q: response(b'stored' if q.target.startswith('/s') else b'x' * 300000, 'Cache-Control: max-age=60'))
    server = site.server('location /old { return 200; } # more', http='# http')
    for name in ('dav', 'store', 'logs', 'bodies', 'temp'):
        places.make(name)
    with open(server.conf_path) as f:
        text = f.read()
    with open(server.conf_path, 'w') as f:
        f.write(text.replace('# http', f'proxy_cache_path {places.path("cache")} keys_zone=one:1m; # http'))
    reload_with(server, '# more', f'''
        location /dav/ {{ root {places.base}; dav_methods PUT DELETE MKCOL COPY MOVE; create_full_put_path on; }}
        location /s {{ proxy_pass http://127.0.0.1:{site.backend().port}; proxy_store {places.path('store')}$uri; }}
        location /log {{ root {places.base}; access_log {places.path('logs')}/$arg_n.log; return 200; }}
        location /body {{ client_body_in_file_only on; client_body_temp_path {places.path('bodies')} 1; proxy_pass http://127.0.0.1:{site.backend().port}; }}
        location /big {{ proxy_temp_path {places.path('temp')}; proxy_cache one; proxy_pass http://127.0.0.1:{site.backend().port}; add_header X-Cache $upstream_cache_status; }}
        ''')
    for method, target, fields, body in [
            ('PUT', '/dav/a/b/f', [], b'text'), ('MKCOL', '/dav/d/', [], None),
            ('COPY', '/dav/a/', ['Destination: http://localhost/dav/c/'], None), ('MOVE', '/dav/a/b/f', ['Destination: /dav/d/g'], None),
            ('PUT', '/dav/d/g', [], b'again'), ('DELETE', '/dav/a/', [], None)]:
        r = exchange(server.port, request(method, target, *fields, body=body))[0]
        assert r.status in (201, 204), (method, target, r.text, server.said())
    with open(places.path('dav/d/g')) as f, open(places.path('dav/c/b/f')) as g:
        assert (f.read(), g.read()) == ('again', 'text')
    assert not os.path.exists(places.path('dav/a'))
    assert asked(server, '/s/deep/x') == (200, 'stored')
    until(lambda: os.path.exists(places.path('store/s/deep/x')), 'the stored file')
    exchange(server.port, get('/log?n=host'))
    until(lambda: os.path.exists(places.path('logs/host.log')), 'the log')
    assert asked(server, '/body', 'POST', b'b' * 100)[0] == 200
    assert [f for _, _, files in os.walk(places.path('bodies')) for f in files]
    for want in ('MISS', 'HIT'):
        r = exchange(server.port, get('/big'))[0]
        assert (len(r.body), r.header('X-Cache')) == (300000, want)
        until(lambda: [f for _, _, files in os.walk(places.path('cache')) for f in files], 'the file of the cache')


def test_passwords_that_are_replaced(site, places):
    """Editors and htpasswd write a new file and rename it."""
    places.make('etc')
    password = [get('/', 'Authorization: Basic dTpw')]
    places.write('etc/users', 'u:{PLAIN}no\n')
    server = site.server(f'location / {{ auth_basic x; auth_basic_user_file {places.path("etc/users")}; return 200; }}'
                         .replace('return 200;', 'root @root@;'), )
    site.file('index.html', b'in')
    assert exchange(server.port, password[0])[0].status == 401
    places.write('etc/new', 'u:{PLAIN}p\n')
    os.rename(places.path('etc/new'), places.path('etc/users'))
    assert exchange(server.port, password[0])[0].status == 200


def test_certificates_by_name_after_a_reload(site, places):
    """Read when a client asks for the name, by the worker's user, from a directory that came later."""
    places.make('certs')
    for kind in ('pem', 'key'):
        shutil.copy(certs.path(f'other.{kind}'), places.path(f'certs/other.test.{kind}'))
        os.chmod(places.path(f'certs/other.test.{kind}'), 0o644)
    pair = 'ssl_certificate {0}.pem; ssl_certificate_key {0}.key;'
    first = pair.format(certs.path('server.pem').removesuffix('.pem'))
    server = site.server(f'server {{ listen 127.0.0.1:@port@ ssl; {first} return 200; }}')
    reload_with(server, first, pair.format(places.path('certs/$ssl_server_name')))
    for _ in range(2):
        with Client(server.port, tls=certs.client(), name='other.test') as c:
            assert c.ask(get('/')).status == 200


@pytest.mark.weir_only('has no such process')
@landlock
def test_files_that_the_supervisor_names_need_no_opener(site, places):
    """Certificates and their like come with a reload as the supervisor read them, and from it when they have changed."""
    places.make('tls')
    for name in ('server.pem', 'server.key', 'ca.pem'):
        shutil.copy(certs.path(name), places.path(f'tls/{name}'))
        os.chmod(places.path(f'tls/{name}'), 0o644)
    places.write('tls/passwords', 'one\ntwo\n')
    with open(places.path('tls/ticket'), 'wb') as f:
        f.write(os.urandom(80))
    at = places.path('tls')
    server = site.server(f"""
        ssl_password_file {at}/passwords; ssl_session_ticket_key {at}/ticket;
        server {{ listen 127.0.0.1:@port@ ssl; ssl_certificate {at}/server.pem; ssl_certificate_key {at}/server.key;
                  ssl_client_certificate {at}/ca.pem; ssl_verify_client optional; root @root@; auth_basic_user_file users;
                  location / {{ return 200; }} location /proxy {{ proxy_pass https://127.0.0.1:@port@; proxy_ssl_verify on;
                  proxy_ssl_trusted_certificate {at}/ca.pem; }} }} # more""")

    def served():
        with Client(server.port, tls=certs.client(verify=False), name='localhost') as c:
            assert c.ask(get('/')).status == 200
            return c.socket.getpeercert(True)
    first = served()
    for _ in range(2):
        reload_with(server, '# more', '# more and more')
        assert served() == first
    assert not server.openers()
    for kind in ('pem', 'key'):
        shutil.copy(certs.path(f'other.{kind}'), places.path(f'tls/new.{kind}'))
        os.replace(places.path(f'tls/new.{kind}'), places.path(f'tls/server.{kind}'))
    until(lambda: served() != first, 'the new certificate')
    assert not server.openers()
    server.stop()


@pytest.mark.weir_only('has no such process')
@landlock
def test_an_opener_that_dies(site, places):
    """It is there only when it is asked for, is replaced when it dies, and ends with the worker."""
    places.make('n', f='file', g='more')
    server = site.server('location /old { return 200; } location /own { root @root@; } # more')
    site.file('own', b'own')
    assert asked(server, '/own') == (200, 'own') and not server.openers()
    reload_with(server, '# more', f'location / {{ root {places.path("n")}; }} # more')
    assert not server.openers()
    assert asked(server, '/f') == (200, 'file')
    opener = server.openers()
    assert len(opener) == 1
    os.kill(opener[0], signal.SIGTERM)    # it does not care: the worker may need it until its own end
    assert asked(server, '/g') == (200, 'more') and server.openers() == opener
    os.kill(opener[0], signal.SIGKILL)
    places.write('n/h', 'third')
    assert asked(server, '/h') == (200, 'third')
    assert len(server.openers()) == 1 and server.openers() != opener
    reload_with(server, '# more', 'location /more { return 200; }')
    until(lambda: not server.openers(), 'the opener to end with its configuration')
    server.stop()


@pytest.mark.weir_only('nginx serves what its user may read')
@landlock
def test_what_no_configuration_names(site, places):
    """A location that lets a client climb out of its place: the kernel and the opener refuse. The log says open() failed."""
    places.make('in', f='in')
    places.make('secret', f='secret')
    os.chmod(places.base, 0o755)
    server = site.server(f'location = /x {{ alias {places.path("in")}/$arg_f; }}')
    assert asked(server, '/x?f=f') == (200, 'in')
    for climb in ('../secret/f', '../../../../../../etc/passwd', 'x/../../secret/f'):
        assert asked(server, f'/x?f={climb}') in (403, 404)
    os.mkdir(places.path('in/x'))
    assert asked(server, '/x?f=x/../../secret/f') == 403
    assert server.wait_error('error', r'open\(\) ".*/in/x/\.\./\.\./secret/f" failed \(13: Permission denied\)')


def test_many_at_once_through_the_opener(site, places):
    """Threads ask at the same time, with names that were not asked for before."""
    places.make('n', **{f'f{i}': f'file {i}' for i in range(200)})
    server = site.server('location /old { return 200; } # more', workers=2)
    reload_with(server, '# more', f'location / {{ root {places.path("n")}; }}')
    clients = [Client(server.port) for _ in range(20)]
    for i in range(0, 200, 20):
        for k, c in enumerate(clients):
            c.send(get(f'/f{i + k}'))
        for k, c in enumerate(clients):
            assert c.response().text == f'file {i + k}'
    for c in clients:
        c.socket.close()
    shutil.rmtree(places.path('n'))
    assert asked(server, '/f1') == 404
