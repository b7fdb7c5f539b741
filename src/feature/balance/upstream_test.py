"""The upstream block: what a reload keeps, the state file, and the life of checks and names over reloads."""
import collections
import threading
import time

import pytest

from weirtest import Client, Close, Wait, exchange, get, post, response, run, until
from weirtest.dns import DnsServer

pytestmark = pytest.mark.weir_only('nginx starts its workers anew')


def change(server, old, new):
    with open(server.conf_path) as f:
        text = f.read()
    assert old in text
    with open(server.conf_path, 'w') as f:
        f.write(text.replace(old, new))


def reload(server):
    r = run('-p', server.directory + '/', '-c', server.conf_path, '-e', server.error_log_path, '-s', 'reload', binary=server.binary)
    assert (r.returncode, r.stderr) == (0, '')


def seen(server, n=20):
    with Client(server.port) as c:
        return collections.Counter(c.ask(get('/')).text.split(':')[0] for _ in range(n))


def test_failures_and_connections_of_servers_that_stay(site):
    site.backend('one', [b'', Close()])
    for name in ('two', 'three'):
        site.backend(name)
    server = site.server('location / { proxy_pass http://g; }',
                         http='upstream g { server @one@ fail_timeout=1h; server @two@; #more\n}')
    assert seen(server) == {'two': 20}
    assert len(site.backend('one').requests) == 1
    change(server, '#more', f'server {site.backend("three").address};')
    reload(server)
    assert seen(server) == {'two': 10, 'three': 10}
    assert len(site.backend('one').requests) == 1, 'it is still known to have failed'
    assert site.backend('two').connections == 1, 'its connection is still used'
    change(server, f'server {site.backend("two").address};', '')
    reload(server)
    assert seen(server) == {'three': 20}
    change(server, f'server {site.backend("three").address};', f'server {site.backend("three").address}; server {site.backend("two").address} weight=3;')
    reload(server)
    assert seen(server) == {'three': 5, 'two': 15}


def test_state_file(site):
    for name in ('one', 'two'):
        site.backend(name)
    path = site.file('g.state', f'server {site.backend("one").address} weight=3;\nserver {site.backend("two").address};\n')
    server = site.server('location / { proxy_pass http://g; } location /none { proxy_pass http://empty; }',
                         http=f'upstream g {{ state {path}; }} upstream empty {{ state {path}.none; }}')
    assert seen(server) == {'one': 15, 'two': 5}
    assert exchange(server.port, get('/none'))[0].status == 502
    site.file('g.state', f'server {site.backend("two").address};\n')
    reload(server)
    assert seen(server) == {'two': 20}


@pytest.mark.parametrize('text, state', [('state @s@; server 127.0.0.1:1;', ''), ('server 127.0.0.1:1; state @s@;', ''),
                                         ('state @s@;', 'listen 80;'), ('state @s@;', 'server 127.0.0.1:1 nonsense;'), ('state @s@;', 'server {')])
def test_bad_states(site, text, state):
    state = site.file('s', state)
    path = site.file('t.conf', f'events {{}} pid {site.root}/pid; http {{ upstream g {{ {text.replace("@s@", state)} }} }}')
    done = run('-t', '-c', path, '-e', '/dev/null')
    assert done.returncode == 1 and '[emerg]' in done.stderr


def test_names_over_reloads(site):
    """The addresses of now survive, old watches end, new ones begin."""
    dns = DnsServer({'a.test': ['127.0.0.1'], 'b.test': ['127.0.0.1']}, ttl=1)
    try:
        site.backend('one')
        site.backend('two')
        server = site.server('location / { proxy_pass http://g; }', http=f'resolver {dns.address}; '
                             f'upstream g {{ zone z 64k; server a.test:{site.backend("one").port} resolve; }}')
        assert seen(server) == {'one': 20}
        for _ in range(5):
            reload(server)
            assert seen(server) == {'one': 20}
        change(server, f'a.test:{site.backend("one").port}', f'b.test:{site.backend("two").port}')
        reload(server)
        assert seen(server) == {'two': 20}
        time.sleep(1.5)
        before = dns.count('a.test')
        asked = dns.count('b.test')
        until(lambda: dns.count('b.test') > asked + 2, 'more questions')
        assert dns.count('a.test') == before, 'nobody asks for the old name'
    finally:
        dns.close()


