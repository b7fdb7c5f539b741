"""Which server is asked: the same requests through nginx and weir, in order; and what only weir has."""
import collections
import threading

import pytest

from weirtest import NGINX, Client, Close, Wait, exchange, get, response, until

NAMES = ('one', 'two', 'three', 'four')
HEAD = 'location / { proxy_pass http://g; proxy_http_version 1.1; proxy_set_header Connection ""; }'


def serve(site, upstream, binary=None, location=HEAD, workers=1, **how):
    return site.server(location, binary=binary, workers=workers, http='upstream g { ' + upstream + ' }', **how)


def who(server, targets, source='127.0.0.1', headers=()):
    """The names of the back ends that answered."""
    seen = []
    with Client(server.port, source=source) as c:
        for target in targets:
            r = c.ask(get(target, *headers))
            seen.append(r.text.split(':')[0] if r.status == 200 else str(r.status))
    return seen


def both(site, upstream, ask):
    """What `ask(server)` saw of nginx and of weir, in turn."""
    seen = []
    for binary in (NGINX, None):
        server = serve(site, upstream, binary)
        seen.append(ask(server))
        server.stop()
        for b in site.backends.values():
            b.close_idle()
    return seen


KEYS = [f'/{i}' for i in range(150)]
FOUR = ' '.join(f'server @{n}@;' for n in NAMES)
GROUPS = {
    'equal': FOUR,
    'weights': 'server @one@ weight=5; server @two@; server @three@ weight=2;',
    'big weights': 'server @one@ weight=100; server @two@ weight=37; server @three@;',
    'down': 'server @one@; server @two@ down; server @three@;',
    'one': 'server @one@;',
    'unix': 'server @unix@; server @two@; server @unix2@ weight=2;',
    'dead': 'server @dead@ max_fails=0; server @two@; server @three@ weight=2;',
    'all but one dead': 'server @dead@; server @dead2@; server @dead3@; server @two@;',
    'spare': 'server @one@ max_fails=0; server @dead@ max_fails=0; server @two@ backup;',
}


@pytest.mark.parametrize('group', GROUPS)
@pytest.mark.parametrize('method', ['', 'hash $uri;', 'hash $uri consistent;', 'hash fixed$arg_none;', 'hash $arg_none;',
                                    'hash $arg_none consistent;', 'ip_hash;', 'least_conn;'])
def test_as_nginx(site, method, group):
    text = GROUPS[group]
    if 'backup' in text and 'hash' in method:
        pytest.skip('backup servers and hashes do not go together')
    for name in NAMES + ('unix', 'unix2'):
        if '@' + name + '@' in text:
            site.backend(name)
    nginx, weir = both(site, method + text, lambda server: who(server, KEYS))
    assert len(nginx) == len(KEYS)
    assert weir == nginx


@pytest.mark.parametrize('group', ['equal', 'weights', 'dead'])
def test_ip_hash_of_networks(site, group):
    sources = [f'127.{a}.{b}.{c}' for a, b, c in ((0, 0, 1), (0, 0, 200), (1, 2, 3), (1, 2, 4), (200, 0, 1), (9, 9, 9), (0, 77, 1),
                                                 (255, 1, 1), (33, 3, 3), (64, 128, 2), (5, 6, 7), (5, 6, 8), (7, 6, 5), (12, 0, 1))]

    def ask(server):
        return [who(server, ['/'], source)[0] for source in sources]
    nginx, weir = both(site, 'ip_hash;' + GROUPS[group], ask)
    assert weir == nginx
    assert len(set(weir)) > 1 and weir[0] == weir[1] and weir[2] == weir[3]


