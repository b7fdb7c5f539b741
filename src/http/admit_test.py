"""Malformed, ambiguous and oversized requests: nginx's status, or a refusal where nginx is wrong."""
import pytest

from weirtest import Client, Table, exchange, get, post, request

LOG = 'request=$request|status=$status'
CONF = '''
    location / { proxy_pass http://@backend@; }
    location /here { return 200 "here"; }
'''

admit = Table(CONF, log=LOG, http='proxy_http_version 1.1;')


def line(first, *fields):
    return b'\r\n'.join([first, b'Host: x', *fields, b'', b''])


for name, data, status in (
        # the request line
        ('leading empty line', b'\r\n' + get('/here'), 200),
        ('leading empty lines', b'\r\n\r\n\n\r\n' + get('/here'), 200),
        ('leading space', b' ' + get('/here'), 400),
        ('bare LF everywhere', b'GET /here HTTP/1.1\nHost: x\n\n', 200),
        ('bare LF after the line', b'GET /here HTTP/1.1\nHost: x\r\n\r\n', 200),
        ('bare LF at the end', b'GET /here HTTP/1.1\r\nHost: x\r\n\n', 200),
        ('bare CR in the line', b'GET /here\rX HTTP/1.1\r\nHost: x\r\n\r\n', 400),
        ('bare CR after the line', b'GET /here HTTP/1.1\rHost: x\r\n\r\n', 400),
        ('two spaces after the method', line(b'GET  /here HTTP/1.1'), 200),
        ('two spaces before the version', line(b'GET /here  HTTP/1.1'), 200),
        ('space at the end', line(b'GET /here HTTP/1.1 '), 200),
        ('tab after the method', line(b'GET\t/here HTTP/1.1'), 400),
        ('tab before the version', line(b'GET /here\tHTTP/1.1'), 400),
        ('space in the target', line(b'GET /he re HTTP/1.1'), 400),
        ('HTTP/0.9', b'GET /here\r\n', None),
        ('no target', line(b'GET HTTP/1.1'), 400),
        ('only a method', b'GET\r\n\r\n', 400),
        ('no version number', line(b'GET /here HTTP/'), 400),
        ('small http', line(b'GET /here http/1.1'), 400),
        ('HTTP/1.2', line(b'GET /here HTTP/1.2'), 200),
        ('HTTP/1.9', line(b'GET /here HTTP/1.9'), 200),
        ('HTTP/0.1', line(b'GET /here HTTP/0.1'), 400),
        ('HTTP/2.0', line(b'GET /here HTTP/2.0'), 505),
        ('HEAD, space in the target', line(b'HEAD /he re HTTP/1.1'), 400),
        ('HEAD, a version to come', line(b'HEAD /here HTTP/3.0'), 505),
        ('HEAD, no version', line(b'HEAD /here HTTPX'), 400),
        ('HEAD, a control byte', line(b'HEAD /he\x01re HTTP/1.1'), 400),
        ('HEAD and a space', line(b'HEAD '), 400),
        ('HEADX', line(b'HEADX /here HTTP/1.1'), 200),
        ('HTTP/3.0', line(b'GET /here HTTP/3.0'), 505),
        ('HTTP/10.1', line(b'GET /here HTTP/10.1'), 505),
        ('HTTP/1.', line(b'GET /here HTTP/1.'), 400),
        ('HTTP/1.x', line(b'GET /here HTTP/1.x'), 400),
        ('HTTP/01.1', line(b'GET /here HTTP/01.1'), 400),
        ('HTTPS/1.1', line(b'GET /here HTTPS/1.1'), 400),
        ('HTTP 1.1', line(b'GET /here HTTP 1.1'), 400),
        ('HTTP/1,1', line(b'GET /here HTTP/1,1'), 400),
        ('small method', line(b'get /here HTTP/1.1'), 400),
        ('method with a digit', line(b'GET1 /here HTTP/1.1'), 400),
        ('method with a dot', line(b'GE.T /here HTTP/1.1'), 400),
        ('method with NUL', line(b'GE\0T /here HTTP/1.1'), 400),
        ('very long method', line(b'A' * 200 + b' /here HTTP/1.1'), 200),
        ('NUL in the target', line(b'GET /he\0re HTTP/1.1'), 400),
        ('control in the target', line(b'GET /he\1re HTTP/1.1'), 400),
        ('DEL in the target', line(b'GET /here\x7f HTTP/1.1'), 400),
        ('high bytes in the target', line(b'GET /here\xff\xfe HTTP/1.1'), 200),
        ('target without a slash', line(b'GET here HTTP/1.1'), 400),
        ('target is a query', line(b'GET ?a HTTP/1.1'), 400),
        ('target is a star', line(b'GET * HTTP/1.1'), 400),
        ('target is an authority', line(b'GET x:80 HTTP/1.1'), 400),
        ('absolute without slashes', line(b'GET http:here HTTP/1.1'), 400),
        ('absolute with one slash', line(b'GET http:/here HTTP/1.1'), 400),
        ('absolute with a user', line(b'GET http://u:p@x/here HTTP/1.1'), 400),
        ('absolute of ftp', line(b'GET ftp://x/here HTTP/1.1'), 200),
        ('absolute with a bad port', line(b'GET http://x:a/here HTTP/1.1'), 400),
        ('absolute IPv6', line(b'GET http://[::1]:80/here HTTP/1.1'), 200),
        ('absolute with bad IPv6', line(b'GET http://[zz]/here HTTP/1.1'), 200),
        ('scheme with a digit', line(b'GET h2c://x/here HTTP/1.1'), 200),
        ('CONNECT', line(b'CONNECT x:443 HTTP/1.1'), 400),
        ('TRACE', line(b'TRACE /here HTTP/1.1'), 405),
        ('TLS handshake', b'\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03' + bytes(range(100)) + b'\n\n', 400),
        ('PRI', b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400),
        ('SSH', b'SSH-2.0-OpenSSH\r\n', 400),
        ('PROXY protocol', b'PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n' + get('/here'), 400),
        ('percent NUL', line(b'GET /here%00 HTTP/1.1'), 400),
        ('bad escape', line(b'GET /here%g0 HTTP/1.1'), 400),
        ('bad escape in the query', line(b'GET /here?%g0 HTTP/1.1'), 200),
        ('backslash', line(b'GET /here\\x HTTP/1.1'), 200),
        # header lines
        ('space before the colon', line(b'GET /here HTTP/1.1', b'X : 1'), 400),
        ('empty name', line(b'GET /here HTTP/1.1', b': 1'), 400),
        ('folded line', line(b'GET /here HTTP/1.1', b'X: 1', b' folded'), 400),
        ('folded line with a tab', line(b'GET /here HTTP/1.1', b'X: 1', b'\tfolded'), 400),
        ('space before the first line', b'GET /here HTTP/1.1\r\n Host: x\r\n\r\n', 400),
        ('NUL in a name', line(b'GET /here HTTP/1.1', b'X\0Y: 1'), 400),
        ('NUL in a value', line(b'GET /here HTTP/1.1', b'X: a\0b'), 400),
        ('CR in a value', line(b'GET /here HTTP/1.1', b'X: a\rb'), 400),
        ('control in a name', line(b'GET /here HTTP/1.1', b'X\1Y: 1'), 400),
        ('high byte in a name', line(b'GET /here HTTP/1.1', b'X\xe9: 1'), 200),
        ('comma in a name', line(b'GET /here HTTP/1.1', b'X,Y: 1'), 200),
        ('no Host', request(target='/here', host=None), 400),
        ('empty Host', b'GET /here HTTP/1.1\r\nHost:\r\n\r\n', 400),
        ('two Hosts', line(b'GET /here HTTP/1.1', b'Host: y'), 400),
        # framing
        ('two equal lengths', line(b'POST /here HTTP/1.1', b'Content-Length: 0', b'Content-Length: 0'), 400),
        ('two lengths', line(b'POST /here HTTP/1.1', b'Content-Length: 0', b'Content-Length: 1'), 400),
        ('lengths in a list', line(b'POST /here HTTP/1.1', b'Content-Length: 0, 0'), 400),
        ('negative length', line(b'POST /here HTTP/1.1', b'Content-Length: -1'), 400),
        ('plus in the length', line(b'POST /here HTTP/1.1', b'Content-Length: +0'), 400),
        ('hex length', line(b'POST /here HTTP/1.1', b'Content-Length: 0x0'), 400),
        ('letters in the length', line(b'POST /here HTTP/1.1', b'Content-Length: 1a'), 400),
        ('empty length', line(b'POST /here HTTP/1.1', b'Content-Length:'), 400),
        ('length with a space', line(b'POST /here HTTP/1.1', b'Content-Length: 0 0'), 400),
        ('huge length', line(b'POST /here HTTP/1.1', b'Content-Length: 9223372036854775807'), 413),
        ('length over 2^63', line(b'POST /here HTTP/1.1', b'Content-Length: 9223372036854775808'), 400),
        ('length over 2^64', line(b'POST /here HTTP/1.1', b'Content-Length: 18446744073709551616'), 400),
        ('length of 100 digits', line(b'POST /here HTTP/1.1', b'Content-Length: ' + b'9' * 100), 400),
        ('length with zeros', line(b'POST /here HTTP/1.1', b'Content-Length: 000') + b'', 200),
        ('length and chunked', line(b'POST /here HTTP/1.1', b'Content-Length: 5', b'Transfer-Encoding: chunked') + b'0\r\n\r\n', 400),
        ('chunked and length', line(b'POST /here HTTP/1.1', b'Transfer-Encoding: chunked', b'Content-Length: 5') + b'0\r\n\r\n', 400),
        ('unknown encoding', line(b'POST /here HTTP/1.1', b'Transfer-Encoding: gzip'), 501),
        ('identity', line(b'POST /here HTTP/1.1', b'Transfer-Encoding: identity'), 501),
        ('gzip, chunked', line(b'POST /here HTTP/1.1', b'Transfer-Encoding: gzip, chunked') + b'0\r\n\r\n', 501),
        ('chunked twice in one', line(b'POST /here HTTP/1.1', b'Transfer-Encoding: chunked, chunked') + b'0\r\n\r\n', 501),
        ('chunked in two fields', line(b'POST /here HTTP/1.1', b'Transfer-Encoding: chunked', b'Transfer-Encoding: chunked')
         + b'0\r\n\r\n', 400),
        ('Chunked in capitals', line(b'POST /here HTTP/1.1', b'Transfer-Encoding: CHUNKED') + b'0\r\n\r\n', 200),
        ('chunked with a parameter', line(b'POST /here HTTP/1.1', b'Transfer-Encoding: chunked;q=1') + b'0\r\n\r\n', 501),
        ('empty encoding', line(b'POST /here HTTP/1.1', b'Transfer-Encoding:'), 501),
        ('xchunked', line(b'POST /here HTTP/1.1', b'Transfer-Encoding: xchunked'), 501),
        ('chunked in HTTP/1.0', b'POST /here HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400),
        # limits
        ('line of 8191', line(b'GET /' + b'x' * (8192 - 16) + b' HTTP/1.1'), 200),
        ('line over the limit', line(b'GET /' + b'x' * 8200 + b' HTTP/1.1'), 414),
        ('line far over the limit', line(b'GET /' + b'x' * 60000 + b' HTTP/1.1'), 414),
        ('field of 8000', line(b'GET /here HTTP/1.1', b'X: ' + b'y' * 8000), 200),
        ('field over the limit', line(b'GET /here HTTP/1.1', b'X: ' + b'y' * 8200), 400),
        ('field far over the limit', line(b'GET /here HTTP/1.1', b'X: ' + b'y' * 60000), 400),
        ('name over the limit', line(b'GET /here HTTP/1.1', b'y' * 9000 + b': x'), 400),
        ('four fields of 7000', line(b'GET /here HTTP/1.1', *[b'X: ' + b'y' * 7000] * 4), 200),
        ('six fields of 7000', line(b'GET /here HTTP/1.1', *[b'X: ' + b'y' * 7000] * 6), 400),
        ('100 small fields', line(b'GET /here HTTP/1.1', *[b'X: y'] * 100), 200),
        ('10000 small fields', line(b'GET /here HTTP/1.1', *[b'X: y' * 9] * 3000), 400),
        ('long line and fields', line(b'GET /' + b'x' * 7000 + b' HTTP/1.1', *[b'X: ' + b'y' * 7000] * 3), 200)):
    # What is logged of a line that has no end in sight, or two, is each server's own.
    admit.case(name, data, status, lingers=status == 413, log=status != 414 and 'CR' not in name)
test_admit = admit.tests()

# A refused request must not let the bytes behind it be read as another one.
behind = Table(CONF, log=LOG, http='proxy_http_version 1.1;')
for name, data, status in (
        ('after a bad line', b'BAD\r\n\r\n' + get('/smuggled'), 400),
        ('after length and chunked', line(b'POST /here HTTP/1.1', b'Content-Length: 5', b'Transfer-Encoding: chunked')
         + b'0\r\n\r\n' + get('/smuggled'), 400),
        ('after two lengths', line(b'POST /a HTTP/1.1', b'Content-Length: 0', b'Content-Length: 40') + get('/smuggled'), 400),
        ('after an unknown encoding', line(b'POST /a HTTP/1.1', b'Transfer-Encoding: xchunked') + get('/smuggled'), 501),
        ('after a missing host', request(host=None) + get('/smuggled'), 400)):
    behind.case(name, data, [status], sees=[])
test_behind = behind.tests()

small = Table('server { listen 127.0.0.1:@port@; client_header_buffer_size 128; large_client_header_buffers 2 512; '
              'location / { return 200 "$request_length"; } }', log=LOG)
for size in (100, 127, 128, 129, 400, 480, 490, 500, 511, 512, 513, 600):
    small.case(f'target of {size}', get('/' + 'x' * size), 200 if size < 500 else 414, log=size < 500)
    small.case(f'field of {size}', get('/', 'X: ' + 'y' * size), 200 if size < 505 else 400)
small.case('two buffers are enough', get('/', 'X: ' + 'y' * 300, 'Y: ' + 'y' * 300))
small.case('two buffers are not enough', get('/', *['X: ' + 'y' * 300] * 4), 400)
test_small = small.tests()


def pieces(name, data, status):
    for size in (1, 2, 3, 7):
        split.case(f'{name} in pieces of {size}', data, status, pieces=range(size, len(data), size))


split = Table(CONF, log=LOG, http='proxy_http_version 1.1;')
pieces('a request', get('/x?y', 'A: b', 'Long-Name: ' + 'v' * 50), 200)
pieces('a body', post('/x', b'abcdefgh'), 200)
pieces('chunks', request('POST', '/x', chunks=[b'abc', b'defghijk']), 200)
pieces('two requests', get('/a') + get('/b'), [200, 200])
pieces('nonsense', b'NON SENSE\r\n\r\n', 400)
pieces('bad field', get('/', 'X : y'), 400)
test_split = split.tests()


STRICT = {
    'HTTP/1.10': line(b'GET /x HTTP/1.10'),
    'HTTP/1.01': line(b'GET /x HTTP/1.01'),
    'control in a value': line(b'GET /x HTTP/1.1', b'X: a\1b'),
    'DEL in a value': line(b'GET /x HTTP/1.1', b'X: a\x7fb'),
    'no colon': line(b'GET /x HTTP/1.1', b'nocolon'),
    'no colon, name and spaces': line(b'GET /x HTTP/1.1', b'no colon here'),
    'no colon at the end': b'GET /x HTTP/1.1\r\nHost: x\r\nnocolon\r\n\r\n',
    'chunk size with a space': line(b'POST /x HTTP/1.1', b'Transfer-Encoding: chunked') + b'5 5\r\nabcde\r\n0\r\n\r\n',
    'NUL in a chunk extension': line(b'POST /x HTTP/1.1', b'Transfer-Encoding: chunked') + b'5;a=\0\r\nabcde\r\n0\r\n\r\n',
    'control in a chunk extension': line(b'POST /x HTTP/1.1', b'Transfer-Encoding: chunked') + b'5;a=\1\r\nabcde\r\n0\r\n\r\n',
    'bare LF in a chunk extension': line(b'POST /x HTTP/1.1', b'Transfer-Encoding: chunked') + b'5;a\nabcde\r\n0\r\n\r\n',
    'chunk data too long': line(b'POST /x HTTP/1.1', b'Transfer-Encoding: chunked') + b'3\r\nabcde\r\n0\r\n\r\n'}


@pytest.mark.weir_only('nginx is laxer than RFC 9112 here')
@pytest.mark.parametrize('name', STRICT)
def test_strict(site, name):
    """400, and nothing of it is executed."""
    server = site.server(CONF)
    with Client(server.port) as c:
        c.send(STRICT[name])
        assert c.response().status == 400
        c.read_to_end()
        assert c.ended == 'eof'
    assert not [q for q in site.backend().requests if q.complete]


CHUNKED = line(b'POST /x HTTP/1.1', b'Transfer-Encoding: chunked')
chunks = Table(CONF, log=LOG, http='proxy_http_version 1.1;')
for name, body, status in (
        ('empty', b'0\r\n\r\n', 200), ('one', b'3\r\nabc\r\n0\r\n\r\n', 200), ('capital hex', b'A\r\n0123456789\r\n0\r\n\r\n', 200),
        ('small hex', b'a\r\n0123456789\r\n0\r\n\r\n', 200), ('leading zeros', b'00003\r\nabc\r\n000\r\n\r\n', 200),
        ('extension', b'3;a=b\r\nabc\r\n0;c\r\n\r\n', 200), ('quoted extension', b'3;a="b;c"\r\nabc\r\n0\r\n\r\n', 200),
        ('trailer', b'3\r\nabc\r\n0\r\nX: y\r\n\r\n', 200), ('not hex', b'g\r\nabc\r\n0\r\n\r\n', 400),
        ('empty size', b'\r\nabc\r\n0\r\n\r\n', 400), ('negative', b'-3\r\nabc\r\n0\r\n\r\n', 400),
        ('0x', b'0x3\r\nabc\r\n0\r\n\r\n', 400), ('too big a number', b'ffffffffffffffff\r\nabc\r\n0\r\n\r\n', 400),
        ('far too big a number', b'1' + b'0' * 30 + b'\r\nabc\r\n0\r\n\r\n', 400),
        ('no line end after data', b'3\r\nabc0\r\n\r\n', 400),
        ('over the limit', b'200000\r\nabc', 413)):
    chunks.case(name, CHUNKED + body, status, lingers=status == 413)
    if status == 200:
        chunks.case(f'{name}, then another', CHUNKED + body + get('/second'), [200, 200])
        chunks.case(f'{name}, byte by byte', CHUNKED + body, 200, pieces=range(len(CHUNKED), len(CHUNKED) + len(body)))
    chunks.case(f'{name}, not read', (CHUNKED + body).replace(b'/x', b'/here', 1), 200) if status == 200 else None
test_chunks = chunks.tests()
