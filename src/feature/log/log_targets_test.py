"""Where logs can go: syslog, compressed files, rings in memory, paths with variables and open_log_file_cache."""
import gzip
import os
import re
import socket
import threading
import zlib

import pytest

from weirtest import Client, exchange, get, is_nginx, until

USER = 'user root;' if os.getuid() == 0 else ''
HEADER = r'<{pri}>[A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d {host}{tag}: '


class Syslog:
    """A syslog server: .lines are the datagrams."""

    def __init__(self, path=None, port=None):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX if path else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(path or ('127.0.0.1', port))
        if path:
            os.chmod(path, 0o777)
        self.lines, self.open = [], True
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        self.socket.settimeout(0.05)
        while self.open:
            try:
                self.lines.append(self.socket.recv(70000).decode('latin-1'))
            except TimeoutError:
                continue

    def wait(self, count):
        until(lambda: len(self.lines) >= count, f'{count} datagrams, there are {self.lines}')
        return self.lines

    def close(self):
        self.open = False
        self.thread.join()
        self.socket.close()
        if self.path:
            os.unlink(self.path)


def test_access_log_to_syslog(site):
    port = site.port()
    udp, unix = Syslog(port=port), Syslog(os.path.join(site.directory, 'log.sock'))
    host = re.escape(os.uname().nodename) + ' '
    server = site.server('location / { return 200 ok; }', http="log_format f '$request \"$arg_x\"';"
                         f'access_log syslog:server=127.0.0.1:{port} f;'
                         f'access_log syslog:server=unix:{unix.path},facility=local3,tag=my_tag,severity=warn,nohostname f if=$arg_x;'
                         'access_log @dir@/x.log f;', workers=1)
    exchange(server.port, get('/a?x="%01'))
    exchange(server.port, get('/b') * 3, 3)
    lines = udp.wait(4)
    assert re.fullmatch(HEADER.format(pri=190, host=host, tag='nginx') + re.escape('GET /a?x=\\x22%01 HTTP/1.1 "\\x22%01"'), lines[0]), lines
    assert all(re.fullmatch(HEADER.format(pri=190, host=host, tag='nginx') + re.escape('GET /b HTTP/1.1 "-"'), x) for x in lines[1:4])
    assert len(unix.wait(1)) == 1
    assert re.match(HEADER.format(pri=19 * 8 + 4, host='', tag='my_tag') + 'GET /a', unix.lines[0])
    assert len(server.wait_lines(4, 'x.log')) == 4
    udp.close()
    unix.close()


def test_error_log_to_syslog(site):
    port = site.port()
    udp = Syslog(port=port)
    server = site.server('root @root@; location / { }',
                         main=f'error_log syslog:server=127.0.0.1:{port},facility=user,severity=emerg,tag=e warn; error_log @dir@/error.log info;')
    exchange(server.port, get('/none'))
    line = udp.wait(1)[0]
    host = re.escape(os.uname().nodename) + ' '
    assert re.match(HEADER.format(pri=1 * 8 + 3, host=host, tag='e') + r'\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[error\] \d+#\d+: \*\d+ '
                    r'open\(\) "\S+/none" failed \(2: No such file or directory\), client: 127.0.0.1', line), line
    server.wait_error('error', 'No such file')
    server.stop()
    assert len(udp.lines) == 1
    udp.close()


@pytest.mark.parametrize('kind', ['udp', 'unix'])
def test_a_syslog_server_that_comes_and_goes(site, kind):
    """Lines are lost while nobody is there, the server goes on, and later lines arrive."""
    port = site.port() if kind == 'udp' else None
    path = os.path.join(site.directory, 'log.sock') if kind == 'unix' else None
    address = f'127.0.0.1:{port}' if port else f'unix:{path}'
    server = site.server('location / { return 204; }', http=f"log_format f '$uri'; access_log syslog:server={address} f;")
    if is_nginx(server.binary):
        server.alerts.append('connect')

    def arrives(log, uri):
        def one():
            exchange(server.port, get(uri))
            return any(x.endswith(uri) for x in log.lines)
        until(one, f'{uri} to arrive')
    for _ in range(20):
        assert exchange(server.port, get('/lost'))[0].status == 204
    first = Syslog(path, port)
    arrives(first, '/first')
    first.close()
    for _ in range(5):
        assert exchange(server.port, get('/lost'))[0].status == 204
    second = Syslog(path, port)
    arrives(second, '/second')
    second.close()


