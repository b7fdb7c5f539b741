"""keepalive_min_timeout (nginx 1.27.4): how long a graceful stop leaves idle connections open."""
import signal
import time

import pytest

from weirtest import Client, get


@pytest.mark.weir_only('nginx has it since 1.27.4')
@pytest.mark.parametrize('least, wanted', [('0', (0, 0.9)), ('2s', (1.2, 6))])
def test_graceful_stop(site, least, wanted):
    server = site.server(f'keepalive_timeout 60s; keepalive_min_timeout {least}; location / {{ return 204; }}', workers=1)
    with Client(server.port) as client:
        assert client.ask(get('/')).status == 204
        begin = time.monotonic()
        server.send_signal(signal.SIGQUIT)
        client.read_to_end()
        waited = time.monotonic() - begin
    assert wanted[0] <= waited < wanted[1], waited
    server.wait_exit()
    server.stopped = True
    server.check()


@pytest.mark.weir_only('nginx has it since 1.27.4')
def test_a_request_meanwhile_is_answered(site):
    server = site.server('keepalive_timeout 60s; keepalive_min_timeout 10s; location / { return 200 ok; }', workers=1)
    with Client(server.port) as client:
        assert client.ask(get('/')).status == 200
        server.send_signal(signal.SIGQUIT)
        time.sleep(0.5)
        r = client.ask(get('/'))
        assert r.status == 200 and r.closes()
    server.wait_exit()
    server.stopped = True
    server.check()