def test_hash_moves_only_the_share_of_a_server_that_leaves(site):
    targets = [f'/{i}' for i in range(400)]
    before = who(serve(site, 'hash $uri consistent;' + FOUR), targets)
    after = who(serve(site, 'hash $uri consistent;' + FOUR.replace('@two@', '@two@ down')), targets)
    share = collections.Counter(before)['two']
    assert 40 < share < 180
    moved = [b for b, a in zip(before, after) if a != b]
    assert set(moved) == {'two'} and len(moved) == share
    gone = who(serve(site, 'hash $uri consistent;' + FOUR.replace('server @two@;', '')), targets)
    assert [b for b, g in zip(before, gone) if g != b] == ['two'] * share


def hold(site, names):
    """Back ends whose requests for /hold wait for an event."""
    event = threading.Event()
    for name in names:
        site.backend(name, lambda q: [Wait(event), response(q.backend.name + ':')] if q.target == '/hold'
                     else response(q.backend.name + ':'))
    return event


@pytest.mark.parametrize('workers', [1, 3])
def test_least_conn_is_exact(site, workers):
    """The counts are one for all threads: 12 requests in progress lie evenly on 4 servers, whichever thread has them."""
    event = hold(site, NAMES)
    server = serve(site, 'least_conn;' + FOUR, workers=workers)
    clients = [Client(server.port) for _ in range(12)]
    try:
        for n, c in enumerate(clients):
            c.send(get('/hold'))
            until(lambda: sum(len(site.backend(b).requests) for b in NAMES) == n + 1, 'the request to arrive')
        assert [len(site.backend(b).requests) for b in NAMES] == [3, 3, 3, 3]
        event.set()
        assert [c.response().status for c in clients] == [200] * 12
    finally:
        event.set()
        for c in clients:
            c.close()


@pytest.mark.parametrize('workers', [1, 3])
def test_max_conns_is_exact(site, workers):
    event = hold(site, ('one', 'two'))
    server = serve(site, 'server @one@ max_conns=2; server @two@ max_conns=3;', workers=workers)
    clients = [Client(server.port) for _ in range(8)]
    try:
        for n, c in enumerate(clients[:5]):
            c.send(get('/hold'))
            until(lambda: sum(len(site.backend(b).requests) for b in ('one', 'two')) == n + 1, 'the request to arrive')
        assert [len(site.backend(b).requests) for b in ('one', 'two')] == [2, 3]
        for c in clients[5:]:
            c.send(get('/hold'))
            assert c.response().status == 502
        event.set()
        assert [c.response().status for c in clients[:5]] == [200] * 5
        assert exchange(server.port, get('/'))[0].status == 200
        server.wait_error('error', r'\Ano live upstreams while connecting to upstream \(2 servers: 2 at max_conns\)')
    finally:
        event.set()
        for c in clients:
            c.close()


@pytest.mark.parametrize('two', ['', ' two', ' two least_conn'])
def test_random(site, two):
    server = serve(site, f'random{two}; server @one@ weight=3; server @two@; server @three@ down;')
    seen = collections.Counter(who(server, ['/'] * 400))
    assert set(seen) == {'one', 'two'}
    if not two:
        assert 250 < seen['one'] < 350


@pytest.mark.parametrize('two', ['random two;', 'random two least_conn;'])
def test_random_two_takes_the_less_busy(site, two):
    event = hold(site, ('one', 'two'))
    server = serve(site, two + 'server @one@; server @two@;')
    with Client(server.port) as c:
        try:
            c.send(get('/hold'))
            until(lambda: site.backend('one').requests or site.backend('two').requests, 'the request to arrive')
            busy = 'one' if site.backend('one').requests else 'two'
            assert set(who(server, ['/'] * 20)) == {'one', 'two'} - {busy}
        finally:
            event.set()


@pytest.mark.weir_only('commercial in nginx')
@pytest.mark.parametrize('what', ['least_time header', 'least_time last_byte', 'least_time header inflight',
                                  'random two least_time=header', 'random two least_time=last_byte'])
