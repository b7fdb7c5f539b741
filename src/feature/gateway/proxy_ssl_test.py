"""https:// in proxy_pass and proxy_ssl_*: back ends over TLS, side by side with nginx where it has the same."""
import os
import re
import shutil
import socket
import threading

import pytest

from weirtest import WEIR, Close, Table, certs, exchange, get, post, response, run, until


def secure(site, **how):
    site.backend('secure', tls=certs.server(**how))


def set_up(site):
    # One back end for each way of verifying: nginx resumes sessions without a new look at the certificate.
    for name in ('secure', 'strictverify', 'strictwrong', 'strictstranger'):
        site.backend(name, tls=certs.server())
    site.backend('new', tls=certs.server(versions='1.3'))


# nginx 1.22 speaks no TLS 1.3 here unless it is asked to; HTTP/1.0 and no keep-alive are its defaults.
HTTP = 'proxy_ssl_protocols TLSv1.2 TLSv1.3; proxy_http_version 1.1; proxy_set_header Connection "";'
table = Table('''location / { proxy_pass https://@secure@; }
    location /part/ { proxy_pass https://@secure@/other/; }
    location = /vars { proxy_pass https://@secure@; proxy_set_header X-Host $proxy_host; proxy_set_header X-Port $proxy_port; }
    location /var/ { set $to https://@secure@; proxy_pass $to; }
    location /verify/ { proxy_pass https://@strictverify@; proxy_ssl_verify on; proxy_ssl_trusted_certificate @certs@/ca.pem; proxy_ssl_name example.com; }
    location /wrong/ { proxy_pass https://@strictwrong@; proxy_ssl_verify on; proxy_ssl_trusted_certificate @certs@/ca.pem; proxy_ssl_name wrong.test; }
    location /stranger/ { proxy_pass https://@strictstranger@; proxy_ssl_verify on; proxy_ssl_trusted_certificate @certs@/ca2.pem; proxy_ssl_name example.com; }
    location /protocol/ { proxy_pass https://@new@; proxy_ssl_protocols TLSv1.2; }
''', http=HTTP, setup=set_up)
table.case('a request', get('/a?b'), sees='GET /a?b')
table.case('a URI part', get('/part/a'), sees='GET /other/a')
table.case('host and port', get('/vars'))
table.case('a variable', get('/var/x'), sees='GET /var/x')
table.case('a body', post('/', b'x' * 300000))
table.case('a chunked body', b'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n')
table.case('a large answer', get(), answer=lambda r: response(b'0123456789' * 200000))
table.case('an answer until the end', get(), answer=lambda r: [response(b'some' * 10000, length=False), Close()])
table.case('a verified name', get('/verify/'), 200)
table.case('another name', get('/wrong/'), 502, sees=[])
table.case('another authority', get('/stranger/'), 502, sees=[])
table.case('no common version', get('/protocol/'), 502, sees=[])
test_table = table.tests()


def test_log_lines(site):
    set_up(site)
    server = site.server(table.conf, http=HTTP)
    assert exchange(server.port, get('/wrong/'))[0].status == 502
    server.wait_error('error', r'upstream SSL certificate does not match "wrong\.test" while SSL handshaking to upstream, client: 127\.0\.0\.1, '
                               r'server: [^,]*, request: "GET /wrong/ HTTP/1\.1", upstream: "https://127\.0\.0\.1:\d+/wrong/", host: "localhost"')
    assert exchange(server.port, get('/stranger/'))[0].status == 502
    server.wait_error('error', r'upstream SSL certificate verify error: \(20:unable to get local issuer certificate\) while SSL handshaking to upstream')


@pytest.mark.parametrize('name, sees', [('', 'localhost'), ('proxy_ssl_name $http_x;', 'by.header'), ('proxy_ssl_server_name off;', None)])
def test_server_name(site, name, sees):
    secure(site)
    port = site.backend('secure').port
    server = site.server('location / { proxy_ssl_server_name on; proxy_pass https://localhost:%d; %s }' % (port, name) if 'off' not in name
                         else 'location / { proxy_pass https://localhost:%d; %s }' % (port, name), http=HTTP)
    assert exchange(server.port, get('/', 'X: by.header'))[0].status == 200
    assert [h[1] for h in site.backend('secure').handshakes if isinstance(h, tuple)] == [sees]


@pytest.mark.weir_only('a variable of the commercial nginx')
@pytest.mark.parametrize('version', ['1.1', '2'])
def test_server_name_of_each_server(site, version):
    """The name that a server is asked for may be its own: each try has it."""
    secure(site)
    port = site.backend('secure').port
    server = site.server('location / { proxy_ssl_server_name on; proxy_pass https://g; proxy_ssl_name $upstream_last_server_name; '
                         f'proxy_http_version {version}; proxy_next_upstream error; }}',
                         http=HTTP + f'upstream g {{ server @dead@; server localhost:{port} backup; }}')
    status = exchange(server.port, get('/'))[0].status
    assert status == 200 or version == '2', 'the back end speaks HTTP/1.1 only'
    assert {h[1] for h in site.backend('secure').handshakes if isinstance(h, tuple)} == {'localhost'}


