"""health_check and match: servers that are not well get no requests."""
import collections
import time

import pytest

from weirtest import Client, Close, Pause, Reset, chunked, exchange, get, response, run, until

pytestmark = pytest.mark.weir_only('commercial in nginx')


def backends(site, **answers):
    """Answers to checks (requests for /check) by name; others are answered with the name."""
    for name, answer in answers.items():
        site.backend(name, lambda q, a=answer: (a(q) if callable(a) else a) if q.target.startswith('/check') else response(q.backend.name + ':'))


def serve(site, check='', upstream='server @one@; server @two@;', http='', location='', workers=2):
    return site.server(f'location / {{ proxy_pass http://g; health_check uri=/check interval=100ms {check}; {location} }}',
                       workers=workers, http=http + ' upstream g { zone g 64k; ' + upstream + ' }')


def seen(server, n=10):
    with Client(server.port) as c:
        return collections.Counter(c.ask(get('/')).text.split(':')[0] for _ in range(n))


def checks(site, name):
    return [q for q in site.backend(name).requests if q.target.startswith('/check')]


OK, BAD = response(b'fine'), response(b'', status='500 X')


@pytest.mark.parametrize('kind', ['status', 'refused', 'reset', 'close', 'garbage', 'slow'])
def test_a_failing_server_gets_nothing(site, kind):
    bad = {'status': BAD, 'refused': OK, 'reset': [b'', Reset()], 'close': [b'', Close()], 'garbage': [b'garbage\r\n\r\n', Close()],
           'slow': [Pause(1), OK]}[kind]
    backends(site, one=bad, two=OK)
    if kind == 'refused':
        site.backend('one').stop_listening()
    server = serve(site, location='proxy_read_timeout 200ms;')
    server.wait_error('warn', r'\Apeer is unhealthy while [\w ]+, health check "" of peer 127\.0\.0\.1:\d+ in upstream "g"\Z')
    assert seen(server) == {'two': 10}
    site.backend('one').answer = lambda q: OK if q.target == '/check' else response(b'one:')
    if kind == 'refused':
        site.backend('one').start()
    server.wait_error('notice', r'\Apeer is healthy, health check "" of peer')
    assert seen(server) == {'one': 5, 'two': 5}


def test_the_request(site):
    backends(site, one=OK, two=OK)
    server = serve(site, location='proxy_set_header X-Own own; proxy_set_header Host check.test;')
    until(lambda: len(checks(site, 'one')) > 2, 'three checks')
    q = checks(site, 'one')[0]
    assert (q.method, q.target, q.header('X-Own'), q.header('Host'), q.header('Connection')) == ('GET', '/check', 'own', 'check.test', 'close')
    assert server.alive() and not server.lines(), 'no client, no line in the access log'


def test_fails_and_passes(site):
    answers = {'now': OK}
    backends(site, one=lambda q: answers['now'], two=OK)
    server = serve(site, 'fails=3 passes=4')
    until(lambda: checks(site, 'one'), 'a check')
    answers['now'], before = BAD, len(checks(site, 'one'))
    server.wait_error('warn', 'peer is unhealthy while checking status code')
    assert 3 <= len(checks(site, 'one')) - before <= 5
    answers['now'], before = OK, len(checks(site, 'one'))
    server.wait_error('notice', 'peer is healthy')
    assert 4 <= len(checks(site, 'one')) - before <= 6


MATCHES = {
    'status 200;': {True: response(b''), False: response(b'', status='201 X')},
    'status ! 500;': {True: response(b'', status='404 X'), False: BAD},
    'status 200-299 301;': {True: response(b'', status='301 X'), False: response(b'', status='302 X')},
    'status ! 301-303 307;': {True: OK, False: response(b'', status='307 X')},
    'header Content-Type = text/html;': {True: response(b'', 'Content-Type: text/html'), False: response(b'', 'Content-Type: text/plain')},
    'header Content-Type != text/html;': {True: response(b''), False: response(b'', 'content-type: text/html')},
    'header X-A ~ "a+b";': {True: response(b'', 'X-A: xaab'), False: response(b'', 'X-A: xb')},
    'header X-A !~ "a+b";': {True: response(b'', 'X-A: xb'), False: response(b'', 'X-A: ab')},
    'header X-A;': {True: response(b'', 'X-A: '), False: response(b'')},
    'header ! X-A;': {True: response(b''), False: response(b'', 'X-A: 1')},
    'body ~ "Welcome";': {True: chunked(b'Wel', b'come!'), False: response(b'welcome')},
    'body !~ "maintenance";': {True: response(b'x' * 100000), False: response(b'x' * 90000 + b'maintenance')},
    'require $upstream_http_x_ok;': {True: response(b'', 'X-Ok: 1'), False: response(b'', 'X-Ok: 0')},
    'status 200; header X-A; body ~ ok;': {True: response(b'ok', 'X-A: 1'), False: response(b'ok')},
}


