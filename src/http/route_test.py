"""Which location answers: the kinds of location, their order, nesting, and names by error_page."""
import resource

from weirtest import ANY, WEIR, Client, Table, get, proc, run

kinds = Table('''
    location / { return 200 "root $uri"; }
    location /images/ { return 200 "prefix images $uri"; }
    location = /images/ { return 200 "exact images"; }
    location = / { return 200 "exact root"; }
    location ^~ /static/ { return 200 "no regex $uri"; }
    location /docs { return 200 "prefix docs $uri"; }
    location /docs/deep/er/ { return 200 "longest docs $uri"; }
    location ~ \\.php$ { return 200 "regex php $uri"; }
    location ~* \\.(gif|jpg)$ { return 200 "regex nocase $1 $uri"; }
    location ~ ^/images/(?<name>[a-z]+)\\.png$ { return 200 "named capture $name"; }
    location ~ \\.ph { return 200 "second regex $uri"; }
    location ~ "^/a{2,3}$" { return 200 "quoted braces $uri"; }
    location ~* ^/Case { return 200 "case $uri"; }
    location "/with space/" { return 200 "space $uri"; }
    location /caf\u00c3\u00a9/ { return 200 "utf-8 $uri"; }
    location @nowhere { return 200 "named"; }
''')
for target in ('/', '/x', '/images/', '/images', '/images/x', '/images/cat.png', '/images/Cat.png', '/images/x.gif',
               '/images/x.GIF', '/static/x.php', '/static/x.jpg', '/static', '/docs', '/docsx', '/docs/', '/docs/deep/er/x',
               '/docs/deep/er', '/docs/deep/er/x.php', '/x.php', '/x.phtml', '/x.php/more', '/x.PHP', '/aa', '/aaa', '/aaaa',
               '/case', '/CASE/x', '/IMAGES/', '/with%20space/x', '/caf%C3%A9/x', '/caf\u00c3\u00a9/x', '/@nowhere',
               '/x?y=/images/', '/images/?x.php', '/images//x', '//images/', '/./images/', '/images/../x.php',
               '/images/%2e%2e/x.php', '/%69mages/', '/images%2F', '/images%2fx.gif', '/x%2Ephp', '/x.php%00',
               '/static/%2e./x.php', '/images/.', '/images/..', '/images/...', '/a/b/../../images/', '/images/./x.gif',
               '/images/.x.gif', '/images/..x.gif', '/docs/../docs/deep//er/x', '/images/%3Fx.php'):
    status = 400 if target == '/x.php%00' else 200
    kinds.case(target, get(target), status)
kinds.case('above the root', get('/../x'), 400)
kinds.case('above the root in the middle', get('/a/../../x'), 400)
kinds.case('above the root, encoded', get('/%2e%2e/x'), 400)
kinds.case('bad escape', get('/%zz'), 400)
kinds.case('cut escape', get('/x%4'), 400)
kinds.case('escape at the end', get('/x%'), 400)
kinds.case('absolute form', get('http://other/images/x'))
kinds.case('absolute form without a path', get('http://other'))
kinds.case('absolute form with a query only', get('http://other?x=1'))
kinds.case('absolute form of https', get('https://other/images/x'))
kinds.case('asterisk', get('*'), 400)
kinds.case('no slash', get('images'), 400)
kinds.case('post', b'POST /images/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n')
test_kinds = kinds.tests()

nested = Table('''
    location /a/ {
        return 200 "outer $uri";
        location /a/b/ {
            return 200 "inner $uri";
            location ~ \\.x$ { return 200 "inner regex $uri"; }
            location = /a/b/exact.x { return 200 "inner exact"; }
        }
        location ~ \\.x$ { return 200 "outer regex $uri"; }
    }
    location ^~ /q/ {
        location ~ \\.x$ { return 200 "regex below the caret $uri"; }
        return 200 "caret $uri";
    }
    location ~ ^/r/ {
        return 200 "regex outer $uri";
        location ~ \\.x$ { return 200 "regex in regex $uri"; }
    }
    location ~ \\.x$ { return 200 "top regex $uri"; }
    location ~ \\.y$ { return 200 "top regex y $uri"; }
''')
for target in ('/a/', '/a/z', '/a/b/', '/a/b/z', '/a/b/z.x', '/a/b/exact.x', '/a/z.x', '/a/z.y', '/a/b/z.y', '/q/z', '/q/z.x',
               '/q/z.y', '/r/z', '/r/z.x', '/r/z.y', '/z.x', '/z.y'):
    nested.case(target, get(target))
