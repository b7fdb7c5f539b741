"""listen ... proxy_protocol, its variables, and realip by it."""
import socket
import ssl
import struct
import time

import pytest

from weirtest import Client, Table, certs, errors_of_both, exchange, get

SIGNATURE = b'\r\n\r\n\0\r\nQUIT\n'


def v2(kind, body, command=0x21):
    return SIGNATURE + bytes([command, kind]) + struct.pack('>H', len(body)) + body


def four(source='1.2.3.4', destination='5.6.7.8', sport=1000, dport=80):
    return bytes(map(int, source.split('.'))) + bytes(map(int, destination.split('.'))) + struct.pack('>HH', sport, dport)


SIX = bytes.fromhex('20010db8000000000000000000000001' '00000000000000000000000000000001') + struct.pack('>HH', 5, 6)


def tlv(kind, value):
    return bytes([kind]) + struct.pack('>H', len(value)) + value


SAY = ('return 200 "addr=$proxy_protocol_addr port=$proxy_protocol_port saddr=$proxy_protocol_server_addr sport=$proxy_protocol_server_port '
       'remote=$remote_addr realip=$realip_remote_addr";')
LOG = 'request=$request|status=$status|pp=$proxy_protocol_addr|port=$proxy_protocol_port|remote=$remote_addr'
CONF = f'server {{ listen 127.0.0.1:@port@ proxy_protocol; location / {{ {SAY} }} }}'
table = Table(CONF, log=LOG)
real = Table(CONF, http='set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol;', log=LOG)
untrusted = Table(CONF, http='set_real_ip_from 10.0.0.0/8; real_ip_header proxy_protocol;', log=LOG)
GOOD = {
    'tcp4': b'PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n',
    'tcp6': b'PROXY TCP6 2001:db8::1 ::1 1 65535\r\n',
    'unknown': b'PROXY UNKNOWN\r\n',
    'unknown with more': b'PROXY UNKNOWN ff::1 what ever\r\n',
    'v2 tcp4': v2(0x11, four()),
    'v2 tcp6': v2(0x21, SIX),
    'v2 local': v2(0x00, b'', 0x20),
    'v2 local with addresses': v2(0x11, four(), 0x20),
    'v2 unspecified': v2(0x00, b''),
    'v2 unix': v2(0x31, bytes(216)),
    'v2 udp': v2(0x12, four()),
    'v2 with TLVs': v2(0x11, four() + tlv(2, b'host.test') + tlv(4, bytes(100))),
}
for t in (table, real, untrusted):
    for name, header in GOOD.items():
        t.case(name, header + get('/'))
        t.case(f'{name}, two requests', header + get('/a') + get('/b'), [200, 200])
BAD = {
    'none': b'', 'v1 without a word': b'PROXY \r\n', 'v1 port': b'PROXY TCP4 1.2.3.4 1.2.3.4 99999 2\r\n', 'v1 UDP': b'PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n',
    'v1 one port': b'PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n', 'v1 lower case': b'proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n',
    'v2 version': v2(0x11, four(), 0x11), 'v2 cut addresses': v2(0x11, four()[:11]), 'v1 LF': b'PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n',
}
for name, header in BAD.items():
    table.case(f'refused: {name}', header + get('/'), None)
test_plain, test_real, test_untrusted = table.tests(), real.tests(), untrusted.tests()


@pytest.mark.weir_only('nginx wants the header in one piece')
def test_in_pieces(site):
    server = site.server(CONF)
    for header in (GOOD['tcp4'], GOOD['v2 with TLVs']):
        for cut in range(1, len(header) + 20, 7):
            with Client(server.port) as client:
                client.send(header + get('/'), [cut])
                assert client.responses(1)[0].text.startswith('addr=1')
    with Client(server.port) as client:
        for byte in GOOD['tcp6'] + get('/'):
            client.send(bytes([byte]))
        assert 'addr=2001:db8::1 port=1 saddr=::1 sport=65535' in client.responses(1)[0].text


