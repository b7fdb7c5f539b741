"""Conditional requests, ranges, expires, etag and if_modified_since on files: what nginx answers, byte for byte."""
from weirtest import ANY, Table, get, request

T = 'Tue, 14 Nov 2023 22:13:20 GMT'    # 1700000000
ETAG = '"6553f100-7d0"'
FILES = {'a.txt': b'0123456789' * 200, 'big.bin': bytes(range(256)) * 2000, 'empty.txt': b'', 'one.txt': b'x', 'p.html': '<p>'}

table = Table('''
    root @root@;
    location / { }
    location /off/ { alias @root@/; if_modified_since off; }
    location /before/ { alias @root@/; if_modified_since before; }
    location /noetag/ { alias @root@/; etag off; }
    location /max0/ { alias @root@/; max_ranges 0; }
    location /max1/ { alias @root@/; max_ranges 1; }
    location /max3/ { alias @root@/; max_ranges 3; }
    location /headers/ { alias @root@/; add_header X-A a; add_header X-B b always; expires 1h; }
    location /error/ { error_page 416 412 /p.html; alias @root@/; }
    location /page { error_page 404 /a.txt; return 404; }
    location /page200 { error_page 404 =200 /a.txt; return 404; }
    location = /text { return 200 "0123456789"; }
    location /proxy/ { proxy_pass http://@backend@/; }
''', files=FILES, http='proxy_http_version 1.1; types { text/plain txt; text/html html; }', answer=lambda r: (
    b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\nETag: "up"\r\nLast-Modified: ' + T.encode() + b'\r\nContent-Type: a/b\r\n'
    + (b'Accept-Ranges: bytes\r\n' if 'accept' in r.target else b'') + b'\r\n' + (b'' if r.method == 'HEAD' else b'0123456789')))

EARLIER, LATER = 'Tue, 14 Nov 2023 22:13:19 GMT', 'Tue, 14 Nov 2023 22:13:21 GMT'
CONDITIONS = (
    f'If-Modified-Since: {T}', f'If-Modified-Since: {EARLIER}', f'If-Modified-Since: {LATER}', 'If-Modified-Since: nonsense', 'If-Modified-Since:',
    'If-Modified-Since: Tuesday, 14-Nov-23 22:13:20 GMT', 'If-Modified-Since: Tue Nov 14 22:13:20 2023', f'If-None-Match: {ETAG}',
    'If-None-Match: "other"', 'If-None-Match: *', f'If-None-Match: W/{ETAG}', f'If-None-Match: "a", {ETAG}, "b"', f'If-None-Match: "a",{ETAG}',
    'If-None-Match:', 'If-None-Match: 6553f100-7d0', f'If-Match: {ETAG}', 'If-Match: "other"', 'If-Match: *', f'If-Match: W/{ETAG}',
    f'If-Match: "a", {ETAG}', 'If-Match:', f'If-Unmodified-Since: {T}', f'If-Unmodified-Since: {EARLIER}', f'If-Unmodified-Since: {LATER}',
    'If-Unmodified-Since: nonsense',
    f'If-None-Match: {ETAG}|If-Modified-Since: {EARLIER}', f'If-None-Match: "x"|If-Modified-Since: {T}', f'If-Match: {ETAG}|If-None-Match: {ETAG}',
    f'If-Match: "x"|If-None-Match: {ETAG}', f'If-Unmodified-Since: {EARLIER}|If-Match: {ETAG}', f'If-Unmodified-Since: {EARLIER}|If-None-Match: {ETAG}')
# RFC 9110 13.1: If-None-Match is judged without If-Modified-Since, If-Match without If-Unmodified-Since, and a date that is none
# does not count. nginx asks all of them.
BY_RFC = {'If-Unmodified-Since: nonsense': 200, f'If-None-Match: {ETAG}|If-Modified-Since: {EARLIER}': 304,
          f'If-Unmodified-Since: {EARLIER}|If-Match: {ETAG}': 200}
WHY = 'conditions are judged as RFC 9110 13 has it'


def one(name, data, lines, tagged=True):
    weir = BY_RFC.get(lines) if tagged else None
    table.case(name, data, ANY, weir=weir, why=WHY if weir else None)


for where in ('', 'off/', 'before/', 'noetag/', 'headers/', 'error/'):
    for lines in CONDITIONS:
        one(f'/{where} {lines}', get(f'/{where}a.txt', *lines.split('|')), lines, where != 'noetag/' or lines == 'If-Unmodified-Since: nonsense')
