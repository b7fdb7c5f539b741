"""TLS towards clients, side by side with nginx: servers by name, certificates of clients, variables, errors, sessions."""
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time

import pytest

from weirtest import WEIR, Client, Close, Table, certs, chunked, exchange, get, guide, post, response, run, until

BARE = 'ssl_certificate @certs@/server.pem; ssl_certificate_key @certs@/server.key;'
CERT = 'ssl_protocols TLSv1.2 TLSv1.3; ' + BARE      # nginx 1.22 had no TLS 1.3 unless it was said
OTHER = 'ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate @certs@/other.pem; ssl_certificate_key @certs@/other.key;'


def by(cert=None, **how):
    return lambda: certs.client(cert, verify=False, **how)


# --- requests over TLS -------------------------------------------------------------------------------------------------

plain = Table('server { listen 127.0.0.1:@port@ ssl; server_name example.com; ' + CERT + '''
    location / { proxy_pass http://@backend@; proxy_http_version 1.1; proxy_set_header Connection "";
                 proxy_set_header X-Scheme $scheme; proxy_set_header X-Https $https; }
    location /vars { return 200 "$ssl_protocol|$ssl_server_name|$ssl_session_reused|$ssl_client_verify|$ssl_early_data|$https|$scheme|$server_port"; }
    location /redirect { return 301 /to; }
    location /files/ { alias @root@/; }
}''', files={'big': bytes(range(256)) * 4096, 'small': b'small'})
for version in ('1.2', '1.3'):
    tls = by(versions=version)
    plain.case(f'a request, TLS {version}', get('/a', host='example.com'), tls=tls, sees='GET /a')
    plain.case(f'several on one connection, TLS {version}', get('/a') + get('/b') + post('/c', b'x' * 70000), [200, 200, 200], tls=tls)
    plain.case(f'variables, TLS {version}', get('/vars'), tls=tls)
    plain.case(f'a redirect, TLS {version}', get('/redirect', host='example.com'), 301, tls=tls)
    plain.case(f'a large file, TLS {version}', get('/files/big'), tls=tls)
    plain.case(f'a part of a file, TLS {version}', get('/files/big', 'Range: bytes=100000-300000'), 206, tls=tls)
    plain.case(f'HEAD, TLS {version}', b'HEAD /files/big HTTP/1.1\r\nHost: a\r\n\r\n', tls=tls)
    plain.case(f'a large answer of a back end, TLS {version}', get('/large'), answer=lambda r: response(b'0123456789' * 100000), tls=tls)
    plain.case(f'cut into pieces, TLS {version}', get('/pieces'), tls=tls, pieces=[1, 5, 20], delay=0.02)
plain.case('no name asked for', get('/vars'), tls=by(), tls_name=None)
plain.case('a bad request', b'BAD\r\n\r\n', 400, tls=by())
plain.case('plain HTTP on a TLS port', get('/a'), 400, sees=[])
plain.case('plain HTTP on a TLS port, two requests', get('/a') + get('/b'), 400, sees=[])
plain.case('plain HTTP/1.0 on a TLS port', b'GET / HTTP/1.0\r\n\r\n', 400)
plain.case('garbage on a TLS port', b'\x16\x03\x01\x00\x05hello', None, log=False)
plain.case('an end in the ClientHello', b'\x16\x03\x01\x02\x00\x01', None, half_close=True, log=False)
test_plain = plain.tests()

pages = Table('server { listen 127.0.0.1:@port@ ssl; server_name example.com; ' + CERT + '''
    ssl_client_certificate @certs@/ca.pem; ssl_verify_client on;
    error_page 495 /495; error_page 496 =418 /496; error_page 497 https://$host:99$request_uri;
    location / { return 200 "for you, $ssl_client_s_dn"; }
    location = /495 { internal; return 200 "bad certificate: $ssl_client_verify"; }
    location = /496 { return 418 "no certificate: $ssl_client_verify"; }
}''')
pages.case('497 may redirect', get('/x?y', host='example.com'), 302)
pages.case('496 has a page', get('/'), 418, tls=by())
pages.case('495 has a page', get('/'), 400, tls=by('stranger'))
pages.case('a good certificate', get('/'), 200, tls=by('client'))
test_pages = pages.tests()

# --- servers by name ---------------------------------------------------------------------------------------------------

names = Table('server { listen 127.0.0.1:@port@ ssl; server_name first; ' + CERT + ' return 200 "first $ssl_server_name"; }'
              'server { listen 127.0.0.1:@port@ ssl; server_name exact.test; ' + OTHER + ' return 200 "exact"; }'
              'server { listen 127.0.0.1:@port@ ssl; server_name *.wild.test; ' + OTHER + ' return 200 "wild"; }'
              r'server { listen 127.0.0.1:@port@ ssl; server_name "~^(?<who>\w+)\.re\.test$"; ' + OTHER + ' return 200 "regex $who $1"; }'
              'server { listen 127.0.0.1:@port@ ssl; server_name bare.test; return 200 "no certificate of its own"; }'
              'server { listen 127.0.0.1:@port@ ssl; server_name refuse.test; ssl_reject_handshake on; }')
for name, host in (('exact.test', 'exact.test'), ('EXACT.test', 'exact.TEST'), ('a.b.wild.test', 'a.b.wild.test'),
                   ('joe.re.test', 'joe.re.test'), ('unknown.test', 'unknown.test'), ('exact.test', 'first'),
                   ('first', 'exact.test'), ('bare.test', 'bare.test')):
    names.case(f'asked for {name}, Host {host}', get(host=host), tls=by(), tls_name=name)
test_names = names.tests()


def subject(port, name, **how):
    """The common name of the certificate that a server shows."""
    context = certs.client(verify=False, **how)
    with Client(port, tls=context, name=name) as c:
        text = ssl.DER_cert_to_PEM_cert(c.socket.getpeercert(True))
    out = subprocess.run(['openssl', 'x509', '-noout', '-subject', '-pubkey'], input=text, capture_output=True, text=True, check=True).stdout
    return re.search(r'CN = (\S+)', out)[1], 'RSA' if len(out) > 400 else 'EC'


