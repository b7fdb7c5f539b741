"""What RFC 9113 says that an endpoint MUST do, one by one, with raw frames: frames, streams and windows (sections 3 to 7). Each case sends something and says
what must come of it: an answer, a stream error, a connection error (a code, or several that the RFC allows)."""
import struct

import pytest

from weirtest import rfc9113
from weirtest.h2 import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HAS_PRIORITY, HEADERS, PADDED, PING, PREFACE, PRIORITY,
                         PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, settings)
from weirtest.rfc9113 import U32, alive, connection_error, stream_error

pytestmark = pytest.mark.weir_only('nginx 1.22 fails some of these')

CASES = rfc9113.Cases()
case = CASES.case
place = pytest.fixture(scope='module')(rfc9113.place)


# --- 3.4 preface

@case('3.4')
def the_server_sends_settings_first(c):
    assert c.frames[0].kind == SETTINGS and not c.frames[0].flags & ACK


@case('3.4', hello=None)
def a_wrong_preface_is_no_http2(c):
    c.send(b'PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n' + settings())
    c.socket.settimeout(5)
    data = c.socket.recv(1000)
    assert data == b'' or data.startswith(b'HTTP/1.1 4') or data.startswith(b'HTTP/1.1 5')


@case('3.4', hello=None)
def settings_must_follow_the_preface(c):
    c.send(PREFACE + frame(PING, 0, 0, bytes(8)))
    connection_error(c, 'PROTOCOL_ERROR')


@case('3.4', hello=None)
def the_preface_may_come_in_pieces(c):
    for byte in PREFACE + settings():
        c.send(bytes([byte]))
    alive(c)


# --- 4.1 frames

@case('4.1')
def unknown_types_are_ignored(c):
    c.send(frame(0x20, 0xff, 0, b'junk') + frame(0xfe, 0, 1, b'') + frame(0xff, 0, 0x7fffffff, bytes(100)))
    alive(c)


@case('4.1')
def undefined_flags_are_ignored(c):
    c.send(frame(PING, 0xfe, 0, b'01234567'))
    assert c.until(lambda f: f.kind == PING).payload == b'01234567'
    c.send(frame(SETTINGS, 0xfe, 0) + frame(WINDOW_UPDATE, 0xff, 0, U32(1)))
    assert c.until(lambda f: f.kind == SETTINGS).flags == ACK
    c.send(frame(HEADERS, END_HEADERS | 0xd2, 1, c.block(c.fields('/body', 'POST'))) + frame(PRIORITY, 0xff, 1, U32(0) + b'\x10'))
    c.send(frame(DATA, END_STREAM | 0xf6, 1, b'abc'))
    c.send(frame(HEADERS, END_HEADERS, 3, c.block(c.fields('/body', 'POST'))) + frame(RST_STREAM, 0xff, 3, U32(8)))
    assert c.wait(1).body == b'3'
    c.next = 5
    alive(c)


@case('4.1')
def the_reserved_bit_is_ignored(c):
    f = bytearray(frame(HEADERS, END_HEADERS | END_STREAM, 1, c.block(c.fields())))
    f[5] |= 0x80
    c.send(bytes(f))
    c.next = 3
    assert c.wait(1).status == 200
    c.send(frame(WINDOW_UPDATE, 0, 0, U32(0x80000001)))
    alive(c)


@case('4.1')
def what_is_reserved_is_sent_as_zero(c):
    """Flags of a frame that its type does not know, the reserved bit; and streams that the server opens."""
    known = {DATA: END_STREAM, HEADERS: END_STREAM | END_HEADERS, RST_STREAM: 0, SETTINGS: ACK, PING: ACK, GOAWAY: 0, WINDOW_UPDATE: 0,
             CONTINUATION: END_HEADERS}
    c.ask('/big/file')
    s = c.request('/body', 'POST', end=False)
    c.body(s, bytes(100000))
    c.wait(s)
    assert c.ping() and len(c.frames) > 10
    assert all(f.kind in known and f.flags & ~known[f.kind] == 0 and not f.reserved for f in c.frames)
    assert all(f.stream % 2 == 1 or f.stream == 0 for f in c.frames)


