"""What a series of requests gets from the cache: statuses, bodies, what $upstream_cache_status says, and what the back end is
asked. The same series behind nginx and behind weir, which run beside each other because most of it is waiting."""
import threading
import time

import pytest

from weirtest import NGINX, WEIR, Client, Close, Site, get, request, response

HTTP = '''
    proxy_cache_path @dir@/cache levels=1:2 keys_zone=one:1m;
    proxy_http_version 1.1;
    add_header X-Cache $upstream_cache_status always;
    access_log off;
'''
FRESH = 'Cache-Control: max-age=2'
DATE = 'Last-Modified: Thu, 02 Jan 2020 03:04:05 GMT'
DOWN = [Close()]
NOT_MODIFIED = response(b'', FRESH, status='304 Not Modified', length=False)


def status(code, *headers):
    return response(b'status %d' % code, *headers, status=f'{code} X')


class Play:
    """One server, its back end, and what was seen."""

    def __init__(self, binary, conf, http=''):
        self.site, self.seen, self.plan = Site(), [], []
        self.backend = self.site.backend('backend', self.answer)
        self.backend.answer = self.answer
        self.server = self.site.server(conf, binary, 'nginx' if binary == NGINX else 'tested', HTTP + http)

    def answer(self, q):
        a = self.plan.pop(0) if len(self.plan) > 1 else self.plan[0]
        return a(q) if callable(a) else a

    def says(self, *answers):
        """What the back end answers from now on, one after the other; the last one stays."""
        self.plan = list(answers)

    def ask(self, target='/', *fields, method='GET', body=None, count=True):
        before = len(self.backend.requests)
        with Client(self.server.port, timeout=15) as c:
            r = c.ask(request(method, target, *fields, body=body))
        self.backend.settle()
        time.sleep(0.03)    # nginx's other process sees what was kept a moment later
        asked = self.backend.requests[before:]
        conditions = [n for q in asked for n, v in q.headers if n in ('If-None-Match', 'If-Modified-Since', 'Range')]
        seen = (r.status, (r.all('X-Cache') or [None])[0], r.body.decode('latin-1')[:30] if r.status < 500 or b'html' not in r.body else 'page')
        self.seen.append(seen + tuple([len(asked)] + conditions if count else []))
        return r

    def grow_old(self, seconds=3.1):
        time.sleep(seconds)

    def settle(self):
        """Until a renewal in the background is over."""
        time.sleep(0.3)
        self.backend.settle()
        time.sleep(0.2)


def both(scenario, conf, wanted, http='', alone=False):
    """alone: behind weir only."""
    plays, errors = {}, []

    def run(binary):
        try:
            play = plays[binary] = Play(binary, conf, http)
            scenario(play)
            play.server.stop()
        except BaseException as e:    # told by the test's own thread
            errors.append(e)
    threads = [threading.Thread(target=run, args=(b,)) for b in ({WEIR} if alone else {NGINX, WEIR})]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for play in plays.values():
        play.site.abandon()
    if errors:
        raise errors[0]
    seen = {binary: [' '.join(str(x) for x in s) for s in play.seen] for binary, play in plays.items()}
    assert alone or seen[NGINX] == wanted, 'the test is wrong about nginx'
    assert seen[WEIR] == wanted


def location(*more):
    return 'location / { proxy_cache one; proxy_pass http://@backend@; %s }' % ' '.join(more)


def test_expired():
    def scenario(p):
        p.says(response(b'a', FRESH), response(b'b', FRESH))
        p.ask()
        p.ask()
        p.grow_old()
        p.ask()
        p.ask()
    both(scenario, location(), ['200 MISS a 1', '200 HIT a 0', '200 EXPIRED b 1', '200 HIT b 0'])


def test_expired_becomes_uncacheable():
    def scenario(p):
        p.says(response(b'a', FRESH), response(b'b', 'Cache-Control: no-store'), response(b'c', FRESH))
        p.ask()
        p.grow_old()
        p.ask()
        p.ask()
        p.ask()
    both(scenario, location(), ['200 MISS a 1', '200 EXPIRED b 1', '200 EXPIRED c 1', '200 HIT c 0'])


def test_revalidated():
    def scenario(p):
        p.says(response(b'a', FRESH, 'ETag: "e"', DATE), NOT_MODIFIED, NOT_MODIFIED, response(b'b', 'ETag: "f"', FRESH))
        p.ask()
        p.grow_old()
        p.ask()
        p.ask()
        p.grow_old()
        p.ask('/', 'If-None-Match: "e"')
        p.grow_old()
        p.ask()
        p.ask()
    both(scenario, location('proxy_cache_revalidate on;'), [
        '200 MISS a 1', '200 REVALIDATED a 1 If-Modified-Since If-None-Match', '200 HIT a 0',
        '304 REVALIDATED  1 If-Modified-Since If-None-Match', '200 EXPIRED b 1 If-Modified-Since If-None-Match', '200 HIT b 0'])