def test_client_certificate(site):
    site.backend('secure', tls=certs.server(ca='ca', versions='1.2'))
    server = site.server('location /with { proxy_pass https://@secure@; proxy_ssl_certificate @certs@/client.pem; proxy_ssl_certificate_key @certs@/client.key; }'
                         'location /without { proxy_pass https://@secure@; }', http=HTTP)
    assert exchange(server.port, get('/with'))[0].status == 200
    assert exchange(server.port, get('/without'))[0].status == 502
    assert 'client' in str(site.backend('secure').handshakes[0][2]['subject'])


BY_NAME = ('location / { proxy_pass https://@secure@; proxy_ssl_certificate %s$arg_c.pem; proxy_ssl_certificate_key %s$arg_c.key; }'
           'location /maybe { proxy_pass https://@secure@; proxy_ssl_certificate $arg_c; proxy_ssl_certificate_key $arg_c; }')


def shown(site):
    """Whom the back end saw in the last handshake."""
    cert = site.backend('secure').handshakes[-1][2]
    return dict(x[0] for x in cert['subject'])['commonName'] if cert else None


def test_client_certificate_by_variable(site):
    site.backend('secure', tls=certs.server(ca='ca', versions='1.2', optional=True))
    server = site.server(BY_NAME % ('@certs@/', '@certs@/'), http=HTTP + 'proxy_ssl_session_reuse off;', workers=1)
    for name in ('client', 'revoked'):
        assert exchange(server.port, get(f'/?c={name}'))[0].status == 200
        assert shown(site) == name
    assert exchange(server.port, get('/?c=none'))[0].status == 500
    server.wait_error('error', r'cannot load certificate ".*/none\.pem": BIO_new_file\(\) failed')
    assert exchange(server.port, get('/maybe?c='))[0].status == 200, 'an empty name is no certificate'
    assert shown(site) is None


@pytest.mark.weir_only('newer than nginx 1.22')
def test_certificate_cache(site):
    site.backend('secure', tls=certs.server(ca='ca', versions='1.2'))
    for end in ('pem', 'key'):
        shutil.copy(certs.path(f'client.{end}'), f'{site.root}/a.{end}')
        shutil.copy(certs.path(f'client.{end}'), f'{site.root}/b.{end}')
    cached = 'proxy_ssl_certificate_cache max=10 inactive=1h valid=1h;'
    server = site.server((BY_NAME % ('@root@/', '@root@/')).replace('location / {', 'location / { ' + cached), http='proxy_http_version 1.0; proxy_ssl_session_reuse off;')
    assert exchange(server.port, get('/?c=a'))[0].status == 200
    os.unlink(f'{site.root}/a.pem')
    assert exchange(server.port, get('/?c=a'))[0].status == 200, 'it is not looked for again'
    os.unlink(f'{site.root}/b.pem')
    assert exchange(server.port, get('/?c=b'))[0].status == 500


@pytest.mark.weir_only('of the commercial nginx')
def test_key_log(site):
    secure(site, versions='1.3')
    server = site.server('location / { proxy_pass https://@secure@; proxy_ssl_key_log @dir@/keys; }')
    assert exchange(server.port, get())[0].status == 200
    until(lambda: os.path.exists(server.directory + '/keys') and 'SERVER_TRAFFIC_SECRET_0 ' in open(server.directory + '/keys', encoding='ascii').read(), 'keys')
    assert os.stat(server.directory + '/keys').st_mode & 0o077 == 0


@pytest.mark.parametrize('verify, status', [('', 200), ('uwsgi_ssl_verify on; uwsgi_ssl_trusted_certificate @certs@/ca.pem;', 200),
                                            ('uwsgi_ssl_verify on; uwsgi_ssl_trusted_certificate @certs@/ca2.pem;', 502)])
def test_suwsgi(site, verify, status):
    site.backend('uwsgi1', tls=certs.server(ca='ca', versions='1.2'))
    server = site.server('location / { uwsgi_pass suwsgi://@uwsgi1@; uwsgi_param REQUEST_METHOD $request_method; uwsgi_param REQUEST_URI $request_uri;'
                         'uwsgi_ssl_certificate @certs@/client.pem; uwsgi_ssl_certificate_key @certs@/client.key; uwsgi_ssl_name example.com; ' + verify + ' }')
    answer = exchange(server.port, get('/a?b'))[0]
    assert answer.status == status
    if status == 200:
        assert answer.text == 'uwsgi1: GET /a?b\n'
    else:
        server.wait_error('error', r'upstream SSL certificate verify error: .* upstream: "suwsgi://127')


@pytest.mark.parametrize('reuse', ['on', 'off'])
@pytest.mark.parametrize('version', ['1.2', '1.3'])
def test_sessions(site, version, reuse):
    secure(site, versions=version)
    server = site.server('location / { proxy_pass https://@secure@; proxy_ssl_session_reuse %s; }' % reuse,
                         http='proxy_ssl_protocols TLSv1.2 TLSv1.3; proxy_http_version 1.0;', workers=1)
    for _ in range(4):
        assert exchange(server.port, get())[0].status == 200
    reused = [h[0] for h in site.backend('secure').handshakes]
    assert reused == [False] + [reuse == 'on'] * 3