# --- 4.2 sizes

@case('4.2')
def a_frame_of_the_maximal_size_is_taken(c):
    s = c.request('/body', 'POST', end=False)
    c.send(frame(DATA, END_STREAM, s, bytes(16384)))
    assert c.wait(s).status == 200


@case('4.2')
def a_larger_data_frame(c):
    s = c.request('/body', 'POST', end=False)
    c.send(frame(DATA, END_STREAM, s, bytes(16385)))
    stream_error(c, s, 'FRAME_SIZE_ERROR')


@case('4.2')
def a_larger_headers_frame(c):
    c.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, bytes(16385)))
    connection_error(c, 'FRAME_SIZE_ERROR')


@case('4.2')
def a_larger_frame_of_an_unknown_type(c):
    c.send(frame(0x30, 0, 0, bytes(16385)))
    connection_error(c, 'FRAME_SIZE_ERROR')


@case('4.2')
def frames_are_as_large_as_the_client_takes(c):
    a = c.ask('/big/file')
    assert len(a.body) == 200000 and max(a.pieces) <= 16384
    c.send(settings(frame=50000))
    assert c.ping()
    a = c.ask('/big/file')
    assert len(a.body) == 200000 and max(a.pieces) <= 50000


@case('4.2')
def padded_headers_without_a_length(c):
    c.send(frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, b''))
    connection_error(c, 'FRAME_SIZE_ERROR', 'PROTOCOL_ERROR')


@case('4.2')
def headers_too_small_for_their_priority(c):
    c.send(frame(HEADERS, END_HEADERS | END_STREAM | HAS_PRIORITY, 1, bytes(4)))
    connection_error(c, 'FRAME_SIZE_ERROR')


@case('4.2')
def padded_data_without_a_length(c):
    s = c.request('/body', 'POST', end=False)
    c.send(frame(DATA, END_STREAM | PADDED, s, b''))
    stream_error(c, s, 'FRAME_SIZE_ERROR', 'PROTOCOL_ERROR')


@case('4.2')
def goaway_of_another_length(c):
    c.send(frame(GOAWAY, 0, 0, bytes(7)))
    connection_error(c, 'FRAME_SIZE_ERROR')


# --- 4.3 compression

@case('4.3')
def a_long_head_is_a_row_of_frames(c):
    """The client of these tests fails at any other frame between them."""
    streams = [c.request('/big/file'), c.request('/long'), c.request('/big/file')]
    a = c.wait(streams[1])
    assert len(a.header('x-long')) == 20000 and any(f.kind == CONTINUATION and f.stream == streams[1] for f in c.frames)
    for s in streams:
        assert c.wait(s).ended


@case('4.3')
def a_malformed_block_that_does_not_decode(c):
    c.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, c.block([*c.fields(), ('connection', 'close')]) + b'\xff\xff\x03'))
    connection_error(c, 'COMPRESSION_ERROR')


@case('4.3')
def the_table_stays_in_step_over_a_stream_that_we_reset(c):
    s = c.request('/body', 'POST', ('content-length', '1'), end=False)
    c.send(frame(DATA, 0, s, b'too long'))
    stream_error(c, s, 'PROTOCOL_ERROR')
    c.head([('x-trailer', 'a value of its own')], stream=s)
    assert c.ask('/', 'GET', ('x-trailer', 'a value of its own')).status == 200


@case('4.3')
def the_table_stays_in_step_over_streams_above_the_limit(c):
    streams = [c.request('/body', 'POST', end=False) for _ in range(128)]
    assert c.wait(c.request('/', 'GET', ('x-more', 'a value of its own'))).reset in ('REFUSED_STREAM', 'PROTOCOL_ERROR')
    c.body(streams[0], b'x')
    c.wait(streams[0])
    assert c.ask('/', 'GET', ('x-more', 'a value of its own')).status == 200


