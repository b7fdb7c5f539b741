"""resolver: names of back ends that change, fail, and come back; a DNS server that plays a script."""
import collections
import struct
import time

import pytest

from weirtest import NGINX, Client, exchange, get, run, until
from weirtest.dns import DnsServer


@pytest.fixture
def dns():
    server = DnsServer()
    yield server
    server.close()


def ask(server, target='/', *headers):
    return exchange(server.port, get(target, *headers))[0]


def variable(site, dns, **how):
    """proxy_pass to a name of the request, at the back end's port."""
    port = site.backend().port
    how.setdefault('parameters', '')
    parameters = how.pop('parameters')
    return site.server(f'resolver {dns.address}{parameters}; resolver_timeout 2s; '
                       f'location / {{ set $name $http_x_name; proxy_pass http://$http_x_name:{port}; }}'.replace('set $name $http_x_name; ', ''),
                       **how)


def test_name_of_a_variable(site, dns):
    dns.records.update({'a.test': ['127.0.0.1'], 'alias.test': [('CNAME', 'a.test')], 'gone.test': 'NXDOMAIN', 'bad.test': 'SERVFAIL'})
    server = variable(site, dns)
    assert ask(server, '/x', 'X-Name: a.test').status == 200
    assert site.backend().requests[-1].header('Host') == f'a.test:{site.backend().port}'
    assert ask(server, '/x', 'X-Name: alias.test').status == 200
    assert ask(server, '/x', 'X-Name: A.TEST').status == 200
    assert ask(server, '/x', 'X-Name: gone.test').status == 502
    server.wait_error('error', r'\Agone\.test could not be resolved \(3: Host not found\), client: ')
    assert ask(server, '/x', 'X-Name: bad.test').status == 502
    server.wait_error('error', r'\Abad\.test could not be resolved \(2: Server failure\), client: ')


def test_nginx_says_the_same(site, dns):
    dns.records.update({'a.test': ['127.0.0.1'], 'gone.test': 'NXDOMAIN', 'bad.test': 'SERVFAIL'})
    said = []
    for binary in (NGINX, None):
        server = variable(site, dns, binary=binary, parameters=' ipv6=off', workers=1)    # the lines of two have no order
        statuses = [ask(server, '/x', f'X-Name: {n}.test').status for n in ('a', 'gone', 'bad')]
        until(lambda: len(server.errors('error')) >= 2, 'two errors')
        said.append((statuses, [line.message.partition(', client')[0] for line in server.errors('error')]))
    assert said[1] == said[0]


def test_answers_are_kept_for_their_ttl(site, dns):
    dns.records['a.test'] = ['127.0.0.1']
    dns.ttl = 2
    server = variable(site, dns, workers=2)
    start = time.monotonic()
    for _ in range(30):
        assert ask(server, '/x', 'X-Name: a.test').status == 200
    assert time.monotonic() - start < 1.8, 'the machine is too slow for this test'
    assert sorted(dns.queries) == [('a.test', 'A'), ('a.test', 'AAAA')], 'one question for all threads'
    until(lambda: ask(server, '/x', 'X-Name: a.test') and len(dns.queries) == 4, 'the name to be asked for again')


def test_valid_overrides_the_ttl(site, dns):
    dns.records['a.test'] = ['127.0.0.1']
    dns.ttl = 3600
    server = variable(site, dns, parameters=' valid=1s ipv6=off')
    assert ask(server, '/x', 'X-Name: a.test').status == 200
    until(lambda: ask(server, '/x', 'X-Name: a.test') and len(dns.queries) == 2, 'the name to be asked for again')
    assert set(dns.queries) == {('a.test', 'A')}


def test_ipv6(site, dns):
    dns.records['a.test'] = ['::1']
    server = variable(site, dns)
    assert ask(server, '/x', 'X-Name: a.test').status == 502 # nobody listens there
    server.wait_error('error', r'\Aconnect\(\) failed \(111: Connection refused\).*upstream: "http://\[::1\]:')


def test_last_good_answer_is_kept(site, dns):
    dns.records['a.test'] = ['127.0.0.1']
    server = variable(site, dns)
    assert ask(server, '/x', 'X-Name: a.test').status == 200
    dns.records['a.test'] = 'SERVFAIL'
    asked = len(dns.queries)
    until(lambda: ask(server, '/x', 'X-Name: a.test').status == 200 and len(dns.queries) > asked, 'a new question')
    dns.stop()
    time.sleep(1.1)
    assert ask(server, '/x', 'X-Name: a.test').status == 200
    dns.start()


def test_silent_server_times_out(site, dns):
    dns.records['a.test'] = 'DROP'
    server = variable(site, dns)
    start = time.monotonic()
    assert ask(server, '/x', 'X-Name: a.test').status == 502
    assert 1.8 < time.monotonic() - start < 6
    server.wait_error('error', r'\Aa\.test could not be resolved \(110: Operation timed out\)')
    assert len(dns.queries) > 2, 'it asks again'


