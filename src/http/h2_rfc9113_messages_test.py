"""What RFC 9113 says that an endpoint MUST do, one by one, with raw frames: messages (sections 8 to 10). Each case sends something and says
what must come of it: an answer, a stream error, a connection error (a code, or several that the RFC allows)."""
import pytest

from weirtest import rfc9113
from weirtest.h2 import DATA, END_HEADERS, END_STREAM, HEADERS, PUSH_PROMISE, RST_STREAM, frame
from weirtest.rfc9113 import alive, stream_error

pytestmark = pytest.mark.weir_only('nginx 1.22 fails many of these')

CASES = rfc9113.Cases()
case = CASES.case
place = pytest.fixture(scope='module')(rfc9113.place)


# --- 8.1 messages

@case('8.1')
def trailers_without_end_of_stream(c):
    s = c.request('/body', 'POST', end=False)
    c.body(s, b'x', end=False)
    c.send(frame(HEADERS, END_HEADERS, s, c.block([('x-trailer', 'y')])))
    stream_error(c, s, 'PROTOCOL_ERROR')


@case('8.1')
def trailers_end_a_request(c):
    s = c.request('/body', 'POST', end=False)
    c.body(s, b'xyz', end=False)
    c.send(frame(HEADERS, END_HEADERS | END_STREAM, s, c.block([('x-trailer', 'y')])))
    assert c.wait(s).body == b'3'


def malformed(fields):
    def fn(c):
        s = c.head(fields(c))
        stream_error(c, s, 'PROTOCOL_ERROR')
        assert c.answer(s).status in (None, 400) and not c.answer(s).ended    # and nobody has seen it
        alive(c)
    return fn


for name, section, fields in [
        ('upper case', '8.2.1', lambda c: [*c.fields(), ('X-Upper', 'x')]),
        ('space in a name', '8.2.1', lambda c: [*c.fields(), ('x y', 'x')]),
        ('colon in a name', '8.2.1', lambda c: [*c.fields(), ('x:y', 'x')]),
        ('control byte in a name', '8.2.1', lambda c: [*c.fields(), ('x\x01', 'x')]),
        ('DEL in a name', '8.2.1', lambda c: [*c.fields(), (b'x\x7f', b'x')]),
        ('byte above 127 in a name', '8.2.1', lambda c: [*c.fields(), (b'x\xe9', b'x')]),
        ('LF in a value', '8.2.1', lambda c: [*c.fields(), ('x', 'a\nb')]),
        ('CR in a value', '8.2.1', lambda c: [*c.fields(), ('x', 'a\rb')]),
        ('NUL in a value', '8.2.1', lambda c: [*c.fields(), ('x', 'a\0b')]),
        ('white space before a value', '8.2.1', lambda c: [*c.fields(), ('x', ' a')]),
        ('white space behind a value', '8.2.1', lambda c: [*c.fields(), ('x', 'a\t')]),
        ('connection', '8.2.2', lambda c: [*c.fields(), ('connection', 'keep-alive')]),
        ('proxy-connection', '8.2.2', lambda c: [*c.fields(), ('proxy-connection', 'keep-alive')]),
        ('keep-alive', '8.2.2', lambda c: [*c.fields(), ('keep-alive', '5')]),
        ('transfer-encoding', '8.2.2', lambda c: [*c.fields(), ('transfer-encoding', 'chunked')]),
        ('upgrade', '8.2.2', lambda c: [*c.fields(), ('upgrade', 'h2c')]),
        ('te', '8.2.2', lambda c: [*c.fields(), ('te', 'trailers, deflate')]),
        ('unknown pseudo-field', '8.3', lambda c: [(':test', 'x'), *c.fields()]),
        ('a pseudo-field of responses', '8.3', lambda c: [*c.fields(), (':status', '200')]),
        ('pseudo-field behind others', '8.3', lambda c: [c.fields()[0], ('x', 'y'), *c.fields()[1:]]),
        ('duplicate :method', '8.3.1', lambda c: [(':method', 'GET'), *c.fields()]),
        ('duplicate :path', '8.3.1', lambda c: [(':path', '/'), *c.fields()]),
        ('duplicate :scheme', '8.3.1', lambda c: [(':scheme', 'http'), *c.fields()]),
        ('duplicate :authority', '8.3.1', lambda c: [(':authority', 'localhost'), *c.fields()]),
        ('LF in :path', '10.3', lambda c: c.fields('/a\nb')),
        ('space in :method', '10.3', lambda c: c.fields('/', 'GET /x')),
        ('invalid :scheme', '8.3.1', lambda c: c.fields(scheme='http://x')),
        ('empty :scheme', '8.3.1', lambda c: c.fields(scheme='')),
        ('"*" for GET', '8.3.1', lambda c: c.fields('*')),
        ('host beside an empty :authority', '8.3.1', lambda c: [*c.fields(authority=''), ('host', 'localhost')]),
        ('host with another port', '8.3.1', lambda c: [*c.fields(), ('host', 'localhost:443')]),
        ('no :method', '8.3.1', lambda c: c.fields()[1:]),
        ('no :scheme', '8.3.1', lambda c: [f for f in c.fields() if f[0] != ':scheme']),
        ('no :path', '8.3.1', lambda c: [f for f in c.fields() if f[0] != ':path']),
        ('empty :path', '8.3.1', lambda c: [(n, '' if n == ':path' else v) for n, v in c.fields()]),
        ('relative :path', '8.3.1', lambda c: [(n, 'x' if n == ':path' else v) for n, v in c.fields()]),
        ('host that differs', '8.3.1', lambda c: [*c.fields(), ('host', 'other.test')]),
        ('userinfo in :authority', '8.3.1', lambda c: c.fields(authority='user@localhost')),
        ('content-length without a body', '8.1.1', lambda c: [*c.fields('/body', 'POST'), ('content-length', '1')]),
        ('CONNECT with a path', '8.5', lambda c: [(':method', 'CONNECT'), (':path', '/'), (':authority', 'a:1')]),
        ('CONNECT with a scheme', '8.5', lambda c: [(':method', 'CONNECT'), (':scheme', 'http'), (':authority', 'a:1')]),
        ('CONNECT without an authority', '8.5', lambda c: [(':method', 'CONNECT')]),
]:
    CASES.add(section, name, malformed(fields))