@case('10.5.1')
def the_table_stays_in_step_over_a_head_that_is_too_large(c):
    fields = [('x-long', 'y' * 9000), ('x-last', 'a value of its own')]
    assert c.ask('/', 'GET', *fields).status in (400, 431)
    assert c.ask('/', 'GET', fields[-1]).status == 200

@case('4.3')
def a_block_that_does_not_decode(c):
    c.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, b'\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff'))
    connection_error(c, 'COMPRESSION_ERROR')


@case('4.3')
def an_index_that_is_not_there(c):
    c.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, b'\xff\xff\x03'))
    connection_error(c, 'COMPRESSION_ERROR')


@case('4.3')
def the_table_stays_in_step_over_refused_streams(c):
    c.head([*c.fields(), ('connection', 'close'), ('x-first', 'value one')])
    alive(c)
    assert c.ask('/', 'GET', ('x-first', 'value one')).status == 200


@case('4.3.1')
def a_table_larger_than_allowed(c):
    c.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, b'\x3f\xe1\xff\x03' + c.block(c.fields())))
    connection_error(c, 'COMPRESSION_ERROR')


@case('4.3.1')
def a_size_update_behind_fields(c):
    c.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, c.block(c.fields()) + b'\x20'))
    connection_error(c, 'COMPRESSION_ERROR')


@case('4.3.1')
def our_table_follows_the_clients_settings(c):
    c.send(settings(table=0))
    c.decoder.max_allowed_table_size = 0
    assert c.ping()
    for _ in range(3):
        assert c.ask('/').status == 200


@case('4.3.1')
def the_smallest_table_between_two_blocks_is_told(c):
    """RFC 7541 4.2"""
    assert c.ask('/').status == 200
    c.send(settings(table=0) + settings(table=4096))
    assert c.ping()
    s = c.request('/')
    assert c.until(lambda f: f.kind == HEADERS and f.stream == s).payload.startswith(b'\x20\x3f\xe1\x1f')
    assert c.wait(s).status == 200


# --- 5.1 states

@case('5.1 idle')
def data_on_an_idle_stream(c):
    c.send(frame(DATA, END_STREAM, 1, b'x'))
    connection_error(c, 'PROTOCOL_ERROR')


@case('5.1 idle')
def rst_stream_on_an_idle_stream(c):
    c.reset(1)
    connection_error(c, 'PROTOCOL_ERROR')


@case('5.1 idle')
def window_update_on_an_idle_stream(c):
    c.window(1, 100)
    connection_error(c, 'PROTOCOL_ERROR')


@case('5.1 idle')
def continuation_on_an_idle_stream(c):
    c.send(frame(CONTINUATION, END_HEADERS, 1, c.block(c.fields())))
    connection_error(c, 'PROTOCOL_ERROR')


@case('5.1 idle')
def priority_on_an_idle_stream_is_allowed(c):
    c.send(frame(PRIORITY, 0, 1, U32(0) + b'\x10'))
    alive(c)


@case('5.1 half-closed')
def data_on_a_half_closed_stream(c):
    s = c.request('/big/file')
    c.send(frame(DATA, END_STREAM, s, b'x'))
    stream_error(c, s, 'STREAM_CLOSED')


@case('5.1 half-closed')
def headers_on_a_half_closed_stream(c):
    c.windows = False
    s = c.request('/big/file')
    c.send(frame(HEADERS, END_HEADERS | END_STREAM, s, c.block(c.fields())))
    stream_error(c, s, 'STREAM_CLOSED')


@case('5.1 half-closed')
def continuation_on_a_half_closed_stream(c):
    c.windows = False
    s = c.request('/big/file')
    c.send(frame(CONTINUATION, END_HEADERS, s, c.block(c.fields())))
    connection_error(c, 'PROTOCOL_ERROR', 'STREAM_CLOSED')


@case('5.1 closed')
def data_on_a_closed_stream(c):
    s = c.request('/')
    c.wait(s)
    c.send(frame(DATA, END_STREAM, s, b'x'))
    f = c.until(lambda f: f.kind in (RST_STREAM, GOAWAY))
    assert f is not None and f.code == 'STREAM_CLOSED'