def test_not_revalidated_without_a_validator():
    def scenario(p):
        p.says(response(b'a', FRESH), response(b'b', FRESH))
        p.ask()
        p.grow_old()
        p.ask()
    both(scenario, location('proxy_cache_revalidate on;'), ['200 MISS a 1', '200 EXPIRED b 1'])


def test_conditions_of_clients_are_not_passed_on():
    def scenario(p):
        p.says(response(b'abc', FRESH, 'ETag: "e"', 'Accept-Ranges: bytes'))
        p.ask('/', 'If-None-Match: "x"', 'Range: bytes=0-0')
        p.ask('/', 'If-None-Match: "e"')
        p.ask('/', 'Range: bytes=1-')
    both(scenario, location(), ['206 MISS a 1', '304 HIT  0', '206 HIT bc 0'])


@pytest.mark.parametrize('stale', ['error', 'http_503', 'http_503 error'])
@pytest.mark.parametrize('failure', ['error', 503, 500, 404])
def test_stale(stale, failure):
    def scenario(p):
        p.says(response(b'a', FRESH, 'Connection: close'), DOWN if failure == 'error' else status(failure), DOWN if failure == 'error' else status(failure),
               response(b'b', FRESH))
        p.ask()
        p.grow_old()
        p.ask()
        p.ask()
        p.ask()
        p.ask()
    covered = ('error' if failure == 'error' else f'http_{failure}') in stale.split()
    bad = '502 EXPIRED page 1' if failure == 'error' else f'{failure} EXPIRED status {failure} 1'
    old = '200 STALE a 1' if covered else bad
    both(scenario, location(f'proxy_cache_use_stale {stale};'), ['200 MISS a 1', old, old, '200 EXPIRED b 1', '200 HIT b 0'])


def test_stale_by_the_answer_itself():
    """stale-if-error (RFC 5861)."""
    def scenario(p):
        p.says(response(b'a', FRESH + ', stale-if-error=2', 'Connection: close'), DOWN)
        p.ask()
        p.grow_old()
        p.ask()
        p.grow_old()
        p.ask()
    both(scenario, location(), ['200 MISS a 1', '200 STALE a 1', '502 EXPIRED page 1'])


@pytest.mark.weir_only('RFC 5861 4: a status of 500, 502, 503 or 504 is an error; to nginx it is an answer')
def test_stale_by_the_answer_itself_and_statuses():
    def scenario(p):
        p.says(response(b'a', FRESH + ', stale-if-error=60'), *[status(c) for c in (503, 500, 404)])
        p.ask()
        p.grow_old()
        for _ in range(3):
            p.ask()
    both(scenario, location(), ['200 MISS a 1', '200 STALE a 1', '200 STALE a 1', '404 EXPIRED status 404 1'], alone=True)


@pytest.mark.parametrize('how', ['use_stale', 'answer'])
def test_updating_in_the_background(how):
    more = ', stale-while-revalidate=60' if how == 'answer' else ''

    def scenario(p):
        p.says(response(b'a', FRESH + more), response(b'b', FRESH + more))
        p.ask()
        p.grow_old()
        p.ask(count=False)
        p.settle()
        p.ask()
    conf = location('proxy_cache_background_update on;', 'proxy_cache_use_stale updating;' if how == 'use_stale' else '')
    both(scenario, conf, ['200 MISS a 1', '200 STALE a', '200 HIT b 0'])


def test_while_another_updates():
    def scenario(p):
        go = threading.Event()

        def slow(q):
            go.wait(10)
            return response(b'b', FRESH)
        p.says(response(b'a', FRESH), slow)
        p.ask()
        p.grow_old()
        with Client(p.server.port, timeout=15) as c:
            c.send(get('/'))
            p.backend.wait_requests(2)
            with Client(p.server.port) as other:
                r = other.ask(get('/'))
                p.seen.append((r.status, r.header('X-Cache'), r.text, len(p.backend.requests)))
            go.set()
            r = c.response()
            p.seen.append((r.status, r.header('X-Cache'), r.text))
        p.settle()
        p.ask()
    both(scenario, location('proxy_cache_use_stale updating;'), ['200 MISS a 1', '200 UPDATING a 2', '200 EXPIRED b', '200 HIT b 0'])


