"""Clients that go away in the middle of a handshake, over a Unix socket: there what they sent before is still read, so that the server
has something to answer to nobody."""
import socket
import ssl

import pytest

from weirtest import certs, exchange, get, until

CONF = '''server { listen 127.0.0.1:@port@ ssl; listen unix:@dir@/s.sock ssl; ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate @certs@/server.pem;
                   ssl_certificate_key @certs@/server.key; location / { return 200 well; } }'''


def leave(path, version, flights):
    """A handshake that ends behind the client's first or second flight, at once."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = certs.client(verify=False, versions=version).wrap_bio(incoming, outgoing, server_hostname='example.com')
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(15)
        s.connect(path)
        for flight in range(1, 3):
            done = False
            while not done and outgoing.pending == 0:
                try:
                    tls.do_handshake()
                    done = True
                except ssl.SSLWantReadError:
                    if outgoing.pending == 0:
                        data = s.recv(65536)
                        assert data
                        incoming.write(data)
            s.sendall(outgoing.read())
            if flight == flights:
                return


@pytest.mark.parametrize('flights', [1, 2])
@pytest.mark.parametrize('version', ['1.2', '1.3'])
def test_client_leaves_a_handshake(site, version, flights):
    """What the server cannot send ends the connection, and others are served."""
    server = site.server(CONF)
    path = f'{server.directory}/s.sock'
    exchange(server.port, get('/'), tls=certs.client())
    before = server.settled_descriptors()
    for _ in range(10):
        leave(path, version, flights)
    until(lambda: server.descriptors() <= before, f'descriptors to go back to {before}')
    for _ in range(8):
        assert exchange(server.port, get('/'), tls=certs.client())[0].text == 'well'
    for line in server.errors('info'):
        if 'SSL' in line.message and 'peer closed' in line.message:
            assert line.message.startswith('peer closed connection in SSL handshake'), line