@case('5.1 closed')
def headers_on_a_closed_stream(c):
    s = c.request('/')
    c.wait(s)
    c.send(frame(HEADERS, END_HEADERS | END_STREAM, s, c.block(c.fields())))
    connection_error(c, 'STREAM_CLOSED')


@case('5.1 closed')
def data_behind_the_clients_own_reset(c):
    s = c.request('/body', 'POST', end=False)
    c.reset(s)
    c.send(frame(DATA, END_STREAM, s, b'x'))
    f = c.until(lambda f: f.kind in (RST_STREAM, GOAWAY))
    assert f is not None and f.code == 'STREAM_CLOSED'


@case('5.1 closed')
def headers_behind_the_clients_own_reset(c):
    s = c.request('/body', 'POST', end=False)
    c.reset(s)
    c.send(frame(HEADERS, END_HEADERS | END_STREAM, s, c.block(c.fields())))
    connection_error(c, 'STREAM_CLOSED', 'PROTOCOL_ERROR')


@case('5.1 closed')
def window_update_and_reset_on_a_closed_stream_are_ignored(c):
    s = c.request('/')
    c.wait(s)
    c.window(s, 10)
    c.reset(s)
    c.send(frame(PRIORITY, 0, s, U32(0) + b'\x10'))
    alive(c)


@case('5.1 closed')
def what_comes_on_a_stream_that_we_reset_is_ignored(c):
    s = c.request('/body', 'POST', ('content-length', '1'), end=False)
    c.send(frame(DATA, 0, s, b'too long'))
    stream_error(c, s, 'PROTOCOL_ERROR')
    c.send(frame(DATA, END_STREAM, s, b'x') + frame(WINDOW_UPDATE, 0, s, U32(1)))
    alive(c)


@case('5.1 closed')
def what_comes_on_a_stream_that_we_reset_long_ago_is_ignored(c):
    """Others that ended meanwhile do not make an error of it."""
    s = c.request('/body', 'POST', ('content-length', '1'), end=False)
    c.send(frame(DATA, 0, s, b'too long'))
    stream_error(c, s, 'PROTOCOL_ERROR')
    for _ in range(50):
        assert c.ask('/').status == 200
    before = len(c.frames)
    c.send(frame(DATA, 0, s, b'x'))
    c.head([('x-trailer', 'y')], stream=s)
    alive(c)
    assert not any(f.kind in (RST_STREAM, GOAWAY) for f in c.frames[before:])


@case('5.1 closed')
def nothing_is_sent_on_a_closed_stream(c):
    """Neither an end nor a reset behind an end, whatever was wrong."""
    streams = [c.request('/'), c.head([*c.fields(), ('connection', 'close')]), c.head(c.fields('/nothing')), c.request('/big/file', 'HEAD')]
    streams.append(c.request('/body', 'POST', end=False))
    c.body(streams[-1], bytes(100000))
    for s in streams:
        c.wait(s)
    assert c.ping()
    for s in streams:
        ends = [f for f in c.frames if f.stream == s and (f.kind == RST_STREAM or f.kind in (DATA, HEADERS) and f.flags & END_STREAM)]
        assert len(ends) == 1 and not [f for f in c.frames[c.frames.index(ends[0]) + 1:] if f.stream == s], ends


@case('5.1.1')
def even_stream_identifiers(c):
    c.head(c.fields(), stream=2)
    connection_error(c, 'PROTOCOL_ERROR')


@case('5.1.1')
def a_lower_stream_identifier(c):
    c.head(c.fields(), stream=5)
    c.head(c.fields(), stream=3)
    connection_error(c, 'PROTOCOL_ERROR')


@case('5.1.1')
def stream_zero(c):
    c.head(c.fields(), stream=0)
    connection_error(c, 'PROTOCOL_ERROR')


