"""HTTP/2 to back ends: sharing of connections, bodies and trailers, and what a back end may not do."""
import socket
import ssl
import struct
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import hpack
import pytest

from weirtest import Client, Pause, certs, exchange, get, ports, post, request, response, until
from weirtest.h2 import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, H2, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame,
                         settings)
from weirtest.h2_backend import H2Backend

pytestmark = pytest.mark.weir_only('nginx 1.22 has no proxy_http_version 2')

CONF = '''
upstream app { server %s; keepalive 10; }
server { listen 127.0.0.1:@port@; http2 on; client_max_body_size 20m;
  location / { proxy_http_version 2; proxy_read_timeout 3s; proxy_send_timeout 3s; proxy_pass http://app; }
  location /stream/ { proxy_http_version 2; proxy_buffering off; proxy_request_buffering off; proxy_pass http://app; }
  location /set/ { proxy_http_version 2; proxy_set_header Host other.test; proxy_set_header X-Mine "$remote_addr"; proxy_pass http://app; }
  location /none/ { proxy_http_version 2; proxy_set_header Host ""; proxy_pass http://app; }
  location /client/ { proxy_http_version 2; proxy_set_header Host $http_host; proxy_pass http://app; }
  location /user/ { proxy_http_version 2; proxy_set_header Host user:secret@a.test; proxy_pass http://app; }
  location /hop/ { proxy_http_version 2; proxy_set_header Connection upgrade; proxy_set_header Upgrade h2c; proxy_set_header Keep-Alive 5;
                   proxy_set_header Proxy-Connection x; proxy_set_header TE gzip; proxy_pass http://app; }
  location /text/ { proxy_http_version 2; proxy_set_body "instead"; proxy_pass http://app; }
  location /hints/ { early_hints 1; proxy_http_version 2; proxy_pass http://app; }
  location /short/ { proxy_http_version 2; proxy_read_timeout 300ms; proxy_pass http://app; }
}
'''


@pytest.fixture
def place(site):
    class Place:
        def start(self, answer, workers=1, **how):
            self.back = H2Backend(answer, **how)
            self.server = site.server(CONF % self.back.address, workers=workers)
            return self.server

        def ask(self, data):
            with Client(self.server.port, timeout=10) as c:
                return c.ask(data)
    place = Place()
    yield place
    place.back.stop()


@pytest.mark.parametrize('sent', [(), (('server', 'app'), ('date', 'Mon, 01 Jan 2001 00:00:00 GMT'), ('x-accel-expires', '10'))])
def test_who_answered_is_not_said(site, sent):
    back = H2Backend(lambda call: call.answer(b'x', 200, ('content-type', 'application/grpc'), *sent))
    shows = ''.join(f'{{0}}_pass_header {name}; ' for name in ('Server', 'Date', 'X-Accel-Expires'))
    server = site.server(f'''server {{ listen 127.0.0.1:@port@; server_tokens off;
        location /proxy/ {{ proxy_http_version 2; proxy_pass http://{back.address}; }}
        location /proxy/shown/ {{ proxy_http_version 2; proxy_pass http://{back.address}; {shows.format('proxy')} }}
        location /grpc/ {{ grpc_pass {back.address}; }} location /grpc/shown/ {{ grpc_pass {back.address}; {shows.format('grpc')} }} }}''')
    for path in ('/proxy/', '/grpc/', '/proxy/shown/', '/grpc/shown/'):
        r = exchange(server.port, get(path))[0]
        shown = dict(sent) if 'shown' in path else {}
        none = None if path == '/proxy/shown/' else 'weir'
        assert (r.header('Server'), r.header('X-Accel-Expires')) == (shown.get('server', none), shown.get('x-accel-expires')), path
        assert (r.header('Date') == 'Mon, 01 Jan 2001 00:00:00 GMT') == ('date' in shown), path
    back.stop()


def test_a_request_and_its_answer(place):
    place.start(lambda call: call.answer(b'hello', 201, ('x-back', 'yes'), ('set-cookie', 'a=b')))
    r = place.ask(get('/x?y=z', 'X-A: b', 'Connection: keep-alive', 'Cookie: c=d'))
    assert (r.status, r.body, r.header('X-Back')) == (201, b'hello', 'yes')
    call = place.back.calls[0]
    assert dict(call.fields)[':path'] == '/x?y=z' and call.field(':method') == 'GET' and call.field(':scheme') == 'http'
    assert call.field(':authority') == 'app' and call.field('x-a') == 'b' and call.field('cookie') == 'c=d'
    assert call.field('connection') is None and call.field('host') is None


