"""The wall clock is set forth and back while a server runs: what names a time follows, what waits for one does not care."""
import email.utils
import os
import socket
import threading
import time

import pytest

from weirtest import Client, UntilClosed, exchange, get, response, until
from weirtest.clock import Clock, available
from weirtest.dns import DnsServer

pytestmark = pytest.mark.skipif(not available(), reason='needs a compiler')
DAY = 86400
JUMPS = [DAY, -DAY, 20 * 365 * DAY, -2 * 365 * DAY, 3600, 0]


@pytest.fixture
def clock(site):
    return Clock(site)


def begin(site, clock, conf, **how):
    with clock:
        return site.server(conf, workers=1, **how)


def date_of(answer):
    return email.utils.parsedate_to_datetime(answer.header('Date')).timestamp()


def test_dates_follow(site, clock):
    """The Date field and the times in both logs name the new time within two seconds, whichever way the clock went."""
    server = begin(site, clock, 'location / { return 200; } location /missing { root @root@; }',
                   http="log_format t '$time_local|$time_iso8601|$msec'; access_log @dir@/t.log t;")
    lines = 0
    for asked, jump in enumerate(JUMPS, 1):
        clock.set(jump)
        want = time.time() + jump
        until(lambda: abs(date_of(exchange(server.port, get('/'))[0]) - time.time() - jump) <= 2, f'the time {jump:+} s off', 5)
        lines = len(server.lines('t.log'))
        assert exchange(server.port, get('/missing'))[0].status == 404
        local, iso, msec = server.wait_lines(lines + 1, 't.log')[-1].split('|')
        assert abs(float(msec) - want) < 10
        assert abs(time.mktime(time.strptime(local[:20], '%d/%b/%Y:%H:%M:%S')) - want) < 10
        assert abs(time.mktime(time.strptime(iso[:19], '%Y-%m-%dT%H:%M:%S')) - want) < 10
        line = until(lambda: [e for e in server.errors('error') if 'missing' in e.message][asked - 1:], 'a line of the error log')[-1]
        assert abs(time.mktime(time.strptime(line.text[:19], '%Y/%m/%d %H:%M:%S')) - want) < 10


@pytest.mark.parametrize('jump', [DAY, -DAY])
def test_timeouts_do_not_care(site, clock, jump):
    """keepalive_timeout, client_header_timeout, proxy_read_timeout: not over at once, and not a day later."""
    site.backend(answer=[b'', UntilClosed()])
    server = begin(site, clock, 'keepalive_timeout 2s; client_header_timeout 2s; '
                                'location / { return 200; } location /slow { proxy_pass http://@backend@; proxy_read_timeout 2s; }')
    with Client(server.port) as idle, Client(server.port) as half, Client(server.port) as slow:
        assert idle.ask(get('/')).status == 200
        half.send(b'GET / HTTP/1.1\r\n')
        slow.send(get('/slow'))
        site.backend().wait_requests(1)
        start = time.monotonic()
        clock.set(jump)
        for c in (idle, half, slow):
            c.socket.settimeout(1)
            with pytest.raises(TimeoutError):
                c.socket.recv(1)
            c.socket.settimeout(15)
            if c is idle:
                assert exchange(server.port, get('/'))[0].status == 200    # the server has looked at its clock
                break
        assert slow.response().status == 504
        idle.wait_closed()
        half.read_to_end()
        assert 1.5 < time.monotonic() - start < 8


@pytest.mark.parametrize('jump', [DAY, -DAY])
def test_limits_do_not_care(site, clock, jump):
    """Who has used up his rate has done so with another date too; and it comes back in its time."""
    server = begin(site, clock, """limit_req_zone $binary_remote_addr zone=slow:1m rate=1r/m;
        limit_req_zone $binary_remote_addr zone=fast:1m rate=2r/s;
        server { listen 127.0.0.1:@port@; root @root@; location /slow { limit_req zone=slow; } location /fast { limit_req zone=fast; }
                 location = / { return 200; } }""")

    def status(path):
        return exchange(server.port, get(path))[0].status
    assert [status('/slow'), status('/fast')] == [404, 404]
    clock.set(jump)
    until(lambda: abs(date_of(exchange(server.port, get('/'))[0]) - time.time() - jump) <= 2, 'the new time')
    assert status('/slow') == 503
    until(lambda: status('/fast') == 404, 'the rate to come back', 5)


@pytest.mark.weir_only('open source nginx 1.22 resolves names again only through variables')
@pytest.mark.parametrize('jump', [DAY, -DAY])
def test_names_are_resolved_again(site, clock, jump):
    """The TTL of an answer is over when it is over."""
    site.backend('one', answer=lambda q: response('one'))
    site.backend('two', answer=lambda q: response('two'))
    port = site.port()
    dns = DnsServer({'a.test': ['127.0.0.1']}, ttl=1)
    server = begin(site, clock, f'resolver {dns.address} ipv6=off valid=1s; location / {{ set $u a.test; proxy_pass http://$u:{port}; }}')
    assert exchange(server.port, get('/'))[0].status == 502     # nobody listens there: but the name was asked for
    clock.set(jump)
    asked = len(dns.queries)

    def again():
        exchange(server.port, get('/'))
        return len(dns.queries) > asked
    until(again, 'another question', 6)
    server.alerts.append('connect')


def test_syslog_comes_back(site, clock):
    """A receiver that was away when the clock was set back gets lines again soon, not when the old time has come."""
    path = f'{site.directory}/log.sock'

    def receiver():
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        s.bind(path)
        os.chmod(path, 0o777)
        s.settimeout(0.2)
        return s
    first = receiver()
    server = begin(site, clock, f'access_log syslog:server=unix:{path},nohostname; location / {{ return 200; }}')
    exchange(server.port, get('/'))
    assert b'GET /' in first.recv(4096)
    first.close()
    os.unlink(path)
    server.alerts.append('syslog|send|connect')
    for _ in range(3):
        exchange(server.port, get('/'))
        time.sleep(0.1)
    clock.set(-DAY)
    second = receiver()

    def heard():
        exchange(server.port, get('/'))
        try:
            return b'GET /' in second.recv(4096)
        except TimeoutError:
            return False
    until(heard, 'a line', 8)
    second.close()


def test_it_jumps_without_pause_under_load(site, clock):
    """Ten clients, a hundred jumps: every request is answered, no connection is lost, and nobody spins afterwards."""
    server = begin(site, clock, 'keepalive_timeout 60s; keepalive_requests 1000000; location / { return 200; }')
    stop, failures, done = threading.Event(), [], [0] * 10

    def ask(i):
        try:
            with Client(server.port) as c:
                while not stop.is_set():
                    assert c.ask(get('/')).status == 200
                    done[i] += 1
        except (OSError, AssertionError, IndexError) as e:
            failures.append(repr(e))
    threads = [threading.Thread(target=ask, args=(i,), daemon=True) for i in range(10)]
    for t in threads:
        t.start()
    for i in range(100):
        clock.set(JUMPS[i % len(JUMPS)])
        time.sleep(0.01)
    clock.set(0)
    stop.set()
    for t in threads:
        t.join(20)
    assert failures == [] and min(done) > 0
    worker = server.workers()[0]

    def ticks():
        with open(f'/proc/{worker}/stat') as f:
            fields = f.read().rpartition(')')[2].split()
        return int(fields[11]) + int(fields[12])
    before = ticks()
    time.sleep(1)
    assert ticks() - before <= 20       # of 100