for lines in CONDITIONS[:12] + CONDITIONS[15:20]:
    table.case(f'HEAD {lines}', request('HEAD', '/a.txt', *lines.split('|')), ANY)
    table.case(f'page {lines}', get('/page', *lines.split('|')), ANY)
    table.case(f'page200 {lines}', get('/page200', *lines.split('|')), ANY)
    table.case(f'proxy {lines}', get('/proxy/x', *lines.split('|')), ANY)
    made = 200 if lines.startswith('If-Match') and lines[10:] not in ('*', '') or lines == 'If-None-Match: *' else None
    table.case(f'text {lines}', get('/text', *lines.split('|')), ANY, weir=made, why='a text has neither tag nor time to compare' if made else None)
RANGES = ('0-0', '0-9', '5-', '-5', '0-', '1999-', '1999-1999', '2000-', '2000-2001', '0-1999', '0-2000', '0-99999999999', '-2000', '-2001', '-0', '5-4',
          '5', '', '-', 'x-y', '0-x', '0-1,', ',0-1', '0-1,,2-3', ' 0-1', '0 -1', '0- 1', '0-1 ', '0-1, 3-4', '0-1 ,3-4', '3-4,0-1', '0-5,3-8', '0-1,5000-',
          '5000-,6000-', '0-1,0-1', '0-0,2-2,4-4', '0-0,2-2,4-4,6-6', '0-999,1000-1999', '0-1999,0-1999', '0-1,-1', '18446744073709551615-', '0-18446744073709551616',
          '99999999999999999999-', '-99999999999999999999', '-1,-2', '0-1;2-3', '0-1,5-4', '5-4,0-1', '00-01', '0x0-1', '1-1,x')
for where in ('', 'max0/', 'max1/', 'max3/', 'error/'):
    for r in RANGES if where == '' else RANGES[:3] + RANGES[28:37]:
        twice = 416 if where == 'error/' and '5000-,' in r else None
        table.case(f'/{where} bytes={r}', get(f'/{where}a.txt', f'Range: bytes={r}'), ANY, weir=twice,
                   why='nginx sends the ETags of the file and of the page' if twice else None)
for line in ('Range: bytes = 0-1', 'Range: bytes0-1', 'Range: Bytes=0-1', 'Range: BYTES=0-1', 'Range: lines=0-1', 'Range: bytes=0-1|Range: bytes=2-3', 'Range:',
             f'Range: bytes=0-1|If-Range: {ETAG}', 'Range: bytes=0-1|If-Range: "x"', f'Range: bytes=0-1|If-Range: W/{ETAG}', f'Range: bytes=0-1|If-Range: {T}',
             f'Range: bytes=0-1|If-Range: {EARLIER}', f'Range: bytes=0-1|If-Range: {LATER}', 'Range: bytes=0-1|If-Range: nonsense', 'Range: bytes=0-1|If-Range:',
             f'Range: bytes=0-1|If-None-Match: {ETAG}', f'Range: bytes=0-1|If-Match: {ETAG}', 'Range: bytes=0-1|If-Match: "x"', f'Range: bytes=0-1|If-Modified-Since: {T}',
             f'Range: bytes=5000-|If-Range: {ETAG}', 'Range: bytes=5000-|If-Range: "x"', 'Request-Range: bytes=0-1'):
    for path in ('/a.txt', '/headers/a.txt'):
        twice = 416 if 'headers' in path and '5000' in line and ETAG in line else None
        table.case(f'{path} {line}', get(path, *line.split('|')), ANY, weir=twice, why='nginx adds fields to a 416 twice' if twice else None)
for path in ('/empty.txt', '/one.txt', '/page', '/page200', '/text', '/proxy/x', '/proxy/accept', '/nothing'):
    for r in ('0-0', '0-', '-1', '5-', '1-2,4-5'):
        table.case(f'{path} bytes={r}', get(path, f'Range: bytes={r}'), ANY)
        table.case(f'HEAD {path} bytes={r}', request('HEAD', path, f'Range: bytes={r}'), ANY)
        table.case(f'HTTP/1.0 {path} bytes={r}', request('GET', path, f'Range: bytes={r}', version='1.0'), ANY)
for r in ('0-99999', '300000-', '-300000', '100-200000,250000-500000', '1-1,400000-400010,2-300000'):
    table.case(f'/big.bin {r}', get('/big.bin', f'Range: bytes={r}'), ANY)
table.case('many ranges', get('/a.txt', 'Range: bytes=' + ','.join(f'{i}-{i}' for i in range(0, 1800, 3))), ANY)
table.case('keep-alive', get('/a.txt', 'Range: bytes=0-1') + get('/a.txt', f'If-None-Match: {ETAG}') + get('/a.txt', 'Range: bytes=5000-') + get('/a.txt'),
           [206, 304, 416, 200])
test_conditional = table.tests()
