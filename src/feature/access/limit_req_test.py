"""limit_req and limit_conn: what is refused, delayed, logged; exact over threads; limit_rate: how fast."""
import threading
import time

import pytest

from weirtest import Client, Table, get, response

# A rate so low that nothing drains while a test runs: what passes is the burst.
ZONES = '''
limit_req_zone $arg_k zone=one:1m rate=1r/m;
limit_req_zone $arg_k zone=fast:1m rate=100r/s;
limit_req_zone $arg_other zone=two:1m rate=1r/m;
limit_conn_zone $arg_k zone=conn:1m;
limit_conn_zone $arg_other zone=conn2:1m;
'''
LOG = 'request=$request|status=$status|limit=$limit_req_status|conn=$limit_conn_status'
req = Table('''
    location /one { limit_req zone=one; return 204; }
    location /file { limit_req zone=one; root @root@; }
    location /burst { limit_req zone=one burst=3 nodelay; root @root@; }
    location /delay { limit_req zone=one burst=3 delay=2; limit_req_dry_run on; root @root@; }
    location /dry { limit_req zone=one; limit_req_dry_run on; root @root@; }
    location /dryburst { limit_req zone=one burst=1; limit_req_dry_run on; root @root@; }
    location /status { limit_req zone=one; limit_req_status 429; root @root@; }
    location /page { limit_req zone=one; error_page 503 =200 /says; root @root@; }
    location = /says { return 200 "limited $limit_req_status"; }
    location /both { limit_req zone=one burst=2 nodelay; limit_req zone=two nodelay; root @root@; }
    location /turned { limit_req zone=two nodelay; limit_req zone=one burst=2 nodelay; root @root@; }
    location /inherit/ { limit_req zone=one; root @root@; location /inherit/own { limit_req zone=one burst=1 nodelay; } }
    location /proxy { limit_req zone=one; proxy_pass http://@backend@; }
    location /conn { limit_conn conn 1; root @root@; }
    location /conndry { limit_conn conn 1; limit_conn_dry_run on; limit_conn_status 444; root @root@; }
    location /connnone { limit_conn conn2 1; root @root@; }
''', log=LOG, http=ZONES + 'proxy_http_version 1.1;', files={n: 'x' for n in ('file', 'burst', 'delay', 'dry', 'dryburst', 'status', 'page', 'both', 'turned', 'inherit/f',
                                                  'inherit/own', 'conn', 'conndry', 'connnone')})


def several(path, key, count, *statuses):
    req.case(f'{count} of {path} {key}', b''.join(get(f'/{path}?k={key}') for _ in range(count)), list(statuses))


several('file', 'a', 3, 200, 503, 503)
several('file', 'b', 1, 200)
several('file', 'B', 1, 200)
several('file', 'a', 1, 503)
several('file', '', 5, 200, 200, 200, 200, 200)
several('burst', 'c', 6, 200, 200, 200, 200, 503, 503)
several('delay', 'd', 6, 200, 200, 200, 200, 200, 200)
several('dry', 'e', 3, 200, 200, 200)
several('dryburst', 'f', 4, 200, 200, 200, 200)
several('status', 'g', 2, 200, 429)
several('page', 'h', 2, 200, 200)
several('both', 'i', 4, 200, 200, 200, 503)
several('both', 'j&other=x', 3, 200, 503, 503)
several('turned', 'k&other=y', 3, 200, 503, 503)
several('turned', 'l', 4, 200, 200, 200, 503)
several('turned', 'l2&other=y', 2, 503, 503)
several('turned', 'l2&other=z', 1, 200)
several('inherit/f', 'm', 2, 200, 503)
several('inherit/own', 'n', 3, 200, 200, 503)
several('proxy', 'o', 2, 200, 503)
several('one', 'p', 3, 204, 204, 204)    # the return comes first
several('conn', 'a', 3, 200, 200, 200)
several('conndry', 'a', 2, 200, 200)
several('connnone', 'a', 2, 200, 200)
req.case('a long key', get('/conn?k=' + 'x' * 256) + get('/conn?k=' + 'x' * 255) + get('/file?k=' + 'y' * 3000), [200, 200, 200])
test_req = req.tests()


def test_refusals_are_logged(site):
    site.file('f', 'x')
    server = site.server('location / { limit_req zone=one burst=1 nodelay; root @root@; } location /d { limit_req zone=fast burst=20; root @root@; } '
                         'location /dry { limit_req zone=one; limit_req_dry_run on; limit_req_log_level warn; root @root@; }', http=ZONES)
    with Client(server.port) as c:
        assert [c.ask(get('/f?k=a')).status for _ in range(3)] == [200, 200, 503]
        c.ask(get('/dry?k=a'))
        c.send(get('/d?k=b') * 3)
        c.responses(3)
    server.wait_error('error', r'limiting requests, excess: [12]\.\d\d\d by zone "one", client: 127.0.0.1')
    server.wait_error('warn', r'limiting requests, dry run, excess: [12]\.\d\d\d by zone "one", client: 127.0.0.1')
    server.wait_error('warn', r'delaying request, excess: [01]\.\d\d\d, by zone "fast", client: 127.0.0.1')