@case('5.1.2')
def more_streams_than_allowed_are_refused(c):
    streams = [c.request('/body', 'POST', end=False) for _ in range(130)]
    for s in streams[128:]:
        assert c.wait(s).reset in ('REFUSED_STREAM', 'PROTOCOL_ERROR')
    for s in streams[:128]:
        c.body(s, b'x')
    for s in streams[:128]:
        assert c.wait(s).status == 200


# --- 5.2 flow control

@case('5.2.1', window=10)
def the_servers_data_waits_for_the_streams_window(c):
    s = c.request('/big/file')
    c.until(lambda f: f.kind == DATA)
    assert c.ping()
    assert len(c.answer(s).body) == 10
    c.window(s, 5)
    c.until(lambda f: f.kind == DATA)
    assert c.ping()
    assert len(c.answer(s).body) == 15


@case('5.2.1', window=1000000)
def the_servers_data_waits_for_the_connections_window(c):
    s = c.request('/big/file')
    while len(c.answer(s).body) < 65535:
        c.read()
    assert c.ping()
    assert len(c.answer(s).body) == 65535
    c.window(0, 200000)
    assert c.wait(s).ended and len(c.answer(s).body) == 200000


@case('5.2')
def padding_counts_for_windows(c):
    """What it took comes back, so that a body of 1000 bytes in 257000 ends."""
    s, sent = c.request('/body', 'POST', end=False), 0
    while sent < 1000:
        while min(c.room[0], c.room_of(s)) < 257:
            assert c.read() is not None
        c.room[0] -= 257
        c.room[s] -= 257
        sent += 1
        c.send(frame(DATA, PADDED | (END_STREAM if sent == 1000 else 0), s, b'\xff' + b'x' + bytes(255)))
    assert c.wait(s).body == b'1000'


@case('5.2', window=0)
def frames_are_handled_while_a_stream_waits(c):
    s = c.request('/big/file')
    for _ in range(3):
        assert c.ping()
    assert not c.answer(s).body


@case('5.3')
def a_stream_that_depends_on_itself(c):
    c.send(frame(HEADERS, END_HEADERS | END_STREAM | HAS_PRIORITY, 1, U32(1) + b'\x00' + c.block(c.fields())))
    stream_error(c, 1, 'PROTOCOL_ERROR')


@case('5.3')
def priority_for_a_stream_that_depends_on_itself(c):
    s = c.request('/body', 'POST', end=False)
    c.send(frame(PRIORITY, 0, s, U32(s) + b'\x00'))
    stream_error(c, s, 'PROTOCOL_ERROR')


@case('5.4.1')
def goaway_comes_before_the_connection_closes(c):
    s = c.request('/')
    c.wait(s)
    c.send(frame(PING, 0, 1, bytes(8)))
    connection_error(c, 'PROTOCOL_ERROR')
    assert c.goaway.last == s


@case('5.4')
def a_connection_error_counts_more_than_one_of_the_stream(c):
    s = c.request('/big/file')
    c.send(frame(DATA, PADDED, s, b'\x06abcde'))
    connection_error(c, 'PROTOCOL_ERROR')


@case('5.4.2')
def a_reset_is_not_answered_with_a_reset(c):
    s = c.request('/body', 'POST', end=False)
    c.reset(s)
    c.reset(s)
    assert c.ping()
    assert not any(f.kind == RST_STREAM for f in c.frames)


@case('5.5')
def unknown_frames_inside_a_header_block(c):
    block = c.block(c.fields())
    c.send(frame(HEADERS, END_STREAM, 1, block[:3]) + frame(0x20, 0, 0, b'') + frame(CONTINUATION, END_HEADERS, 1, block[3:]))
    connection_error(c, 'PROTOCOL_ERROR')


# --- 6.1 DATA

@case('6.1')
def data_on_stream_zero(c):
    c.send(frame(DATA, 0, 0, b'x'))
    connection_error(c, 'PROTOCOL_ERROR')


@case('6.1')
def data_with_too_much_padding(c):
    s = c.request('/body', 'POST', end=False)
    c.send(frame(DATA, END_STREAM | PADDED, s, b'\x06abcde'))
    connection_error(c, 'PROTOCOL_ERROR')