def members(data):
    """Texts of the gzip members that are whole."""
    found = []
    while data:
        d = zlib.decompressobj(31)
        text = d.decompress(data)
        if not d.eof:
            break
        found.append(text)
        data = d.unused_data
    return found


def test_gzip(site):
    server = site.server('location / { return 204; }', http="log_format f '$request_uri';"
                         'access_log @dir@/x.gz f gzip=4 flush=100ms; access_log @dir@/y.gz f gzip;', workers=1)
    exchange(server.port, get('/first'))
    path = os.path.join(server.directory, 'x.gz')
    until(lambda: b''.join(members(open(path, 'rb').read())) == b'/first\n', 'the first member')
    for i in range(300):
        exchange(server.port, get(f'/{i}'))
    server.stop()
    text = b'/first\n' + b''.join(b'/%d\n' % i for i in range(300))
    assert gzip.open(path).read() == text
    assert gzip.open(os.path.join(server.directory, 'y.gz')).read() == text
    assert os.path.getsize(os.path.join(server.directory, 'y.gz')) < len(text) / 2


def test_gzip_of_much(site):
    """Buffers that fill: each write is a member, nothing is lost."""
    server = site.server('location / { return 204; }', http="log_format f '$request_uri $request_id';"
                         'access_log @dir@/x.gz f gzip=1 buffer=4k;', workers=2)
    for i in range(40):
        assert len(exchange(server.port, b''.join(get(f'/{i}/{k}') for k in range(50)), 50)) == 50
    server.stop()
    data = open(os.path.join(server.directory, 'x.gz'), 'rb').read()
    lines = b''.join(members(data)).decode().splitlines()
    assert sorted(x.split()[0] for x in lines) == sorted(f'/{i}/{k}' for i in range(40) for k in range(50))
    assert len(members(data)) > 5


def test_reopened_gzip(site):
    server = site.server('location / { return 204; }', http="log_format f '$request_uri'; access_log @dir@/x.gz f gzip flush=50ms;",
                         main=USER, workers=1)
    path = os.path.join(server.directory, 'x.gz')
    exchange(server.port, get('/old'))
    until(lambda: members(open(path, 'rb').read()) == [b'/old\n'], 'the first member')
    os.rename(path, path + '.1')
    server.send_signal(10)
    until(lambda: os.path.exists(path), 'the new file')
    exchange(server.port, get('/new'))
    server.stop()
    assert b''.join(members(open(path, 'rb').read())) == b'/new\n' and gzip.open(path + '.1').read() == b'/old\n'


def paths(site, more='', root='@root@', **how):
    return site.server(f'root {root}; access_log @dir@/$arg_n.log f; {more} location / {{ return 204; }}',
                       http="log_format f '$request_uri';", main=USER, workers=1, **how)


def test_a_path_with_variables(site):
    server = paths(site)
    for name in ('a', 'b', 'a', 'no/such'):
        exchange(server.port, get(f'/?n={name}'))
    server.wait_error('crit', r'open\(\) "\S+/no/such\.log" failed \(2: No such file or directory\) while logging request, client: 127')
    assert server.wait_lines(2, 'a.log') == ['/?n=a', '/?n=a'] and server.wait_lines(1, 'b.log') == ['/?n=b']


def test_a_removed_log_comes_again(site):
    server = paths(site)
    exchange(server.port, get('/?n=a&1'))
    assert server.wait_lines(1, 'a.log') == ['/?n=a&1']
    os.unlink(os.path.join(server.directory, 'a.log'))

    def again():
        exchange(server.port, get('/?n=a&2'))
        return '/?n=a&2' in server.lines('a.log')
    until(again, 'the new file')


