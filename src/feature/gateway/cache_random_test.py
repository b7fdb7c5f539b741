"""Random lives of cached answers against nginx: locations with random settings, back ends that say random things, requests of all
kinds, and a clock that is set forth. Times are such that nothing depends on how long anything takes."""
import email.utils
import os
import random
import threading
import time

import pytest

from weirtest import NGINX, WEIR, Client, Close, Site, get, request, response, until
from weirtest.clock import Clock, available

STORIES, STEPS = 24, 12
HOUR = 1000    # by this the clock is set forth; what ends, ends half an hour beside it
HTTP = '''
    proxy_cache_path @dir@/cache levels=1:2 keys_zone=one:1m inactive=100d;
    proxy_http_version 1.1;
    add_header X-Cache $upstream_cache_status always;
    add_header X-Upstream "$upstream_status $upstream_http_etag" always;
    access_log off;
    keepalive_requests 100000;
'''
DATE = 'Last-Modified: Thu, 02 Jan 2020 03:04:05 GMT'
USE_STALE = ['error', 'invalid_header', 'updating', 'http_500', 'http_503', 'http_404', 'http_403', 'http_429']


class Story:
    """A location, what its back end will say, and what clients will ask."""

    def __init__(self, number, seed):
        r = self.random = random.Random(f'{seed}/{number}')
        self.number = number
        pick = r.choice
        self.vary = r.random() < 0.2
        self.forbids = not self.vary and r.random() < 0.4      # some answers must not be kept
        self.conditions = not self.forbids and r.random() < 0.6
        self.post = r.random() < 0.2
        self.turns = not self.vary and r.random() < 0.3        # by-passes
        self.background = r.random() < 0.4
        self.while_revalidate, self.if_error = r.random() < 0.3, r.random() < 0.3
        self.validators = pick([(), ('ETag: "e"',), (DATE,), ('ETag: "e"', DATE)])
        valids = pick([[], ['1500s'], ['any 1500s'], ['200 1500s', '404 500 3500s'], ['404 0', 'any 2500s'], ['500 502 1500s'], ['200 0']])
        # Failures that are remembered: nginx counts uses anew behind them, forgets what there was, and minds no proxy_no_cache.
        self.remembers = any(w in v for v in valids for w in ('any', '502'))
        if self.remembers and (self.vary or self.turns or self.background):
            self.remembers, valids = False, ['200 1500s']
        words = [f'proxy_pass http://@backend@; proxy_cache one; proxy_cache_key "{self.key()}";']
        words.append(f'proxy_cache_revalidate {pick(["on", "off"])}; proxy_cache_background_update {"on" if self.background else "off"};')
        words.append(f'proxy_cache_lock {pick(["on", "off"])}; proxy_cache_min_uses {1 if self.remembers or self.turns else pick([1, 1, 2, 3])};')
        stale = [w for w in USE_STALE if r.random() < 0.4]
        words.append(f'proxy_cache_use_stale {" ".join(stale) or "off"};')
        for valid in valids:
            words.append(f'proxy_cache_valid {valid};')
        if self.turns:
            words.append('proxy_cache_bypass $arg_b; proxy_no_cache $arg_n;')
        if self.post:
            words.append('proxy_cache_methods POST;')
        if r.random() < 0.2:
            words.append('proxy_ignore_headers ' + pick(['Cache-Control', 'X-Accel-Expires', 'Set-Cookie', 'Cache-Control Expires Set-Cookie']) + ';')
        if r.random() < 0.2 and self.conditions:
            words.append('proxy_force_ranges on;')
        if r.random() < 0.2 and not self.background:    # nginx renews by the Range of who came, and keeps nothing
            words.append('proxy_cache_max_range_offset 2;')
        if r.random() < 0.2 and not self.vary:    # a status that is remembered hides variants, in nginx for longer
            words.append('proxy_intercept_errors on; error_page 404 503 = @gone;')
        self.conf = 'location /s%d/ { %s }' % (number, ' '.join(words))
        self.steps = [self.step(n) for n in range(STEPS)]

    def key(self):
        self.converts = self.random.random() < 0.8
        return '$uri' if self.converts else '$request_method$uri'

    def answer(self, step):
        r = self.random
        kinds = ['fresh'] * 6 + ['unsaid', 'accel', '404', '500', '503', '429', 'down', 'invalid', '302']
        if self.forbids:
            kinds += ['no-store', 'cookie', 'accel 0', 'max-age=0', 'no-cache']
        kind = r.choice(kinds)
        # To nginx stale-if-error is for failures only.
        if (self.if_error or self.while_revalidate) and kind in ('500', '503'):
            kind = 'down'
        control = f'Cache-Control: max-age={r.choice([1500, 1500, 3500])}'
        control += f', stale-while-revalidate={r.choice([1000, 4000])}' if self.while_revalidate else ''
        control += f', stale-if-error={r.choice([1000, 4000])}' if self.if_error else ''
        fields = list(self.validators) + (['Vary: Accept-Language'] if self.vary else []) + ['Accept-Ranges: bytes', 'Connection: close']
        body, status = b'body of %d' % step, '200 OK'
        if kind == 'down':
            return lambda q: [Close()]
        if kind == 'invalid':
            return lambda q: [b'HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n', Close()]
        if kind in ('fresh', '302'):
            fields.append(control)
            status = '302 Found' if kind == '302' else status
        elif kind in ('no-store', 'max-age=0', 'no-cache'):
            fields.append(f'Cache-Control: {kind}')
        elif kind.startswith('accel'):
            fields.append('X-Accel-Expires: ' + ('0' if kind == 'accel 0' else '2500'))
        elif kind == 'cookie':
            fields += [control, 'Set-Cookie: a=b']
        elif kind.isdigit():
            status = kind + ' X'
            fields += r.choice([[], [control]])

        def say(q):
            if self.vary:
                whole = body + (q.header('Accept-Language') or '').encode()
            else:
                whole = body
            if status == '200 OK' and kind == 'fresh' and (q.all('If-None-Match') or q.all('If-Modified-Since')) and step % 2:
                return response(b'', *fields, status='304 Not Modified', length=False)
            return response(b'' if q.method == 'HEAD' else whole, *fields, status=status, length=q.method != 'HEAD')
        return say

    def step(self, n):
        r = self.random
        method = r.choice(['GET'] * 5 + ['HEAD'] + (['POST'] if self.post else []))
        fields, query = [], ''
        if self.vary:
            fields += r.choice([[], ['Accept-Language: a'], ['Accept-Language: b']])
        if self.conditions and method == 'GET':
            fields += r.choice([[], [], ['If-None-Match: "e"'], ['If-None-Match: "x"'], ['If-Modified-Since: Thu, 02 Jan 2020 03:04:05 GMT'],
                                ['Range: bytes=1-2'], ['Range: bytes=3-4'], ['Range: bytes=-2']])
        if self.turns:
            query = r.choice(['', '', '?b=1', '?n=1', '?b=1&n=1'])
        return method, f'/s{self.number}/{r.choice("xxy")}{query}', fields, self.answer(n)