def test_bypass_and_no_cache():
    def scenario(p):
        p.says(*[response(b'%d' % n, 'Cache-Control: max-age=60') for n in range(20)])
        for target in ('/', '/', '/?b=1', '/', '/?b=0', '/?b=1&n=1', '/', '/x?n=1', '/x', '/x'):
            p.ask(target)
    both(scenario, location('proxy_cache_key $uri; proxy_cache_bypass $arg_b; proxy_no_cache $arg_n;'), [
        '200 MISS 0 1', '200 HIT 0 0', '200 BYPASS 1 1', '200 HIT 1 0', '200 HIT 1 0', '200 BYPASS 2 1', '200 HIT 1 0',
        '200 MISS 3 1', '200 MISS 4 1', '200 HIT 4 0'])


def test_a_bypass_that_fails_hides_nothing():
    def scenario(p):
        p.says(response(b'a', 'Cache-Control: max-age=60', 'Connection: close'), DOWN)
        for target in ('/', '/?b=1', '/'):
            p.ask(target)
    both(scenario, location('proxy_cache_key $uri; proxy_cache_bypass $arg_b; proxy_cache_valid any 1m;'), [
        '200 MISS a 1', '502 BYPASS page 1', '200 HIT a 0'])


def test_stale_while_revalidate_is_for_errors_too():
    def scenario(p):
        p.says(response(b'a', FRESH + ', stale-while-revalidate=60', 'Connection: close'), DOWN)
        p.ask()
        p.grow_old()
        p.ask()
    both(scenario, location(), ['200 MISS a 1', '200 STALE a 1'])


@pytest.mark.parametrize('code', [302, 404])
def test_only_what_was_there_is_validated(code):
    """An ETag of an error or a redirect is not asked about: a 304 would say that the page is what it was."""
    def scenario(p):
        p.says(status(code, FRESH, 'ETag: "e"', DATE), response(b'b', FRESH, 'ETag: "e"'))
        p.ask()
        p.grow_old()
        p.ask()
    both(scenario, location('proxy_cache_revalidate on;'), [f'{code} MISS status {code} 1', '200 EXPIRED b 1'])


def test_min_uses():
    def scenario(p):
        p.says(*[response(b'%d' % n, 'Cache-Control: max-age=60') for n in range(20)])
        for _ in range(5):
            p.ask()
    both(scenario, location('proxy_cache_min_uses 3;'), [
        '200 MISS 0 1', '200 MISS 1 1', '200 MISS 2 1', '200 HIT 2 0', '200 HIT 2 0'])


def test_valid():
    def scenario(p):
        p.says(*[status(c) for c in (200, 404, 500, 301, 503, 418)])
        for target in ('/200', '/404', '/500', '/301', '/503', '/418'):
            p.ask(target)
        for target in ('/200', '/404', '/500', '/301', '/503', '/418'):
            p.ask(target)
    both(scenario, location('proxy_cache_valid 404 500 1m; proxy_cache_valid 200 1m; proxy_cache_valid 503 0; proxy_cache_valid any 1m;'), [
        '200 MISS status 200 1', '404 MISS status 404 1', '500 MISS status 500 1', '301 MISS status 301 1', '503 MISS status 503 1',
        '418 MISS status 418 1', '200 HIT status 200 0', '404 HIT status 404 0', '500 HIT status 500 0', '301 HIT status 301 0',
        '503 MISS status 418 1', '418 HIT status 418 0'][:10] + ['418 MISS status 418 1', '418 HIT status 418 0'])


def test_failures_are_remembered():
    """proxy_cache_valid 502: nothing but the status is kept."""
    def scenario(p):
        p.says(DOWN, DOWN, response(b'a', FRESH))
        for _ in range(3):
            p.ask()
        p.grow_old(3.1)
        p.ask()
    both(scenario, location('proxy_cache_valid any 2s;'), ['502 MISS page 1', '502 HIT page 0', '502 HIT page 0', '502 MISS page 1'])


def test_intercepted_errors():
    def scenario(p):
        p.says(status(404), response(b'found', FRESH))
        for _ in range(2):
            p.ask()
        p.grow_old(3.1)
        p.ask()
    both(scenario, location('proxy_cache_valid 404 2s; proxy_intercept_errors on; error_page 404 =410 @gone;') +
         'location @gone { return 410 "gone"; }', ['410 MISS gone 1', '410 HIT gone 0', '200 MISS found 1'])


@pytest.mark.parametrize('convert', ['on', 'off'])
def test_head(convert):
    def scenario(p):
        p.says(lambda q: response(b'' if q.method == 'HEAD' else b'body', 'Cache-Control: max-age=60', 'X-Method: ' + q.method))
        for method in ('HEAD', 'HEAD', 'GET', 'GET', 'HEAD'):
            p.seen.append((p.ask('/', method=method).header('X-Method'),))
    key = 'proxy_cache_key $request_method$uri;'
    wanted = ['200 MISS  1', 'GET', '200 HIT  0', 'GET', '200 HIT body 0', 'GET', '200 HIT body 0', 'GET', '200 HIT  0', 'GET']
    if convert == 'off':
        wanted = ['200 MISS  1', 'HEAD', '200 HIT  0', 'HEAD', '200 MISS body 1', 'GET', '200 HIT body 0', 'GET', '200 HIT  0', 'HEAD']
    both(scenario, location(f'proxy_cache_convert_head {convert}; {key if convert == "off" else ""}'), wanted)