def test_second_server_is_asked(site, dns):
    dns.records['a.test'] = ['127.0.0.1']
    port = site.backend().port
    server = site.server(f'resolver @dead@ {dns.address}; location / {{ proxy_pass http://$http_x_name:{port}; }}')
    start = time.monotonic()
    assert ask(server, '/x', 'X-Name: a.test').status == 200
    assert time.monotonic() - start < 3


def test_truncated_answer_comes_over_tcp(site, dns):
    dns.records['a.test'] = 'TRUNCATE'
    dns.behind['a.test'] = ['127.0.0.1']
    server = variable(site, dns)
    assert ask(server, '/x', 'X-Name: a.test').status == 200
    assert ('a.test', 'A') in dns.tcp_queries


def test_hostile_answers(site, dns):
    """Malformed, forged and foreign answers are not believed, and the right one that follows is."""
    question = b'\1a\4test\0\0\1\0\1'
    head = struct.pack('>HHHHHH', 0, 0x8180, 1, 1, 0, 0)
    bad = [b'', b'\0' * 5, head + question + b'\xc0\x17' + b'\0' * 8, head + question + b'\x3f', head[:4] + b'\xff' * 8 + question,
           head + b'\4evil\4test\0\0\1\0\1' + b'\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\1\2\3\4',
           head + question + b'\xc0\x0c\0\1\0\1\0\0\0\x3c\0\x05\1\2\3\4', bytes(range(256)) * 4]
    port = site.backend().port
    server = variable(site, dns, parameters=' ipv6=off')
    for i, message in enumerate(bad):
        name = 'a.test'
        dns.records[name] = [None]
        sent = []
        dns.records[name] = lambda n, t, m=message, s=sent: (s.append(1), m)[1] if not s else ['127.0.0.1']
        assert ask(server, '/x', f'X-Name: {name}').status == 200, i
        time.sleep(1.05) # its TTL
    assert port


def test_bad_names(site, dns):
    server = variable(site, dns)
    for name in ('a..b', 'x' * 64 + '.test', '.', 'a.' * 130, '-', '[::1', 'a b'):
        assert ask(server, '/x', f'X-Name: {name}').status in (500, 502)
    assert server.alive()


@pytest.mark.weir_only('nginx asks for a resolver')
def test_without_resolver_the_system_is_asked(site):
    """/etc/hosts, here."""
    port = site.backend().port
    server = site.server(f'resolver_timeout 3s; location / {{ proxy_pass http://$http_x_name:{port}; }}')
    assert ask(server, '/x', 'X-Name: localhost').status == 200
    assert ask(server, '/x', 'X-Name: LocalHost').status == 200


# --- upstream ---------------------------------------------------------------------------------------------------------------------

def seen(server, n=20):
    with Client(server.port) as c:
        return collections.Counter(c.ask(get('/')).text.split(':')[0] for _ in range(n))


def addresses(site):
    """Two back ends on one port of two addresses."""
    import socket
    import threading
    port = site.port()
    made = {}
    for name, host in (('one', '127.0.0.2'), ('two', '127.0.0.3'), ('three', '127.0.0.4')):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((host, port))
        s.listen(64)

        def serve(s=s, name=name):
            while True:
                try:
                    c, _ = s.accept()
                except OSError:
                    return
                threading.Thread(target=talk, args=(c, name), daemon=True).start()
        threading.Thread(target=serve, daemon=True).start()
        made[name] = s
    return port, made


def talk(c, name):
    data = b''
    with c:
        while True:
            try:
                more = c.recv(65536)
            except OSError:
                return
            if not more:
                return
            data += more
            while b'\r\n\r\n' in data:
                data = data.partition(b'\r\n\r\n')[2]
                body = f'{name}: x'.encode()
                c.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n' % len(body) + body)


@pytest.fixture
def three(site):
    port, made = addresses(site)
    yield port
    for s in made.values():
        s.close()


@pytest.mark.weir_only('nginx has resolve since 1.27.3')
@pytest.mark.parametrize('workers', [1, 2])
def test_addresses_of_a_server_follow_its_name(site, dns, three, workers):
    dns.records['app.test'] = ['127.0.0.2']
    server = site.server('location / { proxy_pass http://g; }', workers=workers, http=f'resolver {dns.address}; '
                         f'upstream g {{ zone z 64k; server app.test:{three} resolve; }}')
    assert seen(server) == {'one': 20}
    dns.records['app.test'] = ['127.0.0.2', '127.0.0.3']
    until(lambda: seen(server) == {'one': 10, 'two': 10}, 'both to be asked')
    dns.records['app.test'] = ['127.0.0.4', '127.0.0.3']
    until(lambda: seen(server) == {'three': 10, 'two': 10}, 'the third to be asked')
    dns.records['app.test'] = 'SERVFAIL'
    asked = len(dns.queries)
    until(lambda: len(dns.queries) > asked + 2, 'new questions')
    assert seen(server) == {'three': 10, 'two': 10}
    server.wait_error('error', r'\Aapp\.test could not be resolved \(2: Server failure\) in upstream "g", its last addresses stay in use')