class Play:
    """All stories with one server; its clock is set while it runs."""

    def __init__(self, binary, stories):
        self.site, self.stories, self.says = Site(), {s.number: s for s in stories}, {}
        self.backend = self.site.backend('backend', self.answer)
        self.backend.answer = self.answer
        conf = ' '.join(s.conf for s in stories) + ' location @gone { return 410 "gone"; } location = /now { return 204; }'
        with Clock(self.site) as self.clock:
            self.server = self.site.server(conf, binary, 'nginx' if binary == NGINX else 'tested', HTTP, workers=1)
        self.seen = {s.number: [] for s in stories}

    def answer(self, q):
        return self.says[int(q.target.split('/')[1][1:])](q)

    def run(self, jumps):
        for n in range(STEPS):
            self.set_clock(sum(jumps[:n + 1]) * HOUR)
            for number, story in self.stories.items():
                self.ask(story, *story.steps[n])
        self.server.stop()

    def set_clock(self, seconds):
        self.clock.set(seconds)

        def date():
            with Client(self.server.port) as c:
                return email.utils.parsedate_to_datetime(c.ask(get('/now')).header('Date')).timestamp()
        until(lambda: abs(date() - time.time() - seconds) < 100, f'the time {seconds:+} s off')

    def ask(self, story, method, target, fields, answer):
        self.says[story.number] = answer
        before = len(self.backend.requests)
        with Client(self.server.port, timeout=20) as c:
            r = c.ask(request(method, target, *fields, body=b'x' if method == 'POST' else None))
        cache = (r.all('X-Cache') or ['-'])[0]
        if cache == 'STALE':
            until(lambda: len(self.backend.requests) > before, 'the back end is asked')
        self.backend.settle()
        asked = self.backend.requests[before:]
        if asked:    # what was kept is there a moment later
            time.sleep(0.15 if cache == 'STALE' and story.background else 0.02)
        conditions = [f for q in asked for f in ('If-None-Match', 'If-Modified-Since', 'Range') if q.all(f)]
        body = 'page' if b'<html>' in r.body else r.text
        self.seen[story.number].append(f'{method} {target} {" ".join(fields)}: {r.status} {cache} {body!r} asked {len(asked)} {" ".join(conditions)} '
                                       f'{(r.all("X-Upstream") or ["-"])[0]}')


@pytest.mark.skipif(not available(), reason='no C compiler for the clock')
@pytest.mark.parametrize('seed', os.environ.get('CACHE_SEEDS', '1 2').split())
def test_lives(seed):
    """CACHE_SEEDS="3 4 5": other lives."""
    stories = [Story(n, seed) for n in range(STORIES)]
    jumps = [random.Random(f'{seed}/clock/{n}').choice([0, 0, 1, 2, 2, 3]) for n in range(STEPS)]
    plays, errors = {}, []
    try:
        for binary in {NGINX, WEIR}:
            plays[binary] = Play(binary, stories)

        def run(play):
            try:
                play.run(jumps)
            except BaseException as e:    # told by the test's own thread
                errors.append(e)
        threads = [threading.Thread(target=run, args=(p,)) for p in plays.values()]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    finally:
        for play in plays.values():
            play.site.abandon()
    if errors:
        raise errors[0]
    wrong = []
    for s in stories:
        nginx, weir = plays[NGINX].seen[s.number], plays[WEIR].seen[s.number]
        if nginx != weir:
            first = next(n for n in range(STEPS) if nginx[n] != weir[n])
            lines = [f'{n}: +{jumps[n]} {nginx[n]}' for n in range(first + 1)] + [f'{first}: weir: {weir[first]}']
            wrong.append('\n'.join([s.conf] + lines))
    assert not wrong, '\n\n'.join(wrong)