@case('6.1')
def padding_is_taken_out(c):
    s = c.request('/body', 'POST', end=False)
    c.send(frame(DATA, PADDED, s, b'\x05hello' + bytes(5)) + frame(DATA, END_STREAM | PADDED, s, b'\xff' + bytes(255)))
    assert c.wait(s).body == b'5'


# --- 6.2 HEADERS

@case('6.2')
def headers_without_end_are_not_followed_by_others(c):
    block = c.block(c.fields())
    c.send(frame(HEADERS, 0, 1, block) + frame(PRIORITY, 0, 1, U32(0) + b'\x10'))
    connection_error(c, 'PROTOCOL_ERROR')


@case('6.2')
def headers_without_end_are_not_followed_by_another_stream(c):
    block = c.block(c.fields())
    c.send(frame(HEADERS, END_STREAM, 1, block) + frame(HEADERS, END_STREAM | END_HEADERS, 3, block))
    connection_error(c, 'PROTOCOL_ERROR')


@case('6.2')
def headers_with_too_much_padding(c):
    block = c.block(c.fields())
    c.send(frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, bytes([len(block) + 1]) + block))
    connection_error(c, 'PROTOCOL_ERROR')


@case('6.2')
def headers_with_padding_and_priority(c):
    block = c.block(c.fields())
    c.send(frame(HEADERS, END_HEADERS | END_STREAM | PADDED | HAS_PRIORITY, 1, b'\x03' + U32(0) + b'\x01' + block + bytes(3)))
    assert c.wait(1).status == 200


# --- 6.3 PRIORITY

@case('6.3')
def priority_on_stream_zero(c):
    c.send(frame(PRIORITY, 0, 0, U32(1) + b'\x10'))
    connection_error(c, 'PROTOCOL_ERROR')


@case('6.3')
def priority_of_another_length(c):
    s = c.request('/body', 'POST', end=False)
    c.send(frame(PRIORITY, 0, s, U32(0)))
    stream_error(c, s, 'FRAME_SIZE_ERROR')


# --- 6.4 RST_STREAM

@case('6.4')
def rst_stream_on_stream_zero(c):
    c.reset(0)
    connection_error(c, 'PROTOCOL_ERROR')


@case('6.4')
def rst_stream_of_another_length(c):
    s = c.request('/body', 'POST', end=False)
    c.send(frame(RST_STREAM, 0, s, bytes(3)))
    connection_error(c, 'FRAME_SIZE_ERROR')


@case('6.4')
def nothing_is_sent_after_a_reset(c):
    c.windows = False
    s = c.request('/big/file')
    c.until(lambda f: f.kind == DATA)
    c.reset(s)
    assert c.ping()
    seen = len(c.answer(s).body)
    c.window(0, 200000)
    assert c.ping()
    assert len(c.answer(s).body) == seen


@case('6.4')
def no_head_is_sent_after_a_reset(c):
    s = c.request('/late')
    c.reset(s)
    for _ in range(3):
        assert c.ask('/late').body == b'late'
    assert not any(f.stream == s for f in c.frames)


# --- 6.5 SETTINGS

@case('6.5')
def settings_on_a_stream(c):
    c.send(frame(SETTINGS, 0, 1, b''))
    connection_error(c, 'PROTOCOL_ERROR')


@case('6.5')
def settings_ack_with_a_payload(c):
    c.send(frame(SETTINGS, ACK, 0, bytes(6)))
    connection_error(c, 'FRAME_SIZE_ERROR')


@case('6.5')
def settings_of_another_length(c):
    c.send(frame(SETTINGS, 0, 0, bytes(5)))
    connection_error(c, 'FRAME_SIZE_ERROR')


@case('6.5.2')
def enable_push_of_two(c):
    c.send(settings(push=2))
    connection_error(c, 'PROTOCOL_ERROR')