def test_least_time(site, what):
    from weirtest import Pause
    site.backend('one', lambda q: [Pause(0.05), response('one:')])
    site.backend('two', lambda q: response('two:'))
    server = serve(site, what + '; server @one@; server @two@;')
    # The very first answer of the faster one may have been slow: it is forgotten in time.
    until(lambda: collections.Counter(who(server, ['/'] * 20))['two'] >= 19, 'the faster one to be preferred', 40)
    assert {q.backend.name for b in ('one', 'two') for q in site.backend(b).requests} == {'one', 'two'}, 'each is tried'


@pytest.mark.weir_only('nginx balances for each worker')
def test_weights_are_exact_over_all_threads(site):
    server = serve(site, 'server @one@ weight=5; server @two@ weight=3; server @three@ weight=2;', workers=4)
    seen, lock = collections.Counter(), threading.Lock()

    def run():
        mine = collections.Counter(who(server, ['/'] * 50))
        with lock:
            seen.update(mine)
    threads = [threading.Thread(target=run) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert seen == {'one': 200, 'two': 120, 'three': 80}


def test_failed_servers_of_hashes_rest(site):
    """A server that is counted out loses its keys to others and gets them back."""
    server = serve(site, 'hash $uri consistent; server @one@ max_fails=1 fail_timeout=1s; server @two@;')
    site.backend('one', [b'', Close()])
    targets = [f'/{i}' for i in range(40)]
    assert set(who(server, targets)) == {'two'}
    assert len(site.backend('one').requests) == 1
    site.backend('one').answer = site.backend('one').default
    until(lambda: 'one' in who(server, targets), 'the server to be asked again')


# --- the configuration ------------------------------------------------------------------------------------------------------------

CONFS = [
    'server 127.0.0.1:1; least_conn; ip_hash;',
    'ip_hash; server 127.0.0.1:1 backup;',
    'hash $uri; server 127.0.0.1:1 backup;',
    'random; server 127.0.0.1:1 backup;',
    'server 127.0.0.1:1; server 127.0.0.1:2 backup; ip_hash;',
    'least_conn; server 127.0.0.1:1; server 127.0.0.1:2 backup;',
    'server 127.0.0.1:1 weight=0;',
    'server 127.0.0.1:1 weight=x;',
    'server 127.0.0.1:1 max_fails=-1;',
    'server 127.0.0.1:1 fail_timeout=x;',
    'server 127.0.0.1:1 nonsense;',
    'server 127.0.0.1:1 max_conns=;',
    'server 127.0.0.1:99999;',
    'server ;',
    '',
    'server 127.0.0.1:1 backup;',
    'hash;',
    'hash $uri nonsense; server 127.0.0.1:1;',
    'random two nonsense; server 127.0.0.1:1;',
    'random one; server 127.0.0.1:1;',
    'least_conn x; server 127.0.0.1:1;',
    'server 127.0.0.1:1; keepalive x;',
    'server 127.0.0.1:1; keepalive 1; keepalive 2;',
    'server 127.0.0.1:1; keepalive_requests x;',
    'server 127.0.0.1:1; keepalive_timeout x;',
    'server 127.0.0.1:1; zone z 64k;',
    'server 127.0.0.1:1; zone z 1k;',
    'server 127.0.0.1:1; zone z x;',
    'zone;',
    'server 127.0.0.1:1; unknown_thing;',
]


@pytest.mark.parametrize('text', CONFS)
def test_configurations(site, text):
    """The first message of -t is nginx's."""
    from weirtest import run
    said = []
    for binary in (NGINX, None):
        path = site.file('t.conf', f'events {{}} pid {site.root}/pid; http {{ upstream g {{ {text} }} }}')
        done = run('-t', '-c', path, '-e', '/dev/null', binary=binary)
        lines = [line.partition('nginx: ')[2] for line in done.stderr.splitlines() if '[emerg]' in line or '[warn]' in line]
        lines = [line for line in lines if 'the "user" directive' not in line and 'error log' not in line]
        said.append((done.returncode, lines[:1]))
    assert said[1] == said[0]
