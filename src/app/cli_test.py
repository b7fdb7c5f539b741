"""The command line: options, texts and exit codes that tools rely on."""
import os
import re
import subprocess

import pytest

from weirtest import NGINX, WEIR, exchange, get, is_nginx, run, until


class Place:
    """A directory with a configuration that -t accepts."""

    def __init__(self, site):
        self.directory = site.directory_for('cli')
        self.path = f'{self.directory}/nginx.conf'
        self.port = site.port()

    def write(self, http='server { listen 127.0.0.1:PORT; }', main='', path=None):
        temp = ''.join(f'{n}_temp_path {self.directory}/{n};' for n in (
            ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi') if is_nginx(WEIR) else ('client_body', 'proxy')))
        with open(path or self.path, 'w') as f:
            f.write(f'pid {self.directory}/pid;\nerror_log {self.directory}/error.log;\nevents {{ }}\n{main}\n'
                    f'http {{ access_log off; {temp}\n{http.replace("PORT", str(self.port))}\n}}\n')
        return self

    def raw(self, text):
        with open(self.path, 'w') as f:
            f.write(text)
        return self

    def run(self, *arguments, binary=None):
        return run('-p', self.directory + '/', '-e', f'{self.directory}/error.log', *arguments, '-c', self.path, binary=binary)


@pytest.fixture
def place(site):
    return Place(site)


def test_t_succeeds(place):
    r = place.write().run('-t')
    assert (r.returncode, r.stdout) == (0, '')
    assert r.stderr == (f'nginx: the configuration file {place.path} syntax is ok\n'
                        f'nginx: configuration file {place.path} test is successful\n')
    assert not os.path.exists(f'{place.directory}/pid') or is_nginx(WEIR)


TRIED = {
    'an address of somebody else': 'server { listen 192.0.2.1:8099; }', 'the same for IPv6': 'server { listen [2001:db8::1]:8099; }',
    'two such': 'server { listen 127.0.0.1:PORT; } server { listen 192.0.2.1:8099; listen 192.0.2.2:8099; }',
    'a socket nowhere': 'server { listen unix:/nonexistent/s; }', 'a directory nowhere': 'client_body_temp_path /nonexistent/x; server { }',
    'a pid file nowhere': ('server { }', 'pid /nonexistent/pid;'), 'a pid file that is a directory': ('server { }', 'pid /tmp/;'),
}


@pytest.mark.parametrize('name', TRIED)
def test_t_tries_what_a_start_needs(place, name):
    """A text without errors that could not be started fails, in nginx's words, and leaves nothing."""
    text, main = TRIED[name] if isinstance(TRIED[name], tuple) else (TRIED[name], f'pid {place.directory}/pid;')
    place.raw(f'{main} events {{ }} http {{ access_log off; {text.replace("PORT", str(place.port))} }}')
    theirs, ours = place.run('-t', binary=NGINX), place.run('-t')
    assert theirs.returncode == ours.returncode == 1
    want = [re.search(r'\[emerg\] (\d+#\d+: )?(.*)', line)[2] for line in theirs.stderr.splitlines() if '[emerg]' in line]
    said = [line.removeprefix('nginx: [emerg] ') for line in ours.stderr.splitlines() if '[emerg]' in line]
    assert said[:len(want)] == want
    assert ours.stderr.splitlines()[0] == theirs.stderr.splitlines()[0]
    assert ours.stderr.splitlines()[-1] == theirs.stderr.splitlines()[-1]


def test_t_beside_a_running_server(site):
    """Its addresses and its pid file are no error, and stay its own."""
    server = site.server('server { listen 127.0.0.1:@port@; listen unix:@dir@/s; return 200; }')
    inode = os.stat(f'{server.directory}/s').st_ino
    for _ in range(5):
        r = run('-t', '-p', server.directory, '-c', server.conf_path, '-e', server.error_log_path)
        assert r.returncode == 0, r.stderr
        assert exchange(server.port, get('/'))[0].status == 200
    assert os.stat(f'{server.directory}/s').st_ino == inode and server.pid_file() == server.pid


@pytest.mark.root
def test_t_of_a_port_that_may_not_be_had(site):
    """Below the ports that everybody may have, without root."""
    with open('/proc/sys/net/ipv4/ip_unprivileged_port_start') as f:
        if int(f.read()) <= 81:
            pytest.skip('everybody may have it here')
    d = site.directory_for('d')
    os.chmod(d, 0o777)
    temp = ' '.join(f'{n}_temp_path {d}/{n};' for n in ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'))
    with open(f'{d}/c', 'w') as f:
        f.write(f'pid {d}/pid; error_log {d}/e; events {{ }} http {{ access_log off; {temp} server {{ listen 127.0.0.1:81; }} }}')
    said = []
    for binary in (NGINX, WEIR):
        command = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', binary, '-t', '-p', d, '-c', f'{d}/c', '-e', f'{d}/e']
        r = subprocess.run(command, capture_output=True, text=True, timeout=30)
        said.append((r.returncode, re.findall(r'\[emerg\] (?:\d+#\d+: )?(.*)', r.stderr)))
    assert said[0] == said[1] and 'bind() to 127.0.0.1:81 failed (13: Permission denied)' in said[0][1]


def test_t_quiet(place):
    r = place.write().run('-t', '-q')
    assert (r.returncode, r.stdout, r.stderr) == (0, '', '')


def test_t_quiet_says_errors(place):
    r = place.write('bogus;').run('-t', '-q')
    assert r.returncode == 1 and 'unknown directive "bogus"' in r.stderr


def test_T_dumps(place):
    place.write('include inc/*.conf; server { listen 127.0.0.1:PORT; include inc/*.loc; }')
    os.mkdir(f'{place.directory}/inc')
    for name, text in (('a.conf', '# a\n'), ('b.conf', 'server { listen 127.0.0.1:%d; }\n' % place.port), ('l.loc', 'location / { }')):
        with open(f'{place.directory}/inc/{name}', 'w') as f:
            f.write(text)
    r = place.run('-T')
    assert r.returncode == 0 and 'test is successful' in r.stderr
    with open(place.path) as f:
        whole = f.read()
    assert r.stdout == ''.join(f'# configuration file {path}:\n{text}\n' for path, text in (
        (place.path, whole), (f'{place.directory}/inc/a.conf', '# a\n'),
        (f'{place.directory}/inc/b.conf', 'server { listen 127.0.0.1:%d; }\n' % place.port),
        (f'{place.directory}/inc/l.loc', 'location / { }')))


def test_v():
    r = run('-v')
    assert r.returncode == 0 and r.stdout == '' and re.fullmatch(r'nginx version: nginx/\d+\.\d+\.\d+( \(.*\))?\n', r.stderr)


def test_V():
    """certbot and module builders read these lines."""
    r = run('-V')
    assert r.returncode == 0 and r.stdout == ''
    lines = r.stderr.splitlines()
    assert re.fullmatch(r'nginx version: nginx/\d+\.\d+\.\d+( \(.*\))?', lines[0])
    assert lines[-1].startswith('configure arguments: ') and re.search(r'(?m)^built with OpenSSL', r.stderr)


@pytest.mark.parametrize('module, directives', [
    ('http_ssl', 'ssl_session_timeout 5m;'), ('http_v2', 'server { http2 on; }'), ('http_realip', 'set_real_ip_from 127.0.0.1;'),
    ('http_sub', 'sub_filter a b;'), ('http_gunzip', 'gunzip on;'), ('http_stub_status', 'server { location / { stub_status; } }'),
    ('http_proxy', 'proxy_buffering on;'), ('http_memcached', 'memcached_buffer_size 4k;'), ('http_scgi', 'scgi_buffering on;'),
    ('http_ssi', 'ssi on;'), ('http_map', 'map $uri $x { default y; }'), ('http-cache', 'proxy_cache off;'),
    ('http_slice', 'slice 1m;')])
@pytest.mark.weir_only('nginx 1.22 has no http2 directive, and Debian chose what it is built with')
def test_V_tells_what_is_built_in(site, module, directives):
    """--with-X_module, and no --without-X_module: exactly where the configuration language has it."""
    suffix = '' if '-' in module else '_module'
    words = run('-V').stderr.split()
    usual = module in ('http_proxy', 'http_memcached', 'http_scgi', 'http_ssi', 'http_map', 'http-cache')
    claimed = f'--without-{module}{suffix}' not in words if usual else f'--with-{module}{suffix}' in words
    conf = site.file('x.conf', 'events {} http { %s }' % directives)
    r = run('-t', '-c', conf, '-e', 'stderr')
    assert claimed == ('unknown directive' not in r.stderr and 'weir does not have' not in r.stderr), r.stderr


@pytest.mark.weir_only('Debian builds it in')
def test_V_does_not_claim_what_is_only_accepted():
    assert '--with-http_mp4_module' not in run('-V').stderr


@pytest.mark.parametrize('option', ['-h', '-?'])
def test_h(option):
    r = run(option)
    assert r.returncode == 0 and r.stdout == ''
    for letter in 'hvVtTqspecg':
        assert re.search(rf'(?m)^\s+(-\?,)?-{letter}\b', r.stderr), letter


@pytest.mark.parametrize('arguments, text', [
    (['-x'], 'nginx: invalid option: "x"'), (['bogus'], 'nginx: invalid option: "bogus"'),
    (['-s'], 'nginx: option "-s" requires parameter'), (['-c'], 'nginx: option "-c" requires file name'),
    (['-p'], 'nginx: option "-p" requires directory name'), (['-g'], 'nginx: option "-g" requires parameter'),
    (['-e'], 'nginx: option "-e" requires file name'), (['-s', 'bogus'], 'nginx: invalid option: "-s bogus"'),
    (['-sbogus'], 'nginx: invalid option: "-s bogus"')])
def test_bad_options(arguments, text):
    """The same words and exit code; "weir bogus" must not start a server."""
    r = run(*arguments)
    assert r.returncode == 1 and r.stdout == '' and r.stderr.startswith(text), r.stderr


def test_options_may_be_joined(place):
    place.write()
    r = run('-tq', f'-c{place.path}', f'-p{place.directory}/', f'-e{place.directory}/error.log')
    assert (r.returncode, r.stderr) == (0, '')


def test_missing_configuration(place):
    r = place.run('-t')
    assert r.returncode == 1
    assert f'nginx: [emerg] open() "{place.path}" failed (2: No such file or directory)' in r.stderr
    assert f'nginx: configuration file {place.path} test failed' in r.stderr.splitlines()[-1]


def test_relative_configuration_is_below_the_prefix(place):
    place.write()
    r = run('-t', '-p', place.directory, '-c', 'nginx.conf', '-e', 'error.log')
    assert r.returncode == 0 and f'the configuration file {place.directory}/nginx.conf syntax is ok' in r.stderr


def test_g(place):
    r = place.write().run('-t', '-g', 'worker_processes 3; user root;')
    assert r.returncode == 0
    r = place.run('-t', '-g', 'bogus 3;')
    assert r.returncode == 1 and 'unknown directive "bogus" in command line' in r.stderr
    r = place.run('-t', '-g', 'pid other;')
    assert r.returncode == 1 and f'"pid" directive is duplicate in {place.path}:1' in r.stderr


WRONG = {
    'unknown directive': ('http { server { listn 80; } }', 1),
    'unknown directive on a later line': ('events { }\nhttp {\n  server {\n\n    listn 80;\n  }\n}\n', 5),
    'missing semicolon': ('http { server { listen 80\n proxy_pass http://x; } }', 2),
    'missing semicolon at a block end': ('http { server { listen 80 } }', 1),
    'unexpected end': ('http {\n server {\n', 4),
    'unexpected brace': ('http { }\n}\n', 2),
    'unexpected semicolon': ('http { ; }', 1),
    'unexpected open brace': ('http { { } }', 1),
    'wrong place': ('server { }', 1),
    'wrong place in http': ('http { proxy_pass http://127.0.0.1; }', 1),
    'not terminated': ('http { server { root /x; } \n index', 3),
    'block expected': ('http;', 1),
    'no block expected': ('http { root /x { } }', 1),
    'too few': ('http { server { listen; } }', 1),
    'too many': ('http { server { root /a /b; } }', 1),
    'duplicate': ('worker_processes 1;\nworker_processes 2;\n', 2),
    'duplicate root': ('http { root /a; root /b; }', 1),
    'duplicate location': ('http { server { location /a { } location /a { } } }', 1),
    'duplicate upstream': ('http { upstream a { server 127.0.0.1; } upstream a { server 127.0.0.1; } }', 1),
    'bad number': ('worker_processes many;', 1),
    'bad size': ('http { client_max_body_size 1x; }', 1),
    'bad time': ('http { proxy_read_timeout soon; }', 1),
    'bad flag': ('daemon perhaps;', 1),
    'bad port': ('http { server { listen 99999; } }', 1),
    'bad listen': ('http { server { listen 127.0.0.1:x; } }', 1),
    'bad listen parameter': ('http { server { listen 80 bogus; } }', 1),
    'bad regex': ('http { server { location ~ ( { } } }', 1),
    'bad proxy_pass': ('http { server { location / { proxy_pass ftp://x; } } }', 1),
    'proxy_pass without scheme': ('http { server { location / { proxy_pass 127.0.0.1; } } }', 1),
    'proxy_pass URI in a regex': ('http { server { location ~ x { proxy_pass http://127.0.0.1/x; } } }', 1),
    'empty upstream': ('http { upstream a { } }', 1),
    'unknown variable': ('http { server { return 200 $nosuch; } }', 1),
    'unknown log format': ('http { access_log /dev/null nosuch; }', 1),
    'duplicate log format': ("http { log_format a 'x'; log_format a 'y'; }", 1),
    'bad code of return': ('http { server { return 1000; } }', 1),
    'bad code of error_page': ('http { error_page 200 /x; }', 1),
    'bad address of deny': ('http { deny 1.2.3; }', 1),
    'bad level': ('error_log /dev/null loud;', 1),
    'bad server parameter': ('http { upstream a { server 127.0.0.1 bogus; } }', 1),
    'bad weight': ('http { upstream a { server 127.0.0.1 weight=0; } }', 1),
    'open quote': ('http { root "/x; }', 2),
    'junk after a quote': ('http { root "/x"y; }', 1),
    'location outside': ('http { server { location /a { location /b { } } } }', 1),
    'location in an exact one': ('http { server { location = /a { location /a/b { } } } }', 1),
    'default server twice': ('http { server { listen 127.0.0.1:8099 default_server; } server { listen 127.0.0.1:8099 default_server; } }', 1),
    'bad http version': ('http { proxy_http_version 2.5; }', 1),
    'no value of include': ('include;', 1),
    'bad user': ('user nosuchuser;', 1),
    'bad proxy_buffers': ('http { proxy_buffers 1; }', 1),
    'bad proxy_redirect': ('http { proxy_redirect bogus; }', 1),
}


@pytest.mark.parametrize('name', WRONG)
def test_errors_have_nginx_words(place, name):
    """-t on a wrong configuration says what nginx says, with the file and the line; people and tools search for it."""
    text, line = WRONG[name]
    place.raw(text if 'events {' in text else f'events {{ }} {text}\n')
    theirs, ours = place.run('-t', binary=NGINX), place.run('-t')
    assert theirs.returncode == 1, 'the test is wrong about nginx'
    assert ours.returncode == 1

    def messages(r):
        return [m[1] for m in re.finditer(r'(?m)^nginx: \[emerg\] (.*)$', r.stderr)]
    want = messages(theirs)[0]
    assert any(m.startswith(want) for m in messages(ours)), f'{ours.stderr}\nwanted {want}'
    if re.search(r':\d+$', want):
        assert want.endswith(f':{line}'), want
    assert f'nginx: configuration file {place.path} test failed' in ours.stderr


@pytest.mark.weir_only('nginx stops at the first error')
def test_all_errors_are_reported(place):
    r = place.raw('events { }\nbogus1;\nhttp {\n  bogus2 on;\n  server {\n    listen 99999;\n    client_max_body_size x;\n'
                  '    location / { proxy_pass ftp://a; bogus3 { } }\n  }\n}\n').run('-t')
    assert r.returncode == 1
    for text, line in (('unknown directive "bogus1"', 2), ('unknown directive "bogus2"', 4), ('invalid port', 6),
                       ('"client_max_body_size" directive invalid value', 7), ('invalid URL prefix', 8), ('unknown directive "bogus3"', 8)):
        assert re.search(rf'(?m)^nginx: \[emerg\] .*{re.escape(text)}.* in {re.escape(place.path)}:{line}$', r.stderr), (text, r.stderr)


@pytest.mark.parametrize('text, words', [
    ('', 'no "events" section in configuration'), ('http { server { listen 127.0.0.1:PORT; } }', 'no "events" section in configuration'),
    ('events { worker_connections 0; }', '0 worker_connections are not enough for 0 listening sockets'),
    ('events { worker_connections 2; } http { server { listen 127.0.0.1:PORT; listen 127.0.0.2:PORT; } }',
     '2 worker_connections are not enough for 2 listening sockets'),
    ('events { } events { }', '"events" directive is duplicate'), ('events { use kqueue; }', 'invalid event type "kqueue"'),
    ('worker_connections 4; events { }', '"worker_connections" directive is not allowed here')])
def test_events(place, text, words):
    r = place.raw(f'pid {place.directory}/pid; {text.replace("PORT", str(place.port)).replace("http {", "http { access_log off;")}').run('-t')
    assert r.returncode == 1 and f'nginx: [emerg] {words}' in r.stderr, r.stderr


def test_enough_connections(place):
    r = place.raw(f'pid {place.directory}/pid; events {{ worker_connections 3; }} http {{ access_log off; '
                  f'server {{ listen 127.0.0.1:{place.port}; listen 127.0.0.2:{place.port}; }} }}').run('-t')
    assert r.returncode == 0, r.stderr


def test_error_before_http(place):
    """What follows an error in the main block is still read."""
    r = place.write('access_log a.log; server { listen 127.0.0.1:PORT; access_log b.log; }', main='daemon maybe;').run('-t')
    assert r.returncode == 1 and 'invalid value "maybe"' in r.stderr


@pytest.mark.weir_only('nginx gives no hint')
def test_unknown_directive_hints(place):
    r = place.write('server { listen 127.0.0.1:PORT; proxy_pas http://x; }').run('-t')
    assert r.returncode == 1 and 'unknown directive "proxy_pas"' in r.stderr and 'proxy_pass' in r.stderr


def test_start_with_a_broken_configuration(place):
    r = place.write('bogus;').run()
    assert r.returncode == 1 and 'unknown directive "bogus"' in r.stderr and not os.path.exists(f'{place.directory}/pid')


def test_port_in_use(site):
    """bind() fails five times, half a second apart, then the start is given up."""
    one = site.server('return 200;')
    with pytest.raises(AssertionError) as e:
        site.server(f'server {{ listen 127.0.0.1:{one.port}; }}')
    text = str(e.value)
    assert '[emerg] ' in text and f'bind() to 127.0.0.1:{one.port} failed (98: Address already in use)' in text
    assert 'still could not bind()' in text
    assert exchange(one.port, get('/'))[0].status == 200


def test_s_without_a_server(place):
    place.write()
    r = place.run('-s', 'stop')
    assert r.returncode == 1
    assert f'nginx: [error] open() "{place.directory}/pid" failed (2: No such file or directory)' in r.stderr
    with open(f'{place.directory}/pid', 'w'):
        pass
    r = place.run('-s', 'stop')
    assert r.returncode == 1 and f'nginx: [error] invalid PID number "" in "{place.directory}/pid"' in r.stderr


@pytest.mark.parametrize('word', ['stop', 'quit', 'reopen', 'reload'])
@pytest.mark.parametrize('content', ['', 'x\n', '4194000\n', '99999999999999999999\n', '12x\n'])
def test_s_with_a_useless_pid_file(place, word, content):
    """The same words and the same exit code, whatever stands there: a dead process's number, none, too large a one."""
    place.write()
    said = []
    for binary in (NGINX, WEIR):
        with open(f'{place.directory}/pid', 'w') as f:
            f.write(content)
        r = place.run('-s', word, binary=binary)
        said.append((r.returncode, [re.sub(r'^\S+ \S+ (\[\w+\]) \d+#\d+: ', r'nginx: \1 ', line) for line in r.stderr.splitlines()]))
    assert said[0] == said[1] and said[0][0] == 1


@pytest.mark.parametrize('word', ['stop', 'quit'])
def test_s_stops(site, word):
    server = site.server('return 200;')
    r = run('-p', server.directory, '-c', server.conf_path, '-e', server.error_log_path, '-s', word)
    assert (r.returncode, r.stdout, r.stderr) == (0, '', '')
    assert server.wait_exit() == 0
    server.stopped = True
    server.check()


def test_s_reopen(site):
    server = site.server('access_log @dir@/a.log; return 200;')
    exchange(server.port, get('/'))
    server.wait_lines(1, 'a.log')
    os.rename(f'{server.directory}/a.log', f'{server.directory}/b.log')
    r = run('-p', server.directory, '-c', server.conf_path, '-e', server.error_log_path, '-s', 'reopen')
    assert r.returncode == 0
    until(lambda: os.path.exists(f'{server.directory}/a.log'), 'the log to be there again')
    until(lambda: exchange(server.port, get('/')) and server.lines('a.log'), 'a line in the new log')


def test_stdin_is_not_needed(place):
    place.write()
    r = subprocess.run([WEIR, '-t', '-p', place.directory, '-c', place.path, '-e', f'{place.directory}/error.log'],
                       stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
    assert r.returncode == 0