def test_checks_over_reloads(site):
    """One schedule of checks, however often the configuration is loaded; mandatory persistent keeps what was known."""
    answers = {'one': response(b'one:'), 'two': response(b'two:')}
    for name in answers:
        site.backend(name, lambda q: answers[q.backend.name] if q.target == '/check' else response(q.backend.name + ':'))
    server = site.server('location / { proxy_pass http://g; health_check uri=/check interval=200ms mandatory persistent; }',
                         http='upstream g { zone g 64k; server @one@; server @two@; }')
    until(lambda: exchange(server.port, get('/'))[0].status == 200, 'the first checks')
    until(lambda: len([e for e in server.errors('notice') if 'peer is healthy' in e.message]) == 2, 'both to be healthy')
    for _ in range(6):
        reload(server)
        assert seen(server) == {'one': 10, 'two': 10}
    answers['one'] = response(b'', status='503 X')
    server.wait_error('warn', 'peer is unhealthy')
    assert seen(server) == {'two': 20}
    reload(server)
    assert seen(server) == {'two': 20}
    time.sleep(0.5)
    before = sum(q.target == '/check' for q in site.backend('two').requests)
    time.sleep(2)
    assert 5 <= sum(q.target == '/check' for q in site.backend('two').requests) - before <= 13
    change(server, 'health_check uri=/check interval=200ms mandatory persistent;', '')
    reload(server)
    assert seen(server) == {'one': 10, 'two': 10}, 'nobody checks any more'
    time.sleep(0.3)
    before = sum(q.target == '/check' for q in site.backend('two').requests)
    time.sleep(0.7)
    assert sum(q.target == '/check' for q in site.backend('two').requests) == before


def test_learnt_sessions_over_reloads(site):
    """Sessions go on to the server that they belong to, also when servers come; one whose server has gone is anybody's."""
    for name in ('one', 'two', 'three'):
        site.backend(name, lambda q: response(q.backend.name + ':', f'Set-Cookie: sid={q.target.partition("=")[2]}'))
    server = site.server('location / { proxy_pass http://g; }',
                         http='upstream g { server @one@; server @two@; #more\nsticky learn create=$upstream_cookie_sid lookup=$cookie_sid zone=sids:1m; }')

    def where(**how):
        return {i: exchange(server.port, get(how.get('target', '/').replace('@', str(i)), f'Cookie: sid={i}'))[0].text for i in range(10)}
    first = where(target='/?new=@')
    assert collections.Counter(first.values()) == {'one:': 5, 'two:': 5} and where() == first
    change(server, '#more', f'server {site.backend("three").address};')
    reload(server)
    assert where() == first
    change(server, f'server {site.backend("two").address};', '')
    reload(server)
    later = where()
    assert {i: w for i, w in later.items() if first[i] == 'one:'} == {i: w for i, w in first.items() if w == 'one:'}
    assert set(later.values()) == {'one:', 'three:'}


def test_a_queue_over_a_reload(site):
    """Who waits for a server goes on waiting, and gets it, although the configuration is another one by then."""
    go = threading.Event()
    site.backend('one', lambda q: [Wait(go), response(b'one:')] if q.target == '/hold' else response(b'one:'))
    server = site.server('location / { proxy_pass http://g; }', http='upstream g { server @one@ max_conns=1; queue 10; }')
    clients = [Client(server.port) for _ in range(6)]
    try:
        for i, c in enumerate(clients[:3]):
            c.send(get('/hold' if i == 0 else f'/{i}'))
            until(lambda: site.backend('one').requests, 'the first request')
        time.sleep(0.2)
        reload(server)
        for i, c in enumerate(clients[3:]):
            c.send(get(f'/later{i}'))
        time.sleep(0.2)
        assert len(site.backend('one').requests) == 1, 'max_conns counts those of before'
        go.set()
        assert [c.response().status for c in clients] == [200] * 6
    finally:
        go.set()
        for c in clients:
            c.close()


def test_slow_start_over_a_reload(site):
    """A server that is on its way back goes on where it was."""
    state = {'bad': True}
    site.backend('one', lambda q: [b'', Close()] if state['bad'] else response(b'one:'))
    site.backend('two')
    server = site.server('location / { proxy_pass http://g; }',
                         http='upstream g { zone g 64k; server @one@ slow_start=6s fail_timeout=1s; server @two@; }', workers=1)
    assert seen(server, 4) == {'two': 4}
    state['bad'] = False
    time.sleep(1.2)
    until(lambda: seen(server, 4)['one'] > 0, 'the server to be asked again')
    reload(server)
    assert seen(server, 40)['one'] < 16
    time.sleep(6)
    assert seen(server, 40) == {'one': 20, 'two': 20}


def test_posts_over_reloads(site):
    """Clients that post all the time while the configuration is loaded again and again: each is answered, each once, over
    connections that last."""
    site.backend('one', lambda q: response(q.body + b':'))
    server = site.server('location / { proxy_pass http://g; }', http='keepalive_requests 1000000; upstream g { server @one@; keepalive_requests 1000000; #x0\n}')
    wrong, stop = [], threading.Event()

    def client(k):
        n = 0
        with Client(server.port) as c:
            while not stop.is_set():
                n += 1
                r = c.ask(post(f'/{k}-{n}', b'%d-%d' % (k, n)))
                if r.body != b'%d-%d:' % (k, n):
                    wrong.append(r)
    threads = [threading.Thread(target=client, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for i in range(5):
        time.sleep(0.2)
        change(server, f'#x{i}', f'#x{i + 1}')
        reload(server)
    stop.set()
    for t in threads:
        t.join()
    asked = collections.Counter(q.target for q in site.backend('one').requests)
    assert not wrong and max(asked.values()) == 1 and len(asked) > 100
    assert site.backend('one').connections < 40