@case('6.5.2')
def an_initial_window_above_the_maximum(c):
    c.send(settings(window=1 << 31))
    connection_error(c, 'FLOW_CONTROL_ERROR')


@case('6.5.2')
def a_frame_size_below_the_minimum(c):
    c.send(settings(frame=16383))
    connection_error(c, 'PROTOCOL_ERROR')


@case('6.5.2')
def a_frame_size_above_the_maximum(c):
    c.send(settings(frame=1 << 24))
    connection_error(c, 'PROTOCOL_ERROR')


@case('6.5.2')
def unknown_settings_are_ignored(c):
    c.send(frame(SETTINGS, 0, 0, struct.pack('>HI', 0xff, 1)))
    alive(c)


@case('6.5.2')
def the_last_of_equal_settings_counts(c):
    c.send(frame(SETTINGS, 0, 0, struct.pack('>HIHI', 4, 1 << 20, 4, 7)))
    c.windows = False
    assert c.ping()
    s = c.request('/big/file')
    c.until(lambda f: f.kind == DATA)
    assert c.ping()
    assert len(c.answer(s).body) == 7


@case('6.5.3')
def settings_are_acknowledged(c):
    c.send(settings(window=100000))
    assert c.until(lambda f: f.kind == SETTINGS and f.flags & ACK) is not None


@case('6.5.3')
def each_settings_frame_is_acknowledged(c):
    c.send((settings() + settings(window=100, streams=0, list=1000, push=0)) * 5)
    assert c.ping()
    assert sum(f.kind == SETTINGS and f.flags == ACK and not f.payload for f in c.frames) == 1 + 10    # the first is of the preface


@case('6.5.2')
def the_servers_settings_are_legal(c):
    seen = {}
    for f in c.frames:
        if f.kind == SETTINGS:
            seen.update(struct.iter_unpack('>HI', f.payload))
    assert seen.get(2, 0) == 0 and seen.get(4, 0) < 1 << 31 and 16384 <= seen.get(5, 16384) < 1 << 24


# --- 6.6 PUSH_PROMISE

@case('6.6')
def push_promise_from_a_client(c):
    c.send(frame(PUSH_PROMISE, END_HEADERS, 1, U32(2) + c.block(c.fields())))
    connection_error(c, 'PROTOCOL_ERROR')


# --- 6.7 PING

@case('6.7')
def ping_is_answered_with_its_payload(c):
    c.send(frame(PING, 0, 0, b'12345678'))
    assert c.until(lambda f: f.kind == PING and f.flags == ACK).payload == b'12345678'


@case('6.7')
def a_ping_with_ack_is_not_answered(c):
    c.send(frame(PING, ACK, 0, b'12345678'))
    assert c.ping()
    assert not any(f.kind == PING and f.payload == b'12345678' for f in c.frames)


@case('6.7')
def ping_on_a_stream(c):
    c.send(frame(PING, 0, 1, bytes(8)))
    connection_error(c, 'PROTOCOL_ERROR')


@case('6.7')
def ping_of_another_length(c):
    c.send(frame(PING, 0, 0, bytes(6)))
    connection_error(c, 'FRAME_SIZE_ERROR')


# --- 6.8 GOAWAY

@case('6.8')
def goaway_on_a_stream(c):
    c.send(frame(GOAWAY, 0, 1, bytes(8)))
    connection_error(c, 'PROTOCOL_ERROR')


@case('6.8')
def a_goaway_of_the_client_lets_streams_end(c):
    s = c.request('/body', 'POST', end=False)
    c.send(frame(GOAWAY, 0, 0, bytes(8)))
    c.body(s, b'abc')
    assert c.wait(s).body == b'3'


# --- 6.9 WINDOW_UPDATE

@case('6.9')
def a_window_update_of_zero_on_the_connection(c):
    c.window(0, 0)
    connection_error(c, 'PROTOCOL_ERROR')


@case('6.9')
def a_window_update_of_zero_on_a_stream(c):
    s = c.request('/body', 'POST', end=False)
    c.window(s, 0)
    stream_error(c, s, 'PROTOCOL_ERROR')


