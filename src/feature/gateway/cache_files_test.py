"""The cache's files: what a restart finds, what damage and removal do, a full disk, kill -9 in the middle, limits, purging, and
reloads."""
import glob
import os
import shutil
import signal
import subprocess
import threading
import time

import pytest

from weirtest import Client, Close, Wait, get, proc, response, until

KEEP = 'Cache-Control: max-age=6000'
BIG = bytes(i * 11 % 253 for i in range(700000))    # three blocks of checksums


class Cache:
    """A server with a cache in @root@/cache, which outlives it."""

    def __init__(self, site, path_options='', more='', **how):
        self.site, self.backend = site, site.backend('backend')
        self.directory = os.path.join(site.root, 'cache')
        self.conf = ('location / { proxy_cache one; proxy_pass http://@backend@; proxy_cache_purge $arg_purge; '
                     'proxy_cache_key $uri$arg_star; %s }' % more)
        self.http = ('proxy_cache_path @root@/cache levels=1:2 keys_zone=one:1m %s; add_header X-Cache $upstream_cache_status always;'
                     % path_options)
        self.how = how
        os.makedirs(self.directory, exist_ok=True)
        os.chmod(self.directory, 0o777)
        self.server = None
        self.start()

    def start(self):
        self.server = self.site.server(self.conf, http=self.http, **self.how)

    def restart(self, number=signal.SIGQUIT):
        if number == signal.SIGKILL:
            self.server.kill()
        else:
            self.server.stop(number)
        self.start()

    def ask(self, target='/', *fields):
        with Client(self.server.port, timeout=30) as c:
            r = c.ask(get(target, *fields))
        self.backend.settle()
        return r

    def says(self, target='/', *fields):
        return self.ask(target, *fields).header('X-Cache')

    def files(self):
        return sorted(f for f in glob.glob(self.directory + '/**', recursive=True) if os.path.isfile(f))

    def wait_files(self, count):
        return until(lambda: len(self.files()) == count and (self.files() or True), f'{count} files; there are {len(self.files())}') and self.files()


@pytest.fixture
def small(site):
    cache = Cache(site)
    cache.backend.answer = lambda q: response(b'body of ' + q.target.encode(), KEEP, 'X-Field: value')
    return cache


@pytest.fixture
def big(site):
    cache = Cache(site)
    cache.backend.answer = lambda q: response(BIG, KEEP, 'Accept-Ranges: bytes')
    return cache


@pytest.mark.parametrize('how', [signal.SIGQUIT, signal.SIGTERM, signal.SIGKILL])
@pytest.mark.parametrize('kind', ['small', 'big'])
def test_it_survives_a_restart(request, kind, how):
    cache = request.getfixturevalue(kind)
    first = [cache.ask(f'/{i}') for i in range(5)]
    cache.wait_files(5)
    cache.restart(how)
    for i in range(5):
        r = cache.ask(f'/{i}')
        assert (r.header('X-Cache'), r.body, r.all('X-Field')) == ('HIT', first[i].body, first[i].all('X-Field'))
    assert len(cache.backend.requests) == 5


def test_the_loader_finds_what_nobody_asks_for(small):
    for i in range(20):
        small.ask(f'/{i}')
    small.wait_files(20)
    small.restart()
    small.server.wait_error('notice', r'cache "one": 20 files of \d+ bytes found, 0 removed')
    assert small.says('/3?purge=1') is None and small.ask('/3?purge=1').status == 404 and len(small.wait_files(19)) == 19


def flip(path, at):
    with open(path, 'r+b') as f:
        f.seek(at, os.SEEK_SET if at >= 0 else os.SEEK_END)
        byte = f.read(1)
        f.seek(at, os.SEEK_SET if at >= 0 else os.SEEK_END)
        f.write(bytes([byte[0] ^ 0x10]))


@pytest.mark.parametrize('at', [0, 8, 13, 20, 40, 70, 115, 125, 180, 260, -5, -20])
@pytest.mark.parametrize('loaded', [True, False])
def test_a_flipped_bit_of_a_small_one_is_never_served(small, at, loaded):
    small.ask('/x')
    path, = small.wait_files(1)
    small.server.stop()
    before = open(path, 'rb').read()
    flip(path, at)
    damage = next(i for i, (a, b) in enumerate(zip(before, open(path, 'rb').read())) if a != b)
    room = before.index(b'\r\n\r\n') + 4 <= damage < before.index(b'body of')    # nothing lies there
    small.start()
    if loaded:
        small.server.wait_error('notice', r'cache "one": \d files')
    r = small.ask('/x')
    assert r.body == b'body of /x' and r.header('X-Cache') == ('HIT' if room else 'MISS')
    if not room:
        small.server.wait_error('crit', 'cache file ".*" is (not used|removed): ')
    assert small.says('/x') == 'HIT'


