"""empty_gif and stub_status."""
import re

from weirtest import Client, Table, get, post, request, until

gif = Table('''
    location = /a.gif { empty_gif; }
    location /in/ { empty_gif; location /in/ner/ { } }
    location /expires/ { empty_gif; expires 1h; }
    location /if/ { empty_gif; if ($arg_a) { add_header X-If yes; } location /if/in/ { if ($arg_a) { add_header X-If yes; } } }
    location /except/ { empty_gif; limit_except POST { allow all; } }
''')
for path, status in (('a.gif', 200), ('if/x', 200), ('if/x?a=1', 200), ('if/in/x?a=1', 404), ('in/x', 200), ('in/ner/x', 404)):
    gif.case(path, get('/' + path), status)
    gif.case(f'HEAD {path}', request('HEAD', '/' + path), status)
gif.case('limit_except', get('/except/x'), weir=200, why='it limits methods; nginx forgets empty_gif in it, and looks for a file')
gif.case('POST', post('/a.gif', b'x'), 405)
gif.case('not modified', get('/a.gif', 'If-Modified-Since: Mon, 28 Sep 1970 06:00:00 GMT'), 304)
gif.case('range', get('/a.gif', 'Range: bytes=0-5'))
test_gif = gif.tests()


def test_stub_status_in_if(site):
    server = site.server('location = /s { stub_status; if ($arg_a) { add_header X-If yes; } }')
    with Client(server.port) as c:
        for target in ('/s', '/s?a=1'):
            r = c.ask(get(target))
            assert r.status == 200 and r.text.startswith('Active connections: 1') and r.all('X-If') == ['yes'] * ('?' in target)


def test_stub_status(site):
    server = site.server('location = /s { stub_status; access_log @dir@/v.log v; } location = /x { return 204; }',
                         http="access_log off; log_format v '$connections_active $connections_reading $connections_writing $connections_waiting';", workers=2)
    with Client(server.port) as c, Client(server.port) as idle:
        for _ in range(5):
            assert c.ask(get('/x')).status == 204
        assert idle.ask(get('/x')).status == 204
        asked = 6

        def idle_is_counted():    # its connection is parked a moment after its answer
            nonlocal asked
            asked += 1
            r = c.ask(get('/s'))
            assert r.status == 200 and r.header('Content-Type') == 'text/plain'
            m = re.fullmatch(r'Active connections: (\d+) \nserver accepts handled requests\n (\d+) (\d+) (\d+) \n'
                             r'Reading: (\d+) Writing: (\d+) Waiting: (\d+) \n', r.text)
            assert m and int(m[4]) == asked
            return [int(m[i]) for i in (1, 2, 3, 5, 6, 7)] == [2, 2, 2, 0, 1, 1]
        until(idle_is_counted, 'the counters')
        assert c.ask(post('/s', b'')).status == 405
        assert c.ask(request('HEAD', '/s')).status == 200
    assert '2 0 1 1' in server.wait_lines(3, 'v.log')
