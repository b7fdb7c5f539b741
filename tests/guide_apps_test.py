"""The guide's configurations in front of several real applications at once: a built Next.js, services behind one host, a cluster
whose members die and come back."""
import json
import re
import signal
import threading
import time

import pytest

from weirtest import NGINX, WEIR, Client, Site, exchange, get, guide, is_nginx, post, request, until
from weirtest.apps import App, events_at_once, express, fastapi, gunicorn, nextjs


def outcome(r):
    """What both servers must agree on."""
    volatile = ('Date', 'Server', 'Connection', 'Keep-Alive', 'X-Nextjs-Cache', 'x-nextjs-cache')
    return r.status, r.body, [(n, v) for n, v in r.headers if n not in volatile]


@pytest.fixture(scope='module')
def place():
    site = Site()
    yield site
    site.abandon()


@pytest.fixture(scope='module')
def next_(place):
    app = nextjs(place.directory)
    yield app
    app.stop()


def text_for(file, app):
    """A guide file with all its back ends in one application."""
    text = re.sub(r'127\.0\.0\.1:\d+', app.address, guide(file))
    host = re.search(r'server_name (\S+);', text)
    return text, host[1] if host else 'localhost'


# The files of sections 3, 4 and 5 that route by path and host to Node applications.
FILES = ['03-1a-nodejs.conf', '03-1b-nextjs.conf', '04-1-http-and-websocket.conf', '04-websocket.conf', '05-1-path-routing.conf',
         '05-2-host-routing.conf']
ZONES = 'limit_req_zone $binary_remote_addr zone=auth_limit:1m rate=1000r/s; limit_req_zone $binary_remote_addr zone=api:1m rate=1000r/s; access_log off;'


def serve(site, file, app, **how):
    text, host = text_for(file, app)
    return site.server(text, http=ZONES, **how), host


@pytest.mark.xdist_group('guide-next')
class TestNext:
    """A built application, started as users start it."""

    @pytest.mark.parametrize('file', FILES)
    def test_pages_as_behind_nginx(self, site, next_, file):
        servers = [serve(site, file, next_, binary=b, label=n)[0] for b, n in ((NGINX, 'nginx'), (WEIR, 'tested'))]
        host = text_for(file, next_)[1]
        _, _, page = outcome(exchange(servers[1].port, get('/', host=host))[0])
        static = re.search(rb'/_next/static/chunks/[\w./-]+\.js', exchange(servers[1].port, get('/', host=host))[0].body)[0].decode()
        asked = [get(t, host=host) for t in ('/', static, '/items/7?a=b&c=%20d', '/items/%C3%BC', '/nothing', '/picture.png', '/_next/image?url=%2Fpicture.png&w=64&q=75')]
        asked += [request('HEAD', '/', host=host), get('/', 'RSC: 1', 'Next-Url: /', host=host), get('/', 'Accept-Encoding: gzip', host=host)]
        for data in asked:
            reference, tested = (outcome(exchange(s.port, data)[0]) for s in servers)
            assert tested == reference, data[:60]
        if file != '05-1-path-routing.conf':    # its /api/ goes elsewhere, without the prefix
            told = [json.loads(re.sub(rf'(?<!\d){s.port}(?!\d)', '@port@', exchange(s.port, post('/api/tell?x=y', b'z' * 50000, 'Cookie: a=b', host=host))[0].text)) for s in servers]
            for t in told:
                t['headers'] = [h for h in t['headers'] if h[0] != 'connection']
            assert told[1] == told[0] and told[1]['length'] == 50000 and told[1]['cookies'] == [['a', 'b']]

    @pytest.mark.parametrize('file', ['03-1a-nodejs.conf', '03-1b-nextjs.conf', '04-1-http-and-websocket.conf'])
    def test_a_page_streams(self, site, next_, file):
        """What is ready is shown while a part of the page is still being made, with buffering on."""
        if is_nginx(WEIR):
            pytest.skip('nginx holds it back until its buffer is full')
        server, host = serve(site, file, next_)
        with Client(server.port) as c:
            c.send(get('/slow', host=host))
            c.wait_for(b'early part')
            assert b'late part' not in c.received
            assert b'late part' in c.response().body

    @pytest.mark.parametrize('file', ['03-1a-nodejs.conf', '03-1b-nextjs.conf', '04-1-http-and-websocket.conf'])
    def test_events_arrive_at_once(self, site, next_, file):
        if is_nginx(WEIR):
            pytest.skip('nginx holds events back while it buffers')
        server, host = serve(site, file, next_)
        events_at_once(server, get('/api/events', host=host))


