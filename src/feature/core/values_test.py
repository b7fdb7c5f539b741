"""Each directive of nginx with values that it may and may not have, in places where it may and may not stand: what -t says is what
nginx says.

The names come from the manual; those that Debian's nginx does not know are left out. One test is one directive."""
import os
import re
import subprocess
import tempfile

import pytest

from weirtest import NGINX, WEIR

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
TEMPORARY = ' '.join(f'{name}_temp_path @dir@/t;' for name in ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'))


def within(http):
    return 'events {} http { ' + TEMPORARY + ' access_log off; ' + http + ' }'


PLACES = {
    'main': '@ events {} http { server { access_log off; listen unix:@dir@/s; } }',
    'events': 'events { @ } http { server { access_log off; listen unix:@dir@/s; } }',
    'http': within('@ server { listen unix:@dir@/s; }'),
    'server': within('server { listen unix:@dir@/s; @ }'),
    'location': within('server { listen unix:@dir@/s; location / { @ } }'),
    'if in location': within('server { listen unix:@dir@/s; location / { if ($uri) { @ } } }'),
    'if in server': within('server { listen unix:@dir@/s; if ($uri) { @ } }'),
    'limit_except': within('server { listen unix:@dir@/s; location / { limit_except GET { @ } } }'),
    'upstream': within('upstream u { server 127.0.0.1:1; @ } server { listen unix:@dir@/s; }'),
}
VALUES = ('', 'x', '-1', '10', '10k', '5s', 'on', '1 2', 'a b c d e', '""', '$nosuch', '99999999999999999999')

# What is left out, and why.
ELSEWHERE = {
    'load_module': 'load_module_test.py: modules are built in',
    'include': 'include_test.py',
    'ssl_engine': 'engines are refused: keys of engines are not there',
    'server_tokens': 'a text is allowed, as in the commercial nginx',
    'http2_push': 'obsolete since nginx 1.25.1, which says so',
    'http2_push_preload': 'obsolete since nginx 1.25.1, which says so',
    'http2_max_concurrent_pushes': 'obsolete since nginx 1.25.1, which says so',
    'ssl_session_ticket_key': 'ssl_test.py: a file that is not there is an error in weir also where no server uses it',
    'resolver': 'allowed in upstream, as in nginx since 1.27.3', 'resolver_timeout': 'allowed in upstream, as in nginx since 1.27.3',
}
# Single texts, and why.
DIFFERENT = {
    'http: variables_hash_max_size 10;': 'tables size themselves', 'http: proxy_headers_hash_max_size 10;': 'tables size themselves',
    'server: listen 99999999999999999999;': 'not the name of a host', 'http: large_client_header_buffers 1 2;': 'there is no pool to compare with',
    **{f'http: {n} 10;': 'there is no pool to be too small' for n in ('connection_pool_size', 'request_pool_size', 'http2_pool_size')},
    **{f'http: {n} 10; {n} 10;': 'there is no pool to be too small' for n in ('connection_pool_size', 'request_pool_size', 'http2_pool_size')},
    'http: connection_pool_size 10k;': 'there is no pool to compare with', 'http: send_lowat 10;': 'nginx says that Linux does not have it',
    'http: send_lowat 10k;': 'nginx says that Linux does not have it', 'http: aio on;': 'accepted: nothing depends on it',
    'http: aio on; aio on;': 'accepted: nothing depends on it',
    **{f'http: {n} 10;': 'there is nothing that could be too small' for n in ('http2_recv_buffer_size', 'http2_streams_index_size')},
    **{f'http: {n} 10; {n} 10;': 'there is nothing that could be too small' for n in ('http2_recv_buffer_size', 'http2_streams_index_size')},
    'upstream: keepalive 1 2;': 'a second parameter came with nginx 1.29', 'http: ssl_certificate $nosuch;': 'the variable is looked at first',
    'http: ssl_certificate_key $nosuch;': 'the variable is looked at first', 'http: ssl_password_file "";': 'the path that failed',
    'http: ssl_buffer_size 10;': 'between 512 and 16384', 'http: ssl_buffer_size 10; ssl_buffer_size 10;': 'between 512 and 16384',
    **{f'http: {p}_ssl_password_file "";': 'open or read fails' for p in ('proxy', 'grpc', 'uwsgi')},
    'http: uwsgi_string $nosuch;': 'the variable is looked at first', 'location: fastcgi_pass "";': 'other words', 'location: scgi_pass "";': 'other words',
    **{f'http: {p}_bind 1 2;': 'of two wrong arguments the other' for p in ('proxy', 'fastcgi', 'scgi', 'uwsgi', 'grpc', 'memcached')},
    **{f'upstream: zone {v};': 'a zone without a size is one that loops share anyway' for v in VALUES if v and ' ' not in v and v != '""'},
    'upstream: zone on; zone on;': 'a zone without a size is one that loops share anyway',
    **{f'http: {p}_send_lowat {v};': 'nginx says that Linux does not have it' for p in ('proxy', 'fastcgi') for v in ('10', '10k')},
    **{f'http: {p}_limit_rate $nosuch;': 'variables are allowed since nginx 1.27' for p in ('proxy', 'fastcgi', 'scgi', 'uwsgi')},
    **{f'http: modern_browser {t};': 'nginx refuses it without a word' for t in
       ('x', '-1', '10', '10k', '5s', 'on', '""', '$nosuch', '99999999999999999999', 'on; modern_browser on', '10; modern_browser 10')},
    'http: proxy_cookie_flags 1 2;': 'flags are judged when they are read',
    **{f'upstream: hash {v}; hash {v};': 'a method is said once' for v in ('10', 'on')},
    **{f'location: grpc_pass {v};': 'the port is 80, as of http' for v in ('x', '-1', '10', '10k', '5s', 'on', '99999999999999999999')},
    **{f'location: memcached_pass {v};': 'the variable is looked at first' for v in VALUES + ('10; memcached_pass 10', 'on; memcached_pass on') if v and v != '1 2'},
    'location: uwsgi_pass "";': 'other words', 'location: mp4 ;': 'a warning: ranges do it',
    'upstream: zone 10; zone 10;': 'a zone without a size is one that loops share anyway',
}


def names():
    with open(os.path.join(ROOT, 'docs', 'directives.md'), encoding='utf-8') as f:
        found = re.findall(r'(?m)^### ([a-z0-9_]+)$', f.read())
    return [n for n in dict.fromkeys(found) if n not in ELSEWHERE]


class Judge:
    """Asks both servers about texts."""

    def __init__(self, directory):
        self.directory = directory

    def ask(self, binary, place, text):
        path = os.path.join(self.directory, 'x.conf')
        with open(path, 'w', encoding='latin-1') as f:
            f.write(f'pid {self.directory}/pid; ' + PLACES[place].replace('@dir@', self.directory).replace('@', text))
        done = subprocess.run([binary, '-t', '-c', path, '-p', self.directory + '/', '-e', 'stderr'], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=60)
        assert done.returncode in (0, 1), (text, done)
        found = re.findall(r'\[(emerg|warn)\] (?:\d+#\d+: )?(.*)', done.stderr.decode('latin-1'))
        worst = [m for level, m in found if level == 'emerg'][:1]
        if done.returncode == 1 and not worst:
            return ['refused without a word']
        assert bool(worst) == (done.returncode == 1), done.stderr
        said = worst or [f'warning: {m}' for m in dict.fromkeys(m for _, m in found)]
        return [re.sub(r' in @dir@/x\.conf:\d+$', '', m.replace(self.directory, '@dir@')) for m in said]


@pytest.mark.parametrize('name', names())
def test_directive(name):
    with tempfile.TemporaryDirectory(prefix='weirtest-') as directory:
        judge = Judge(directory)
        known = judge.ask(NGINX, 'http', f'{name} x;')
        if known and known[0].startswith('unknown directive'):
            pytest.skip('Debian\'s nginx does not have it')
        wrong, allowed = [], []
        for place in PLACES:
            nginx, weir = (any('is not allowed here' in m for m in judge.ask(b, place, f'{name} x;')) for b in (NGINX, WEIR))
            if nginx != weir:
                wrong.append(f'{place}: allowed by {"weir" if nginx else "nginx"} only')
            if not nginx:
                allowed.append(place)
        assert allowed, 'nowhere'
        place = 'http' if 'http' in allowed else allowed[0]
        for text in [f'{name} {v};' for v in VALUES] + [f'{name} {{ }}', f'{name} on; {name} on;', f'{name} 10; {name} 10;']:
            nginx, weir = (judge.ask(b, place, text) for b in (NGINX, WEIR))
            if nginx != weir and f'{place}: {text}' not in DIFFERENT:
                wrong.append(f'{place}: {text}\n    nginx {nginx}\n    weir  {weir}')
        assert not wrong, '\n'.join(wrong)