def test_delayed_requests_keep_the_rate(site):
    site.file('f', 'x')
    server = site.server('location / { limit_req zone=fast burst=50; root @root@; access_log @dir@/d.log d; }',
                         http=ZONES + "access_log off; log_format d '$limit_req_status';")
    with Client(server.port) as c:
        begin = time.monotonic()
        c.send(get('/f?k=a') * 31)
        assert [r.status for r in c.responses(31)] == [200] * 31
        assert 0.28 < time.monotonic() - begin < 3
    assert server.wait_lines(31, 'd.log')[0] == 'PASSED' and server.lines('d.log').count('DELAYED') >= 25


def test_client_leaves_while_it_is_delayed(site):
    site.file('f', 'x')
    server = site.server('location / { limit_req zone=one burst=5; root @root@; access_log @dir@/d.log d; } location /x { return 204; }',
                         http=ZONES + "access_log off; log_format d '$status $limit_req_status';")
    with Client(server.port) as c:
        assert c.ask(get('/f?k=a')).status == 200
    c = Client(server.port)
    c.send(get('/f?k=a'))
    time.sleep(0.1)
    c.close()
    assert server.wait_lines(2, 'd.log')[1] == '499 DELAYED'


def test_exact_over_threads(site):
    """Forty clients at once on four threads: the burst and one more pass, no matter where."""
    site.file('f', 'x')
    server = site.server('location / { limit_req zone=one burst=19 nodelay; root @root@; }', http=ZONES, workers=4)
    statuses, start = [], threading.Barrier(40)

    def ask():
        with Client(server.port) as c:
            start.wait()
            for _ in range(3):
                statuses.append(c.ask(get('/f?k=a')).status)
    threads = [threading.Thread(target=ask) for _ in range(40)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert statuses.count(200) == 20 and statuses.count(503) == 100


def test_connections(site):
    """A connection counts while it has a request, also when that fails."""
    hold = threading.Event()

    def answer(q):
        if 'hold' in q.target:
            hold.wait(10)
        return response(b'x')
    site.backend('backend', answer)
    server = site.server('location / { limit_conn conn 2; proxy_pass http://@backend@; access_log @dir@/c.log c; } '
                         'location /more/ { limit_conn conn 2; limit_conn conn2 1; limit_conn_status 429; limit_conn_log_level info; proxy_pass http://@backend@; } '
                         'location /dry/ { limit_conn conn 2; limit_conn_dry_run on; proxy_pass http://@backend@; }',
                         http=ZONES + "access_log off; log_format c '$status $limit_conn_status';", workers=3)
    with Client(server.port) as a, Client(server.port) as b, Client(server.port) as c:
        a.send(get('/hold?k=x'))
        b.send(get('/more/hold?k=x&other=y'))
        time.sleep(0.2)
        assert c.ask(get('/?k=x')).status == 503
        assert c.ask(get('/more/?k=z&other=y')).status == 429
        assert c.ask(get('/?k=z')).status == 200    # what the refused one took was given back
        assert c.ask(get('/dry/?k=x')).status == 200
        hold.set()
        assert a.response().status == 200 and b.response().status == 200
        assert c.ask(get('/?k=x')).status == 200
    server.wait_error('error', 'limiting connections by zone "conn", client: 127.0.0.1')
    server.wait_error('error', 'limiting connections, dry run, by zone "conn", client: 127.0.0.1')
    assert '503 REJECTED' in server.wait_lines(2, 'c.log') and '200 PASSED' in server.lines('c.log')


def test_full_zones(site):
    """More keys than a zone holds: limit_req forgets the oldest, limit_conn refuses."""
    site.file('f', 'x')
    server = site.server('location / { limit_req zone=small nodelay; root @root@; }', http='limit_req_zone $arg_k zone=small:32k rate=1r/m; keepalive_requests 10000;')
    with Client(server.port) as c:
        for i in range(2000):
            assert c.ask(get(f'/f?k={i}')).status == 200
        assert c.ask(get('/f?k=1999')).status == 503    # still known
        assert c.ask(get('/f?k=0')).status == 200       # forgotten


@pytest.mark.parametrize('size', [600, 2000, 5000, 12000])
def test_a_zone_that_few_keys_fill(site, size):
    """The oldest go for each new one, wherever they are."""
    site.file('f', 'x')
    server = site.server('location / { limit_req zone=small nodelay; root @root@; }', workers=2,
                         http='limit_req_zone $arg_k zone=small:32k rate=1r/m; large_client_header_buffers 4 64k;')
    with Client(server.port) as c:
        for i in range(200):
            assert c.ask(get(f'/f?k={i}' + 'x' * size)).status == 200
        assert c.ask(get('/f?k=199' + 'x' * size)).status == 503
        assert c.ask(get('/f?k=0' + 'x' * size)).status == 200


@pytest.mark.parametrize('text, message', [
    ('limit_req_zone $arg_x zone=a:10k rate=1r/s;', 'zone "zone=a:10k" is too small'),
    ('limit_req_zone $arg_x zone=a rate=1r/s;', 'invalid zone size "zone=a"'),
    ('limit_req_zone $arg_x zone=a:1m rate=0r/s;', 'invalid rate "rate=0r/s"'),
    ('limit_req_zone $arg_x zone=a:1m rate=1r/h;', 'invalid rate "rate=1r/h"'),
    ('limit_req_zone $arg_x bone=a:1m rate=1r/s;', 'invalid parameter "bone=a:1m"'),
    ('limit_req_zone $arg_x zone=:1m rate=1r/s;', '"limit_req_zone" must have "zone" parameter'),
    ('limit_req_zone $arg_x zone=a:1m rate=1r/s; limit_req_zone $arg_y zone=a:1m rate=1r/s;', 'limit_req_zone "a" is already bound to key "$arg_x"'),
    ('limit_req zone=one; limit_req zone=one;', '"limit_req" directive is duplicate'),
    ('limit_req burst=5;', '"limit_req" must have "zone" parameter'), ('limit_req zone=one burst=0;', 'invalid burst value "burst=0"'),
    ('limit_req zone=one delay=0;', 'invalid delay value "delay=0"'), ('limit_req zone=one x;', 'invalid parameter "x"'),
    ('limit_req zone=none;', 'zero size shared memory zone "none"'), ('limit_conn none 1;', 'zero size shared memory zone "none"'),
    ('limit_conn conn 0;', 'invalid number of connections "0"'), ('limit_conn conn 70000;', 'connection limit must be less 65536'),
    ('limit_conn conn 1; limit_conn conn 2;', '"limit_conn" directive is duplicate'), ('limit_req_status 200;', 'value must be between 400 and 599'),
    ('limit_conn_zone $arg_x zone=conn:1m;', 'limit_conn_zone "conn" is already bound to key "$arg_k"'),
    ('limit_conn_log_level debug;', 'invalid value "debug"')])
def test_errors(site, text, message):
    with pytest.raises(AssertionError) as e:
        site.server('location / { }', http=ZONES + text)
    assert message in str(e.value)


# --- limit_rate ----------------------------------------------------------------------------------------------------------

BIG = b'0123456789abcdef' * 4096    # 64 KiB


@pytest.mark.parametrize('conf, seconds', [
    ('location / { root @root@; limit_rate 32k; }', 1.0), ('location / { root @root@; limit_rate 32k; limit_rate_after 16k; }', 0.5),
    ('location / { root @root@; limit_rate 16k; limit_rate_after 100k; }', 0),
    ('location / { proxy_pass http://@backend@; limit_rate $arg_rate; }', 1.0), ('location / { proxy_pass http://@accel@; }', 1.0),
    ('location / { proxy_pass http://@accel@; proxy_ignore_headers X-Accel-Limit-Rate; }', 0),
    ('location / { proxy_pass http://@accel@; limit_rate 1; }', 1.0), ('location / { root @root@; limit_rate 0; }', 0)])
def test_rate(site, conf, seconds):
    site.file('f', BIG)
    site.backend('backend', response(BIG))
    site.backend('accel', response(BIG, 'X-Accel-Limit-Rate: 32768'))
    server = site.server(conf)
    with Client(server.port) as c:
        begin = time.monotonic()
        r = c.ask(get('/f?rate=32k'))
        took = time.monotonic() - begin
    assert r.status == 200 and r.body == BIG and seconds - 0.15 <= took < seconds + 1.5 and not r.all('X-Accel-Limit-Rate')


def test_rate_and_a_client_that_leaves(site):
    site.file('f', BIG)
    server = site.server('location / { root @root@; limit_rate 1k; access_log @dir@/r.log r; }', http="access_log off; log_format r '$status';")
    c = Client(server.port)
    c.send(get('/f'))
    c.receive()
    c.close()
    assert server.wait_lines(1, 'r.log') == ['200']
