"""proxy_cache_lock: one request asks, the others read the same answer while it comes. Several threads, many clients."""
import threading
import time

import pytest

from weirtest import Client, Close, Pause, Wait, chunked, get, is_nginx, WEIR, response, until

HTTP = '''
    proxy_cache_path @dir@/cache levels=1:2 keys_zone=one:1m;
    add_header X-Cache $upstream_cache_status always;
'''
KEEP = 'Cache-Control: max-age=600'


def serve(site, *more, workers=4, **how):
    return site.server('location / { proxy_cache one; proxy_cache_lock on; proxy_pass http://@backend@; %s }' % ' '.join(more),
                       http=HTTP, workers=workers, **how)


def ask_all(server, count, target='/', *fields):
    found, threads = [], []

    def one():
        with Client(server.port, timeout=30) as c:
            found.append(c.ask(get(target, *fields)))
    for _ in range(count):
        threads.append(threading.Thread(target=one))
        threads[-1].start()
    return found, threads


@pytest.mark.parametrize('size', [0, 10, 3000, 40000, 1000000])
def test_one_asks(site, size):
    go = threading.Event()
    body = bytes(i * 7 % 251 for i in range(size))

    def answer(q):
        go.wait(20)
        return response(body, KEEP)
    backend = site.backend('backend', answer)
    server = serve(site)
    found, threads = ask_all(server, 40)
    backend.wait_requests(1)
    time.sleep(0.2)
    go.set()
    for t in threads:
        t.join()
    assert len(backend.requests) == 1
    assert sorted(r.header('X-Cache') for r in found) == ['HIT'] * 39 + ['MISS']
    assert all(r.status == 200 and r.body == body for r in found)


@pytest.mark.weir_only('nginx lets the others wait for the end')
def test_they_read_while_it_comes(site):
    more, end = threading.Event(), threading.Event()
    parts = [b'a' * 1000, b'b' * 100000, b'c' * 100000]
    head = b'HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 201000\r\n\r\n'
    backend = site.backend('backend', lambda q: [head + parts[0], Wait(more), parts[1], Wait(end), parts[2]])
    server = serve(site)
    clients = [Client(server.port, timeout=30) for _ in range(6)]
    for c in clients[:3]:
        c.send(get('/'))
    for c in clients[:3]:
        c.wait_for(b'a' * 1000)
    clients[3].send(get('/'))    # comes in the middle
    clients[3].wait_for(b'a' * 1000)
    more.set()
    for c in clients[:4]:
        c.wait_for(b'b' * 100000)
    clients[4].send(get('/', 'Range: bytes=0-9'))
    clients[4].wait_for(b'a' * 10)
    end.set()
    for c in clients[:4]:
        assert c.response().body == b''.join(parts)
    assert len(backend.requests) == 1
    for c in clients:
        c.close()
    backend.settle()
    assert Client(server.port).ask(get('/')).header('X-Cache') == 'HIT'


def test_a_slow_first_client_does_not_slow_the_others(site):
    body = bytes(range(256)) * 40000    # 10 MB: more than sockets hold
    backend = site.backend('backend', lambda q: response(body, KEEP))
    server = serve(site)
    slow = Client(server.port, timeout=60)
    slow.send(get('/'))
    backend.wait_requests(1)
    for _ in range(3):
        with Client(server.port, timeout=30) as c:
            assert c.ask(get('/')).body == body
    assert len(backend.requests) == 1
    assert slow.response().body == body
    slow.close()


def test_a_client_that_leaves_does_not_stop_it(site):
    """As in nginx: what is to be cached is fetched to its end."""
    more = threading.Event()
    head = b'HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 200000\r\n\r\n'
    backend = site.backend('backend', lambda q: [head + b'a' * 100000, Wait(more), b'a' * 100000])
    server = serve(site)
    with Client(server.port) as c:
        c.send(get('/'))
        c.wait_for(b'a' * 1000)
    time.sleep(0.2)
    more.set()
    backend.settle()

    def kept():
        with Client(server.port) as c:
            r = c.ask(get('/'))
            return r.header('X-Cache') == 'HIT' and r.body == b'a' * 200000
    until(kept, 'what was fetched to be there')
    assert len(backend.requests) == 1


def test_the_first_leaves_before_the_head(site):
    go = threading.Event()

    def answer(q):
        go.wait(20)
        return response(b'body', KEEP)
    backend = site.backend('backend', answer)
    server = serve(site)
    with Client(server.port) as c:
        c.send(get('/'))
        backend.wait_requests(1)
    found, threads = ask_all(server, 5)
    time.sleep(0.2)
    go.set()
    for t in threads:
        t.join()
    assert len(backend.requests) == 1 and all(r.status == 200 and r.header('X-Cache') == 'HIT' for r in found)


