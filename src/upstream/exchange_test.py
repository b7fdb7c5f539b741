"""Asking a back end: refused, timed out, the next peer, failed peers, weights, and kept connections."""
import collections
import re
import time

import pytest

from weirtest import (Client, Close, Pause, ReadRequest, Reset, Table, UntilClosed, exchange, get, post, request, response,
                      until)

LOG = 'request=$request|status=$status|upstream_addr=$upstream_addr|upstream_status=$upstream_status'

failures = Table('''
    location /dead/ { proxy_pass http://@dead@; }
    location /deadunix/ { proxy_pass http://unix:@root@/none.sock:/; }
    location /group/ { proxy_pass http://group; }
    location /alldead/ { proxy_pass http://alldead; }
    location /off/ { proxy_pass http://group2; proxy_next_upstream off; }
    location /timeout/ { proxy_pass http://@silent@; proxy_read_timeout 200ms; }
    location /nexttimeout/ { proxy_pass http://slow; proxy_read_timeout 200ms; }
    location /closes/ { proxy_pass http://closing; }
''', log=LOG, http='''proxy_http_version 1.1;
    upstream group { server @dead@ max_fails=0; server @backend@ max_fails=0; }
    upstream group2 { server @dead@ max_fails=0; }
    upstream alldead { server @dead@ max_fails=0; server @dead2@ max_fails=0; }
    upstream slow { server @silent@ max_fails=0; server @backend@ backup; }
    upstream closing { server @closer@ max_fails=0; server @backend@ backup; }
''', answer=lambda q: {'silent': [b'', UntilClosed()], 'closer': [b'', Close()]}.get(q.backend.name, response(b'answer')))
for path, status in (('dead/', 502), ('deadunix/', 502), ('alldead/', 502), ('off/', 502), ('timeout/', 504), ('nexttimeout/', 200),
                     ('closes/', 200)):
    failures.case(path, get('/' + path), status)
    failures.case(f'HEAD {path}', request('HEAD', '/' + path), status)
failures.case('PUT goes on', request('PUT', '/closes/', body=b'body'))
failures.case('POST is not sent twice', post('/closes/', b'body'), 502)
failures.case('POST is not sent twice after a time-out', post('/nexttimeout/', b'body'), 504)
failures.case('POST to a dead peer goes nowhere', post('/dead/', b'body'), 502)
failures.case('keep-alive after 502', get('/dead/') + get('/dead/'), [502, 502])
test_failures = failures.tests()

statuses = Table('''
    location / { proxy_pass http://group; }
    location /next/ { proxy_pass http://group; proxy_next_upstream http_500 http_502 http_503 http_504 http_403 http_404 http_429; }
    location /posts/ { proxy_pass http://group; proxy_next_upstream http_503 error timeout non_idempotent; }
    location /tries/ { proxy_pass http://three; proxy_next_upstream http_503; proxy_next_upstream_tries 2; }
''', log=LOG, http='''proxy_http_version 1.1;
    upstream group { server @one@ max_fails=0; server @two@ backup; }
    upstream three { server @one@ max_fails=0; server @three@ backup; server @two@ backup; }
''')
for code in (403, 404, 429, 500, 502, 503, 504):
    def answer(q, code=code):
        return response(b'first', status=f'{code} X') if q.backend.name in ('one', 'three') else response(b'second')
    statuses.case(f'{code} is final', get('/'), code, answer)
    statuses.case(f'{code} goes on', get('/next/'), 200, answer)
    statuses.case(f'POST {code}', post('/next/', b'x'), code, answer)
statuses.case('POST goes on when allowed', post('/posts/', b'x'), 200, lambda q: response(b'', status='503 X') if q.backend.name == 'one'
              else response(b'second'))
statuses.case('two tries', get('/tries/'), 503, lambda q: response(b'', status='503 X'), log=False)
test_statuses = statuses.tests()


def test_a_stopped_back_end_is_refused_quickly(site):
    site.backend()
    server = site.server('location / { proxy_pass http://@backend@; }')
    assert exchange(server.port, get('/'))[0].status == 200
    site.backend().stop_listening()
    site.backend().close_idle()
    start = time.monotonic()
    assert exchange(server.port, get('/'))[0].status == 502
    assert time.monotonic() - start < 3
    site.backend().start()
    assert exchange(server.port, get('/'))[0].status == 200


