"""userid and its kin."""
import base64
import re
import struct
import time

import pytest

from weirtest import Table, Verdicts, errors_of_both, exchange, get

CONF = '''
    add_header X-Got "[$uid_got]" always; add_header X-Set "[$uid_set]" always; root @root@;
    location /on { userid on; return 200 a; }
    location /file { userid on; }
    location /v1 { userid v1; userid_name u1; userid_service 16909060; return 200 a; }
    location /full { userid on; userid_name full; userid_domain example.com; userid_path /p; userid_expires 365d; userid_p3p 'CP="X"';
        userid_flags secure httponly samesite=lax; userid_service 258; return 200 a; }
    location /max { userid on; userid_expires max; userid_flags samesite=none; return 200; }
    location /far { userid on; userid_expires 20y; return 200; }
    location /mark { userid on; userid_mark =; userid_p3p x; return 200; }
    location /markA { userid on; userid_mark A; return 200; }
    location /log { userid log; return 200 "$uid_got"; }
    location /off { return 200 "[$uid_got]"; }
    location /reset { userid on; set $uid_reset $arg_r; return 200; }
    location /404 { userid on; return 404; }
    location /zero { userid on; userid_service 0; userid_expires 0; return 200; }
'''
KNOWN = 'fwAAAWpjYWJ5ZWxvbmcwMDA='
GOT = 'uid=0100007F6261636A6F6C65793030676E'

# Whatever needs no new number is the same in both.
known = Table(CONF, log='request=$request|status=$status|got=$uid_got|set=$uid_set',
              files={'file': 'a file'})
for path in ('on', 'file', 'v1?', 'mark', 'markA', 'log', 'off', 'reset', 'reset?r=0', '404'):
    if path != 'v1?':
        known.case(path, get('/' + path, 'Cookie: uid=' + KNOWN), 404 if path == '404' else 200)
for cookie in ('uid=' + KNOWN + 'xxx', 'uid=fwAAAWpjYWJ5ZWxvbmcwMDA', 'uid=fwAAAWpjYWJ5ZWxvbmcwMDAA', f'x=1; uid={KNOWN}; uid=other', 'UID=' + KNOWN, f'a=b;uid={KNOWN}',
               'uid=AAAAAAAAAAAAAAAAAAAAA/', 'uid=//////////////////////==', 'uid=+++++++++++++++++++++w=='):
    known.case(f'cookie {cookie}', get('/on', 'Cookie: ' + cookie))
known.case('log without', get('/log'))
known.case('off without', get('/off'))
test_known = known.tests()


def cookie_of(r):
    m = re.fullmatch(r'(\w+)=([A-Za-z0-9+/]{22}..)(.*)', r.header('Set-Cookie'))
    return m[1], base64.b64decode(m[2][:22] + '=='), m[2][22:], m[3]


def said(name, raw):
    return '[%s=%s]' % (name, ''.join('%08X' % n for n in struct.unpack('=4I', raw)))


@pytest.fixture
def server(site):
    site.file('file', 'a file')
    return site.server(CONF)


def test_new_cookies(server):
    seen = set()
    for _ in range(20):
        r = exchange(server.port, get('/on'))[0]
        name, raw, rest, more = cookie_of(r)
        assert (name, rest, more) == ('uid', '==', '; path=/')
        assert raw[:4] == bytes([127, 0, 0, 1])
        assert abs(struct.unpack('>I', raw[4:8])[0] - time.time()) < 60
        assert r.header('X-Set') == said('uid', raw) and r.header('X-Got') == '[]'
        seen.add(raw)
    assert len(seen) == 20
    name, raw, rest, more = cookie_of(exchange(server.port, get('/v1'))[0])
    assert name == 'u1' and struct.unpack('=I', raw[:4])[0] == 16909060 and abs(struct.unpack('=I', raw[4:8])[0] - time.time()) < 60
    name, raw, rest, more = cookie_of(exchange(server.port, get('/zero'))[0])
    assert raw[:4] == bytes(4) and more == '; path=/'
    for target in ('/404', '/file'):
        assert cookie_of(exchange(server.port, get(target))[0])[0] == 'uid'


def test_attributes(server):
    r = exchange(server.port, get('/full'))[0]
    name, raw, rest, more = cookie_of(r)
    assert raw[:4] == bytes([0, 0, 1, 2]) and r.header('P3P') == 'CP="X"'
    m = re.fullmatch(r'; expires=(\w{3}, \d\d-\w{3}-\d\d \d\d:\d\d:\d\d GMT); domain=example.com; path=/p; secure; httponly; samesite=lax', more)
    when = time.mktime(time.strptime(m[1], '%a, %d-%b-%y %H:%M:%S GMT')) - time.timezone
    assert abs(when - time.time() - 365 * 86400) < 60
    assert [n for n, _ in r.headers][-3:] == ['X-Set', 'Set-Cookie', 'P3P']
    assert cookie_of(exchange(server.port, get('/max'))[0])[3] == '; expires=Thu, 31-Dec-37 23:55:55 GMT; path=/; samesite=none'
    assert re.match(r'; expires=\w{3}, \d\d-\w{3}-20\d\d \d\d:\d\d:\d\d GMT; path=/', cookie_of(exchange(server.port, get('/far'))[0])[3])


def test_mark_and_reset(server):
    assert cookie_of(exchange(server.port, get('/mark'))[0])[2] == '=='
    assert cookie_of(exchange(server.port, get('/markA'))[0])[2] == 'A='
    r = exchange(server.port, get('/markA', 'Cookie: uid=fwAAAWpjYWJ5ZWxvbmcwMD=='))[0]
    assert r.header('Set-Cookie').startswith('uid=fwAAAWpjYWJ5ZWxvbmcwMDA=;')
    r = exchange(server.port, get('/reset?r=1', 'Cookie: uid=' + KNOWN))[0]
    assert r.header('X-Got') == f'[{GOT}]' and cookie_of(r)[1][:4] == bytes([127, 0, 0, 1]) and r.header('X-Set') != f'[{GOT}]'


def test_error_log(site):
    nginx, weir = errors_of_both(site, CONF, [get('/on', 'Connection: close', 'Cookie: ' + c) for c in (
        'uid=short', 'uid=****************======', 'a=b; uid=fw\xe9AAWpjYWJ5ZWxvbmcwMDA=', 'uid=' + KNOWN)] + [
            get('/reset?r=log', 'Connection: close', 'Cookie: uid=' + KNOWN), get('/reset?r=log', 'Connection: close')],
        main='error_log @dir@/error.log notice;')
    assert len(nginx) == 4
    assert weir == nginx


verdicts = Verdicts('events {} http { access_log off; server { listen unix:@dir@/s; location / { @here@ } } }')
verdicts.each((
    'userid on;', 'userid yes;', 'userid v1; userid log;', 'userid_name a;', 'userid_name "";', 'userid_domain none;', 'userid_path "";', 'userid_expires off;', 'userid_expires max;',
    'userid_expires 10y;', 'userid_expires x;', 'userid_mark off;', 'userid_mark =;', 'userid_mark a;', 'userid_mark ab;', 'userid_mark ?;', 'userid_service 1;', 'userid_service x;',
    'userid_service 4294967296;', 'userid_p3p none;', 'userid_flags secure;', 'userid_flags off;', 'userid_flags httponly samesite=strict;', 'userid_flags x;', 'userid_name a; userid_name b;'))
test_configuration = verdicts.tests()