@pytest.mark.parametrize('block', [0, 1, 2])
def test_a_flipped_bit_of_a_big_one_is_never_sent(big, block):
    big.ask('/x')
    path, = big.wait_files(1)
    data = open(path, 'rb').read()
    big.server.stop()
    flip(path, data.index(BIG[:1000]) + block * 262144 + 1000)
    big.start()
    with Client(big.server.port, timeout=30) as c:
        c.send(get('/x'))
        got = c.read_to_end() if block else c.response()
    if block == 0:    # nothing was sent: the back end is asked
        assert got.body == BIG and got.header('X-Cache') == 'MISS'
    else:
        body = bytes(c.received).partition(b'\r\n\r\n')[2]
        assert len(body) < len(BIG) and BIG.startswith(body), 'cut in front of the damage'
    big.server.wait_error('crit', 'is not used: its body is damaged')
    assert big.ask('/x').body == BIG and big.says('/x') == 'HIT'


@pytest.mark.parametrize('cut', [10, 100, 200, 1000, -1])
@pytest.mark.parametrize('kind', ['small', 'big'])
def test_a_truncated_one_is_never_served(request, kind, cut):
    cache = request.getfixturevalue(kind)
    whole = cache.ask('/x').body
    path, = cache.wait_files(1)
    cache.server.stop()
    size = os.path.getsize(path)
    os.truncate(path, cut if 0 <= cut < size else size - 1)
    cache.start()
    r = cache.ask('/x')
    assert (r.header('X-Cache'), r.body) == ('MISS', whole)
    assert cache.says('/x') == 'HIT'


def test_what_is_not_ours(small):
    """A foreign file with a name like ours goes; others stay, whatever the path is."""
    small.ask('/x')
    path, = small.wait_files(1)
    small.server.stop()
    d = small.directory
    name = 'b7f54b2df7773722d382f4809d65029c'
    os.makedirs(f'{d}/c/29', exist_ok=True)
    for file, content in ((f'{d}/c/29/{name}', b'\3\0\0\0an nginx file'), (f'{d}/c/29/{name}.0000000001', b'left over'),
                          (f'{d}/notes.txt', b'mine'), (f'{d}/c/29/README', b'mine'), (f'{d}/{name}', b'wrong place')):
        with open(file, 'wb') as f:
            f.write(content)
    subprocess.run(['chmod', '-R', 'a+rwX', d], check=True)
    small.start()
    small.server.wait_error('warn', 'files in ".*" are not weir\'s and are left alone')
    assert sorted(os.path.basename(f) for f in small.files()) == sorted([os.path.basename(path), 'notes.txt', 'README'])
    assert small.says('/x') == 'HIT'


def test_files_removed_by_hand(small):
    """rm is a way to purge."""
    assert [small.says('/x'), small.says('/x')] == ['MISS', 'HIT']
    os.unlink(small.wait_files(1)[0])
    assert [small.says('/x'), small.says('/x')] == ['MISS', 'HIT']
    small.wait_files(1)
    for d in glob.glob(small.directory + '/*'):
        shutil.rmtree(d)
    assert [small.says('/x'), small.says('/x')] == ['MISS', 'HIT']
    small.wait_files(1)


def test_a_directory_that_cannot_be_written(small):
    """The client gets its answer; only the keeping fails, and is told."""
    shutil.rmtree(small.directory)
    with open(small.directory, 'w') as f:
        f.write('a file')
    r = small.ask('/x')
    assert (r.status, r.body) == (200, b'body of /x')
    small.server.wait_error('crit', 'cache file ".*" cannot be written, the response is not cached')
    small.backend.answer = lambda q: response(BIG, KEEP)
    assert small.ask('/big').body == BIG
    small.server.wait_error('crit', 'cache file in ".*" cannot be written, the response is not cached')