nested.case('nothing', get('/z'), 404)
test_nested = nested.tests()


# As many servers and locations as a large site has: each request finds its own, and what is not there is not found.
def _large():
    yield 'server { listen 127.0.0.1:@port@ default_server; return 404; }'
    for s in range(1000):
        yield (f'server {{ listen 127.0.0.1:@port@; server_name s{s}.test *.w{s}.test t{s}.*; ' +
               ' '.join(f'location {"= " if i == 9 else ""}/app/{(s * 7 + i * 31) % 97}/part{i} {{ return 200 "{s} {i}"; }}' for i in range(10)) + ' }')


large = Table('\n'.join(_large()), http='server_names_hash_max_size 65536; server_names_hash_bucket_size 128;')
for n in range(120):
    s, i = n * 331 % 1000, n * 7 % 10
    host = (f's{s}.test', f'x.y.w{s}.test', f't{s}.org')[n % 3]
    large.case(f'{host} {i}', get(f'/app/{(s * 7 + i * 31) % 97}/part{i}', host=host))
    large.case(f'{host} {i} and more', get(f'/app/{(s * 7 + i * 31) % 97}/part{i}/x', host=host), 404 if i == 9 else 200)
    large.case(f'{host} {i} elsewhere', get(f'/app/{(s * 7 + i * 31 + 1) % 97}/part{i}', host=host), ANY)
for host in ('s1000.test', 'w5.test', 's5', 'x.s5.test', 't5'):
    large.case(f'no server {host}', get('/app/0/part0', host=host), 404)
test_large = large.tests()


# --- what a large configuration costs -----------------------------------------------------------------------------------

def sites(count, port='@port@'):
    """So many servers, each with ten locations that differ late."""
    for s in range(count):
        yield f'server {{ listen 127.0.0.1:{port}; server_name site{s}.test www.site{s}.test *.wild{s}.test;'
        yield from (f'location /application/area{(s * 7 + i * 7919) % 997}/section{i}/ {{ return 200 "{s} {i}"; }}' for i in range(10))
        yield '}'


def test_a_large_configuration_loads_quickly(site):
    """2,000 servers and 20,000 locations: less than a second of the processor."""
    path = site.file('large.conf', f'pid {site.directory}/pid; events {{}} http {{ access_log off; server_names_hash_max_size 65536; '
                     'server_names_hash_bucket_size 128;' + '\n'.join(sites(2000, site.port())) + '}')
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = run('-t', '-q', '-c', path, '-e', 'stderr')
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert seconds < (8 if 'build-' in WEIR else 1), f'{seconds} s'


def test_a_large_configuration_routes_as_a_small_one(site):
    """The CPU time of the same requests with 10 and with 20,000 locations. A search that grows with them costs a hundred times as much."""
    def cost(count):
        server = site.server('\n'.join(sites(count)), http='access_log off; keepalive_requests 100000; server_names_hash_max_size 65536; '
                             'server_names_hash_bucket_size 128;', workers=1)
        middle = count // 2
        asked = b''.join(get(f'/application/area{(middle * 7 + i * 7919) % 997}/section{i}/x', host=f'site{middle}.test') for i in range(10))
        with Client(server.port) as client:
            def ask():
                before = proc.cpu_ns(server.processes())
                for _ in range(100):
                    client.send(asked)
                    assert [r.text for r in client.responses(10)] == [f'{middle} {i}' for i in range(10)]
                return proc.cpu_ns(server.processes()) - before
            return min(ask() for _ in range(4))
    small, large = cost(1), cost(2000)
    assert large < 2 * small, f'{large} ns, {small} ns'
