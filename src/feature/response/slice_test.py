"""slice: an answer put together from pieces."""
import re

from weirtest import Client, Table, get, request, response

DATA = b''.join(b'<%04x>' % i for i in range(1000))    # 6000 bytes


def ranged(q, data=DATA, etag='"e"', cut=None, extra=()):
    """A back end that knows ranges."""
    m = re.fullmatch(r'bytes=(\d+)-(\d+)', q.header('Range') or '')
    if q.header('If-Range') or not m or '/whole' in q.target:
        return response(data, f'ETag: {etag}', 'Accept-Ranges: bytes')
    first, last = int(m[1]), min(int(m[2]), len(data) - 1)
    if first >= len(data):
        return response(b'', f'Content-Range: bytes */{len(data)}', status='416 X')
    body = data[first:last + 1]
    return response(body if cut is None else body[:cut], f'ETag: {etag}', f'Content-Range: bytes {first}-{last}/{len(data)}', 'Accept-Ranges: bytes',
                    'Content-Type: text/plain', *extra, status='206 Partial Content')


slices = Table('''
    location / { slice 1000; proxy_set_header Range $slice_range; proxy_pass http://@backend@; }
    location /seven { slice 7; proxy_set_header Range $slice_range; proxy_pass http://@backend@; }
    location /large { slice 1m; proxy_set_header Range $slice_range; proxy_pass http://@backend@; }
    location /off { slice 0; proxy_set_header Range $slice_range; proxy_pass http://@backend@; }
    location /unused { slice 1000; proxy_pass http://@backend@; }
    location /sub { slice 1000; sub_filter_types text/plain; sub_filter <0001> ONE; proxy_set_header Range $slice_range; proxy_pass http://@backend@; }
''', http='proxy_http_version 1.1;', answer=ranged, log='request=$request|status=$status|body_bytes_sent=$body_bytes_sent')
for path in ('', 'large', 'off', 'unused', 'whole'):
    slices.case(f'whole {path}', get(f'/{path}'), 200)
    for r in ('0-0', '0-99', '0-999', '0-1000', '999-1000', '1000-1999', '1500-3500', '5990-', '0-', '5999-5999', '2000-99999'):
        slices.case(f'{path} {r}', get(f'/{path}', f'Range: bytes={r}'), 200 if path in ('whole', 'off') or path == 'unused' and r.endswith('-') else 206)
slices.case('many slices', get('/seven', 'Range: bytes=10-400'), 206)
slices.case('beyond the end', get('/', 'Range: bytes=7000-8000'), 416)
slices.case('suffix', get('/', 'Range: bytes=-100'), 206)
slices.case('two ranges', get('/', 'Range: bytes=0-1,5-6'))
slices.case('malformed', get('/', 'Range: bytes=x'), 416)
slices.case('pipelined', get('/') + get('/', 'Range: bytes=1500-2500') + get('/off'), [200, 206, 200])
slices.case('not modified', get('/', 'If-None-Match: "e"'), weir=304,
            why='the ETag of the whole is known with the first slice; nginx compares it only where there is a cache')
slices.case('no content range', get('/'), 502, response(b'x', status='206 X'), weir=502, why='nginx closes without an answer')
slices.case('another slice', get('/'), 502, response(b'x', 'Content-Range: bytes 5-5/10', status='206 X'), weir=502, why='nginx closes without an answer')
test_slices = slices.tests()


def test_changed_meanwhile(site):
    """The second slice is of another version: the answer must look cut."""
    site.backend('backend', lambda q: ranged(q, etag='"one"' if '=0-' in q.header('Range') else '"two"'))
    server = site.server('location / { slice 1000; proxy_set_header Range $slice_range; proxy_pass http://@backend@; }')
    with Client(server.port) as c:
        c.send(get('/'))
        c.read_to_end()
    assert b'Content-Length: 6000' in c.received and c.received.endswith(DATA[:1000])
    server.wait_error('error', 'etag mismatch in slice response')


def test_a_slice_that_fails(site):
    site.backend('backend', lambda q: ranged(q) if '=0-' in q.header('Range') else response(b'', status='404 X'))
    server = site.server('location / { slice 1000; proxy_set_header Range $slice_range; proxy_pass http://@backend@; }')
    with Client(server.port) as c:
        c.send(get('/'))
        c.read_to_end()
    assert c.received.endswith(DATA[:1000])
    server.wait_error('error', 'unexpected status code 404 in slice response')


def test_only_what_is_wanted_is_asked_for(site):
    backend = site.backend('backend', lambda q: ranged(q, data=DATA * 100))
    server = site.server('location / { slice 10k; proxy_set_header Range $slice_range; proxy_pass http://@backend@; }')
    with Client(server.port) as c:
        r = c.ask(get('/', 'Range: bytes=300000-300009'))
    assert r.status == 206 and r.body == (DATA * 100)[300000:300010] and r.header('Content-Range') == 'bytes 300000-300009/600000'
    assert [q.header('Range') for q in backend.requests] == ['bytes=296960-307199']


def test_if_range(site):
    backend = site.backend('backend', lambda q: ranged(q, extra=()) if not q.header('If-Range') else
                           ranged(type('Q', (), {'target': '/', 'header': lambda self, n: q.header(n) if n == 'Range' else None})()))
    server = site.server('location / { slice 1000; proxy_set_header Range $slice_range; proxy_set_header If-Range ""; proxy_pass http://@backend@; }')
    with Client(server.port) as c:
        r = c.ask(get('/', 'Range: bytes=3500-3600', 'If-Range: "e"'))
        assert r.status == 206 and r.body == DATA[3500:3601]
        r = c.ask(get('/', 'Range: bytes=3500-3600', 'If-Range: "other"'))
        assert r.status == 200 and r.body == DATA
    assert [q.header('Range') for q in backend.requests[:2]] == ['bytes=0-999', 'bytes=3000-3999']