@pytest.mark.root
@pytest.mark.parametrize('clients', [1, 5])
def test_a_full_disk(site, clients):
    """Nobody's answer is cut."""
    place = os.path.join(site.root, 'cache')
    os.makedirs(place)
    r = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=512k,mode=777', 'weirtest', place], capture_output=True, text=True)
    if r.returncode != 0:
        pytest.skip('cannot mount: ' + r.stderr)
    try:
        body = BIG * 6    # eight times the disk
        cache = Cache(site, more='proxy_cache_lock on;', workers=3)
        cache.backend.answer = lambda q: response(body if q.target == '/big' else b'small', KEEP)
        found = []

        def one():
            with Client(cache.server.port, timeout=60) as c:
                found.append(c.ask(get('/big')).body == body)
        threads = [threading.Thread(target=one) for _ in range(clients)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert found == [True] * clients
        cache.server.wait_error('crit', 'cannot be written, the response is not cached')
        until(lambda: cache.says('/small') == 'HIT', 'room for a small one again')
        cache.server.stop()
    finally:
        subprocess.run(['umount', '-l', place], check=True)


def test_killed_in_the_middle(big):
    """Nothing is left of what was being written, and a new worker goes on."""
    go = threading.Event()
    head = b'HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 700000\r\n\r\n'
    big.ask('/whole')
    big.wait_files(1)
    big.backend.answer = lambda q: [head + BIG[:400000], Wait(go), BIG[400000:]]
    with Client(big.server.port) as c:
        c.send(get('/x'))
        c.wait_for(BIG[:1000])
        for pid in big.server.workers():
            os.kill(pid, signal.SIGKILL)
        c.read_to_end()
    go.set()
    big.server.alerts += ('exited on signal 9',)
    big.backend.answer = lambda q: response(BIG, KEEP)
    until(lambda: answers(big), 'a new worker')
    assert len(big.files()) <= 2
    assert big.says('/whole') == 'HIT' and big.ask('/x').body == BIG and big.says('/x') == 'HIT'


def answers(cache):
    try:
        return cache.ask('/y').status == 200
    except (OSError, AssertionError):
        return False


# --- limits --------------------------------------------------------------------------------------------------------------

def test_max_size(site):
    """What was not used for longest goes."""
    cache = Cache(site, 'max_size=100k')
    cache.backend.answer = lambda q: response(b'x' * 10000, KEEP)    # three blocks each
    for i in range(8):
        cache.ask(f'/{i}')
    cache.wait_files(8)
    time.sleep(0.02)
    assert cache.says('/0') == 'HIT'
    for i in range(8, 15):
        cache.ask(f'/{i}')
    until(lambda: sum(os.path.getsize(f) for f in cache.files()) <= 100 * 1024 and len(cache.files()) == 8, 'eight to be left')
    assert [cache.says('/0'), cache.says('/8'), cache.says('/14')] == ['HIT'] * 3
    assert cache.says('/7') == 'MISS'


def test_inactive(site):
    cache = Cache(site, 'inactive=1s')
    cache.backend.answer = lambda q: response(b'x', KEEP)
    cache.ask('/a')
    cache.ask('/b')
    cache.wait_files(2)
    for _ in range(8):
        time.sleep(0.25)
        assert cache.says('/b') == 'HIT'
    cache.wait_files(1)
    assert [cache.says('/b'), cache.says('/a')] == ['HIT', 'MISS']


@pytest.mark.root
def test_min_free(site):
    place = os.path.join(site.root, 'cache')
    os.makedirs(place)
    r = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=1m,mode=777', 'weirtest', place], capture_output=True, text=True)
    if r.returncode != 0:
        pytest.skip('cannot mount: ' + r.stderr)
    try:
        cache = Cache(site, 'min_free=600k max_size=500k')
        cache.backend.answer = lambda q: response(b'x' * 50000, KEEP)
        for i in range(12):
            cache.ask(f'/{i}')
            time.sleep(0.02)

        def enough():
            s = os.statvfs(place)
            return s.f_bavail * s.f_frsize >= 600 * 1024
        until(enough, 'enough to be free')
        assert cache.says('/11') == 'HIT'
        cache.server.stop()
    finally:
        subprocess.run(['umount', '-l', place], check=True)


def test_memory_is_bounded_by_keys_zone(site):
    """More objects than the zone can know: the oldest go, nothing breaks."""
    cache = Cache(site)
    cache.backend.answer = lambda q: response(b'x' * 2000, KEEP)
    cache.server.stop()
    cache.http = cache.http.replace('keys_zone=one:1m', 'keys_zone=one:16k')
    cache.start()
    with Client(cache.server.port, timeout=30) as c:
        for i in range(400):
            assert c.ask(get(f'/{i}')).body == b'x' * 2000
        assert c.ask(get('/399')).header('X-Cache') == 'HIT'
    until(lambda: len(cache.files()) <= 128, 'few files')    # nginx: 8,000 keys a MiB


# --- purging -------------------------------------------------------------------------------------------------------------

def test_purge(small):
    for target in ('/a', '/b'):
        small.ask(target)
    small.wait_files(2)
    r = small.ask('/a?purge=1')
    assert r.status == 204 and r.body == b''
    assert small.ask('/a?purge=1').status == 404 and small.ask('/nosuch?purge=1').status == 404
    assert small.ask('/a?purge=0').header('X-Cache') == 'MISS'
    assert [small.says('/a'), small.says('/b')] == ['HIT', 'HIT']


def test_purge_of_all_variants(small):
    small.backend.answer = lambda q: response((q.header('Accept-Language') or '-').encode(), KEEP, 'Vary: Accept-Language')
    for lang in 'abc':
        small.ask('/v', f'Accept-Language: {lang}')
    small.wait_files(3)
    assert small.ask('/v?purge=1').status == 204
    small.wait_files(0)
    assert [small.says('/v', f'Accept-Language: {lang}') for lang in 'abca'] == ['MISS', 'MISS', 'MISS', 'HIT']


@pytest.mark.parametrize('known', [True, False])
def test_purge_of_a_prefix(small, known):
    for i in range(6):
        small.ask(f'/in/{i}')
        small.ask(f'/out/{i}')
    small.wait_files(12)
    if not known:
        small.restart()
    assert small.ask('/in/?purge=1&star=*').status == 204
    assert [small.says(f'/in/{i}') for i in (0, 1, 0)] == ['MISS', 'MISS', 'HIT']
    assert small.says('/out/0') == 'HIT'
    small.wait_files(8)
    assert [small.says(f'/in/{i}') for i in (0, 1, 2)] == ['HIT', 'HIT', 'MISS']
    assert small.ask('/?purge=1&star=*').status == 204
    small.wait_files(0)


def test_purged_while_it_comes(small):
    go = threading.Event()

    def answer(q):
        go.wait(20)
        return response(b'old', KEEP)
    small.backend.answer = answer
    with Client(small.server.port) as c:
        c.send(get('/x'))
        small.backend.wait_requests(1)
        with Client(small.server.port) as d:
            assert d.ask(get('/x?purge=1')).status == 404
        go.set()
        assert c.response().body == b'old'
    small.backend.answer = lambda q: response(b'new', KEEP)
    assert small.ask('/x').body == b'new'


# --- reloads -------------------------------------------------------------------------------------------------------------

def reload(cache, old, new):
    with open(cache.server.conf_path) as f:
        text = f.read()
    assert old in text
    with open(cache.server.conf_path, 'w') as f:
        f.write(text.replace(old, new))
    before = len([e for e in cache.server.errors('notice') if 'reconfiguring' in e.message])
    cache.server.send_signal(signal.SIGHUP)
    until(lambda: len([e for e in cache.server.errors('notice') if 'reconfiguring' in e.message]) > before, 'the reload')
    time.sleep(0.5)


def test_reload_keeps_the_cache(small):
    small.ask('/x')
    small.wait_files(1)
    reload(small, 'levels=1:2', 'levels=1:2 inactive=1h max_size=10m')
    assert small.says('/x') == 'HIT'
    reload(small, 'keys_zone=one:1m', 'keys_zone=one:2m')    # a new index, the same files
    assert small.says('/x') == 'HIT'
    reload(small, 'inactive=1h', 'inactive=1s')
    small.wait_files(0)


def test_reload_in_the_middle(big):
    go = threading.Event()
    head = b'HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 700000\r\n\r\n'
    big.backend.answer = lambda q: [head + BIG[:400000], Wait(go), BIG[400000:]]
    with Client(big.server.port, timeout=30) as c:
        c.send(get('/x'))
        c.wait_for(BIG[:1000])
        reload(big, 'keys_zone=one:1m', 'keys_zone=one:2m')
        go.set()
        assert c.response().body == BIG
    until(lambda: big.says('/x') == 'HIT', 'what was kept by the old configuration')


# --- bodies --------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('size', [0, 1, 4095, 4096, 32767, 32768, 32769, 65536, 262143, 262144, 262145, 524288, 3000000])
def test_sizes(site, size):
    cache = Cache(site)
    body = (BIG * (size // len(BIG) + 1))[:size]
    cache.backend.answer = lambda q: response(body, KEEP, 'Accept-Ranges: bytes')
    for want in ('MISS', 'HIT'):
        r = cache.ask('/x')
        assert r.header('X-Cache') == want and r.body == body
        cache.wait_files(1)
    cache.restart()
    assert cache.ask('/x').body == body
    for first, last in ((0, 0), (1, 4097), (262143, 262144), (size - 1, size - 1)):
        if 0 <= first <= last < size:
            r = cache.ask('/x', f'Range: bytes={first}-{last}')
            assert r.status == 206 and r.body == body[first:last + 1]
    if size > 3:
        parts = cache.ask('/x', f'Range: bytes={size - 2}-{size - 1},0-1').body
        assert parts.index(body[-2:]) < parts.rindex(body[:2])
    assert len(cache.backend.requests) == 1


def test_no_descriptors_or_memory_are_lost(big):
    big.ask('/x')
    big.wait_files(1)
    before = big.server.settled_descriptors()
    for _ in range(30):
        assert big.ask('/x').body == BIG
        with Client(big.server.port) as c:    # leaves in the middle
            c.send(get('/x'))
            c.wait_for(BIG[:100])
    assert big.server.settled_descriptors() <= before
