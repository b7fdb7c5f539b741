"""HTTP/2 over TLS, as RFC 9113 section 9.2 and RFC 7301 want it."""
import os
import random
import re
import socket
import ssl
import subprocess

import pytest

from weirtest.h2 import H2

CONF = '''
server {
    listen 127.0.0.1:@port@ ssl http2;
    server_name localhost;
    ssl_certificate %(cert)s;
    ssl_certificate_key %(key)s;
    ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;
    ssl_ciphers DEFAULT:@SECLEVEL=0;
    return 200 "first";
}
server {
    listen 127.0.0.1:@port@ ssl;
    server_name other.test;
    ssl_certificate %(cert)s;
    ssl_certificate_key %(key)s;
    return 200 "second";
}
'''


@pytest.fixture
def server(site, tmp_path):
    cert, key = tmp_path / 'rsa.pem', tmp_path / 'rsa.key'
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-keyout', key,
                    '-out', cert], check=True, capture_output=True)
    return site.server(CONF % {'cert': cert, 'key': key})


def context(version=None, alpn=('h2',), ciphers=None):
    cx = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    cx.check_hostname, cx.verify_mode = False, ssl.CERT_NONE
    if version:
        cx.minimum_version = cx.maximum_version = version
    cx.set_ciphers(ciphers or 'DEFAULT:@SECLEVEL=0')
    if alpn:
        cx.set_alpn_protocols(alpn)
    return cx


def connect(server, cx, name='localhost'):
    return cx.wrap_socket(socket.create_connection(('127.0.0.1', server.port), 10), server_hostname=name)


def over(tls):
    """The client of HTTP/2 on a connection that is there."""
    c = H2.__new__(H2)
    c.on(tls)
    return c


@pytest.mark.parametrize('version', [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_over_tls(server, version):
    tls = connect(server, context(version))
    assert tls.selected_alpn_protocol() == 'h2' and tls.compression() is None
    with over(tls) as c:
        a = c.ask('/', scheme='https')
        assert (a.status, a.body) == (200, b'first') and c.ping()


@pytest.mark.parametrize('offered, chosen', [
    (('h2', 'http/1.1'), 'h2'), (('http/1.1', 'h2'), 'h2'), (('h2c',), None), (('h2c', 'http/1.1'), 'http/1.1'), (('spdy/3', 'h2'), 'h2'), ((), None)])
def test_what_alpn_chooses(server, offered, chosen):
    try:
        with connect(server, context(alpn=offered)) as tls:
            assert tls.selected_alpn_protocol() == chosen
    except ssl.SSLError as e:    # RFC 7301: nothing in common
        assert chosen is None and 'no application protocol' in str(e).lower().replace('_', ' ')


def test_no_http2_below_tls_1_2(server):
    try:
        with connect(server, context(ssl.TLSVersion.TLSv1_1, ('h2', 'http/1.1'))) as tls:
            assert tls.version() == 'TLSv1.1' and tls.selected_alpn_protocol() != 'h2'
    except ssl.SSLError:
        pass


def test_names_choose_the_server(server):
    for name, body in (('localhost', b'first'), ('other.test', b'second')):
        with over(connect(server, context(), name)) as c:
            assert c.ask('/', scheme='https', authority=name).body == body


@pytest.mark.weir_only("nginx answers it and goes on: its OpenSSL refuses by itself")
def test_renegotiation_is_refused(server):
    done = subprocess.run(['openssl', 's_client', '-connect', f'127.0.0.1:{server.port}', '-tls1_2', '-alpn', 'h2', '-servername', 'localhost'],
                          input='R\n', capture_output=True, text=True, errors='replace', timeout=20)
    assert 'ALPN protocol: h2' in done.stdout and 'RENEGOTIATING' in done.stdout + done.stderr
    # Either our answer comes first or, in its place, our SETTINGS: a record that has no place in a handshake.
    assert done.returncode != 0 and re.search('no renegotiation|unexpected record', done.stderr), done.stderr


def test_the_mandatory_cipher(server):
    cx = context(ssl.TLSVersion.TLSv1_2, ciphers='ECDHE-RSA-AES128-GCM-SHA256')
    cx.set_ecdh_curve('prime256v1')
    with over(connect(server, cx)) as c:
        assert c.socket.cipher()[0] == 'ECDHE-RSA-AES128-GCM-SHA256' and c.ask('/', scheme='https').status == 200


@pytest.mark.parametrize('cold', [False, True])
@pytest.mark.parametrize('how', ['', ', i'])
def test_files_of_many_streams(site, cold, how):
    """Ranges of files are read when it is their turn, whether they are in memory or not."""
    data = {f'f{i}': random.Random(i).randbytes(size) for i, size in enumerate((0, 1, 100, 16384, 65535, 65536, 700001, 3000000))}
    for name, bytes_ in data.items():
        site.file(name, bytes_)
    server = site.server('server { listen 127.0.0.1:@port@ ssl http2; ssl_certificate @certs@/server.pem; ssl_certificate_key '
                         '@certs@/server.key; root @root@; }', workers=1)
    for name in data if cold else ():
        fd = os.open(os.path.join(site.root, name), os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)
    with over(connect(server, context())) as c:
        streams = [(name, c.request('/' + name, 'GET', ('priority', f'u={i % 3}{how}'), scheme='https')) for i, name in enumerate(data)]
        for name, s in streams:
            assert c.wait(s).body == data[name]


def test_a_file_that_becomes_shorter(site):
    site.file('file', bytes(4000000))
    server = site.server('server { listen 127.0.0.1:@port@ ssl http2; ssl_certificate @certs@/server.pem; ssl_certificate_key '
                         '@certs@/server.key; root @root@; location /ok { return 200 ok; } }', workers=1)
    c = over(connect(server, context()))
    with c:
        c.windows = False
        s = c.request('/file', scheme='https')
        while len(c.answer(s).body) < 65535:
            c.read()
        os.truncate(os.path.join(site.root, 'file'), 100000)
        c.windows = True
        c.window(0, 10000000)
        c.window(s, 10000000)
        assert c.wait(s).reset == 'INTERNAL_ERROR'
        assert c.ask('/ok', scheme='https').status == 200