@pytest.mark.parametrize('failure', ['uncacheable', 'error', 'cut'])
def test_when_the_first_fails(site, failure):
    go = threading.Event()
    good = response(b'body', KEEP)
    bad = {'uncacheable': response(b'body', 'Cache-Control: no-store'), 'error': [Close()],
           'cut': [b'HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 100\r\n\r\nabc', Close()]}[failure]
    first = []

    def answer(q):
        if not first:
            first.append(q)
            go.wait(20)
            return bad
        return good
    backend = site.backend('backend', answer)
    server = serve(site)
    server.alerts += ('upstream prematurely closed',)
    found, threads = [], []

    def one():
        with Client(server.port, timeout=30) as c:
            c.send(get('/'))
            data = c.read_to_end() if failure == 'cut' else None
            found.append(data if data is not None else c.response())
    for _ in range(8):
        threads.append(threading.Thread(target=one))
        if failure == 'cut':
            continue
        threads[-1].start()
    if failure == 'cut':
        threads[0].start()
    backend.wait_requests(1)
    time.sleep(0.2)
    go.set()
    for t in threads:
        if t.ident is not None:
            t.join()
    with Client(server.port) as c:
        assert c.ask(get('/')).body == b'body'
    if failure == 'error':
        assert sorted(r.status for r in found) == [200] * 7 + [502] and len(backend.requests) == 2
    elif failure == 'uncacheable':
        assert [r.status for r in found] == [200] * 8


def test_who_waits_too_long_asks(site):
    """proxy_cache_lock_timeout: and what it gets is not kept."""
    go = threading.Event()

    def answer(q):
        if len(backend.requests) == 1:
            go.wait(20)
            return response(b'slow', KEEP)
        return response(b'other', KEEP)
    backend = site.backend('backend', answer)
    server = serve(site, 'proxy_cache_lock_timeout 300ms; proxy_cache_lock_age 1h;')
    with Client(server.port, timeout=30) as c:
        c.send(get('/'))
        backend.wait_requests(1)
        with Client(server.port, timeout=30) as d:
            r = d.ask(get('/'))
            assert (r.body, r.header('X-Cache')) == (b'other', 'MISS')
        go.set()
        assert c.response().body == b'slow'
    backend.settle()
    with Client(server.port) as c:
        r = c.ask(get('/'))
        assert (r.body, r.header('X-Cache')) == (b'slow', 'HIT')


def test_who_asks_for_too_long_is_not_the_only_one(site):
    """proxy_cache_lock_age: one more request may ask, and is kept."""
    go = threading.Event()

    def answer(q):
        if len(backend.requests) == 1:
            go.wait(20)
            return response(b'slow', 'Cache-Control: no-store')
        return response(b'other', KEEP)
    backend = site.backend('backend', answer)
    server = serve(site, 'proxy_cache_lock_timeout 1h; proxy_cache_lock_age 300ms;')
    with Client(server.port, timeout=30) as c:
        c.send(get('/'))
        backend.wait_requests(1)
        time.sleep(0.5)
        with Client(server.port, timeout=30) as d:
            assert d.ask(get('/')).body == b'other'
        with Client(server.port, timeout=30) as d:
            assert d.ask(get('/')).header('X-Cache') == 'HIT'
        go.set()
        assert c.response().body == b'slow'


@pytest.mark.weir_only('nginx does not know')
def test_each_variant_is_asked_for_once(site):
    """Vary: who waits for another variant asks for his own."""
    go = threading.Event()

    def answer(q):
        go.wait(20)
        return response((q.header('Accept-Language') or '-').encode(), KEEP, 'Vary: Accept-Language')
    backend = site.backend('backend', answer)
    server = serve(site)
    found = {}
    groups = {lang: ask_all(server, 10, '/', f'Accept-Language: {lang}') for lang in ('a', 'b')}
    backend.wait_requests(1)
    time.sleep(0.3)
    go.set()
    for lang, (got, threads) in groups.items():
        for t in threads:
            t.join()
        assert {r.body for r in got} == {lang.encode()}
    for lang in ('a', 'b', 'a'):
        with Client(server.port) as c:
            r = c.ask(get('/', f'Accept-Language: {lang}'))
            assert (r.body, r.header('X-Cache')) == (lang.encode(), 'HIT')


def test_without_the_lock_everybody_asks(site):
    go = threading.Event()

    def answer(q):
        go.wait(20)
        return response(b'body', KEEP)
    backend = site.backend('backend', answer)
    server = serve(site, 'proxy_cache_lock off;'.replace('proxy_cache_lock off;', ''), workers=2)
    server2 = site.server('location / { proxy_cache one; proxy_pass http://@backend@; }', http=HTTP)
    found, threads = ask_all(server2, 10)
    backend.wait_requests(10)
    go.set()
    for t in threads:
        t.join()
    assert [r.header('X-Cache') for r in found] == ['MISS'] * 10