def test_certificates_by_name(site):
    server = site.server(names.conf)
    for name, want in (('first', 'example.com'), ('exact.test', 'other.test'), ('x.wild.test', 'other.test'),
                       ('joe.re.test', 'other.test'), ('unknown', 'example.com'), (None, 'example.com'), ('bare.test', 'example.com')):
        assert subject(server.port, name)[0] == want, name
    with pytest.raises(ssl.SSLError, match='unrecognized name|UNRECOGNIZED_NAME'):
        Client(server.port, tls=certs.client(verify=False), name='refuse.test')


def test_several_certificates(site):
    """The type of key that the client knows decides."""
    server = site.server('server { listen 127.0.0.1:@port@ ssl; ' + CERT +
                         ' ssl_certificate @certs@/rsa.pem; ssl_certificate_key @certs@/rsa.key; return 200; }')
    assert subject(server.port, 'example.com', versions='1.2', ciphers='ECDHE-RSA-AES128-GCM-SHA256')[1] == 'RSA'
    assert subject(server.port, 'example.com', versions='1.2', ciphers='ECDHE-ECDSA-AES128-GCM-SHA256')[1] == 'EC'


def test_a_verified_chain(site):
    server = site.server('server { listen 127.0.0.1:@port@ ssl; ' + CERT + ' return 200 ok; }')
    assert exchange(server.port, get(), tls=certs.client(), name='example.com')[0].status == 200
    assert exchange(server.port, get(), tls=certs.client(), name='sub.example.com')[0].status == 200
    with pytest.raises(ssl.SSLCertVerificationError):
        Client(server.port, tls=certs.client(), name='wrong.test')


# --- certificates of clients ---------------------------------------------------------------------------------------------

def client_table(verify, more=''):
    table = Table('server { listen 127.0.0.1:@port@ ssl; server_name example.com; ' + CERT +
                  f'ssl_client_certificate @certs@/ca.pem; ssl_verify_client {verify}; {more}' + '''
        location / { return 200 "$ssl_client_verify|$ssl_client_s_dn|$ssl_client_i_dn|$ssl_client_s_dn_legacy|$ssl_client_i_dn_legacy|$ssl_client_serial|$ssl_client_fingerprint|$ssl_client_v_start|$ssl_client_v_end"; }
        location /cert { return 200 "$ssl_client_cert|$ssl_client_raw_cert|$ssl_client_escaped_cert"; }
    }''')
    return table


VERIFY = {'on': {None: 400, 'client': 200, 'stranger': 400, 'revoked': 200},
          'optional': {None: 200, 'client': 200, 'stranger': 400, 'revoked': 200},
          'optional_no_ca': {None: 200, 'client': 200, 'stranger': 200, 'revoked': 200}}


def verify_tests(verify, more='', revoked=200):
    table = client_table(verify, more)
    for cert, status in VERIFY[verify].items():
        for version in ('1.2', '1.3'):
            table.case(f'{cert}, TLS {version}', get(), revoked if cert == 'revoked' else status, tls=by(cert, versions=version))
    table.case('the certificate itself', get('/cert'), 200, tls=by('client'))
    return table.tests()


test_verify_on = verify_tests('on')
test_verify_optional = verify_tests('optional')
test_verify_optional_no_ca = verify_tests('optional_no_ca')
test_verify_crl = verify_tests('on', 'ssl_crl @certs@/crl.pem;', revoked=400)

def test_days_that_remain(site):
    server = site.server('server { listen 127.0.0.1:@port@ ssl; ssl_verify_client on; ssl_client_certificate @certs@/ca.pem; ' + CERT +
                         ' return 200 $ssl_client_v_remain; }')
    assert exchange(server.port, get(), tls=certs.client('client'))[0].text in ('19', '20')


TWO_HOSTS = ('server { listen 127.0.0.1:@port@ ssl; server_name open.test; ' + CERT + ' return 200 open; }'
             'server { listen 127.0.0.1:@port@ ssl; server_name closed.test; ' + CERT +
             ' ssl_client_certificate @certs@/ca.pem; ssl_verify_client on; return 200 closed; }')
hosts = Table(TWO_HOSTS)
hosts.case('a verified host behind the name of another', get(host='closed.test'), 421, tls=by('client'), tls_name='open.test')
hosts.case('a verified host without a name', get(host='closed.test'), 400, tls=by('client'), tls_name=None)
hosts.case('a verified host by its name', get(host='closed.test'), 200, tls=by('client'), tls_name='closed.test')
hosts.case('an open host behind the name of a verified one', get(host='open.test'), 200, tls=by('client'), tls_name='closed.test')
test_hosts = hosts.tests()


@pytest.mark.parametrize('version', ['1.2', '1.3'])
@pytest.mark.parametrize('sessions', ['ssl_session_tickets on;', 'ssl_session_tickets off; ssl_session_cache shared:c:1m;'])
def test_a_session_opens_no_other_host(site, version, sessions):
    """A session of the open host, shown to the host that wants certificates, is no session there."""
    server = site.server(TWO_HOSTS, http=sessions)
    context = certs.client(verify=False, versions=version)
    session = resumable(server.port, context, 'open.test')
    with Client(server.port, tls=context, name='open.test', session=session) as c:
        assert c.ask(get(host='open.test')).text == 'open' and c.socket.session_reused
    with Client(server.port, tls=context, name='closed.test', session=session) as c:
        assert c.ask(get(host='closed.test')).status == 400 and not c.socket.session_reused