@pytest.mark.weir_only('nginx takes any text of these characters')
def test_addresses_must_be_some(site):
    server = site.server(CONF)
    for header in (b'PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n', b'PROXY TCP4 ::1 ::1 1 2\r\n', b'PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n', b'PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n', b'PROXY UNKNOWN ' + b'x' * 100 + b'\r\n',
                   v2(0x11, four() + b'\x01\xff\xff'), v2(0x41, four()), v2(0x11, four(), 0x22)):
        with Client(server.port) as client:
            client.send(header + get('/'))
            assert client.read_to_end() == b''
        assert server.wait_error('error', 'broken header: ".*" while reading PROXY protocol, client: 127.0.0.1, server: 127.0.0.1:')


@pytest.mark.weir_only('since nginx 1.23.2')
def test_tlvs(site):
    server = site.server('server { listen 127.0.0.1:@port@ proxy_protocol; return 200 "[$proxy_protocol_tlv_authority] [$proxy_protocol_tlv_alpn] '
                         '[$proxy_protocol_tlv_0x05] [$proxy_protocol_tlv_ssl_version] [$proxy_protocol_tlv_ssl_verify] [$proxy_protocol_tlv_ssl_cn] '
                         '[$proxy_protocol_tlv_0xEE] [$proxy_protocol_tlv_nothing] [$proxy_protocol_tlv_ssl_0x23]"; }')
    tls = tlv(0x20, b'\x01\0\0\0\x12' + tlv(0x21, b'TLSv1.3') + tlv(0x22, b'client') + tlv(0x23, b'AES'))
    r = exchange(server.port, v2(0x11, four() + tlv(1, b'h2') + tlv(2, b'host.test') + tlv(5, b'id') + tls + tlv(0xee, b'own')) + get('/'))[0]
    assert r.text == '[host.test] [h2] [id] [TLSv1.3] [18] [client] [own] [] [AES]'
    r = exchange(server.port, v2(0x11, four() + tlv(0x20, b'\x01')) + get('/'))[0]
    assert r.text == '[] [] [] [] [] [] [] [] []'
    r = exchange(server.port, GOOD['tcp4'] + get('/'))[0]
    assert r.text == '[] [] [] [] [] [] [] [] []'


def test_error_log(site):
    nginx, weir = errors_of_both(site, CONF, [b'GET / HTTP/1.1\r\n\r\n'])
    assert nginx == ['error: broken header: "GET / HTTP/1.1']    # nginx writes the line ends as they are
    assert weir == [r'error: broken header: "GET / HTTP/1.1\x0D\x0A\x0D\x0A" while reading PROXY protocol, client: 127.0.0.1, server: 127.0.0.1:@port@']


@pytest.mark.weir_only('nginx waits no longer either, but for its first receive only')
def test_slow_header_times_out(site):
    server = site.server('server { listen 127.0.0.1:@port@ proxy_protocol; client_header_timeout 500ms; return 200; }')
    with Client(server.port) as client:
        client.send(b'PROXY TCP4 1.')
        begun = time.monotonic()
        assert client.read_to_end() == b''
        assert time.monotonic() - begun < 5


@pytest.mark.parametrize('header', (GOOD['tcp4'], GOOD['v2 with TLVs']))
@pytest.mark.parametrize('apart', (True, False))
def test_in_front_of_tls(site, header, apart):
    """The header comes before the handshake, alone or with the ClientHello in one piece."""
    server = site.server('server { listen 127.0.0.1:@port@ ssl proxy_protocol; ssl_certificate @certs@/server.pem; ssl_certificate_key @certs@/server.key; '
                         f'location / {{ return 200 "$proxy_protocol_addr $scheme"; }} }}')
    with socket.create_connection(('127.0.0.1', server.port), timeout=10) as raw:
        if apart:
            raw.sendall(header)
            time.sleep(0.05)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = certs.client(None, verify=False).wrap_bio(incoming, outgoing, server_hostname='example.com')
        first = [b'' if apart else header]

        def until_done(step):
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    data = b''.join(first) + outgoing.read()
                    first.clear()
                    if data:
                        raw.sendall(data)
                    incoming.write(raw.recv(65536))

        until_done(tls.do_handshake)
        tls.write(get('/', 'Connection: close'))
        answer = until_done(lambda: tls.read(65536))
        while b'https' not in answer:
            answer += until_done(lambda: tls.read(65536))
        assert answer.endswith(b'192.0.2.1 https' if header is GOOD['tcp4'] else b'1.2.3.4 https')