def test_post():
    def scenario(p):
        p.says(*[response(b'%d' % n, 'Cache-Control: max-age=60') for n in range(20)])
        p.ask('/a', method='POST', body=b'x')
        p.ask('/a', method='POST', body=b'x')
        p.ask('/b', method='POST', body=b'x')
        p.ask('/b', method='PUT', body=b'x')
    both(scenario, location('proxy_cache_methods POST;'), ['200 MISS 0 1', '200 HIT 0 0', '200 MISS 1 1', '200 None 2 1'])


def test_ranges_far_behind():
    def scenario(p):
        p.says(lambda q: response(b'part', 'Content-Range: bytes 5-8/10', status='206 P') if q.all('Range') else response(b'0123456789', FRESH, 'Accept-Ranges: bytes'))
        p.ask('/', 'Range: bytes=5-8')
        p.ask('/', 'Range: bytes=4-5')
        p.ask('/', 'Range: bytes=3-4')
        p.ask('/', 'Range: bytes=-2')
        p.ask('/', 'Range: bytes=0-')
    both(scenario, location('proxy_cache_max_range_offset 4;'), [
        '206 MISS part 1 Range', '206 MISS part 1 Range', '206 MISS 34 1', '206 HIT 89 0', '206 HIT 0123456789 0'])


def test_zone_by_variable():
    def scenario(p):
        p.says(*[response(b'%d' % n, 'Cache-Control: max-age=60') for n in range(20)])
        for zone in ('one', 'one', 'off', '', 'two', 'two', 'nosuch'):
            p.ask(f'/?z={zone}')
    both(scenario, 'location / { proxy_cache $arg_z; proxy_cache_key $uri; proxy_pass http://@backend@; }', [
        '200 MISS 0 1', '200 HIT 0 0', '200 None 1 1', '200 None 2 1', '200 MISS 3 1', '200 HIT 3 0', '500 None page 0'],
        http='proxy_cache_path @dir@/two keys_zone=two:1m;')


def test_set_cookie_where_it_is_ignored():
    def scenario(p):
        p.says(response(b'a', FRESH, 'Set-Cookie: a=b'))
        for _ in range(2):
            r = p.ask()
            p.seen.append((str(r.all('Set-Cookie')),))
    both(scenario, location('proxy_ignore_headers Set-Cookie;'), ['200 MISS a 1', "['a=b']", '200 HIT a 0', "['a=b']"])


def test_ignored_fields():
    def scenario(p):
        p.says(response(b'a', 'Cache-Control: no-store', 'Expires: 0', 'X-Accel-Expires: 0', 'Vary: *'), response(b'b'))
        for _ in range(2):
            p.ask()
    both(scenario, location('proxy_ignore_headers Cache-Control Expires X-Accel-Expires Vary; proxy_cache_valid 1m;'), ['200 MISS a 1', '200 HIT a 0'])


def test_variables():
    def scenario(p):
        p.says(response(b'a', FRESH, 'ETag: "e"', DATE, 'X-Up: up'), DOWN)
        for _ in range(2):
            r = p.ask()
            p.seen.append((r.header('X-Up'), r.header('X-Vars')))
    both(scenario, location('add_header X-Vars "$upstream_cache_status|$upstream_http_x_up|$upstream_status"; add_header X-Cache $upstream_cache_status;'), [
        '200 MISS a 1', 'up MISS|up|200', '200 HIT a 0', 'up HIT|up|'])


def test_default_key_and_names_of_files(tmp_path):
    """The same file names as nginx: people remove files by them."""
    import hashlib
    import os
    found = []

    def scenario(p):
        p.says(response(b'a', 'Cache-Control: max-age=60'))
        p.ask('/x/y?a=b')
        time.sleep(0.3)
        key = f'http://{p.backend.address}/x/y?a=b'
        name = hashlib.md5(key.encode()).hexdigest()
        path = os.path.join(p.server.names['dir'], 'cache', name[-1], name[-3:-1], name)
        with open(path, 'rb') as f:
            assert b'\nKEY: ' + key.encode() + b'\n' in f.read()
        found.append(path)
        os.unlink(path)
        p.ask('/x/y?a=b')
    both(scenario, location(), ['200 MISS a 1', '200 MISS a 1'])
    assert len(found) == 2
