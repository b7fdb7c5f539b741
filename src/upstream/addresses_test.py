"""Back ends that variables name: their connections are kept and shared like those of an upstream block."""
import signal
import threading
import time

import pytest

from weirtest import Client, exchange, get, post, response, until
from weirtest.dns import DnsServer


def connections(backend):
    return len({q.connection for q in backend.requests})


@pytest.mark.weir_only('nginx keeps none for addresses that it learns at run time')
def test_connections_are_kept(site):
    server = site.server('location / { proxy_pass http://$arg_to; }', workers=2)
    one, two = site.backend('one'), site.backend('two')
    for i in range(20):
        assert exchange(server.port, get(f'/{i}?to={one.address}'))[0].text.startswith('one')
        assert exchange(server.port, get(f'/{i}?to={two.address}'))[0].text.startswith('two')
    assert connections(one) == connections(two) == 1


@pytest.mark.weir_only('nginx keeps none for addresses that it learns at run time')
def test_across_a_reload(site):
    server = site.server('location / { proxy_pass http://$arg_to; }')
    one = site.backend('one')
    assert exchange(server.port, get(f'/?to={one.address}'))[0].status == 200
    server.send_signal(signal.SIGHUP)
    server.wait_error("notice", "reconfigur|signal 1 ")
    time.sleep(0.5)
    assert exchange(server.port, get(f'/?to={one.address}'))[0].status == 200
    assert connections(one) == 1


def test_many_addresses(site):
    """More than are remembered: each is answered, and descriptors go back."""
    server = site.server('location / { proxy_pass http://$arg_to; proxy_connect_timeout 1s; }')
    one, nobody = site.backend('one'), site.port()
    with Client(server.port) as c:
        for i in range(400):
            assert c.ask(get(f'/?to=127.1.{i // 200}.{i % 200 + 1}:{nobody}')).status == 502
        assert c.ask(get(f'/?to={one.address}')).status == 200


@pytest.mark.weir_only('nginx keeps none for addresses that it learns at run time')
def test_many_at_once(site):
    site.backend('one', answer=response(b'ok'))
    server = site.server('location / { set $to @one@; proxy_pass http://$to; }', workers=2)
    bad = []

    def client(k):
        with Client(server.port) as c:
            for i in range(100):
                r = c.ask(post(f'/{k}-{i}', b'x') if i % 3 == 0 else get(f'/{k}-{i}'))
                if r.body != b'ok':
                    bad.append(r)
    threads = [threading.Thread(target=client, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not bad and site.backend('one').connections < 200


@pytest.mark.weir_only('nginx keeps connections whatever their local address')
def test_local_addresses_do_not_mix(site):
    """Connections bound to different addresses are not used for each other."""
    seen = {}

    def answer(q):
        seen.setdefault(q.peer, set()).add(q.connection)
        return response(q.peer.encode())
    site.backend(answer=answer)
    server = site.server('location / { proxy_pass http://g; proxy_bind $arg_from; }', http='upstream g { server @backend@; }', workers=2)
    for _ in range(10):
        for address in ('127.0.0.1', '127.0.0.2', '127.0.0.3'):
            assert exchange(server.port, get(f'/?from={address}'))[0].text == address
    until(lambda: sum(len(c) for c in seen.values()) == 3, 'one connection each')


def test_all_addresses_failed_and_came_back(site):
    """A name with two addresses whose servers are both away for a moment: they are asked again at once, as by nginx, and while
    one of them is away the other one gets all requests."""
    dns = DnsServer({'app.test': ['127.0.0.1', '127.0.0.2']}, ttl=60)
    try:
        one = site.backend('one')
        server = site.server(f'resolver {dns.address} ipv6=off; location / {{ set $to app.test:{one.port}; proxy_pass http://$to; proxy_connect_timeout 2s; }}', workers=1)
        for _ in range(6):
            assert exchange(server.port, get('/'))[0].status == 200, '127.0.0.2 refuses, 127.0.0.1 answers'
        one.stop_listening()
        one.close_idle()
        for _ in range(3):
            assert exchange(server.port, get('/'))[0].status == 502
        one.start()
        for _ in range(3):
            assert exchange(server.port, get('/'))[0].status == 200
    finally:
        dns.close()
