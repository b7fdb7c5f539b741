"""sticky: one client, one server."""
import collections
import hashlib
import re

import pytest

from weirtest import Client, Close, exchange, get, response, run, until

pytestmark = pytest.mark.weir_only('commercial in nginx until 1.29.6')
THREE = 'server @one@; server @two@; server @three@;'


def serve(site, upstream, location='', workers=2, **how):
    for name in ('one', 'two', 'three'):
        site.backend(name)
    return site.server('location / { proxy_pass http://g; ' + location + ' }', workers=workers,
                       http='upstream g { ' + upstream + ' }', **how)


def ask(server, *headers, target='/'):
    return exchange(server.port, get(target, *headers))[0]


def name(r):
    return r.text.split(':')[0]


def test_cookie(site):
    server = serve(site, THREE + 'sticky cookie srv_id expires=1h domain=.example.com httponly samesite=strict secure path=/x;')
    r = ask(server)
    value = hashlib.md5(site.backend(name(r)).address.encode()).hexdigest()
    assert re.fullmatch(f'srv_id={value}; expires=' r'\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT; max-age=3600; domain=\.example\.com; '
                        'httponly; samesite=strict; secure; path=/x', r.header('Set-Cookie'))
    for _ in range(10):
        again = ask(server, f'Cookie: a=b; srv_id={value}')
        assert name(again) == name(r) and again.header('Set-Cookie') is None
    seen = collections.Counter(name(ask(server)) for _ in range(9))
    assert seen == {'one': 3, 'two': 3, 'three': 3}, 'clients that are not bound take turns'
    assert ask(server, 'Cookie: srv_id=nonsense').header('Set-Cookie')


def test_cookie_beside_those_of_the_back_end(site):
    server = serve(site, THREE + 'sticky cookie id;')
    for b in site.backends.values():
        b.answer = response(b'x', 'Set-Cookie: own=1')
    assert [v.split('=')[0] for v in ask(server).all('Set-Cookie')] == ['id', 'own']


def test_cookie_of_a_route_and_of_the_greatest_age(site):
    server = serve(site, 'server @one@ route=a; server @two@ route=b; sticky cookie id expires=max;')
    r = ask(server)
    assert r.header('Set-Cookie') == (f"id={'a' if name(r) == 'one' else 'b'}; expires=Thu, 31 Dec 2037 23:55:55 GMT; "
                                      'max-age=315360000')
    assert {name(ask(server, 'Cookie: id=b')) for _ in range(5)} == {'two'}


def test_a_server_that_cannot_be_asked(site):
    server = serve(site, 'server @one@ route=a; server @two@ route=b; sticky cookie id;')
    assert name(ask(server, 'Cookie: id=a')) == 'one'
    site.backend('one').stop_listening()
    site.backend('one').close_idle()
    r = ask(server, 'Cookie: id=a')
    assert name(r) == 'two' and r.header('Set-Cookie') == 'id=b'
    assert name(ask(server, 'Cookie: id=a')) == 'two', 'it is counted out now'
    site.backend('one').start()


def test_drain(site):
    server = serve(site, 'server @one@ route=a drain; server @two@ route=b; sticky cookie id;')
    assert {name(ask(server)) for _ in range(6)} == {'two'}
    assert {name(ask(server, 'Cookie: id=a')) for _ in range(6)} == {'one'}


def test_route(site):
    server = serve(site, 'server @one@ route=a; server @two@ route=b; server @three@; sticky route $cookie_route $arg_route;')
    assert {name(ask(server, 'Cookie: route=b')) for _ in range(5)} == {'two'}
    assert {name(ask(server, target='/?route=a')) for _ in range(5)} == {'one'}
    assert {name(ask(server, 'Cookie: route=b', target='/?route=a')) for _ in range(5)} == {'two'}, 'the first that is not empty'
    assert len({name(ask(server, target='/?route=c')) for _ in range(6)}) == 3


def learn(site, more='', workers=2):
    server = serve(site, THREE + f'sticky learn create=$upstream_cookie_sid lookup=$cookie_sid zone=sessions:64k{more};', workers=workers)
    for b in site.backends.values():
        b.answer = lambda q: response(q.backend.name + ':', *([f"Set-Cookie: sid={q.target.split('=')[1]}"] if '=' in q.target else []))
    return server


def test_learn(site):
    server = learn(site)
    where = {i: name(ask(server, target=f'/?new={i}')) for i in range(12)}
    assert len(set(where.values())) == 3
    for _ in range(2):
        assert {i: name(ask(server, f'Cookie: sid={i}')) for i in range(12)} == where
    assert len({name(ask(server, 'Cookie: sid=unknown')) for _ in range(6)}) == 3