@case('6.9')
def a_window_update_of_another_length(c):
    c.send(frame(WINDOW_UPDATE, 0, 0, bytes(3)))
    connection_error(c, 'FRAME_SIZE_ERROR')


@case('6.9.1')
def a_window_of_the_connection_above_the_maximum(c):
    c.window(0, 0x7fffffff)
    connection_error(c, 'FLOW_CONTROL_ERROR')


@case('6.9.1')
def a_window_of_a_stream_above_the_maximum(c):
    s = c.request('/body', 'POST', end=False)
    c.window(s, 0x7fffffff)
    stream_error(c, s, 'FLOW_CONTROL_ERROR')


@case('6.9.2', window=10)
def a_window_may_become_negative(c):
    s = c.request('/big/file')
    c.until(lambda f: f.kind == DATA)
    c.send(settings(window=3))    # 10 are out: 7 too many
    assert c.ping()
    c.window(s, 7)
    assert c.ping()
    assert len(c.answer(s).body) == 10
    c.window(s, 1)
    c.until(lambda f: f.kind == DATA)
    assert c.ping()
    assert len(c.answer(s).body) == 11


@case('6.9.2')
def initial_windows_apply_to_open_streams(c):
    c.windows = False
    c.send(settings(window=0))
    assert c.ping()
    s = c.request('/')
    assert c.ping()
    assert c.answer(s).body == b''
    c.send(settings(window=1))
    c.until(lambda f: f.kind == DATA)
    assert c.ping()
    assert c.answer(s).body == b'o'
    c.send(settings(window=2))
    assert c.wait(s).body == b'ok'


@case('6.9.2')
def an_initial_window_that_makes_another_too_large(c):
    s = c.request('/body', 'POST', end=False)
    c.window(s, 0x7fffffff - 65535)
    assert c.ping()
    c.send(settings(window=65536))
    connection_error(c, 'FLOW_CONTROL_ERROR')


# --- 6.10 CONTINUATION

@case('6.10')
def continuations(c):
    block = c.block([*c.fields(), ('x-long', 'y' * 100)])
    c.send(frame(HEADERS, END_STREAM, 1, block[:1]))
    for at in range(1, 40):
        c.send(frame(CONTINUATION, 0, 1, block[at:at + 1]))
    c.send(frame(CONTINUATION, END_HEADERS, 1, block[40:]))
    assert c.wait(1).status == 200


@case('6.10')
def continuation_without_end_is_not_followed_by_others(c):
    block = c.block(c.fields())
    c.send(frame(HEADERS, END_STREAM, 1, block[:1]) + frame(CONTINUATION, 0, 1, block[1:]) + frame(PING, 0, 0, bytes(8)))
    connection_error(c, 'PROTOCOL_ERROR')


@case('6.10')
def continuation_on_another_stream(c):
    block = c.block(c.fields())
    c.send(frame(HEADERS, END_STREAM, 1, block[:1]) + frame(CONTINUATION, END_HEADERS, 3, block[1:]))
    connection_error(c, 'PROTOCOL_ERROR')


@case('6.10')
def continuation_behind_end_headers(c):
    c.send(frame(HEADERS, END_HEADERS, 1, c.block(c.fields('/body', 'POST'))) + frame(CONTINUATION, END_HEADERS, 1, b''))
    connection_error(c, 'PROTOCOL_ERROR')


@case('6.10')
def continuation_on_stream_zero(c):
    c.send(frame(HEADERS, END_STREAM, 1, c.block(c.fields())) + frame(CONTINUATION, END_HEADERS, 0, b''))
    connection_error(c, 'PROTOCOL_ERROR')


# --- 7 error codes

@case('7')
def an_unknown_error_code_means_nothing(c):
    s = c.request('/body', 'POST', end=False)
    c.reset(s, 0xdeadbeef)
    alive(c)


@pytest.mark.parametrize('fn, how', CASES)
def test_must(place, fn, how):
    rfc9113.run(place, fn, how)