def test_failed_peer_rests(site):
    """max_fails and fail_timeout: after that many failures the peer is left alone, and asked again when the time is over."""
    server = site.server('location / { proxy_pass http://g; }', workers=1, http='upstream g { '
                         'server @one@ max_fails=2 fail_timeout=1s; server @two@; }')
    one, two = site.backend('one', [b'', Close()]), site.backend('two')
    for _ in range(20):
        assert exchange(server.port, get('/'))[0].text.startswith('two')
    assert len(one.requests) == 2
    one.answer = one.default
    until(lambda: exchange(server.port, get('/'))[0].text.startswith('one'), 'the peer to be asked again')


def test_weights(site):
    server = site.server('location / { proxy_pass http://g; }', workers=1,
                         http='upstream g { server @one@ weight=3; server @two@ weight=2; server @three@; server @four@ down; }')
    seen = [exchange(server.port, get('/'))[0].text.split(':')[0] for _ in range(60)]
    assert collections.Counter(seen) == {'one': 30, 'two': 20, 'three': 10}
    assert max(len(run) for run in ''.join('x' if s == 'one' else ' ' for s in seen).split()) <= 2, 'smooth round robin'


def test_backup_is_used_when_all_fail(site):
    server = site.server('location / { proxy_pass http://g; }', http='upstream g { server @one@; server @spare@ backup; }')
    assert exchange(server.port, get('/'))[0].text.startswith('one')
    assert not site.backend('spare').requests
    site.backend('one').stop_listening()
    site.backend('one').close_idle()
    assert exchange(server.port, get('/'))[0].text.startswith('spare')


def test_connections_are_kept(site):
    """keepalive: one connection serves many requests of many clients."""
    server = site.server('location / { proxy_pass http://g; proxy_http_version 1.1; proxy_set_header Connection ""; }',
                         http='upstream g { server @backend@; keepalive 8; }', workers=1)
    for i in range(30):
        assert exchange(server.port, get(f'/{i}'))[0].status == 200
    assert site.backend().connections == 1


@pytest.mark.weir_only('nginx keeps connections for each worker')
def test_kept_connections_are_shared_by_all_threads(site):
    server = site.server('location / { proxy_pass http://g; proxy_http_version 1.1; proxy_set_header Connection ""; }',
                         http='upstream g { server @backend@; keepalive 8; }', workers=2)
    for i in range(30):
        assert exchange(server.port, get(f'/{i}'))[0].status == 200
    assert site.backend().connections == 1


@pytest.mark.weir_only('nginx 1.22 speaks HTTP/1.0 and closes')
def test_defaults_of_today(site):
    """As nginx does since 1.29.7: HTTP/1.1 and kept connections without a word in the configuration."""
    server = site.server('location / { proxy_pass http://@backend@; }')
    for i in range(5):
        assert exchange(server.port, get(f'/{i}'))[0].status == 200
    assert {q.version for q in site.backend().requests} == {'HTTP/1.1'}
    assert not any('close' in v for q in site.backend().requests for v in q.all('Connection'))
    assert site.backend().connections == 1


def test_kept_connection_that_died(site):
    """A connection that the back end closed while it was idle costs the client nothing."""
    server = site.server('location / { proxy_pass http://g; proxy_http_version 1.1; proxy_set_header Connection ""; }',
                         http='upstream g { server @backend@; keepalive 8; }', workers=1)
    for i in range(10):
        assert exchange(server.port, get(f'/{i}'))[0].status == 200
        site.backend().close_idle()
    assert site.backend().connections == 10


def test_kept_connection_that_dies_at_the_request(site):
    """The race of every keep-alive proxy: the back end closes when the next request is on its way. A GET is tried again."""
    site.backend(answer=lambda q: [Close()] if q.number == 2 else response(b'ok'))
    server = site.server('location / { proxy_pass http://g; proxy_http_version 1.1; proxy_set_header Connection ""; }',
                         http='upstream g { server @backend@; keepalive 8; }', workers=1)
    for i in range(6):
        assert exchange(server.port, get(f'/{i}'))[0].status == 200


def test_connection_with_close_is_not_reused(site):
    site.backend(answer=response(b'x', 'Connection: close'))
    server = site.server('location / { proxy_pass http://g; proxy_http_version 1.1; proxy_set_header Connection ""; }',
                         http='upstream g { server @backend@; keepalive 8; }', workers=1)
    for i in range(3):
        assert exchange(server.port, get(f'/{i}'))[0].status == 200
    assert site.backend().connections == 3


