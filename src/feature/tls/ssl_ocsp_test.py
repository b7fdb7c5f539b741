"""ssl_ocsp: clients' certificates and the responders of their authorities, side by side with nginx."""
import pytest

from weirtest import Client, Close, Pause, Verdicts, certs, exchange, get, response

SERVER = ('server { listen 127.0.0.1:@port@ ssl; ssl_certificate @certs@/server.pem; ssl_certificate_key @certs@/server.key;'
          'ssl_protocols TLSv1.2 TLSv1.3; ssl_verify_client on; ssl_client_certificate @certs@/ca.pem; ssl_verify_depth 3; %s'
          'error_page 495 =200 /495; location = /495 { return 200 "495 $ssl_client_verify"; }'
          'location / { return 200 "$ssl_client_verify $ssl_session_reused"; } }')
GOOD, REVOKED, FAILED = 'SUCCESS .', '495 FAILED:certificate revoked', '495 FAILED:certificate status request failed'


def says(server, cert, **how):
    return exchange(server.port, get(), tls=certs.client(cert, verify=False, **how))[0].text


@pytest.mark.parametrize('version', ['1.2', '1.3'])
def test_verdicts(site, version):
    port = site.port()
    server = site.server(SERVER % f'ssl_ocsp leaf; ssl_ocsp_responder http://127.0.0.1:{port}/;')
    with certs.Responder(port):
        assert says(server, 'client', versions=version) == GOOD
        assert says(server, 'revoked', versions=version) == REVOKED
    assert says(server, 'client', versions=version) == FAILED, 'nothing is kept unless it is said'
    server.wait_error('error', r'Connection refused\) while requesting certificate status, responder: 127\.0\.0\.1')
    server.wait_error('info', r'client SSL certificate verify error: certificate revoked')


def test_cache(site):
    """What a responder said holds for all threads, the bad as well as the good."""
    port = site.port()
    server = site.server(SERVER % f'ssl_ocsp on; ssl_ocsp_cache shared:ocsp:1m; ssl_ocsp_responder http://127.0.0.1:{port}/;', workers=3)
    with certs.Responder(port):
        assert says(server, 'client') == GOOD
        assert says(server, 'revoked') == REVOKED
    for _ in range(4):
        assert says(server, 'client') == GOOD
        assert says(server, 'revoked') == REVOKED


def test_url_of_the_certificate(site):
    port = site.port()
    certs.make('aia', f'authorityInfoAccess=OCSP;URI:http://127.0.0.1:{port}/')
    server = site.server(SERVER % 'ssl_ocsp on;', http='resolver 127.0.0.1;')
    with certs.Responder(port, index='index.ca'):
        assert says(server, 'aia') == GOOD
    assert says(server, 'client') == FAILED
    server.wait_error('error', r'no OCSP responder URL in certificate')


@pytest.mark.xdist_group('ocsp-chains')    # both write the same authority
@pytest.mark.parametrize('mode, verdict', [('on', REVOKED), ('leaf', GOOD)])
def test_chains(site, mode, verdict):
    """An authority in between that was revoked: seen by on, not by leaf."""
    upper, lower = site.port(), site.port()
    certs.make('middle', f'basicConstraints=critical,CA:TRUE\nauthorityInfoAccess=OCSP;URI:http://127.0.0.1:{upper}/', known='revoke')
    certs.make('below', f'authorityInfoAccess=OCSP;URI:http://127.0.0.1:{lower}/', ca='middle', chain=['middle'])
    server = site.server(SERVER % f'ssl_ocsp {mode};', http='resolver 127.0.0.1;')
    with certs.Responder(upper, index='index.ca'), certs.Responder(lower, ca='middle', index='index.middle'):
        assert says(server, 'below') == verdict


@pytest.mark.parametrize('version', ['1.2', '1.3'])
def test_resumed_sessions(site, version):
    """A resumed session is asked about, too."""
    port = site.port()
    server = site.server(SERVER % f'ssl_ocsp on; ssl_ocsp_responder http://127.0.0.1:{port}/;', workers=1)
    context = certs.client('client', verify=False, versions=version)
    with certs.Responder(port):
        with Client(server.port, tls=context) as c:
            assert c.ask(get()).text == GOOD
            session = c.socket.session
        with Client(server.port, tls=context, session=session) as c:
            assert c.ask(get()).text == 'SUCCESS r'
    with Client(server.port, tls=context, session=session) as c:
        assert c.ask(get()).text == FAILED