def test_fields_that_are_set(place):
    place.start(lambda call: call.answer(b'x'))
    assert place.ask(get('/set/x')).status == 200
    call = place.back.calls[0]
    assert call.field(':authority') == 'other.test' and call.field('x-mine') == '127.0.0.1' and call.field('host') is None


@pytest.mark.parametrize('path, authority', [('/client/x', 'a.test:99'), ('/none/x', None)])
def test_authority_is_what_the_request_says(place, path, authority):
    place.start(lambda call: call.answer(b'x'))
    with Client(place.server.port) as c:
        c.send(f'GET {path} HTTP/1.1\r\nHost: a.test:99\r\n\r\n'.encode())
        assert c.response().status == (200 if authority else 502)    # without one, python3-h2 ends the connection
    head = dict(hpack.Decoder().decode(next(f.payload for f in place.back.frames if f.kind == HEADERS)))
    assert head.get(':authority') == authority and 'host' not in head


def test_authority_has_no_userinfo(place):
    place.start(lambda call: call.answer(b'x'))
    assert place.ask(get('/user/x')).status == 200
    assert place.ask(get('/client/x', host='user:secret@a.test')).status in (200, 400)
    assert {call.field(':authority') for call in place.back.calls} == {'a.test'}


HOP = {'connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'te', 'x-named'}


def test_connection_fields_are_not_sent(place):
    place.start(lambda call: call.answer(call.wait()))
    hop = 'Connection: x-named', 'X-Named: x', 'Keep-Alive: 5', 'Proxy-Connection: x', 'Upgrade: h2c', 'TE: gzip'
    for path in '/x', '/hop/x':
        assert place.ask(get(path, *hop)).status == 200
    with Client(place.server.port) as c:
        c.send(b'POST /stream/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 7\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\n\r\n')
        assert c.response().body == b'abc'
    for call in place.back.calls:
        assert not HOP & {n for n, _ in [*call.fields, *(call.trailers or [])]}
    assert len(place.back.calls) == 3 and ('x-sum', '7') in (place.back.calls[2].trailers or [('x-sum', '7')])
    assert not place.back.problems


def test_a_long_head_is_a_row_of_frames(place):
    place.start(lambda call: call.answer(call.wait()))
    fields = [(f'x-{i}', f'{i}' + 'y' * 7000) for i in range(3)]
    with ThreadPoolExecutor(5) as pool:
        asked = [pool.submit(place.ask, post('/x', b'abc', *[f'{n}: {v}' for n, v in fields])) for _ in range(5)]
        assert all(a.result().body == b'abc' for a in asked)
    assert all(call.field('x-2') == fields[2][1] for call in place.back.calls) and not place.back.problems
    frames, row = place.back.frames, None
    assert sum(f.kind == CONTINUATION for f in frames) >= 5
    for f in frames:
        assert len(f.payload) <= 16384 and (f.kind == CONTINUATION) == (row is not None) and row in (None, f.stream)
        if f.kind in (HEADERS, CONTINUATION):
            row = None if f.flags & END_HEADERS else f.stream


def test_what_is_reserved_is_sent_as_zero(place):
    known = {DATA: END_STREAM, HEADERS: END_STREAM | END_HEADERS, RST_STREAM: 0, SETTINGS: ACK, PING: ACK, GOAWAY: 0, WINDOW_UPDATE: 0}
    place.start(lambda call: call.answer(call.wait()))
    for size in 0, 300000:
        assert len(place.ask(post('/x', bytes(size))).body) == size
    frames = place.back.frames
    assert len(frames) > 10 and all(f.kind in known and f.flags & ~known[f.kind] == 0 and not f.reserved for f in frames)
    assert all(f.stream % 2 == 1 or f.stream == 0 for f in frames)
    sent = dict(struct.iter_unpack('>HI', frames[0].payload))
    assert frames[0].kind == SETTINGS and sent[2] == 0 and sent.get(4, 0) < 1 << 31 and 16384 <= sent.get(5, 16384) < 1 << 24


def test_frames_are_answered_while_a_client_is_slow(place):
    """PING and SETTINGS, and the table of the encoder after them."""
    def answer(call):
        call.head(200)
        call.data(bytes(100000))
        call.raw(frame(PING, 0, 0, b'12345678') + settings(table=0, window=100000) + settings(table=4096) + frame(PING, ACK, 0, b'no answr'))
    place.start(answer)
    with H2(place.server.port, timeout=10, window=0) as c:
        c.request('/stream/x')
        until(lambda: any(f.kind == PING for f in place.back.frames), 'the answer')
        assert [f.payload for f in place.back.frames if f.kind == PING and f.flags == ACK] == [b'12345678']
        until(lambda: sum(f.kind == SETTINGS and f.flags == ACK for f in place.back.frames) == 3, 'acknowledgements')
        place.back.answer = lambda call: call.answer(b'')
        c.ask('/y')
    heads = [f.payload for f in place.back.frames if f.kind == HEADERS]
    assert len(heads) == 2 and heads[1].startswith(b'\x20\x3f\xe1\x1f')


def test_cancelled_streams_harm_no_others(place):
    """What comes on them behind our RST_STREAM is discarded (RFC 9113 5.1), however many they are."""
    go = threading.Event()

    def answer(call):
        if call.field(':path') == '/last':
            assert go.wait(10)
            return call.answer(b'last')
        return None
    place.start(answer, max_concurrent_streams=1000)
    with H2(place.server.port, timeout=10) as last, H2(place.server.port, timeout=10) as c:
        kept = last.request('/last')
        until(lambda: len(place.back.calls) == 1, 'the first request')
        for _ in range(100):
            c.request('/x')
        until(lambda: len(place.back.calls) == 101, 'the requests')
        c.socket.close()
        gone = [call for call in place.back.calls if call.field(':path') == '/x']
        until(lambda: all(call.reset == 8 for call in gone), 'the cancellations')
        for call in gone:
            call.raw(frame(HEADERS, END_HEADERS, call.stream, b'\x88') + frame(DATA, END_STREAM, call.stream, b'late'))
        go.set()
        assert last.wait(kept).body == b'last'
    assert place.back.connections == 1 and not any(f.kind == GOAWAY for f in place.back.frames)


@pytest.mark.parametrize('size', [0, 1, 70000, 3000000])
@pytest.mark.parametrize('path', ['/x', '/stream/x'])
def test_bodies_both_ways(place, path, size):
    place.start(lambda call: call.answer(call.wait()[::-1]))
    body = bytes(i * 7 % 251 for i in range(1000)) * (size // 1000 + 1)
    r = place.ask(post(path, body[:size]))
    assert r.status == 200 and r.body == body[:size][::-1]
    assert not place.back.problems


def test_a_chunked_body(place):
    place.start(lambda call: call.answer(call.wait()))
    assert place.ask(request('POST', '/stream/x', chunks=[b'ab', b'cd'])).body == b'abcd'


def test_a_body_of_the_configuration(place):
    place.start(lambda call: call.answer(call.wait()))
    assert place.ask(get('/text/x')).body == b'instead'


def test_head_and_empty_answers(place):
    place.start(lambda call: call.head(204, end=True) if call.field(':method') == 'GET' else
                call.head(200, ('content-length', '10'), end=True))
    assert place.ask(get('/x')).status == 204
    r = place.ask(request('HEAD', '/x'))
    assert r.status == 200 and r.header('Content-Length') == '10'


def test_interim_answers_are_skipped(place):
    def answer(call):
        call.connection.do(lambda c: c.send_headers(call.stream, [(':status', '103'), ('link', '</x>')]))
        call.answer(b'x')
    place.start(answer)
    assert place.ask(get('/x')).body == b'x'


@pytest.mark.parametrize('together', [True, False])
def test_early_hints_are_passed(place, together):
    go = threading.Event()

    def answer(call):
        for i in range(3):
            call.connection.do(lambda c, i=i: c.send_headers(call.stream, [(':status', '103'), ('link', f'</{i}>')]))
        if not together:
            assert go.wait(10)
        call.answer(b'x')
    place.start(answer)
    with Client(place.server.port, timeout=10) as c:
        c.send(get('/hints/x'))
        if not together:
            for _ in range(3):
                c.interim(103)
            go.set()
        r = c.response()
    assert (r.status, r.body) == (200, b'x')
    assert [i.headers for i in r.interim] == [[('Link', f'</{i}>')] for i in range(3)]


def test_endless_interim_answers(place):
    def answer(call):
        for i in range(3000):
            call.connection.do(lambda c, i=i: c.send_headers(call.stream, [(':status', '103'), ('link', f'</{i}/' + 'x' * 50 + '>')]))
        call.answer(b'x')
    place.start(answer)
    assert place.ask(get('/hints/x')).status == 502
    place.server.wait_error('error', 'upstream sent too many interim responses while reading response header')


def test_many_requests_share_a_connection(place):
    go = threading.Event()

    def answer(call):
        assert go.wait(10)
        call.answer(b'x' * 1000)
    place.start(answer)
    with H2(place.server.port, timeout=10) as c:
        streams = [c.request(f'/{i}') for i in range(50)]
        until(lambda: len(place.back.calls) == 50, 'all requests at the back end')
        go.set()
        assert all(len(c.wait(s).body) == 1000 for s in streams)
    assert place.back.connections == 1


def test_the_peers_limit_of_streams(place):
    def answer(call):
        threading.Event().wait(0.05)
        call.answer(b'x')
    place.start(answer, max_concurrent_streams=3)    # python3-h2 ends a connection that has more
    with H2(place.server.port, timeout=10) as c:
        streams = [c.request(f'/{i}') for i in range(12)]
        assert all(c.wait(s).status == 200 for s in streams)
    assert not place.back.problems and place.back.connections >= 4


def test_connections_are_kept(place):
    place.start(lambda call: call.answer(b'x'))
    for _ in range(5):
        assert place.ask(get('/x')).status == 200
    assert place.back.connections == 1


def test_trailers_reach_the_client(place):
    def answer(call):
        call.head(200)
        call.data(b'body')
        call.end(('x-sum', '7'))
    place.start(answer)
    with H2(place.server.port) as c:
        a = c.ask('/stream/x')
        assert a.body == b'body' and a.trailers in ([], [[('x-sum', '7')]])


def test_a_refused_stream_is_repeated(place):
    """REFUSED_STREAM says that nothing was done: a POST too is repeated."""
    def answer(call):
        if len(place.back.calls) == 1:
            call.refuse(7)
        else:
            call.answer(call.wait())
    place.start(answer)
    assert place.ask(post('/x', b'abc')).body == b'abc'
    assert len(place.back.calls) == 2


def test_a_refused_stream_is_repeated_elsewhere(site):
    """A peer that refuses again and again gives way to the next, and each is asked a bounded number of times."""
    one, two = H2Backend(lambda call: call.refuse(7)), H2Backend(lambda call: call.answer(b'two:' + call.wait()))
    server = site.server('upstream app { server %s; server %s; } upstream bad { server %s; } server { listen 127.0.0.1:@port@;'
                         ' location / { proxy_http_version 2; proxy_pass http://app; }'
                         ' location /bad/ { proxy_http_version 2; proxy_pass http://bad; } }' % (one.address, two.address, one.address))
    try:
        with Client(server.port, timeout=10) as c:
            for _ in range(6):
                r = c.ask(post('/x', b'abc'))
                assert (r.status, r.body) == (200, b'two:abc')
            before = len(one.calls)
            assert c.ask(post('/bad/x', b'abc')).status == 502
            assert 1 <= len(one.calls) - before <= 3
    finally:
        one.stop()
        two.stop()


def test_a_stream_behind_goaway_is_repeated(place):
    def answer(call):
        if len(place.back.calls) == 1:
            call.goaway(0)
        else:
            call.answer(b'again')
    place.start(answer)
    assert place.ask(get('/x')).body == b'again'
    assert place.back.connections == 2


def test_goaway_lets_streams_end(place):
    go = threading.Event()

    def answer(call):
        call.head(200)
        call.goaway(call.stream)
        go.wait(10)
        call.raw(frame(DATA, END_STREAM, call.stream, b'late'))
    place.start(answer)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(place.ask, get('/x'))
        until(lambda: place.back.calls, 'the request')
        go.set()
        assert asked.result().body == b'late'


@pytest.mark.parametrize('how', ['closes', 'goaway', 'reset'])
def test_what_may_have_been_done_is_not_repeated(site, how):
    """RFC 9113 5.4.3 and 8.7: the stream of a POST was not called unprocessed."""
    def answer(call):
        if how == 'reset':
            call.refuse(2)
            return
        if how == 'goaway':
            call.goaway(call.stream)
        call.close()
    backs = [H2Backend(answer), H2Backend(answer)]
    server = site.server('upstream app { server %s; server %s; } server { listen 127.0.0.1:@port@;'
                         ' location / { proxy_http_version 2; proxy_pass http://app; } }' % (backs[0].address, backs[1].address))
    try:
        with Client(server.port, timeout=10) as c:
            assert c.ask(post('/x', b'abc')).status == 502
        assert sum(len(b.calls) for b in backs) == 1
    finally:
        for b in backs:
            b.stop()


def test_no_stream_is_opened_behind_goaway(place):
    go = threading.Event()

    def answer(call):
        if call.field(':path') == '/first':
            call.raw(frame(GOAWAY, 0, 0, struct.pack('>II', call.stream, 0xdeadbeef)) + frame(PING, 0, 0, bytes(8)))
            assert go.wait(10)
        call.answer(b'x')
    place.start(answer)
    with H2(place.server.port, timeout=10) as c:
        first = c.request('/first')
        until(lambda: any(f.kind == PING for f in place.back.frames), 'GOAWAY to be read')
        assert c.ask('/second').status == 200
        go.set()
        assert c.wait(first).status == 200
    assert place.back.connections == 2 and [call.stream for call in place.back.calls] == [1, 1]


def test_nothing_is_sent_behind_a_reset_of_the_back_end(place):
    def answer(call):
        call.raw(frame(RST_STREAM, 0, call.stream, struct.pack('>I', 0xdeadbeef)))
        call.raw(frame(PING, 0, 0, b'12345678'))
    place.start(answer)
    with Client(place.server.port, timeout=10) as c:
        c.send(request('POST', '/stream/', 'Content-Length: 100000') + bytes(50000))
        assert c.response().status == 502
    until(lambda: any(f.kind == PING and f.flags == ACK for f in place.back.frames), 'the answer')
    at = [f.kind for f in place.back.frames].index(PING)
    assert not [f for f in place.back.frames[at:] if f.stream] and not any(f.kind == RST_STREAM for f in place.back.frames)


def test_a_back_end_that_closes(place):
    place.start(lambda call: call.close())
    assert place.ask(get('/x')).status == 502


@pytest.mark.parametrize('code', [1, 2, 8, 11, 0xdeadbe])
def test_a_reset_before_the_head(place, code):
    place.start(lambda call: call.refuse(code))
    assert place.ask(get('/x')).status == 502
    until(lambda: any(f'rejected request with error {code}' in line for line in place.server.lines('error.log')), 'the reason in the log')


def test_a_reset_in_the_body(place):
    def answer(call):
        call.head(200, ('content-length', '100'))
        call.data(b'half')
        call.refuse(2)
    place.start(answer)
    with H2(place.server.port, timeout=10) as c:
        a = c.ask('/stream/x')
        assert a.reset is not None or a.status == 502
        assert c.ping()


def test_a_back_end_that_is_too_slow(place):
    place.start(lambda call: None)
    assert place.ask(get('/short/x')).status == 504
    until(lambda: place.back.calls[0].reset == 8, 'the stream to be cancelled')


def test_a_client_that_leaves(place):
    place.start(lambda call: None)
    with H2(place.server.port) as c:
        s = c.request('/x')
        until(lambda: place.back.calls, 'the request')
        c.reset(s)
        until(lambda: place.back.calls[0].reset == 8, 'the cancellation')


def block(call, *fields):
    return hpack.Encoder().encode([(n, v) for n, v in fields], huffman=False)


@pytest.mark.parametrize('fields', [
    [('x', 'y')],
    [(':status', '99')],
    [(':status', '1000')],
    [(':status', 'abc')],
    [(':status', '200'), (':status', '200')],
    [(':status', '200'), (':path', '/')],
    [('x', 'y'), (':status', '200')],
    [(':status', '200'), ('connection', 'close')],
    [(':status', '200'), ('transfer-encoding', 'chunked')],
    [(':status', '200'), ('X-Upper', 'y')],
    [(':status', '200'), ('x', 'a\r\nb: c')],
    [(':status', '200'), ('content-length', 'x')],
    [(':status', '200'), ('content-length', '1'), ('content-length', '2')],
    [(':status', '200'), ('content-length', '5')],
    [(':status', '101')],
    [(':status', '103')],    # an interim answer that ends the stream
    [(':status', '200'), (':test', 'x')],
    [(':status', '200'), ('te', 'trailers')],
    [(':status', '200'), ('keep-alive', '5')],
    [(':status', '200'), ('upgrade', 'h2c')],
    [(':status', '200'), ('x', ' y')],
    [(':status', '200'), ('x:y', 'z')],
    [(':status', '200'), ('x', 'y' * 100000)],
], ids=str)
def test_malformed_heads(place, fields):
    place.start(lambda call: call.raw(frame(HEADERS, END_HEADERS | END_STREAM, call.stream, block(call, *fields)[:16384])))
    assert place.ask(get('/x')).status == 502


@pytest.mark.parametrize('trailers, flags', [
    ([('x-sum', '7')], 0),    # no end
    ([(':status', '200')], END_STREAM),
    ([('X-Upper', 'y')], END_STREAM),
    ([('x', 'a\r\nb: c')], END_STREAM),
    ([('connection', 'close')], END_STREAM),
], ids=str)
@pytest.mark.parametrize('path', ['/x', '/stream/x'])
def test_malformed_trailers(place, path, trailers, flags):
    """The answer is not taken for a whole one."""
    def answer(call):
        call.head(200)
        call.data(b'body')
        call.raw(frame(HEADERS, END_HEADERS | flags, call.stream, block(call, *trailers)))
    place.start(answer)
    with H2(place.server.port, timeout=10) as c:
        a = c.ask(path)
        assert (a.reset is not None or a.status == 502) and not (a.status == 200 and a.ended), a
        assert c.ping()
    if not flags:    # else the stream is closed, and nothing may be sent on it
        until(lambda: place.back.calls[0].reset == 1, 'PROTOCOL_ERROR on the stream')


def test_trailers_before_the_promised_end(place):
    def answer(call):
        call.head(200, ('content-length', '100'))
        call.data(b'body')
        call.end(('x-sum', '7'))
    place.start(answer)
    with H2(place.server.port, timeout=10) as c:
        a = c.ask('/stream/x')
        assert a.reset is not None or a.status == 502


@pytest.mark.parametrize('code, data', [
    (1, frame(DATA, 0, 0, b'x')),
    (1, frame(DATA, 0, 99, b'x')),
    (1, frame(HEADERS, END_HEADERS | END_STREAM, 99, b'\x88')),
    (1, frame(WINDOW_UPDATE, 0, 99, b'\0\0\0\1')),
    (1, frame(RST_STREAM, 0, 99, bytes(4))),
    (1, frame(HEADERS, END_HEADERS | END_STREAM, 2, b'\x88')),
    (1, frame(5, END_HEADERS, 1, struct.pack('>I', 2) + b'\x82')),
    (1, frame(5, END_HEADERS, 0, struct.pack('>I', 2) + b'\x82')),
    (1, frame(8, 0, 0, bytes(4))),
    (1, frame(4, 0, 1, b'')),
    (1, settings(push=1)),    # a server has no push to enable
    (1, settings(push=2)),
    (1, settings(frame=16383)),
    (3, settings(window=1 << 31)),
    (6, frame(SETTINGS, 0, 0, bytes(5))),
    (6, frame(0x30, 0, 0, bytes(16385))),
    (1, frame(CONTINUATION, END_HEADERS, 1, b'\x88')),
    (1, frame(HEADERS, END_STREAM, 1, b'\x88') + frame(PING, 0, 0, bytes(8))),
    (9, frame(HEADERS, END_HEADERS | END_STREAM, 1, b'\xff\xff\xff')),
    (6, b'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n'),
    (None, bytes(range(256)) * 10),
], ids=lambda d: d[:14].hex() if isinstance(d, bytes) else str(d))
def test_broken_connections(place, data, code):
    place.start(lambda call: call.raw(data))
    assert place.ask(get('/x')).status == 502
    until(lambda: any(f.kind == GOAWAY and code in (None, f.number_of_error) for f in place.back.frames), 'GOAWAY')
    place.back.answer = lambda call: call.answer(b'fine')
    assert place.ask(get('/x')).body == b'fine'


@pytest.mark.parametrize('data, what', [
    (frame(6, 0, 0, bytes(8)), 'PING'), (frame(4, 0, 0), 'SETTINGS'), (frame(8, 0, 0, b'\0\0\0\1'), 'WINDOW_UPDATE'), (frame(0x30, 0, 0), 'others')])
def test_floods_of_a_back_end_are_cut(place, data, what):
    def answer(call):
        for _ in range(200):
            call.raw(data * 100)
    place.start(answer)
    assert place.ask(get('/x')).status == 502
    place.server.wait_error('error', rf'upstream broke HTTP/2: http2 flood detected \(ENHANCE_YOUR_CALM: mostly {what}, \d+ of a budget of 4000\)')
    place.back.answer = lambda call: call.answer(b'fine')
    assert place.ask(get('/x')).body == b'fine'


def test_more_data_than_promised(place):
    def answer(call):
        call.head(200, ('content-length', '3'))
        call.raw(frame(DATA, END_STREAM, call.stream, b'too long'))
    place.start(answer)
    with H2(place.server.port, timeout=10) as c:
        a = c.ask('/x')
        assert a.reset is not None or a.status == 502


def test_a_back_end_that_closes_during_an_upload(place):
    """A client whose body is still to come has not left."""
    place.start(lambda call: call.close())
    with Client(place.server.port, timeout=10) as c:
        c.send(request('POST', '/stream/', 'Content-Length: 100000') + bytes(50000))
        assert c.response().status == 502
    place.server.wait_error('error', 'upstream prematurely closed connection')


def test_an_answer_before_the_end_of_the_request(place):
    """RFC 9113 8.1: the answer is whole, and RST_STREAM with NO_ERROR behind it only says that the rest is not wanted."""
    def answer(call):
        call.answer(b'enough', 403)
        call.raw(frame(3, 0, call.stream, struct.pack('>I', 0)))
    place.start(answer)
    with Client(place.server.port, timeout=10) as c:
        c.send(request('POST', '/stream/', 'Content-Length: 100000') + bytes(5000))
        r = c.response()
        assert (r.status, r.body) == (403, b'enough')


def test_windows_of_the_back_end_are_honoured(place):
    place.start(lambda call: call.answer(b'x') if call.field(':method') == 'GET' else None, hold_windows=True,
                initial_window_size=1000)
    assert place.ask(get('/first')).status == 200    # its settings are known from here on
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(place.ask, post('/x', bytes(5000)))
        until(lambda: len(place.back.calls) == 2 or place.back.problems, 'the request')
        assert not place.back.problems
        call = place.back.calls[1]
        until(lambda: len(call.body) >= 1000, 'the first window')
        assert not call.ended.wait(0.2)
        with call.connection.lock:
            call.connection.h2.increment_flow_control_window(10000, call.stream)
            call.connection.flush()
        assert len(call.wait()) == 5000
        call.answer(b'done')
        assert asked.result().body == b'done'
    assert not place.back.problems


@pytest.mark.parametrize('first', [frame(PING, 0, 0, bytes(8)), frame(SETTINGS, ACK, 0), b'HTTP/1.1 400 Bad Request\r\n\r\n'], ids=['PING', 'ACK', 'HTTP/1.1'])
def test_a_back_end_must_begin_with_settings(site, first):
    """RFC 9113 3.4"""
    with socket.create_server(('127.0.0.1', 0)) as listener:
        server = site.server(CONF % f'127.0.0.1:{listener.getsockname()[1]}')
        with Client(server.port, timeout=10) as c:
            c.send(get('/x'))
            sock = listener.accept()[0]
            with sock:
                sock.sendall(first)
                assert c.response().status == 502
                sock.settimeout(10)
                data = b''
                while piece := sock.recv(65536):
                    data += piece
    assert data.startswith(b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n') and b'\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\1' in data


# --- over TLS ------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize('speaks, version, status', [(['h2'], None, 200), (['h2', 'http/1.1'], '1.2', 200), ([], None, 200), (['h2'], '1.1', 502)])
def test_over_tls_it_is_negotiated(site, speaks, version, status):
    """RFC 9113 3.2, 3.3, 9.2: "h2" alone is offered; TLS below 1.2 is not taken. A back end that knows no ALPN is spoken to, as by nginx."""
    back = H2Backend(lambda call: call.answer(b'hello'))
    context, port = certs.server(versions=version if version != '1.1' else None), ports.take()
    if version == '1.1':
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers('DEFAULT:@SECLEVEL=0')
    if speaks:
        context.set_alpn_protocols(speaks)
    listener, chosen = socket.create_server(('127.0.0.1', port)), []

    def pass_on(one, other):
        try:
            while data := one.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def serve():
        try:
            tls = context.wrap_socket(listener.accept()[0], server_side=True)
        except OSError as e:
            chosen.append(e)
            return
        chosen.append(tls.selected_alpn_protocol())
        plain = socket.create_connection(('127.0.0.1', back.port))
        threading.Thread(target=pass_on, args=(plain, tls), daemon=True).start()
        pass_on(tls, plain)
    threading.Thread(target=serve, daemon=True).start()
    server = site.server('server { listen 127.0.0.1:@port@; location / { proxy_http_version 2; proxy_ssl_protocols TLSv1.1 TLSv1.2 TLSv1.3;'
                         ' proxy_ssl_ciphers DEFAULT:@SECLEVEL=0; proxy_pass https://127.0.0.1:%d; } }' % port)
    try:
        with Client(server.port, timeout=10) as c:
            r = c.ask(get('/x'))
        assert r.status == status and len(back.calls) == (status == 200), chosen
        assert status != 200 or chosen == [speaks[0] if speaks else None]
    finally:
        listener.close()
        ports.give(port)
        back.stop()


def test_names_do_not_share_a_connection(site):
    """RFC 9113 9.1.1: the certificate of a connection was judged for the name that it was made with."""
    tls = 'ssl_certificate @certs@/server.pem; ssl_certificate_key @certs@/server.key;'
    back = site.server('server { listen 127.0.0.1:@port@ ssl http2; %s return 200 "$ssl_server_name $connection"; }' % tls, label='back')
    front = site.server('server { listen 127.0.0.1:@port@; location / { proxy_http_version 2; proxy_ssl_server_name on; proxy_ssl_name $arg_n;'
                        ' proxy_pass https://127.0.0.1:%d; } }' % back.port, label='front', workers=1)
    with Client(front.port) as c:
        seen = [tuple(c.ask(get(f'/?n={name}.test')).text.split()) for name in ('a', 'b', 'a', 'b')]
    assert [name for name, _ in seen] == ['a.test', 'b.test'] * 2 and len(set(seen)) == 2 and seen[0][1] != seen[1][1]


# --- weir to weir ----------------------------------------------------------------------------------------------------------------

def test_threads_share_nothing_but_work(site):
    """HTTP/2 on both sides, two threads in front of two: no request fails, and all travel on a few connections."""
    site.file('file', b'x' * 100000)
    back = site.server('log_format c "$connection $server_protocol"; server { listen 127.0.0.1:@port@ http2; access_log @dir@/c.log c; root @root@;'
                       ' location /small { return 200 ok; } }', label='back')
    front = site.server('upstream app { server 127.0.0.1:%d; } server { listen 127.0.0.1:@port@ http2;'
                        ' location / { proxy_http_version 2; proxy_pass http://app; } }' % back.port, label='front')
    for path, n in (('/small', 6000), ('/file', 1000)):
        out = subprocess.run(['h2load', '-t2', '-c20', '-m20', f'-n{n}', f'http://127.0.0.1:{front.port}{path}'], capture_output=True, text=True,
                             timeout=60).stdout
        assert f'{n} succeeded, 0 failed, 0 errored, 0 timeout' in out and f'status codes: {n} 2xx' in out, out
    lines = back.wait_lines(7000, 'c.log')
    assert all(line.endswith('HTTP/2.0') for line in lines) and len({line.split()[0] for line in lines}) <= 20


# --- 103, both ways ------------------------------------------------------------------------------------------------------------

HINT = ('link', '</a.css>; rel=preload')


def hints(call):
    """Two hints, and the answer only when the client has seen them."""
    for fields in ([HINT], [('link', '</b.js>; rel=preload'), ('x-accel-expires', '1')]):
        call.connection.do(lambda c: c.send_headers(call.stream, [(':status', '103'), *fields]))
    assert call.go.wait(10)
    call.answer(b'page', 200, ('content-type', call.field('content-type', 'text/plain')))


@pytest.mark.parametrize('gateway', ['proxy_http_version 2; proxy_pass http://127.0.0.1:%d;', 'grpc_pass 127.0.0.1:%d;'], ids=['proxy', 'grpc'])
@pytest.mark.parametrize('client', ['h1', 'h2'])
def test_early_hints_from_http2(site, gateway, client):
    go = threading.Event()

    def answer(call):
        call.go = go
        hints(call)
    back = H2Backend(answer)
    server = site.server('server { listen 127.0.0.1:@port@ http2; early_hints 1; location / { %s } }' % (gateway % back.port))
    try:
        if client == 'h1':
            with Client(server.port) as c:
                c.send(get('/'))
                while c.received.count(b'HTTP/1.1 103') < 2:
                    assert c.receive()
                go.set()
                r = c.response()
                seen = [[(n.lower(), v) for n, v in i.headers] for i in r.interim], r.body
        else:
            with H2(server.port) as c:
                s = c.request('/')
                while len(c.answer(s).interim) < 2:
                    assert c.read(10)
                go.set()
                a = c.wait(s)
                seen = [[f for f in i if f[0] != ':status'] for i in a.interim], a.body
        assert seen == ([[('link', '</a.css>; rel=preload')], [('link', '</b.js>; rel=preload')]], b'page')
    finally:
        go.set()
        back.stop()


def test_early_hints_to_http2_from_http1(site):
    site.backend(answer=[b'HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: x\r\n\r\n', Pause(0.1), response(b'page')])
    server = site.server('server { listen 127.0.0.1:@port@ http2; early_hints 1; location / { proxy_pass http://@backend@; } }')
    with H2(server.port) as c:
        a = c.ask('/')
        assert a.body == b'page' and a.interim == [[(':status', '103'), ('link', '</a.css>')]]


def test_too_many_interim_answers(place):
    def answer(call):
        for _ in range(2000):
            call.connection.do(lambda c: c.send_headers(call.stream, [(':status', '103'), ('link', '</x' + 'y' * 100 + '>')]))
        call.answer(b'x')
    place.start(answer)
    assert place.ask(get('/x')).status == 502
    place.server.wait_error('error', 'upstream sent too many interim responses')