@pytest.mark.parametrize('test', MATCHES)
def test_match(site, test):
    backends(site, one=MATCHES[test][True], two=MATCHES[test][False])
    server = serve(site, 'match=m', http=f'match m {{ {test} }}', upstream='server @one@; server @two@;')
    port = site.backend('two').port
    server.wait_error('warn', rf'\Apeer is unhealthy while checking [\w ]+, health check "m" of peer 127\.0\.0\.1:{port} in upstream "g"\Z')
    until(lambda: len(checks(site, 'one')) > 3, 'some checks')
    assert len(server.errors('warn')) == 1
    assert seen(server) == {'one': 10}


def test_mandatory(site):
    """Before its first check a server gets nothing."""
    backends(site, one=[Pause(0.5), OK], two=BAD, three=[Pause(3), OK])
    server = serve(site, 'mandatory', upstream='server @one@; server @two@; server @three@ backup;')
    assert exchange(server.port, get('/'))[0].status == 502
    until(lambda: exchange(server.port, get('/'))[0].status == 200, 'the first check to pass')
    assert seen(server) == {'one': 10}


def test_without_mandatory_servers_are_healthy_at_first(site):
    backends(site, one=[Pause(1), BAD], two=[Pause(1), BAD])
    server = serve(site)
    assert exchange(server.port, get('/'))[0].status == 200


def test_two_checks_of_one_group(site):
    backends(site, one=lambda q: BAD if q.target == '/check2' else OK, two=OK)
    server = site.server('location / { proxy_pass http://g; health_check uri=/check interval=100ms; health_check uri=/check2 interval=100ms; }',
                         http='upstream g { zone g 64k; server @one@; server @two@; }')
    server.wait_error('warn', 'peer is unhealthy')
    until(lambda: len([q for q in checks(site, 'one') if q.target == '/check']) > 4, 'more checks')
    assert seen(server) == {'two': 10}
    assert len(server.errors('warn')) == 1


def test_port_and_kept_connections(site):
    """Checks go to another port, over a connection of their own that is kept."""
    backends(site, one=OK)
    site.backend('checked', OK)
    server = serve(site, f'port={site.backend("checked").port} keepalive_time=60s', upstream='server @one@;')
    until(lambda: len(site.backend('checked').requests) > 4, 'checks')
    assert site.backend('checked').connections == 1
    assert not checks(site, 'one')
    assert seen(server) == {'one': 10}


def test_slow_start(site):
    """After its return a server gets its share little by little."""
    answers = {'now': BAD}
    backends(site, one=lambda q: answers['now'], two=OK)
    server = serve(site, upstream='server @one@ slow_start=4s; server @two@;')
    server.wait_error('warn', 'peer is unhealthy')
    answers['now'] = OK
    server.wait_error('notice', 'peer is healthy')
    early = seen(server, 40)
    assert early['one'] < 14, early
    time.sleep(4)
    assert seen(server, 40) == {'one': 20, 'two': 20}


def test_checks_are_not_for_nothing_and_end(site):
    """A server that stops does not wait for checks, and no check is logged again and again."""
    backends(site, one=[Pause(30), OK], two=OK)
    site.backend('two').stop_listening()
    server = serve(site)
    until(lambda: checks(site, 'one'), 'a check')
    time.sleep(0.6)
    assert len([e for e in server.errors('error') if 'Connection refused' in e.message]) <= 2
    start = time.monotonic()
    server.stop()
    assert time.monotonic() - start < 5


@pytest.mark.parametrize('text', ['health_check interval=x;', 'health_check fails=0;', 'health_check passes=0;', 'health_check uri=x;',
                                  'health_check port=0;', 'health_check port=99999;', 'health_check match=none;', 'health_check nonsense;',
                                  'health_check persistent;', 'health_check interval=0;'])
def test_bad_configurations(site, text):
    path = site.file('t.conf', f'events {{}} pid {site.root}/pid; http {{ access_log off; upstream g {{ server 127.0.0.1:1; }} '
                     f'server {{ location / {{ proxy_pass http://g; {text} }} }} }}')
    done = run('-t', '-c', path, '-e', '/dev/null')
    assert done.returncode == 1 and '[emerg]' in done.stderr and f'{path}:1' in done.stderr


@pytest.mark.parametrize('text', ['status;', 'status x;', 'status 300-200;', 'header;', 'header a b c;', 'header a ~ "(";', 'body = x;',
                                  'body ~ "(";', 'require x;', 'nonsense;', 'status 200; status 201;'])
def test_bad_matches(site, text):
    path = site.file('t.conf', f'events {{}} pid {site.root}/pid; http {{ match m {{ {text} }} }}')
    done = run('-t', '-c', path, '-e', '/dev/null')
    assert done.returncode == 1 and '[emerg]' in done.stderr and f'{path}:1' in done.stderr