def answer_of(body, kind='application/ocsp-response', **how):
    return lambda r: [response(body, f'Content-Type: {kind}', **how), Close()]


def der(name):
    with open(certs.ocsp_response(name), 'rb') as f:
        return f.read()


def changed(text):
    at = text.index(b'Z') - 1     # of when it was produced
    return text[:at] + bytes([text[at] ^ 1]) + text[at + 1:]


BAD_ANSWERS = {
    'another status': lambda: answer_of(der('client'), status='500 Oops'),
    'another type': lambda: answer_of(der('client'), 'text/plain'),
    'garbage': lambda: answer_of(b'0\x82garbage' * 100),
    'nothing': lambda: answer_of(b''),
    'cut short': lambda: answer_of(der('client')[:-10]),
    'a changed second': lambda: answer_of(changed(der('client'))),
    'about another': lambda: answer_of(der('revoked')),
    'no HTTP': lambda: lambda r: [b'hello\r\n\r\n', Close()],
    'far too much': lambda: answer_of(b'0' * 300000),
}


@pytest.mark.parametrize('name', BAD_ANSWERS)
def test_bad_answers(site, name):
    site.backend('responder', answer=BAD_ANSWERS[name]())
    server = site.server(SERVER % 'ssl_ocsp leaf; ssl_ocsp_responder http://@responder@/;')
    assert says(server, 'client') == FAILED
    assert site.backend('responder').requests[0].method == 'GET'


def test_a_good_answer_of_any_server(site):
    site.backend('responder', answer=answer_of(der('client')))
    server = site.server(SERVER % 'ssl_ocsp leaf; ssl_ocsp_responder http://@responder@/path;')
    assert says(server, 'client') == GOOD
    assert site.backend('responder').requests[0].target.startswith('/path/')


@pytest.mark.weir_only('nginx waits for the responder to close')
def test_a_responder_that_keeps_its_connection(site):
    site.backend('responder', answer=lambda r: response(der('client'), 'Content-Type: application/ocsp-response'))
    server = site.server(SERVER % 'ssl_ocsp leaf; ssl_ocsp_responder http://@responder@/;')
    assert says(server, 'client') == GOOD


@pytest.mark.weir_only('nginx keeps them until the responder has answered')
def test_a_client_that_goes_away(site):
    """It is not waited for; whoever comes meanwhile is served."""
    site.backend('responder', answer=lambda r: [Pause(1), response(b'')])
    server = site.server(SERVER % 'ssl_ocsp leaf; ssl_ocsp_responder http://@responder@/;', workers=1)
    before = server.settled_descriptors()
    clients = [Client(server.port, tls=certs.client('client', verify=False)) for _ in range(5)]
    for c in clients:
        c.close()
    assert says(server, None).startswith('<html>')
    server.settled_descriptors()
    assert server.descriptors() <= before + 2


def test_no_certificate_and_bad_ones_ask_nobody(site):
    server = site.server(SERVER.replace('verify_client on', 'verify_client optional') % 'ssl_ocsp on; ssl_ocsp_responder http://@dead@/;')
    assert says(server, None) == 'NONE .'
    assert says(server, 'stranger').startswith('495 FAILED:self')
    assert not [line for line in server.errors() if line.level == 'error']


verdicts = Verdicts('events {} http { access_log off; server { listen 1 ssl; ssl_certificate %s; ssl_certificate_key %s; ssl_client_certificate %s; @here@ } }'
                    % (certs.path('server.pem'), certs.path('server.key'), certs.path('ca.pem')))
for text in ('ssl_ocsp maybe;', 'ssl_ocsp on; ssl_verify_client optional_no_ca;', 'ssl_ocsp_cache x;', 'ssl_ocsp_cache shared:x:1k;',
             'ssl_ocsp_cache shared:x;', 'ssl_ocsp_cache off shared:x:1m;', 'ssl_ocsp on; ssl_verify_client on; ssl_ocsp_responder https://x/;',
             'ssl_ocsp on; ssl_verify_client on; ssl_ocsp_responder x;', 'ssl_ocsp on;', 'ssl_ocsp leaf; ssl_verify_client on; ssl_ocsp_cache shared:x:1m;'):
    verdicts.case(text)
test_verdicts_of_configurations = verdicts.tests()