@pytest.mark.xdist_group('guide-paths')
def test_05_1_path_routing(site, place):
    """Four applications behind one host: each gets what is its own, without the prefix."""
    apps = {3000: express(place.directory, 'frontend'), 4000: express(place.directory, 'api'), 5000: gunicorn(place.directory, name='auth'),
            6000: fastapi(place.directory, 'upload')}
    try:
        servers = [site.server(guide('05-1-path-routing.conf', {p: a.address for p, a in apps.items()}), b, n, http=ZONES + ' proxy_http_version 1.1;')
                   for b, n in ((NGINX, 'nginx'), (WEIR, 'tested'))]
        for data, where in [(get('/', host='example.com'), 3000), (get('/page/x?y', host='example.com'), 3000), (get('/api/users?x=1', host='example.com'), 4000),
                            (post('/api/a%20b', b'x', host='example.com'), 4000), (get('/auth/login', host='example.com'), 5000), (post('/upload/file', b'x' * (3 << 20), host='example.com'), 6000)]:
            answers = [exchange(s.port, data)[0] for s in servers]
            assert [r.status for r in answers] == [200, 200]
            said = [json.loads(re.sub(rf'(?<!\d){s.port}(?!\d)', '@port@', r.text)) for s, r in zip(servers, answers)]
            paths = [v.get('url') or v.get('path') or v.get('full_path') for v in said]
            assert paths[0] == paths[1]
            assert not any(str(p).startswith(('/api', '/auth', '/upload')) for p in paths)
            assert said[0].get('length') == said[1].get('length')
        big = exchange(servers[1].port, post('/upload/file', b'x' * (64 << 20), host='example.com'))[0]
        assert json.loads(big.text)['length'] == 64 << 20
    finally:
        for app in apps.values():
            app.stop()


class Cluster:
    """Express behind section 6's file; members are killed and started again on their ports."""

    def __init__(self, place):
        self.place = place
        self.apps = [express(place.directory, f'member{i}') for i in range(4)]

    def text(self):
        text = guide('06-load-balancing.conf')
        for i, app in enumerate(self.apps):
            text = text.replace(f'10.0.0.{10 + i}:8080', app.address)
        return text.replace('10.0.0.14:8080', '127.0.0.1:1').replace('fail_timeout=30s', 'fail_timeout=1s')

    def kill(self, i):
        self.apps[i].process.send_signal(signal.SIGKILL)
        self.apps[i].process.wait()

    def start(self, i):
        old = self.apps[i]
        command = ['node', old.command[1], str(old.port)]
        self.apps[i] = App(command, self.place.directory, old.name, port=old.port, env=old.env)

    def stop(self):
        for app in self.apps:
            app.stop()


def load(port, stop, statuses):
    while not stop.is_set():
        try:
            with Client(port) as c:
                for _ in range(20):
                    c.send(get('/x', host='api.example.com'))
                    statuses.append(c.response().status)
                    if stop.is_set():
                        break
        except (AssertionError, OSError) as e:
            statuses.append(repr(e))


@pytest.mark.xdist_group('guide-cluster')
def test_06_members_die_and_come_back(site, place):
    """Under load each of three members is killed and started again in turn: no client of weir sees an error. nginx runs the same
    beside it; what its clients see is printed."""
    cluster = Cluster(place)
    try:
        servers = {n: site.server(cluster.text(), b, n, workers=2, http='access_log off;') for b, n in ((NGINX, 'nginx'), (WEIR, 'tested'))}
        seen, stop = {n: [] for n in servers}, threading.Event()
        threads = [threading.Thread(target=load, args=(s.port, stop, seen[n])) for n, s in servers.items() for _ in range(4)]
        for t in threads:
            t.start()
        for _ in range(2):
            for i in range(3):
                time.sleep(0.4)
                cluster.kill(i)
                time.sleep(0.5)
                cluster.start(i)
        time.sleep(1.2)
        stop.set()
        for t in threads:
            t.join()
        wrong = {n: len([s for s in statuses if s != 200]) for n, statuses in seen.items()}
        print({n: len(s) for n, s in seen.items()}, 'errors:', wrong)
        assert min(len(s) for s in seen.values()) > 100
        assert wrong['tested'] == 0, [s for s in seen['tested'] if s != 200][:5]
    finally:
        cluster.stop()


@pytest.mark.xdist_group('guide-cluster')
def test_06_weights(site, place):
    """least_conn with weights 3, 2, 1 over idle members is the weighted turn; the backup gets nothing, the one that is down neither."""
    cluster = Cluster(place)
    try:
        server = site.server(cluster.text(), workers=2)
        connections = {}
        with Client(server.port) as c:
            for _ in range(60):
                c.send(get('/x', host='api.example.com'))
                told = json.loads(c.response().text)
                connections[told['port']] = connections.get(told['port'], 0) + 1
        assert [connections.get(a.port, 0) for a in cluster.apps] == [30, 20, 10, 0]
        for i in range(3):
            cluster.kill(i)
        until(lambda: exchange(server.port, get('/x', host='api.example.com'))[0].status == 200, 'max_fails=3 of each')
        for _ in range(5):
            told = json.loads(exchange(server.port, get('/x', host='api.example.com'))[0].text)
            assert told['port'] == cluster.apps[3].port, 'the backup'
    finally:
        cluster.stop()
