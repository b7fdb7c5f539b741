"""auth_basic: all kinds of hashes, satisfy, limit_except, auth_delay."""
import base64
import hashlib
import subprocess
import time

import pytest

from weirtest import Client, Table, get, post, request


def apr1(password, salt='abcdefgh'):
    return subprocess.run(['openssl', 'passwd', '-apr1', '-salt', salt, password], capture_output=True, text=True, check=True).stdout.strip()


def ssha(password, salt=b'salt'):
    return '{SSHA}' + base64.b64encode(hashlib.sha1(password.encode() + salt).digest() + salt).decode()


LONG = 'a rather long password, longer than any block of MD5 or SHA' * 2
HASHES = {
    'plain': '{PLAIN}secret', 'sha': '{SHA}' + base64.b64encode(hashlib.sha1(b'secret').digest()).decode(), 'ssha': ssha('secret'),
    'sshalong': ssha('secret', b'x' * 40), 'apr1': apr1('secret'), 'apr1short': apr1('secret', 'ab'), 'apr1long': apr1(LONG),
    'des': 'abNANd1rDfiNc', 'md5': '$1$saltsalt$9xy1btjgzLYfb7hivXtC//', 'sha256': '$5$rounds=1000$salt$CCvcOM6b7TEJDPb37Aec/9UpOg4QhPNAxPpL9ZzjTB7',
    'sha512': '$6$rounds=1000$salt$HNxBeBnDfSfUrTj6KiLnmd7tGCvHEmcExh8kl/S0cZ5WrCciNZgfhbpkeFQ4JfkHX.8vPq45lY0iINnCx1Lkm.', 'bcrypt': '$2b$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW',
    'empty': '{PLAIN}', 'badssha': '{SSHA}!!!', 'shortssha': '{SSHA}YWJj', 'badapr1': '$apr1$', 'more': '{PLAIN}secret:a comment:x',
    'colon': '{PLAIN}a'}
USERS = '# a comment: nobody\n\n#plain2:{PLAIN}secret\n' + ''.join(f'{u}:{h}\n' for u, h in HASHES.items()) + \
    'twice:{PLAIN}first\ntwice:{PLAIN}second\ncrlf:{PLAIN}secret\r\nnohash\n:{PLAIN}nobody\nlast:{PLAIN}secret'


def basic(user, password):
    return 'Authorization: Basic ' + base64.b64encode(f'{user}:{password}'.encode()).decode()


auth = Table('''
    root @root@;
    location /in/ { auth_basic "closed site"; auth_basic_user_file @root@/users; }
    location /off/ { auth_basic off; auth_basic_user_file @root@/users; }
    location /realm/ { auth_basic "realm of $arg_x"; auth_basic_user_file @root@/users; }
    location /file/ { auth_basic x; auth_basic_user_file @root@/$arg_f; }
    location /nofile/ { auth_basic x; auth_basic_user_file @root@/none; }
    location /isdir/ { auth_basic x; auth_basic_user_file @root@/in; }
    location /inherit/ { auth_basic outer; auth_basic_user_file @root@/users; location /inherit/off/ { auth_basic off; } location /inherit/in/ { } }
    location /any/ { satisfy any; deny all; auth_basic any; auth_basic_user_file @root@/users; }
    location /anyallow/ { satisfy any; allow 127.0.0.1; deny all; auth_basic any; auth_basic_user_file @root@/users; }
    location /all/ { allow all; auth_basic all; auth_basic_user_file @root@/users; }
    location /alldeny/ { deny all; auth_basic all; auth_basic_user_file @root@/users; }
    location /except/ { limit_except GET { auth_basic "for writers"; auth_basic_user_file @root@/users; } proxy_pass http://@backend@; }
    location /user/ { auth_basic x; auth_basic_user_file @root@/users; proxy_set_header X-User $remote_user; proxy_pass http://@backend@; }
    location /page/ { auth_basic x; auth_basic_user_file @root@/users; error_page 401 /401.html; }
    location /nofiledirective/ { auth_basic x; }
''', http='proxy_http_version 1.1;', log='request=$request|status=$status|user=$remote_user', files={f'{d}/f': 'inside' for d in (
    'in', 'off', 'realm', 'file', 'nofile', 'inherit', 'inherit/off', 'inherit/in', 'any', 'anyallow', 'all', 'alldeny', 'page', 'isdir',
    'nofiledirective')} | {'users': USERS, 'one': 'one:{PLAIN}1\n', '401.html': 'sign in', 'empty': '',
                           'big': ''.join(f'user{i}:{{PLAIN}}p{i}\n' for i in range(20000))})
for user, value in HASHES.items():
    if user in ('des', 'badapr1'):
        continue    # see below
    good = {'apr1long': LONG, 'empty': '', 'colon': 'a'}.get(user, 'secret')
    for password in sorted({good, good + 'x', '', 'Secret', good[:-1]}):
        auth.case(f'{user} {password!r}', get('/in/f', basic(user, password)),
                  200 if password == good and user not in ('badssha', 'shortssha') else 401)
auth.case('des', get('/in/f', basic('des', 'secret')))
auth.case('not des', get('/in/f', basic('des', 'other')), 401)
for user, password, status in (('twice', 'first', 200), ('twice', 'second', 401), ('crlf', 'secret', 200), ('nohash', '', 401),
                               ('last', 'secret', 200), ('#plain2', 'secret', 401), ('nobody', 'x', 401), ('', 'nobody', 401),
                               ('plai', 'secret', 401), ('plain2', 'secret', 401), ('PLAIN', 'secret', 401), ('plain', 'secret:x', 401)):
    auth.case(f'{user!r}, {password!r}', get('/in/f', basic(user, password)), status)