def test_learnt_sessions_end(site):
    server = learn(site, ' timeout=300ms header sync')
    first = name(ask(server, target='/?new=s'))
    assert {name(ask(server, 'Cookie: sid=s')) for _ in range(5)} == {first}
    import time
    time.sleep(0.5)
    assert len({name(ask(server, 'Cookie: sid=s')) for _ in range(6)}) == 3


def test_learn_is_bounded(site):
    """The zone holds what fits: the sessions used last."""
    server = learn(site, workers=1)
    with Client(server.port) as c:
        for i in range(600):
            c.ask(get(f'/?new={i:0500d}'))
        where = name(c.ask(get('/?new=last')))
        assert {name(c.ask(get('/', 'Cookie: sid=last'))) for _ in range(4)} == {where}
        assert len({name(c.ask(get('/', f'Cookie: sid={0:0500d}'))) for _ in range(6)}) == 3


@pytest.mark.parametrize('text', ['sticky;', 'sticky nonsense;', 'sticky cookie;', 'sticky cookie a nonsense;', 'sticky cookie a expires=x;',
                                  'sticky cookie a samesite=x;', 'sticky route;', 'sticky route a;', 'sticky learn;',
                                  'sticky learn create=$a lookup=$b;', 'sticky learn create=$arg_a lookup=$arg_b zone=z;',
                                  'sticky learn create=$arg_a lookup=$arg_b zone=z:1k;', 'sticky learn create=a lookup=$arg_b zone=z:64k;',
                                  'queue;', 'queue 0;', 'queue x;', 'queue 1 timeout=x;', 'queue 1 x;'])
def test_bad_configurations(site, text):
    path = site.file('t.conf', f'events {{}} pid {site.root}/pid; http {{ upstream g {{ server 127.0.0.1:1; {text} }} }}')
    done = run('-t', '-c', path, '-e', '/dev/null')
    assert done.returncode == 1 and '[emerg]' in done.stderr and f'{path}:1' in done.stderr


# --- queue --------------------------------------------------------------------------------------------------------------------------

def busy(site, queue, workers):
    import threading
    from weirtest import Wait
    event = threading.Event()
    site.backend('one', lambda q: [Wait(event), response(b'one:')] if q.target == '/hold' else response(b'one:'))
    server = site.server('location / { proxy_pass http://g; }', workers=workers,
                         http='upstream g { server @one@ max_conns=1; ' + queue + ' }'
                              "log_format t '$request_uri $status $upstream_queue_time $upstream_addr $termination'; access_log @dir@/t.log t;")
    holder = Client(server.port)
    holder.send(get('/hold'))
    until(lambda: site.backend('one').requests, 'the request to arrive')
    return server, event, holder


@pytest.mark.parametrize('workers', [1, 3])
def test_queue(site, workers):
    server, event, holder = busy(site, 'queue 10;', workers)
    clients = [Client(server.port) for _ in range(10)]
    for i, c in enumerate(clients):
        c.send(get(f'/{i}'))
    import time
    time.sleep(0.3)
    with Client(server.port) as c:
        c.send(get('/too-many'))
        assert c.response().status == 502
    server.wait_error('error', r'\Aupstream queue is full while connecting to upstream \(queue 10\)')
    assert len(site.backend('one').requests) == 1
    event.set()
    assert holder.response().status == 200
    assert [c.response().status for c in clients] == [200] * 10
    for c in clients:
        c.close()
    holder.close()


def test_queue_times_out_and_clients_leave(site):
    server, event, holder = busy(site, 'queue 2 timeout=300ms;', 2)
    gone = Client(server.port)
    gone.send(get('/gone'))
    gone.close()
    with Client(server.port) as c:
        c.send(get('/late'))
        assert c.response().status == 502
    line = server.wait_error('error', r'\Aupstream queue timed out while connecting to upstream \(queue timeout 3\d\d ms\)').message
    assert 'upstream: "http://g/late"' in line and 'hint: "all servers are at max_conns' in line
    late = next(line for line in server.wait_lines(2, 't.log') if line.startswith('/late')).split()
    assert late[1] == '502' and 0.3 <= float(late[2]) < 5 and late[3:] == ['g', 'sQ']
    event.set()
    assert holder.response().status == 200
    holder.close()
    until(lambda: ask(server).status == 200, 'the server to be free')
    assert [q.target for q in site.backend('one').requests if q.target in ('/gone', '/late')] == []