@pytest.mark.weir_only('nginx 1.22 resumes it, or refuses the handshake')
@pytest.mark.parametrize('version', ['1.2', '1.3'])
@pytest.mark.parametrize('sessions', ['ssl_session_tickets on;', 'ssl_session_tickets off; ssl_session_cache shared:c:1m;'])
def test_a_session_of_mutual_tls_opens_no_other_host(site, version, sessions):
    """A session that a certificate of one authority has made is none where another is trusted, with one key of tickets and one cache."""
    site.file('key', os.urandom(80))
    server = site.server(''.join('server { listen 127.0.0.1:@port@ ssl; server_name %s.test; ' % ca + CERT +
                                 'ssl_client_certificate @certs@/%s.pem; ssl_verify_client on; return 200 "%s $ssl_client_s_dn"; }' % (ca, ca)
                                 for ca in ('ca', 'ca2')), http=sessions + 'ssl_session_ticket_key @root@/key;')
    context = certs.client('client', verify=False, versions=version)
    session = resumable(server.port, context, 'ca.test')
    with Client(server.port, tls=context, name='ca.test', session=session) as c:
        assert c.ask(get(host='ca.test')).text.startswith('ca CN=client') and c.socket.session_reused
        assert c.ask(get(host='ca2.test')).status == 421
    with Client(server.port, tls=context, name='ca2.test', session=session) as c:
        assert c.ask(get(host='ca2.test')).status == 400 and not c.socket.session_reused


@pytest.mark.parametrize('depth, status', [(0, 400), (1, 200)])
def test_verify_depth(site, depth, status):
    certs.make('between', 'basicConstraints=critical,CA:TRUE')
    certs.make('deep', 'basicConstraints=CA:FALSE', ca='between', chain=['between'])
    server = site.server('server { listen 127.0.0.1:@port@ ssl; ssl_client_certificate @certs@/ca.pem; ssl_verify_client on; '
                         f'ssl_verify_depth {depth}; ' + CERT + ' return 200 $ssl_client_verify; }')
    assert exchange(server.port, get(), tls=certs.client('deep', verify=False))[0].status == status


# --- sessions ------------------------------------------------------------------------------------------------------------

def resumable(port, context, name='example.com'):
    """A session of a first connection, tickets included: they come with the first answer."""
    with Client(port, tls=context, name=name) as c:
        c.ask(get(host=name))
        assert not c.socket.session_reused
        return c.socket.session


def resumes(port, version, times=3, wait=0.0):
    context = certs.client(verify=False, versions=version)
    session = resumable(port, context)
    time.sleep(wait)
    found = []
    for _ in range(times):
        with Client(port, tls=context, session=session) as c:
            assert c.ask(get()).status == 200
            found.append(c.socket.session_reused)
            session = c.socket.session
    return found


SESSIONS = {
    'tickets': ('', [True] * 3),
    'nothing': ('ssl_session_tickets off;', [False] * 3),
    'off': ('ssl_session_tickets off; ssl_session_cache off;', [False] * 3),
    'shared': ('ssl_session_tickets off; ssl_session_cache shared:s:1m;', [True] * 3),
    'builtin': ('ssl_session_tickets off; ssl_session_cache builtin:100;', [True] * 3),
    'both': ('ssl_session_cache shared:s:1m;', [True] * 3),
}


@pytest.mark.parametrize('version', ['1.2', '1.3'])
@pytest.mark.parametrize('kind', SESSIONS)
def test_sessions(site, kind, version):
    text, want = SESSIONS[kind]
    server = site.server('server { listen 127.0.0.1:@port@ ssl; ' + CERT + text + ' return 200 $ssl_session_reused; }', workers=1)
    assert resumes(server.port, version) == want


@pytest.mark.weir_only('nginx 1.22 makes keys in each worker')
@pytest.mark.parametrize('version', ['1.2', '1.3'])
@pytest.mark.parametrize('kind', ['tickets', 'shared'])
def test_sessions_of_all_loops(site, kind, version):
    server = site.server('server { listen 127.0.0.1:@port@ ssl; ' + CERT + SESSIONS[kind][0] + ' return 200; }', workers=4)
    assert resumes(server.port, version, 12) == [True] * 12


@pytest.mark.weir_only('nginx makes new keys at a reload')
@pytest.mark.parametrize('version', ['1.2', '1.3'])
@pytest.mark.parametrize('kind', ['tickets', 'shared'])
def test_sessions_outlive_a_reload(site, kind, version):
    server = site.server('server { listen 127.0.0.1:@port@ ssl; ' + CERT + SESSIONS[kind][0] + ' return 200 old; }', workers=2)
    context = certs.client(verify=False, versions=version)
    session = resumable(server.port, context)
    with open(server.conf_path, encoding='latin-1') as f:
        text = f.read()
    with open(server.conf_path, 'w', encoding='latin-1') as f:
        f.write(text.replace('return 200 old', 'return 200 new'))
    server.send_signal(signal.SIGHUP)
    until(lambda: exchange(server.port, get(), tls=context)[0].text == 'new', 'the new configuration')
    with Client(server.port, tls=context, name='example.com', session=session) as c:
        assert c.ask(get()).text == 'new' and c.socket.session_reused


def test_session_timeout(site):
    server = site.server('server { listen 127.0.0.1:@port@ ssl; ssl_session_timeout 1s; ' + CERT + ' return 200; }', workers=1)
    assert resumes(server.port, '1.2', 1) == [True]
    assert resumes(server.port, '1.2', 1, wait=2.5) == [False]


@pytest.mark.parametrize('size', [48, 80])
def test_ticket_keys(site, size):
    """Two servers with one key open each other's tickets; a third with another first key knows the old one, too."""
    for i in range(2):
        site.file(f'key{i}', os.urandom(size))
    conf = 'server {{ listen 127.0.0.1:@port@ ssl; {} ' + CERT + ' return 200; }}'
    one = 'ssl_session_ticket_key @root@/key0;'
    a, b = site.server(conf.format(one)), site.server(conf.format(one))
    c = site.server(conf.format('ssl_session_ticket_key @root@/key1; ' + one))
    d = site.server(conf.format('ssl_session_ticket_key @root@/key1;'))
    context = certs.client(verify=False, versions='1.2')
    session = resumable(a.port, context)
    for server, want in ((b, True), (c, True), (d, False)):
        with Client(server.port, tls=context, session=session) as client:
            client.ask(get())
            assert client.socket.session_reused is want