@pytest.mark.weir_only('nginx has resolve since 1.27.3')
def test_consistent_hash_over_the_addresses_of_a_name(site, dns, three):
    dns.records['app.test'] = ['127.0.0.2', '127.0.0.3', '127.0.0.4']
    server = site.server('location / { proxy_pass http://g; }', workers=2, http=f'resolver {dns.address}; '
                         f'upstream g {{ zone z 64k; hash $uri consistent; server app.test:{three} resolve; }}')

    def where():
        with Client(server.port) as c:
            return [c.ask(get(f'/{i}')).text.split(':')[0] for i in range(90)]
    before = where()
    assert where() == before and min(collections.Counter(before).values()) > 10 and len(set(before)) == 3
    dns.records['app.test'] = ['127.0.0.4', '127.0.0.2']
    until(lambda: 'two' not in where(), 'the address to leave')
    assert {b for b, a in zip(before, where()) if a != b} == {'two'}


@pytest.mark.weir_only('nginx has resolve since 1.27.3')
def test_services(site, dns, three):
    dns.records.update({'_http._tcp.app.test': [('SRV', 1, 3, three, 'a.test'), ('SRV', 1, 1, three, 'b.test'),
                                                ('SRV', 2, 1, three, 'c.test')],
                        'a.test': ['127.0.0.2'], 'b.test': ['127.0.0.3'], 'c.test': ['127.0.0.4']})
    server = site.server('location / { proxy_pass http://g; }', workers=1, http=f'resolver {dns.address}; '
                         'upstream g { zone z 64k; server app.test service=http resolve; }')
    assert seen(server) == {'one': 15, 'two': 5}, 'weights of the records; the higher number is a backup'
    dns.records['a.test'] = dns.records['b.test'] = ['127.0.0.9']
    until(lambda: seen(server) == {'three': 20}, 'the backup to be asked')


@pytest.mark.weir_only('nginx does not start')
def test_a_name_that_does_not_resolve_yet(site, dns, three):
    server = site.server('location / { proxy_pass http://g; } location /other { return 200 fine; }', http=f'resolver {dns.address}; '
                         f'upstream g {{ server unknown.invalid:{three}; }}')
    assert ask(server, '/other').text == 'fine'
    assert ask(server).status == 502
    server.wait_error('error', r'\Ano live upstreams while connecting to upstream \(host "unknown\.invalid" is not resolved: Host not found\)')
    dns.records['unknown.invalid'] = ['127.0.0.2']
    until(lambda: ask(server).status == 200, 'the name to be found')
    assert 'host not found in upstream "unknown.invalid:' in server.stderr()


@pytest.mark.weir_only('nginx does not start')
def test_one_unknown_server_of_two(site, dns, three):
    server = site.server('location / { proxy_pass http://g; }', http=f'resolver {dns.address}; '
                         f'upstream g {{ server unknown.invalid:{three}; server 127.0.0.3:{three}; }}')
    assert seen(server) == {'two': 20}
    dns.records['unknown.invalid'] = ['127.0.0.2']
    until(lambda: seen(server) == {'one': 10, 'two': 10}, 'the name to be found')


@pytest.mark.weir_only('nginx does not start')
def test_proxy_pass_to_an_unknown_name(site, dns, three):
    server = site.server(f'resolver {dns.address}; location / {{ proxy_pass http://unknown.invalid:{three}; }}')
    assert ask(server).status == 502
    dns.records['unknown.invalid'] = ['127.0.0.2']
    until(lambda: ask(server).status == 200, 'the name to be found')


def check(site, text, binary=None):
    path = site.file('t.conf', f'events {{}} pid {site.root}/pid; http {{ {text} }}')
    return run('-t', '-c', path, '-e', '/dev/null', binary=binary)


@pytest.mark.weir_only('a directive of weir')
def test_strict(site):
    done = check(site, 'upstream g { server unknown.invalid:80; }')
    assert done.returncode == 0 and '[warn] host not found in upstream "unknown.invalid:80" in ' in done.stderr
    done = check(site, 'resolver_strict on; upstream g { server unknown.invalid:80; }')
    assert check(site, 'resolver 127.0.0.1 ipv6=off ipv4=off;').returncode == 1
    assert done.returncode == 1 and '[emerg] host not found in upstream "unknown.invalid:80" in ' in done.stderr


@pytest.mark.parametrize('text', ['resolver;', 'resolver 127.0.0.1 valid=x;', 'resolver 127.0.0.1 ipv6=maybe;',
                                  'resolver 127.0.0.1:99999;', 'resolver valid=10s;',
                                  'resolver 127.0.0.1; resolver 127.0.0.2;', 'resolver_timeout x;', 'resolver 127.0.0.1 [::1]:5353;',
                                  'resolver 127.0.0.1 valid=30s ipv6=off; resolver_timeout 5s;'])
def test_configurations(site, text):
    said = []
    for binary in (NGINX, None):
        done = check(site, text, binary)
        lines = [line.partition('nginx: ')[2] for line in done.stderr.splitlines() if '[emerg]' in line]
        said.append((done.returncode, lines[:1]))
    assert said[1] == said[0]