def test_no_root_no_log(site):
    server = paths(site, root='@root@/$arg_r')
    os.makedirs(os.path.join(site.root, 'there'))
    exchange(server.port, get('/?n=a&r=none'))
    exchange(server.port, get('/?n=a&r=there'))
    assert server.wait_lines(1, 'a.log') == ['/?n=a&r=there']
    server.wait_error('error', r'testing "\S+/none" existence failed \(2: No such file or directory\) while logging request')


def open_logs(server):
    found = []
    for pid in server.processes():
        for fd in os.listdir(f'/proc/{pid}/fd'):
            try:
                name = os.readlink(f'/proc/{pid}/fd/{fd}')
            except OSError:
                continue
            if re.search(r'/\d+\.log', name):
                found.append(name)
    return found


def test_open_log_file_cache_keeps_them_open(site):
    server = paths(site, 'open_log_file_cache max=3 inactive=1h valid=1h;')
    with Client(server.port) as client:
        for i in range(8):
            client.ask(get(f'/?n={i}'))
    for i in range(8):
        assert server.wait_lines(1, f'{i}.log') == [f'/?n={i}']
    until(lambda: len(open_logs(server)) == 3, 'three open logs')
    os.rename(os.path.join(server.directory, '7.log'), os.path.join(server.directory, 'moved'))
    exchange(server.port, get('/?n=7&x'))
    assert server.wait_lines(2, 'moved') == ['/?n=7', '/?n=7&x']


def test_open_log_file_cache_min_uses(site):
    server = paths(site, 'open_log_file_cache max=3 min_uses=2;')
    exchange(server.port, get('/?n=1'))
    server.wait_lines(1, '1.log')
    until(lambda: not open_logs(server), 'it to be closed')
    exchange(server.port, get('/?n=1'))
    server.wait_lines(2, '1.log')
    assert len(open_logs(server)) == 1


def test_open_log_file_cache_valid(site):
    server = paths(site, 'open_log_file_cache max=3 valid=1s;')
    exchange(server.port, get('/?n=1'))
    server.wait_lines(1, '1.log')
    os.rename(os.path.join(server.directory, '1.log'), os.path.join(server.directory, 'moved'))

    def new():
        exchange(server.port, get('/?n=1'))
        return server.lines('1.log')
    until(new, 'the new file')


@pytest.mark.weir_only('nginx closes them only when another log is asked for')
def test_open_log_file_cache_inactive(site):
    server = paths(site, 'open_log_file_cache max=3 inactive=1s;')
    exchange(server.port, get('/?n=1'))
    server.wait_lines(1, '1.log')
    assert len(open_logs(server)) == 1
    until(lambda: not open_logs(server), 'it to be closed')


def test_memory(site):
    """The ring cannot be read from outside but for a debugger; the server runs, and other targets get their lines."""
    server = site.server('root @root@;', main='error_log memory:64k debug; error_log @dir@/error.log info;', workers=1)
    for i in range(600):
        exchange(server.port, get(f'/none{i}'))
    server.wait_error('error', 'none599')
    if is_nginx(server.binary):
        return
    found = b''
    for pid in server.workers():
        with open(f'/proc/{pid}/maps') as maps, open(f'/proc/{pid}/mem', 'rb') as memory:
            for line in maps:
                if 'rw-p' in line and int(line.split('-')[1].split()[0], 16) - int(line.split('-')[0], 16) < 1 << 30:
                    memory.seek(int(line.split('-')[0], 16))
                    try:
                        found += memory.read(int(line.split('-')[1].split()[0], 16) - int(line.split('-')[0], 16))
                    except OSError:
                        continue
    at = found.find(b'weir log ring, the oldest byte follows the newest:\n')
    assert at > 0
    ring = found[at:at + 65536]
    assert b'/none599" failed' in ring and b'/none1" failed' not in ring