for value in ('Basic', 'Basic ', 'Basic !!!', 'basic cGxhaW46c2VjcmV0', 'BASIC cGxhaW46c2VjcmV0', 'Bearer x', 'Basic cGxhaW4=', 'Basic  cGxhaW46c2VjcmV0',
              'Basic cGxhaW46c2VjcmV0 ', 'Basiccc cGxhaW46c2VjcmV0', 'Basic cGxhaW46c2VjcmV0'):
    good = value.lower().split() == ['basic', 'cgxhaw46c2vjcmv0']
    auth.case(f'header {value!r}', get('/in/f', f'Authorization: {value}'), 200 if good else 401)
auth.case('a cut value', get('/in/f', 'Authorization: Basic cGxhaW46c2VjcmV'), weir=401,
          why='base64 with bits that no byte comes from is malformed: $remote_user is empty')
for where, open_status in (('off', 200), ('inherit/off', 200), ('any', 401), ('anyallow', 200), ('alldeny', 403), ('all', 401), ('inherit', 401),
                           ('inherit/in', 401), ('realm', 401), ('page', 401), ('nofile', 401), ('in', 401)):
    auth.case(f'{where} without', get(f'/{where}/f'), open_status)
    auth.case(f'{where} with', get(f'/{where}/f', basic('plain', 'secret')), 403 if where in ('alldeny', 'nofile') else 200)
    auth.case(f'{where} wrong', get(f'/{where}/f', basic('plain', 'x')), 403 if where == 'nofile' else open_status)
    auth.case(f'HEAD {where}', request('HEAD', f'/{where}/f'), open_status)
auth.case('realm with a value', get('/realm/f?x=yes'), 401)
auth.case('no file is named', get('/nofiledirective/f'))
auth.case('file by variable', get('/file/f?f=one', basic('one', '1')))
auth.case('another file by variable', get('/file/f?f=users', basic('one', '1')), 401)
auth.case('missing file by variable', get('/file/f?f=none', basic('one', '1')), 403)
auth.case('empty file', get('/file/f?f=empty', basic('one', '1')), 401)
auth.case('big file', get('/file/f?f=big', basic('user19999', 'p19999')), 200)
auth.case('big file, first', get('/file/f?f=big', basic('user0', 'p0')), 200)
auth.case('big file, nobody', get('/file/f?f=big', basic('user20000', 'p0')), 401)
auth.case('limit_except reads', get('/except/'))
auth.case('limit_except writes', post('/except/', b'x'), 401)
auth.case('limit_except writes with', request('POST', '/except/', basic('plain', 'secret'), body=b'x'))
auth.case('remote_user', get('/user/', basic('plain', 'secret')))
test_auth = auth.tests()


def test_hashes_again(site):
    """The second time a slow hash is known; a changed file counts at once."""
    path = site.file('users', 'u:' + '$2b$10$abcdefghijklmnopqrstuupvaHa8G1MHW9KtW/R/6ZG5OfRmwIxde' + '\n')
    site.file('f', 'x')
    server = site.server('location / { root @root@; auth_basic x; auth_basic_user_file ' + path + '; }', workers=1)
    with Client(server.port) as c:
        begin = time.monotonic()
        assert c.ask(get('/f', basic('u', 'one'))).status == 200
        first = time.monotonic() - begin
        begin = time.monotonic()
        for _ in range(20):
            assert c.ask(get('/f', basic('u', 'one'))).status == 200
        assert time.monotonic() - begin < 10 * max(first, 0.02)
        assert c.ask(get('/f', basic('u', 'two'))).status == 401
        site.file('users', 'u:{PLAIN}two\n')
        assert c.ask(get('/f', basic('u', 'one'))).status == 401
        assert c.ask(get('/f', basic('u', 'two'))).status == 200


def test_slow_hash_stalls_nobody(site):
    path = site.file('users', 'u:' + '$2b$12$abcdefghijklmnopqrstuuBJfq4X/uKtSyBTM5F0snsYepq7uraBm' + '\n')
    site.file('f', 'x')
    server = site.server('location / { root @root@; auth_basic x; auth_basic_user_file ' + path + '; } location /open { return 204; }', workers=1)
    with Client(server.port) as slow, Client(server.port) as quick:
        slow.send(get('/f', basic('u', 'wrong')))
        for _ in range(5):
            assert quick.ask(get('/open')).status == 204
        assert not slow.received, 'the hash was fast, or the loop waited for it'
        assert slow.response().status == 401


@pytest.mark.parametrize('headers, status, slow', [((), 401, True), ((basic('plain', 'no'),), 401, True), ((basic('plain', 'secret'),), 404, False)])
def test_auth_delay(site, headers, status, slow):
    path = site.file('users', USERS)
    server = site.server('location / { auth_delay 300ms; auth_basic x; auth_basic_user_file ' + path + '; root @root@; }')
    with Client(server.port) as c:
        begin = time.monotonic()
        assert c.ask(get('/none', *headers)).status == status
        assert (time.monotonic() - begin > 0.29) == slow


def test_messages(site):
    path = site.file('users', USERS)
    server = site.server('error_log @dir@/error.log info; location / { auth_basic x; auth_basic_user_file ' + path + '; root @root@; }')
    with Client(server.port) as c:
        c.ask(get('/x', basic('stranger', 'x')))
        c.ask(get('/x', basic('plain', 'x')))
        c.ask(get('/x'))
    server.wait_error('error', f'user "stranger" was not found in "{path}", client: ')
    server.wait_error('error', 'user "plain": password mismatch, client: ')
    server.wait_error('info', 'no user/password was provided for basic authentication, client: ')
