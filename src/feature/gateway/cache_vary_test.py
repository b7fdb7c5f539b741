"""Variants (Vary) of one key that are asked for at the same moment, that outlive a restart, and whose first one nobody asks for."""
import os
import signal
import threading
import time

import pytest

from weirtest import Client, get, response, until

KEEP = 'Cache-Control: max-age=6000'
VARY = 'Vary: Accept-Language'
LANGUAGES = ['a', 'b', 'c', 'd', 'e']


def language(q):
    return q.header('Accept-Language') or '-'


class Cache:
    """A server whose cache lies in @root@/cache and outlives it; its back end answers when all have asked."""

    def __init__(self, site, more='', path=''):
        self.site, self.backend = site, site.backend('backend')
        self.directory = os.path.join(site.root, 'cache')
        os.makedirs(self.directory)
        os.chmod(self.directory, 0o777)
        self.conf = f'location / {{ proxy_cache one; proxy_pass http://@backend@; proxy_cache_key $uri; {more} }}'
        self.http = f'proxy_cache_path @root@/cache keys_zone=one:1m {path}; add_header X-Cache $upstream_cache_status always;'
        self.start()

    def start(self):
        self.server = self.site.server(self.conf, http=self.http, workers=2)

    def ask(self, who, target='/'):
        with Client(self.server.port, timeout=30) as c:
            r = c.ask(get(target, f'Accept-Language: {who}'))
        self.backend.settle()
        return r.header('X-Cache'), r.body.rstrip(b'.').decode()

    def ask_at_once(self, size, vary=VARY):
        """Each language is missed before any has been answered."""
        before, go, found = len(self.backend.requests), threading.Event(), []

        def answer(q):
            go.wait(20)
            return response(language(q).encode().ljust(size, b'.'), KEEP, vary)
        self.backend.answer = answer
        threads = [threading.Thread(target=lambda who=who: found.append(self.ask(who))) for who in LANGUAGES]
        for t in threads:
            t.start()
        self.backend.wait_requests(before + len(LANGUAGES))
        go.set()
        for t in threads:
            t.join()
        assert sorted(found) == [('MISS', who) for who in LANGUAGES]

    def wait_files(self, count):
        until(lambda: sum(len(f) for _, _, f in os.walk(self.directory)) == count, f'{count} files')


@pytest.mark.weir_only('nginx keeps the last one, under the name of the key')
@pytest.mark.parametrize('how', [signal.SIGQUIT, signal.SIGKILL])
@pytest.mark.parametrize('size', [1, 100000])
def test_missed_at_once(site, size, how):
    cache = Cache(site)
    cache.ask_at_once(size)
    assert [cache.ask(who) for who in LANGUAGES] == [('HIT', who) for who in LANGUAGES]
    cache.wait_files(len(LANGUAGES))
    if how == signal.SIGKILL:
        cache.server.kill()
    else:
        cache.server.stop(how)
    cache.start()
    assert [cache.ask(who) for who in LANGUAGES] == [('HIT', who) for who in LANGUAGES]


@pytest.mark.weir_only('nginx writes what was asked for in spite of the cache over the first variant')
def test_bypass_after_a_restart(site):
    cache = Cache(site, 'proxy_cache_bypass $http_x_bypass;')
    cache.backend.answer = lambda q: response(language(q).encode(), KEEP, VARY)
    assert [cache.ask(who)[0] for who in 'ab'] == ['MISS'] * 2
    cache.wait_files(2)
    cache.server.stop()
    cache.start()
    with Client(cache.server.port) as c:
        assert c.ask(get('/', 'Accept-Language: b', 'X-Bypass: 1')).header('X-Cache') == 'BYPASS'
    cache.backend.settle()
    assert [cache.ask(who) for who in 'ab'] == [('HIT', who) for who in 'ab']


def test_who_uses_a_variant_uses_the_first_one(site):
    """What is known of Vary stays as long as any variant is asked for."""
    cache = Cache(site, path='inactive=2s')
    cache.backend.answer = lambda q: response(language(q).encode(), KEEP, VARY)
    assert [cache.ask(who)[0] for who in 'ab'] == ['MISS'] * 2
    for _ in range(10):
        time.sleep(0.5)
        assert cache.ask('b') == ('HIT', 'b')
    assert cache.ask('a') == ('HIT', 'a')


def test_another_vary_takes_the_place(site):
    """What varies by something else, or no more, is the answer to all from then on."""
    cache = Cache(site, 'proxy_cache_bypass $http_x_bypass;')
    cache.backend.answer = lambda q: response(language(q).encode(), KEEP, VARY)
    assert [cache.ask(who)[0] for who in 'abab'] == ['MISS'] * 2 + ['HIT'] * 2
    cache.backend.answer = lambda q: response(b'all', KEEP)
    with Client(cache.server.port) as c:
        assert c.ask(get('/', 'Accept-Language: b', 'X-Bypass: 1')).header('X-Cache') == 'BYPASS'
    cache.backend.settle()
    assert [cache.ask(who) for who in 'abc'] == [('HIT', 'all')] * 3