def test_connection_with_leftovers_is_not_reused(site):
    """Bytes behind an answer must never become the next one's."""
    site.backend(answer=lambda q: response(q.target.encode()) + b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL')
    server = site.server('location / { proxy_pass http://g; proxy_http_version 1.1; proxy_set_header Connection ""; }',
                         http='upstream g { server @backend@; keepalive 8; }', workers=1)
    for i in range(5):
        assert exchange(server.port, get(f'/{i}'))[0].text == f'/{i}'


def test_aborted_answer_is_not_reused(site):
    """The client left in the middle of an answer: the rest of it must not reach the next client."""
    site.backend(answer=lambda q: [b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc', Pause(0.2), b'defghij']
                 if q.target == '/first' else response(b'second'))
    server = site.server('location / { proxy_pass http://g; proxy_http_version 1.1; proxy_set_header Connection ""; }',
                         http='upstream g { server @backend@; keepalive 8; }', workers=1)
    for _ in range(3):
        with Client(server.port) as c:
            c.send(get('/first'))
            until(lambda: site.backend().busy(), 'the request to arrive')
        assert exchange(server.port, get('/second'))[0].text == 'second'


def test_send_timeout(site):
    """proxy_send_timeout: a back end that does not read a large body."""
    site.backend(answer=[ReadRequest(head=True), Pause(30)])
    server = site.server('client_max_body_size 0; location / { proxy_pass http://@backend@; proxy_send_timeout 300ms; '
                         'proxy_read_timeout 300ms; }')
    assert exchange(server.port, post('/', b'x' * 20_000_000))[0].status == 504


def test_read_timeout_in_the_body(site):
    """Silence in the middle of the body: the client's connection ends short of the length; the log names the time-out."""
    site.backend(answer=[b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc', UntilClosed()])
    server = site.server('location / { proxy_pass http://@backend@; proxy_read_timeout 300ms; }')
    r = exchange(server.port, get('/'))[0]
    assert r.status == 200 and not r.complete and r.body in (b'abc', b'')
    server.wait_error('error', r'\Aupstream timed out \(110: Connection timed out\) while reading upstream')


def test_read_timeout_is_between_reads(site):
    """An answer that trickles takes longer than proxy_read_timeout in all and is whole."""
    steps = [b'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n']
    for _ in range(4):
        steps += [Pause(0.2), b'ab']
    site.backend(answer=steps)
    server = site.server('location / { proxy_pass http://@backend@; proxy_read_timeout 500ms; }')
    assert exchange(server.port, get('/'))[0].text == 'abababab'


def test_nothing_leaks(site):
    """All kinds of failures, many times: descriptors are what they were."""
    kinds = {'/close': [b'', Close()], '/reset': [b'', Reset()], '/cut': [b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc', Close()],
             '/garbage': [b'', b'\0\1\2', Close()], '/ok': response(b'ok')}
    site.backend(answer=lambda q: kinds[q.target])
    server = site.server('location / { proxy_pass http://@backend@; } location /dead { proxy_pass http://@dead@; }')
    exchange(server.port, get('/ok'))
    site.backend().close_idle()
    before = server.settled_descriptors()
    for _ in range(20):
        for target in (*kinds, '/dead'):
            exchange(server.port, get(target, 'Connection: close'))
    site.backend().close_idle()
    until(lambda: server.descriptors() <= before, f'{server.descriptors()} descriptors to be {before}')


@pytest.mark.weir_only('what the line says beyond nginx')
def test_why_no_server_could_be_asked(site):
    """One line for all servers that were passed over, and how long that lasts."""
    server = site.server('location / { proxy_pass http://g; }', workers=1,
                         http='upstream g { server @dead@ fail_timeout=20s; server @dead2@ down; server @dead3@ drain; server @dead4@ fail_timeout=40s; }')
    assert [exchange(server.port, get('/'))[0].status for _ in range(2)] == [502, 502]
    line = server.wait_error('error', 'no live upstreams').message
    assert re.search(r'\(4 servers: 1 down, 1 draining, 2 failed max_fails times, for (19|20)\d\d\d ms more\)', line), line