@pytest.mark.weir_only('nginx 1.22 keeps connections only where keepalive says so')
def test_kept_connections(site):
    """Connections over TLS are kept and used again, and never for another way to speak."""
    secure(site)
    server = site.server('location /a { proxy_pass https://@secure@; } location /b { proxy_pass https://@secure@; proxy_ssl_name x; proxy_ssl_server_name on; }', workers=1)
    for _ in range(5):
        assert exchange(server.port, get('/a'))[0].status == 200
    assert site.backend('secure').connections == 1
    assert exchange(server.port, get('/b'))[0].status == 200
    assert site.backend('secure').connections == 2
    site.backend('secure').close_idle()
    assert exchange(server.port, get('/a'))[0].status == 200


def test_a_deaf_back_end(site):
    """A back end that accepts and never shakes hands is given up after proxy_connect_timeout; the next one is asked."""
    deaf = socket.socket()
    deaf.bind(('127.0.0.1', 0))
    deaf.listen(16)
    secure(site)
    server = site.server('upstream u { server 127.0.0.1:%d; server @secure@; }\nserver { listen 127.0.0.1:@port@; location / { proxy_pass https://u; proxy_connect_timeout 300ms; } }'
                         % deaf.getsockname()[1], http=HTTP, workers=1)
    assert [exchange(server.port, get())[0].status for _ in range(2)] == [200, 200]
    server.wait_error('error', r'upstream timed out \(110: Connection timed out\) while SSL handshaking to upstream')
    deaf.close()


def test_a_plain_back_end(site):
    listener = socket.create_server(('127.0.0.1', 0))
    def speak():
        c, _ = listener.accept()
        c.recv(4096)
        c.sendall(b'HTTP/1.1 400 Bad Request\r\n\r\n')
        c.close()
    threading.Thread(target=speak, daemon=True).start()
    server = site.server('location / { proxy_pass https://127.0.0.1:%d; }' % listener.getsockname()[1])
    assert exchange(server.port, get())[0].status == 502
    server.wait_error('error', r'SSL_do_handshake\(\) failed \(SSL: error:0A00010B:SSL routines::wrong version number\) while SSL handshaking to upstream')
    listener.close()


@pytest.mark.weir_only('nginx resumes a session of another location without looking at the certificate')
def test_verification_is_not_bypassed_by_sessions(site):
    """A session that was made without verification is no way around it."""
    secure(site, cert='stranger')
    server = site.server('location /any { proxy_pass https://@secure@; }'
                         'location /verified { proxy_pass https://@secure@; proxy_ssl_verify on; proxy_ssl_trusted_certificate @certs@/ca.pem; proxy_ssl_name example.com; }', workers=1)
    assert [exchange(server.port, get(to))[0].status for to in ('/any', '/verified', '/any', '/verified')] == [200, 502, 200, 502]


BAD = {
    'verify without authority': 'proxy_pass https://127.0.0.1:1; proxy_ssl_verify on;',
    'no authority': 'proxy_pass https://127.0.0.1:1; proxy_ssl_verify on; proxy_ssl_trusted_certificate @certs@/none;',
    'no key': 'proxy_pass https://127.0.0.1:1; proxy_ssl_certificate @certs@/client.pem;',
    'bad ciphers': 'proxy_pass https://127.0.0.1:1; proxy_ssl_ciphers NOPE;',
    'bad protocol': 'proxy_pass https://127.0.0.1:1; proxy_ssl_protocols NOPE;',
    'no key for a variable': 'proxy_pass https://127.0.0.1:1; proxy_ssl_certificate $arg_c.pem;',
    'uwsgi without authority': 'uwsgi_pass suwsgi://127.0.0.1:1; uwsgi_ssl_verify on;',
    'uwsgi without key': 'uwsgi_pass suwsgi://127.0.0.1:1; uwsgi_ssl_certificate @certs@/client.pem;',
    'bad command': 'proxy_pass https://127.0.0.1:1; proxy_ssl_conf_command Nope x;',
}


@pytest.mark.parametrize('name', BAD)
def test_bad_configuration(tmp_path, name):
    text = BAD[name].replace('@certs@', certs.directory())
    conf = tmp_path / 'nginx.conf'
    conf.write_text(f'pid {tmp_path}/pid; error_log {tmp_path}/log; events {{ }} http {{ access_log off; server {{ listen 1; location / {{ {text} }} }} }}')

    def said(binary):
        result = run('-t', '-c', str(conf), binary=binary)
        assert result.returncode == 1, result.stderr
        first = [line for line in result.stderr.splitlines() if '[emerg]' in line][0]
        return re.sub(r' in \S+:\d+$', '', re.sub(r'^.*\[emerg\] (\d+#\d+: )?', '', first))
    assert said(WEIR) == said('/usr/sbin/nginx')
