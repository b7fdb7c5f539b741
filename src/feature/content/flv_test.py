"""flv: files from a byte on, with the head of a Flash video."""
from weirtest import ANY, Table, get, request

VIDEO = bytes(range(256)) * 300
table = Table('''
    root @root@;
    location /flv/ { flv; }
    location /limited/ { alias @root@/flv/; flv; limit_rate_after 10k; expires 1h; }
    location /nested/ { flv; location /nested/in/ { alias @root@/flv/; } }
    location /if/ { alias @root@/flv/; flv; if ($arg_a) { add_header X-If yes; } }
    location /cached/ { alias @root@/flv/; flv; open_file_cache max=10; etag off; }
''', files={'flv/v.flv': VIDEO, 'flv/empty.flv': b'', 'flv/small.flv': b'0123456789', 'flv/d/x': b''}, http='types { video/x-flv flv; }')
for where in ('flv', 'limited', 'cached'):
    for start in ('', '0', '1', '5', '13', '100', '76799', '76800', '76801', '9223372036854775807', '9223372036854775808', '-1', 'x', '5x', '%35', ' 5', '1&start=2', '007'):
        table.case(f'{where} from {start!r}', get(f'/{where}/v.flv?start={start}'.replace(' ', '+')), ANY)
    table.case(f'{where} HEAD', request('HEAD', f'/{where}/v.flv?start=70000'), ANY)
    for name in ('empty.flv', 'small.flv', 'd', 'd/', 'none.flv', ''):
        table.case(f'{where} {name}', get(f'/{where}/{name}?start=3'), ANY)
    for method in ('POST', 'PUT', 'OPTIONS', 'DELETE'):
        table.case(f'{where} {method}', request(method, f'/{where}/v.flv?start=3', body=b'x'), ANY)
    table.case(f'{where} other arguments', get(f'/{where}/v.flv?a=b&start=50&c'), ANY)
    table.case(f'{where} a range of it', get(f'/{where}/v.flv?start=76000', 'Range: bytes=0-20'), ANY)
    table.case(f'{where} a range of the whole', get(f'/{where}/v.flv', 'Range: bytes=5-10'), ANY)
    table.case(f'{where} not modified', get(f'/{where}/v.flv?start=5', 'If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT'), 304)
table.case('in if', get('/if/v.flv?start=5&a=1'), 200)
table.case('not for a location inside', get('/nested/in/v.flv?start=5'), ANY)
test_flv = table.tests()