@case('8.1.1')
def a_pseudo_field_in_trailers(c):
    s = c.request('/body', 'POST', end=False)
    c.body(s, b'x', end=False)
    c.send(frame(HEADERS, END_HEADERS | END_STREAM, s, c.block([(':method', 'GET')])))
    stream_error(c, s, 'PROTOCOL_ERROR')


def malformed_trailers(c, *fields):
    s = c.request('/body', 'POST', end=False)
    c.body(s, b'x', end=False)
    c.head(fields, stream=s)
    stream_error(c, s, 'PROTOCOL_ERROR')
    assert c.answer(s).status in (None, 400)
    alive(c)


@case('8.2.1')
def a_bad_name_in_trailers(c):
    malformed_trailers(c, ('x-Upper', 'y'))


@case('8.2.1')
def a_bad_value_in_trailers(c):
    malformed_trailers(c, ('x', 'a\r\nb: c'))


@case('8.2.2')
def connection_fields_in_trailers(c):
    malformed_trailers(c, ('transfer-encoding', 'chunked'))


@case('8.1.1')
def the_answer_to_what_is_malformed_ends_with_its_reset(c):
    """A RST_STREAM behind END_STREAM would be a frame on a closed stream (5.1)."""
    s = c.head([*c.fields(), ('connection', 'close')])
    a = c.wait(s)
    assert (a.status, a.reset, a.ended) == (400, 'PROTOCOL_ERROR', False) and len(a.body) == int(a.header('content-length'))
    assert sum(f.kind == RST_STREAM for f in c.frames) == 1


@case('8.1.1')
def a_body_shorter_than_its_length(c):
    s = c.request('/body', 'POST', ('content-length', '5'), end=False)
    c.body(s, b'abc')
    stream_error(c, s, 'PROTOCOL_ERROR')


@case('8.1.1')
def a_body_longer_than_its_length(c):
    s = c.request('/body', 'POST', ('content-length', '2'), end=False)
    c.body(s, b'abc')
    stream_error(c, s, 'PROTOCOL_ERROR')


@case('8.1.1')
def several_frames_longer_than_their_length(c):
    s = c.request('/body', 'POST', ('content-length', '4'), end=False)
    c.send(frame(DATA, 0, s, b'abc') + frame(DATA, END_STREAM, s, b'def'))
    stream_error(c, s, 'PROTOCOL_ERROR')


@case('8.2.3')
def cookies_in_pieces_are_one_cookie(c):
    assert c.ask('/body', 'GET', ('cookie', 'a=1'), ('x', 'y'), ('cookie', 'b=2')).header('x-cookie') == 'a=1; b=2'


@case('8.3.1')
def an_equal_host_is_no_contradiction(c):
    assert c.ask('/', 'GET', ('host', 'localhost')).status == 200


@case('8.2')
def names_are_lower_case(c):
    a = c.ask('/body', 'GET', ('x-hop', '1'))
    assert a.header('x-upper') == 'x' and all(n == n.lower() for n, _ in a.head)


@case('8.2.2')
def nothing_of_the_connection_to_the_back_end_is_passed(c):
    names = {n for n, _ in c.ask('/body', 'GET', ('x-hop', '1')).head}
    assert not names & {'connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade', 'te', 'x-named'}


@case('8.3.1')
def the_usual_port_makes_no_other_host(c):
    assert c.ask('/', 'GET', ('host', 'LOCALHOST:80')).status == 200
    assert c.ask('/', 'GET', ('host', 'localhost:')).status == 200
    assert c.ask('/', 'GET', ('host', 'localhost'), authority='localhost:80').status == 200
    assert c.ask('/', 'GET', ('host', 'localhost'), authority='localhost:443', scheme='https').status == 200


@case('8.2.2')
def te_of_trailers_is_allowed(c):
    assert c.ask('/', 'GET', ('te', 'trailers')).status == 200


@case('8.2.2')
def no_such_field_of_the_configuration_is_sent(c):
    a = c.ask('/fields')
    assert a.header('x-mine') == 'yes' and not {n for n, _ in a.head} & {'connection', 'keep-alive', 'proxy-connection', 'upgrade', 'te'}


@case('8.3.1')
def options_of_the_server(c):
    a = c.ask('*', 'OPTIONS')
    assert a.status is not None and a.reset in (None, 'NO_ERROR')


@case('8.5')
def connect_is_refused(c):
    a = c.wait(c.head([(':method', 'CONNECT'), (':authority', 'localhost:1')]))
    assert a.status in (400, 405, 501)
    alive(c)


@case('8.4')
def no_push(c):
    c.ask('/')
    assert not any(f.kind == PUSH_PROMISE for f in c.frames)


@pytest.mark.parametrize('fn, how', CASES)
def test_must(place, fn, how):
    rfc9113.run(place, fn, how)