def test_early_data(site):
    """A request that comes with the first flight is answered before the handshake's end, and says so; the next one does not."""
    request = site.file('request', get('/early', host='example.com'))
    server = site.server('server { listen 127.0.0.1:@port@ ssl; ssl_early_data on; ' + CERT + ' return 200 "[$uri early=$ssl_early_data reused=$ssl_session_reused]"; }',
                         workers=1)
    session = os.path.join(site.directory, 'session')

    def s_client(*arguments, asks):
        with subprocess.Popen(['openssl', 's_client', '-connect', f'127.0.0.1:{server.port}', '-tls1_3', *arguments], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as p:
            time.sleep(0.3)
            return p.communicate(asks, timeout=20)[0].decode('latin-1')
    last = get('/late', 'Connection: close', host='example.com')
    s_client('-sess_out', session, '-ign_eof', asks=last)
    out = s_client('-sess_in', session, '-early_data', request, '-ign_eof', asks=last)
    assert 'Early data was accepted' in out
    assert re.findall(r'\[/(\w+) early=(\w*) reused=(.)\]', out) == [('early', '1', 'r'), ('late', '', 'r')]


# --- records ---------------------------------------------------------------------------------------------------------------

def record_sizes(port, target):
    """Lengths of the records that carry an answer, as they are on the wire."""
    incoming, outgoing, seen = ssl.MemoryBIO(), ssl.MemoryBIO(), b''
    tls = certs.client(verify=False, versions='1.3').wrap_bio(incoming, outgoing, server_hostname='example.com')
    with socket.create_connection(('127.0.0.1', port)) as s:
        def step(what):
            nonlocal seen
            while True:
                try:
                    got = what()
                    s.sendall(outgoing.read())
                    return got
                except ssl.SSLWantReadError:
                    s.sendall(outgoing.read())
                    data = s.recv(1 << 20)
                    seen += data
                    incoming.write(data) if data else incoming.write_eof()
        step(tls.do_handshake)
        seen = b''
        step(lambda: tls.write(get(target, 'Connection: close')))
        body = b''
        while True:
            try:
                data = step(lambda: tls.read(1 << 20))
            except ssl.SSLZeroReturnError:
                data = b''
            if not data:
                break
            body += data
    sizes, at = [], 0
    while at + 5 <= len(seen):
        kind, length = seen[at], int.from_bytes(seen[at + 3:at + 5], 'big')
        assert kind == 23
        sizes.append(length)
        at += 5 + length
    assert at == len(seen)
    return sizes, body


BIG = {'big': bytes(range(256)) * 1024}


@pytest.mark.parametrize('size', [1000, 4096, 16384])
def test_buffer_size(site, size):
    """Records hold as many plain bytes as ssl_buffer_size says, and no more."""
    site.file('big', BIG['big'])
    server = site.server('server { listen 127.0.0.1:@port@ ssl; ssl_buffer_size %d; ' % size + CERT + ' root @root@; }')
    sizes, body = record_sizes(server.port, '/big')
    assert body.endswith(BIG['big'])
    assert max(sizes) == size + 17
    assert len([n for n in sizes if n == size + 17]) >= len(BIG['big']) // size - 1


def test_padded_records(site):
    site.file('big', BIG['big'][:20000])
    server = site.server('server { listen 127.0.0.1:@port@ ssl; ssl_conf_command RecordPadding 512; ssl_buffer_size 4000; ' + CERT + ' root @root@; }')
    sizes, body = record_sizes(server.port, '/big')
    assert body.endswith(BIG['big'][:20000]) and all((n - 16) % 512 == 0 for n in sizes)


@pytest.mark.weir_only('nginx makes records of one size')
def test_records_grow(site):
    site.file('big', BIG['big'])
    server = site.server('server { listen 127.0.0.1:@port@ ssl; ' + CERT + ' root @root@; }')
    sizes, body = record_sizes(server.port, '/big')
    assert body.endswith(BIG['big'])
    small = [n for n in sizes if n <= 1400 + 17]
    assert sizes[1] <= 1400 + 17 and max(sizes) == 16384 + 17 and 10 <= len(small) <= 16


def test_keys_change(site):
    """RFC 8446 4.6.3: new keys, of one side and of both."""
    server = site.server('server { listen 127.0.0.1:@port@ ssl; ' + CERT + ' return 200 "[$uri]"; }')
    with subprocess.Popen(['openssl', 's_client', '-connect', f'127.0.0.1:{server.port}', '-tls1_3'], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as p:
        os.set_blocking(p.stdout.fileno(), False)
        out = b''

        def says(what):
            nonlocal out
            out += p.stdout.read() or b''
            return what in out

        def send(what):
            p.stdin.write(what)
            p.stdin.flush()
        until(lambda: says(b'Verify return code'), 'the handshake')
        for i, key in enumerate((b'k', b'K', b'K', b'k')):
            send(get(f'/{i}', host='x'))
            until(lambda: says(b'[/%d]' % i), 'the answer')
            send(key + b'\n')
            time.sleep(0.3)      # a command is one that comes alone
        send(get('/last', 'Connection: close', host='x'))
        until(lambda: says(b'[/last]'), 'the last answer')
        p.stdin.close()
        err = p.stderr.read()
    assert re.findall(rb'\[/(\w+)\]', out) == [b'0', b'1', b'2', b'3', b'last']
    assert err.count(b'KEYUPDATE') == 4, err


@pytest.mark.parametrize('version', ['1.2', '1.3'])
def test_the_end_is_said(site, version):
    """close_notify comes behind the last answer, whatever its framing, and before the end of the connection."""
    server = site.server('server { listen 127.0.0.1:@port@ ssl; ' + CERT + ' location / { proxy_pass http://@backend@; } location /here { return 200 here; } }')
    site.backend().answer = lambda r: chunked(b'some', b'more') if r.target == '/chunked' else response(b'x' * 300000)
    for target in ('/here', '/chunked', '/large'):
        for head in (b'GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n', b'GET %s HTTP/1.0\r\n\r\n'):
            with Client(server.port, tls=certs.client(versions=version, verify=False)) as c:
                c.send(head % target.encode())
                assert c.read_to_end().startswith(b'HTTP/1.1 200') and c.ended == 'eof'


# --- what may be negotiated --------------------------------------------------------------------------------------------------

def negotiated(port, name='example.com', **how):
    with Client(port, tls=certs.client(verify=False, **how), name=name) as c:
        return c.socket.version(), c.socket.cipher()[0], c.socket.selected_alpn_protocol()


def test_protocols_and_ciphers(site):
    server = site.server('server { listen 127.0.0.1:@port@ ssl; ssl_protocols TLSv1.2; ssl_prefer_server_ciphers on;'
                         'ssl_ciphers ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384; ' + BARE + ' return 200; }')
    assert negotiated(server.port)[:2] == ('TLSv1.2', 'ECDHE-ECDSA-CHACHA20-POLY1305')
    with pytest.raises(ssl.SSLError):
        negotiated(server.port, versions='1.3')
    with pytest.raises(ssl.SSLError):
        negotiated(server.port, versions='1.2', ciphers='ECDHE-ECDSA-AES128-GCM-SHA256')
    server.wait_error('info', r'SSL_do_handshake\(\) failed \(SSL: error:0A0000C1:SSL routines::no shared cipher\) while SSL handshaking, '
                              r'client: 127\.0\.0\.1, server: 127\.0\.0\.1:')


@pytest.mark.parametrize('prefer, chosen', [('on', 'ECDHE-ECDSA-AES256-GCM-SHA384'), ('off', 'ECDHE-ECDSA-AES128-GCM-SHA256')])
def test_prefer_server_ciphers(site, prefer, chosen):
    server = site.server(f'server {{ listen 127.0.0.1:@port@ ssl; ssl_prefer_server_ciphers {prefer};'
                         'ssl_ciphers ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256; ' + CERT + ' return 200; }')
    both = 'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384'
    assert negotiated(server.port, versions='1.2', ciphers=both)[1] == chosen


def test_dhparam(site):
    path = site.file('dh.pem')
    subprocess.run(['openssl', 'genpkey', '-genparam', '-algorithm', 'DH', '-pkeyopt', 'group:ffdhe2048', '-out', path], check=True, capture_output=True)
    rsa = 'ssl_certificate @certs@/rsa.pem; ssl_certificate_key @certs@/rsa.key; ssl_ciphers HIGH;'
    server = site.server('server { listen 127.0.0.1:@port@ ssl; ssl_dhparam @root@/dh.pem; ' + rsa + ' return 200; }'
                         'server { listen 127.0.0.1:@port2@ ssl; ' + rsa + ' return 200; }')
    cipher = 'DHE-RSA-AES128-GCM-SHA256'
    assert negotiated(server.port, versions='1.2', ciphers=cipher)[1] == cipher
    with pytest.raises(ssl.SSLError):
        negotiated(server.names['port2'], versions='1.2', ciphers=cipher)


@pytest.mark.weir_only('in nginx 1.22 the default server decides about versions')
def test_protocols_by_name(site):
    server = site.server('server { listen 127.0.0.1:@port@ ssl; server_name old.test; ssl_protocols TLSv1.2; ' + BARE + '}'
                         'server { listen 127.0.0.1:@port@ ssl; server_name new.test; ssl_protocols TLSv1.3; ' + BARE + '}')
    assert negotiated(server.port, 'old.test')[0] == 'TLSv1.2'
    assert negotiated(server.port, 'new.test')[0] == 'TLSv1.3'


def test_alpn(site):
    server = site.server('server { listen 127.0.0.1:@port@ ssl; ' + CERT + ' return 200 $ssl_alpn_protocol; }')
    assert negotiated(server.port, alpn=['http/1.1'])[2] == 'http/1.1'
    assert negotiated(server.port, alpn=['other', 'http/1.0'])[2] == 'http/1.0'
    assert negotiated(server.port)[2] is None
    with pytest.raises(ssl.SSLError, match='no application protocol|NO_APPLICATION_PROTOCOL'):
        negotiated(server.port, alpn=['nothing/9'])


def test_conf_command_and_curves(site):
    server = site.server('server { listen 127.0.0.1:@port@ ssl; ssl_ecdh_curve secp384r1; ssl_conf_command Ciphersuites TLS_CHACHA20_POLY1305_SHA256;'
                         + CERT + ' return 200 $ssl_cipher/$ssl_protocol; }')
    answer = exchange(server.port, get(), tls=certs.client(verify=False, versions='1.3'))[0]
    assert answer.text == 'TLS_CHACHA20_POLY1305_SHA256/TLSv1.3'


@pytest.mark.weir_only('newer than nginx 1.22')
def test_new_variables(site):
    server = site.server('server { listen 127.0.0.1:@port@ ssl; ssl_verify_client optional; ssl_client_certificate @certs@/ca.pem; ssl_ecdh_curve secp384r1:X25519; ' + CERT +
                         ' return 200 "$ssl_curve|$ssl_alpn_protocol|$ssl_sigalg|$ssl_client_sigalg|$ssl_curves|$ssl_ciphers"; }')
    context = certs.client('client', verify=False, versions='1.3', alpn=['http/1.1'])
    curve, alpn, sigalg, client, curves, ciphers = exchange(server.port, get(), tls=context)[0].text.split('|')
    assert curve in ('secp384r1', 'X25519') and alpn == 'http/1.1'
    assert 'X25519' in curves.split(':') and 'secp384r1' in curves.split(':')
    assert 'TLS_AES_256_GCM_SHA384' in ciphers.split(':') and all(re.fullmatch(r'[\w-]+', c) for c in ciphers.split(':'))
    assert sigalg and client


def test_encrypted_keys(site):
    server = site.server('server { listen 127.0.0.1:@port@ ssl; ssl_certificate @certs@/server.pem; ssl_certificate_key @certs@/encrypted.key;'
                         'ssl_password_file @certs@/passwords; return 200 ok; }')
    assert exchange(server.port, get(), tls=certs.client())[0].text == 'ok'


def data(name):
    with open(certs.path(name), encoding='ascii') as f:
        return '"data:' + f.read() + '"'


def test_data_certificates(site):
    conf = f'server {{ listen 127.0.0.1:@port@ ssl; ssl_certificate {data("server.pem")}; ssl_certificate_key {data("server.key")}; return 200 ok; }}'
    server = site.server(conf)
    assert exchange(server.port, get(), tls=certs.client())[0].text == 'ok'


# --- certificates by variables, and files that change ------------------------------------------------------------------------

def test_variables_in_names(site):
    shutil.copy(certs.path('server.pem'), os.path.join(site.root, 'example.com.pem'))
    shutil.copy(certs.path('server.key'), os.path.join(site.root, 'example.com.key'))
    shutil.copy(certs.path('other.pem'), os.path.join(site.root, 'other.test.pem'))
    shutil.copy(certs.path('other.key'), os.path.join(site.root, 'other.test.key'))
    server = site.server('server { listen 127.0.0.1:@port@ ssl; ssl_certificate @root@/$ssl_server_name.pem;'
                         'ssl_certificate_key @root@/$ssl_server_name.key; return 200 "$ssl_server_name"; }')
    for _ in range(3):
        assert subject(server.port, 'example.com')[0] == 'example.com'
        assert subject(server.port, 'other.test')[0] == 'other.test'
    with pytest.raises((ssl.SSLError, ConnectionError)):
        subject(server.port, 'unknown.test')
    server.wait_error('error', r'cannot load certificate ".*/unknown\.test\.pem": BIO_new_file\(\) failed')
    # Without ssl_certificate_cache a changed file counts at once.
    shutil.copy(certs.path('other.pem'), os.path.join(site.root, 'example.com.pem'))
    shutil.copy(certs.path('other.key'), os.path.join(site.root, 'example.com.key'))
    assert subject(server.port, 'example.com')[0] == 'other.test'


@pytest.mark.weir_only('newer than nginx 1.22')
def test_certificate_cache(site):
    shutil.copy(certs.path('server.pem'), os.path.join(site.root, 'a.pem'))
    shutil.copy(certs.path('server.key'), os.path.join(site.root, 'a.key'))
    server = site.server('server { listen 127.0.0.1:@port@ ssl; ssl_certificate_cache max=10 valid=1h inactive=1h; '
                         'ssl_certificate @root@/$ssl_server_name.pem; ssl_certificate_key @root@/$ssl_server_name.key; }')
    assert subject(server.port, 'a')[0] == 'example.com'
    os.unlink(os.path.join(site.root, 'a.pem'))
    assert subject(server.port, 'a')[0] == 'example.com'


@pytest.mark.weir_only('nginx reads certificates again only at a reload')
def test_files_that_change(site):
    for name in ('server', 'other'):
        for end in ('pem', 'key'):
            shutil.copy(certs.path(f'{name}.{end}'), os.path.join(site.root, f'{name}.{end}'))
    server = site.server('server { listen 127.0.0.1:@port@ ssl; ssl_certificate @root@/server.pem; ssl_certificate_key @root@/server.key; return 200; }')
    assert subject(server.port, None)[0] == 'example.com'
    os.replace(os.path.join(site.root, 'other.pem'), os.path.join(site.root, 'server.pem'))
    time.sleep(1.2)
    subject(server.port, None)
    server.wait_error('error', r'key values mismatch')     # half of a renewal: the old pair stays
    assert subject(server.port, None)[0] == 'example.com'
    os.replace(os.path.join(site.root, 'other.key'), os.path.join(site.root, 'server.key'))
    time.sleep(1.2)
    until(lambda: subject(server.port, None)[0] == 'other.test', 'the new certificate')
    server.wait_error('notice', r'certificates .* have changed')


@pytest.mark.weir_only('of the commercial nginx')
@pytest.mark.parametrize('version', ['1.2', '1.3'])
def test_key_log(site, version):
    server = site.server('server { listen 127.0.0.1:@port@ ssl; ssl_key_log @dir@/keys; ' + CERT + ' return 200 $ssl_protocol; }')
    assert exchange(server.port, get(), tls=certs.client(versions=version), name='example.com')[0].text == 'TLSv' + version
    want = r'CLIENT_RANDOM [0-9a-f]{64} [0-9a-f]{96}' if version == '1.2' else r'CLIENT_TRAFFIC_SECRET_0 [0-9a-f]{64} [0-9a-f]{64,96}'
    path = server.directory + '/keys'

    def written():
        if not os.path.exists(path):
            return False
        with open(path, encoding='ascii') as f:
            return re.search('^' + want + '$', f.read(), re.M)
    until(written, 'keys in the log')
    assert os.stat(path).st_mode & 0o077 == 0, 'nobody else may read it'


def test_certificate_compression_is_accepted(tmp_path):
    conf = tmp_path / 'nginx.conf'
    text = (BARE + 'ssl_certificate_compression on;').replace('@certs@', certs.directory())
    conf.write_text(f'pid {tmp_path}/pid; error_log {tmp_path}/log; events {{ }} http {{ access_log off; server {{ listen 1 ssl; {text} }} }}')
    out = run('-t', '-c', str(conf), binary=WEIR)
    assert out.returncode == 0 and '"ssl_certificate_compression" ignored' in out.stderr


# --- OCSP stapling -------------------------------------------------------------------------------------------------------------

def stapled(port):
    """What s_client says of the OCSP response that came with a handshake."""
    out = subprocess.run(['openssl', 's_client', '-connect', f'127.0.0.1:{port}', '-servername', 'example.com', '-status', '-CAfile',
                          certs.path('ca.pem')], input='', capture_output=True, text=True, timeout=20, check=False).stdout
    if 'OCSP response: no response sent' in out:
        return None
    return re.search(r'Cert Status: (\w+)', out)[1]


def test_stapling(site):
    port = site.port()
    responder = certs.Responder(port)
    try:
        server = site.server('server { listen 127.0.0.1:@port@ ssl; ssl_stapling on; ssl_stapling_verify on; ssl_trusted_certificate @certs@/ca.pem; '
                             f'ssl_stapling_responder http://127.0.0.1:{port}/; ' + CERT + ' return 200; }')
        until(lambda: stapled(server.port) == 'good', 'a stapled response')
    finally:
        responder.stop()
    assert stapled(server.port) == 'good', 'it is kept'


def test_stapling_by_the_url_of_the_certificate(site):
    port = site.port()
    certs.make('stapled', f'subjectAltName=DNS:example.com\nauthorityInfoAccess=OCSP;URI:http://127.0.0.1:{port}/')
    with certs.Responder(port, index='index.ca'):
        server = site.server('server { listen 127.0.0.1:@port@ ssl; ssl_stapling on; ssl_trusted_certificate @certs@/ca.pem; ssl_certificate @certs@/stapled.pem;'
                             'ssl_certificate_key @certs@/stapled.key; return 200; }', http='resolver 127.0.0.1;')
        until(lambda: stapled(server.port) == 'good', 'a stapled response')


@pytest.mark.parametrize('verify, want', [('on', None), ('off', 'good')])
def test_stapling_verify(site, verify, want):
    """With ssl_stapling_verify the signer must come from somebody who is trusted."""
    port = site.port()
    with certs.Responder(port, signer='ca2'):
        server = site.server(f'server {{ listen 127.0.0.1:@port@ ssl; ssl_stapling on; ssl_stapling_verify {verify}; ssl_trusted_certificate @certs@/ca.pem; '
                             f'ssl_stapling_responder http://127.0.0.1:{port}/; ' + CERT + ' return 200; }')
        if want:
            until(lambda: stapled(server.port) == want, 'a stapled response')
        else:
            assert stapled(server.port) is None
            server.wait_error('error', r'OCSP')
            assert stapled(server.port) is None


def test_stapling_file(site):
    file = certs.ocsp_response('server')
    server = site.server('server { listen 127.0.0.1:@port@ ssl; ssl_stapling on; ssl_trusted_certificate @certs@/ca.pem; '
                         f'ssl_stapling_file {file}; ' + CERT + ' return 200; }')
    until(lambda: stapled(server.port) == 'good', 'the file to be stapled')


@pytest.mark.weir_only('nginx staples whatever the file holds')
def test_stapling_of_another_certificate(site):
    file = certs.ocsp_response('revoked')
    server = site.server('server { listen 127.0.0.1:@port@ ssl; ssl_stapling on; ssl_trusted_certificate @certs@/ca.pem; '
                         f'ssl_stapling_file {file}; ' + CERT + ' return 200; }')
    assert stapled(server.port) is None
    server.wait_error('error', r'no OCSP response is stapled to certificate ".*server\.pem": it is about another certificate')
    assert stapled(server.port) is None


def test_stapling_without_a_responder(site):
    """A dead responder holds up nobody, and is told once."""
    server = site.server('server { listen 127.0.0.1:@port@ ssl; ssl_stapling on; ssl_trusted_certificate @certs@/ca.pem; '
                         f'ssl_stapling_responder http://@dead@/; ' + CERT + ' return 200; }')
    assert [stapled(server.port) for _ in range(3)] == [None] * 3
    server.wait_error('error', r'OCSP' if WEIR.endswith('nginx') else r'no OCSP response is stapled .*: the responder did not answer \(responder http://127')


@pytest.mark.parametrize('text', ['ssl_stapling on;', 'ssl_stapling on; ssl_trusted_certificate @certs@/ca.pem;'])
def test_stapling_warnings(tmp_path, text):
    conf = tmp_path / 'nginx.conf'
    text = (text + BARE).replace('@certs@', certs.directory())
    conf.write_text(f'pid {tmp_path}/pid; error_log {tmp_path}/log; events {{ }} http {{ access_log off; server {{ listen 1 ssl; {text} }} }}')
    seen = []
    for binary in ('/usr/sbin/nginx', WEIR):
        out = run('-t', '-c', str(conf), binary=binary)
        assert out.returncode == 0
        seen.append([re.sub(r' in \S+:\d+$', '', re.sub(r'^.*\[warn\] (\d+#\d+: )?', '', line)) for line in out.stderr.splitlines() if '[warn]' in line])
    assert seen[1] == seen[0] and len(seen[0]) == 1


# --- clients that misbehave ----------------------------------------------------------------------------------------------------

def test_cut_handshakes(site):
    """A handshake that ends at each of its bytes leaves nothing."""
    server = site.server('server { listen 127.0.0.1:@port@ ssl; ' + CERT + ' return 200; }')
    assert exchange(server.port, get(), tls=certs.client())[0].status == 200
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        certs.client(verify=False).wrap_bio(incoming, outgoing, server_hostname='example.com').do_handshake()
    except ssl.SSLWantReadError:
        pass
    hello = outgoing.read()
    before = server.settled_descriptors()
    for at in range(0, len(hello), 7):
        c = Client(server.port)
        c.send_raw(hello[:at])
        c.close()
    for at in range(0, len(hello), 11):        # changed bytes
        c = Client(server.port)
        c.send_raw(hello[:at] + bytes([hello[at] ^ 0x55]) + hello[at + 1:])
        c.shutdown_write()
        c.read_to_end()
        c.close()
    until(lambda: server.descriptors() <= before, f'descriptors to go back to {before}')
    server.stop()
    assert not [line for line in server.errors() if line.level in ('error', 'crit', 'alert', 'emerg')]


def test_handshake_timeout(site):
    server = site.server('server { listen 127.0.0.1:@port@ ssl; client_header_timeout 300ms; ' + CERT + ' return 200; }')
    with Client(server.port) as c:
        c.send_raw(b'\x16\x03\x01\x02\x00\x01')
        assert c.read_to_end() == b'' and c.ended == 'eof'
    server.wait_error('info', r'client timed out .*while SSL handshaking')


def test_a_close_is_announced(site):
    """close_notify before the end, so that an answer without a length cannot be cut unseen."""
    server = site.server('server { listen 127.0.0.1:@port@ ssl; ' + CERT + ' location / { proxy_pass http://@backend@; proxy_buffering off; } }')
    site.backend().answer = lambda r: [response(b'until the end', length=False), Close()]
    with Client(server.port, tls=certs.client(), name='example.com') as c:
        c.send(b'GET / HTTP/1.0\r\n\r\n')
        assert c.response().text == 'until the end' and c.ended == 'eof'


def test_a_slow_reader(site):
    """A client whose socket is full most of the time gets every byte."""
    body = os.urandom(1 << 20) * 2
    site.file('body', body)
    server = site.server('server { listen 127.0.0.1:@port@ ssl; ' + CERT + ' root @root@; }')
    with Client(server.port, tls=certs.client(), name='example.com', room=16384) as c:
        c.send(b'GET /body HTTP/1.0\r\n\r\n')
        for _ in range(10):
            c.receive()
            time.sleep(0.02)
        assert c.read_to_end().endswith(body) and c.ended == 'eof'


# --- configuration ------------------------------------------------------------------------------------------------------------------

BAD = {
    'no certificate': 'listen 1 ssl;',
    'no key': 'listen 1 ssl; ssl_certificate @certs@/server.pem;',
    'no key for the second': 'listen 1; ' + BARE + 'ssl_certificate @certs@/rsa.pem;',
    'no such certificate': 'listen 1 ssl; ssl_certificate @certs@/none.pem; ssl_certificate_key @certs@/server.key;',
    'no such key': 'listen 1 ssl; ssl_certificate @certs@/server.pem; ssl_certificate_key @certs@/none.key;',
    'a key as a certificate': 'listen 1 ssl; ssl_certificate @certs@/server.key; ssl_certificate_key @certs@/server.key;',
    'a certificate as a key': 'listen 1 ssl; ssl_certificate @certs@/server.pem; ssl_certificate_key @certs@/server.pem;',
    'a key of another': 'listen 1 ssl; ssl_certificate @certs@/server.pem; ssl_certificate_key @certs@/other.key;',
    'bad ciphers': 'listen 1 ssl; ssl_ciphers NOPE; ' + BARE,
    'bad curves': 'listen 1 ssl; ssl_ecdh_curve NOPE; ' + BARE,
    'bad protocol': 'listen 1 ssl; ssl_protocols NOPE; ' + BARE,
    'bad command': 'listen 1 ssl; ssl_conf_command Nope x; ' + BARE,
    'bad dhparam': 'listen 1 ssl; ssl_dhparam @certs@/server.pem; ' + BARE,
    'no dhparam': 'listen 1 ssl; ssl_dhparam @certs@/none; ' + BARE,
    'verify without authority': 'listen 1 ssl; ssl_verify_client on; ' + BARE,
    'an empty authority': 'listen 1 ssl; ssl_client_certificate @certs@/server.key; ssl_verify_client on; ' + BARE,
    'bad session cache': 'listen 1 ssl; ssl_session_cache nope; ' + BARE,
    'session cache without size': 'listen 1 ssl; ssl_session_cache shared:x; ' + BARE,
    'small session cache': 'listen 1 ssl; ssl_session_cache shared:x:10; ' + BARE,
    'bad ticket key': 'listen 1 ssl; ssl_session_ticket_key @certs@/server.key; ' + BARE,
    'no passwords': 'listen 1 ssl; ssl_password_file @certs@/none; ' + BARE,
    'bad data': 'listen 1 ssl; ssl_certificate data:nope; ssl_certificate_key @certs@/server.key;',
}


def said(text):
    """The first error, without the place (which nginx gives at the end of the block in some)."""
    first = [line for line in text.splitlines() if '[emerg]' in line][0]
    first = re.sub(r'^.*\[emerg\] (\d+#\d+: )?', '', first)
    return re.sub(r' in \S+:\d+$', '', first)


@pytest.mark.parametrize('name', BAD)
def test_bad_configuration(tmp_path, name):
    text = BAD[name].replace('@certs@', certs.directory())
    conf = tmp_path / 'nginx.conf'
    conf.write_text(f'pid {tmp_path}/pid; error_log {tmp_path}/log; events {{ }} http {{ access_log off; server {{ {text} }} }}')
    nginx = run('-t', '-c', str(conf), binary='/usr/sbin/nginx')
    weir = run('-t', '-c', str(conf), binary=WEIR)
    assert nginx.returncode == 1 and weir.returncode == 1, weir.stderr
    assert said(weir.stderr) == said(nginx.stderr)


GUIDE = guide('09-security-headers.conf', paths={'listen 443': 'listen @port@'})


@pytest.mark.parametrize('how', ['--http1.1', '--http2'])
@pytest.mark.parametrize('path, status', [('/a?b', 200), ('/missing', 404)])
def test_guide_09(site, how, path, status):
    """The guide's security headers by curl: the same fields in both, of good answers and of others, and what is hidden."""
    site.backend().answer = lambda r: response(b'body', 'X-Powered-By: PHP', 'X-AspNet-Version: 4', 'Server: IIS', 'Content-Type: text/plain',
                                               status='200 OK' if r.target == '/a?b' else '404 Not Found')
    seen = []
    for binary in ('/usr/sbin/nginx', WEIR):
        server = site.server('upstream backend { server @backend@; }\n' + GUIDE, binary=binary, http=CERT)
        out = subprocess.run(['curl', '-sS', '-i', how, '--cacert', certs.path('ca.pem'), '--resolve', f'example.com:{server.port}:127.0.0.1',
                              f'https://example.com:{server.port}{path}'], capture_output=True, text=True, timeout=20, check=True).stdout
        lines = [line for line in out.replace('\r', '').splitlines() if not re.match(r'(date|server|etag):', line, re.I)]
        seen.append((lines[0].lower().split()[:2], sorted(line.lower() for line in lines[1:])))
    assert seen[1] == seen[0]
    assert seen[1][0] == ['http/2' if how == '--http2' else 'http/1.1', str(status)]
    fields = '\n'.join(seen[1][1])
    for field in ('strict-transport-security', 'x-frame-options', 'x-content-type-options', 'referrer-policy', 'content-security-policy',
                  'permissions-policy'):
        assert f'{field}: ' in fields
    assert 'x-powered-by' not in fields and 'x-aspnet' not in fields
    received = site.backend().requests[-1]
    assert received.header('X-Forwarded-Proto') == 'https' and received.header('Host') == 'example.com'
