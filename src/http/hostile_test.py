"""Hundreds of odd requests side by side with nginx: targets, fields, ranges and conditions, put together by chance from parts that have
broken servers. The chance is always the same."""
import random

from weirtest import ANY, Table, get, post, request, response

# --- targets ----------------------------------------------------------------------------------------------------------------

PARTS = ('', '.', '..', '...', '....', 'a', 'A', 'dir', 'file.txt', 'dir/file.txt', '%2e', '%2E', '%2e%2e', '%2e.', '.%2e', '%2f', '%2F', '%5c', '\\', '%', '%4', '%zz', '%2', '%25', '%252e', '%252f',
         '%20', '+', ';x=1', ';', '~', '%7e', '%7E', '\xe9', '\x80\xff', '%c3%a9', '%C3%A9', '%ff', '*', ':', ':80', '@', '!', '$', '&', "'", '(', ')', ',', '=', '|', '"', '<', '>', '^', '`', '{', '}',
         '%3f', '%3F', '%23', '%26', '%3d', '%2b', '%3b', '%40', '%41', '%61', 'x' * 300, '.htaccess', 'index.html', '%69ndex.html', 'dir/', '-', '_', '%5b', '[', ']', '%7c')
JOINS = ('/', '/', '/', '//', '/./', '/../', '///', '/%2f/', '')
QUERIES = ('', '', '', '?', '?a=b', '??', '?%', '?a=%zz', '?a=b&a=c', '?a=%20+', '?/../', '?a?b', '?&&', '?=', '?a[]=1', '?"<>', '?\xe9', '?a=b;c', '?%00')
PLACES = ('root', 'alias', 'regex', 'try', 'proxy', 'proxyuri', 'proxyvar', 'return', 'redirect', 'rewrite', 'break', 'permanent', 'args', 'map', 'named', 'slash', 'nomerge')

CONF = r'''
    server { listen 127.0.0.1:@port@; server_name _; root @root@; index index.html;
        location /root/ { }
        location /alias/ { alias @root@/root/; }
        location ~ ^/regex/(.*)$ { alias @root@/root/$1; }
        location /try/ { try_files $uri $uri/index.html /alias$uri @named; }
        location /proxy/ { proxy_pass http://@backend@; }
        location /proxyuri/ { proxy_pass http://@backend@/base/; }
        location /proxyvar/ { proxy_pass http://@backend@$request_uri; }
        location /return/ { return 200 "$uri|$args|$request_uri|$document_uri|$is_args|$arg_a|$request_filename"; }
        location /redirect/ { return 301 /to$request_uri; }
        location /rewrite/ { rewrite ^/rewrite/(.*)$ /return/$1 last; }
        location /break/ { rewrite ^/break(/.*)$ /root$1 break; }
        location /permanent/ { rewrite ^/permanent/(.*)$ /to/$1 permanent; }
        location /args/ { rewrite ^/args/(.*)$ /return/?x=$1 last; }
        location /map/ { return 200 "$mapped"; }
        location /named/ { error_page 404 = @named; return 404; }
        location /slash { location /slash/in/ { proxy_pass http://@backend@; } return 200 "slash $uri"; }
        location @named { return 200 "named $uri $args"; }
        location ~ \.txt$ { add_header X-Regex 1; }
    }
    server { listen 127.0.0.1:@port@; server_name nomerge; merge_slashes off; root @root@; location / { } location /nomerge/ { return 200 "$uri"; } location /nomerge//x { return 200 "two $uri"; } }
'''
targets = Table(CONF, http=r'''proxy_http_version 1.1; map $uri $mapped { default "none $uri"; ~*\.txt$ "text $uri"; /map/a exact; "~/(?<last>[^/]+)$" "last $last"; }''', log=
                'request=$request|uri=$uri|args=$args|status=$status',
                files={f'root/{n}': n for n in ('a', 'file.txt', 'index.html', 'dir/file.txt', 'dir/index.html', 'A', '-', '_', '$', 'dir/+', ';', 'x\\y')}
                | {'break/x': 'x', 'alias/try/a': 'by try'}, answer=response('from behind'))
chance = random.Random(20261123)


def odd_target(place):
    pieces = ''.join(chance.choice(JOINS) + chance.choice(PARTS) for _ in range(chance.randint(1, 4)))
    return f'/{place}{pieces if pieces.startswith("/") else "/" + pieces}{chance.choice(QUERIES)}'


asked = set()
while len(asked) < 700:
    place = chance.choice(PLACES)
    target = odd_target(place)
    if target in asked:
        continue
    asked.add(target)
    host = 'nomerge' if place == 'nomerge' else 'localhost'
    targets.case(f'{len(asked)} {target}'[:150], f'GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n'.encode('latin-1'), ANY)
test_targets = targets.tests()

# --- fields -----------------------------------------------------------------------------------------------------------------

NAMES = ('X', 'x-a', 'X_A', 'X.A', 'X A', 'X\x7f', 'Ünder', '', '-', '_', '1', 'Accept', 'Cookie', 'Referer', 'User-Agent', 'Authorization', 'Range', 'If-Range', 'Content-Type', 'Keep-Alive', 'TE',
         'Via', 'X-Forwarded-For', 'Upgrade', 'Accept-Encoding', 'Date', 'Expect', 'If-None-Match', 'If-Modified-Since')
VALUES = ('', ' ', 'a', ' a ', 'a b', 'a,b', 'a, b', ',', ';', '"', '"a', '"a"', '\\', '=', 'a=b', 'a=b; c=d', '*', '\xe9', '0', '-1', '99999999999999999999', 'bytes=0-', 'W/"x"', 'gzip', 'x' * 3000, '%0d%0a',
          'Basic', 'Basic =', 'Basic YTpi', 'Thu, 01 Jan 1970 00:00:00 GMT', '1.1 a', '127.0.0.1', '::1', 'unknown')
fields = Table('''
    underscores_in_headers on;
    location / { return 200 "$http_x|$http_x_a|$http_cookie|$cookie_a|$http_referer|$http_user_agent|$remote_user|$content_type|$http_via|$proxy_add_x_forwarded_for"; }
    location /file { root @root@; }
    location /proxy { proxy_pass http://@backend@; }
''', http='proxy_http_version 1.1;', files={'file': 'file ' * 300}, log='request=$request|status=$status|x=$http_x|user=$remote_user|cookie=$cookie_a|agent=$http_user_agent')
count = 0
while count < 400:
    lines = [(chance.choice(NAMES), chance.choice(('', ' ', '  ')) + chance.choice(VALUES)) for _ in range(chance.randint(1, 3))]
    names = [n.lower().replace('_', '-') for n, _ in lines]
    if any(n in ('upgrade', 'te', 'expect', 'x\x7f') for n in names) or len(set(names)) != len(names):
        continue    # these have tests of their own
    count += 1
    where = chance.choice(('/', '/file', '/proxy'))
    if where == '/' and 'if-none-match' in names:
        where = '/file'    # the text of a `return` has no tag
    raw = f'GET {where} HTTP/1.1\r\nHost: h\r\n' + ''.join(f'{n}:{v}\r\n' for n, v in lines) + 'Connection: close\r\n\r\n'
    fields.case(f'{count} {where} {lines!r}'[:150], raw.encode('latin-1'), ANY)
test_fields = fields.tests()

# --- ranges -----------------------------------------------------------------------------------------------------------------

NUMBERS = ('', '0', '1', '5', '99', '500', '998', '999', '1000', '1001', '18446744073709551615', '18446744073709551616', '9223372036854775807', '00', '-1', '+1', 'x', '0x1', '1 ', ' 1', '1.0')
ranges = Table('''
    root @root@;
    location / { }
    location /max1/ { max_ranges 1; alias @root@/; }
    location /max0/ { max_ranges 0; alias @root@/; }
    location /proxy/ { proxy_pass http://@backend@; proxy_force_ranges on; }
    location /slice/ { alias @root@/; gzip on; gzip_min_length 1; gzip_types text/plain; }
''', http='types { text/plain txt; } proxy_http_version 1.1;', files={'f.txt': bytes(range(256)) * 3 + b'e' * 232, 'one.txt': b'x', 'empty.txt': b'', 'large.bin': random.Random(5).randbytes(200000)},
                answer=response(bytes(range(200)) * 5, 'Last-Modified: Tue, 14 Nov 2023 22:13:20 GMT', 'ETag: "e"'))
for n in range(350):
    unit = chance.choice(('bytes=',) * 12 + ('bytes= ', 'Bytes=', 'bytes', 'bytes =', 'lines=', '', 'bytes=,', 'BYTES='))
    specs = [f'{chance.choice(NUMBERS)}{chance.choice(("-", "-", "-", "-", " - ", "--", ""))}{chance.choice(NUMBERS)}' for _ in range(chance.choice((1, 1, 1, 2, 3, 5)))]
    value = unit + chance.choice((',', ', ', ' ,', ',,')).join(specs)
    value = value.replace('= -', '=-').replace('=- ', '=-')    # where nothing stands before it, nginx takes no space
    target = chance.choice(('/f.txt', '/f.txt', '/one.txt', '/empty.txt', '/large.bin', '/max1/f.txt', '/max0/f.txt', '/proxy/x', '/slice/f.txt'))
    more = chance.choice(([], [], [], ['If-Range: "6553f100-3e8"'], ['If-Range: "x"'], ['If-Range: Tue, 14 Nov 2023 22:13:20 GMT'], ['Accept-Encoding: gzip']))
    method = chance.choice(('GET',) * 8 + ('HEAD', 'POST'))
    if 'proxy' in target:
        method = 'GET'    # of back ends' answers to HEAD nginx judges ranges that cannot be
    ranges.case(f'{n} {method} {target} {value} {more}'[:150], request(method, target, f'Range: {value}', 'Connection: close', *more), ANY)
test_ranges = ranges.tests()

# --- conditions, one at a time ----------------------------------------------------------------------------------------------

TAGS = ('"6553f100-3e8"', 'W/"6553f100-3e8"', '"x"', '*', '', '"', '""', '6553f100-3e8', '"x", "6553f100-3e8"', '"x","6553f100-3e8"', '"6553f100-3e8" , "x"', 'W/"x", W/"6553f100-3e8"', '"x" "6553f100-3e8"', ', "6553f100-3e8"',
        '"6553f100-3e8",', 'w/"6553f100-3e8"', '"a,b", "6553f100-3e8"', "'6553f100-3e8'", '"6553F100-3E8"', '*, "x"', '"x", *', '"\xe9", "6553f100-3e8"')
DATES = ('Tue, 14 Nov 2023 22:13:20 GMT', 'Tue, 14 Nov 2023 22:13:21 GMT', 'Tue, 14 Nov 2023 22:13:19 GMT', 'Tuesday, 14-Nov-23 22:13:20 GMT', 'Tue Nov 14 22:13:20 2023', 'Mon, 14 Nov 2023 22:13:20 GMT',
         'Thu, 01 Jan 2037 00:00:00 GMT', 'Thu, 01 Jan 1970 00:00:00 GMT')
conditions = Table('''
    root @root@;
    location / { }
    location /before/ { alias @root@/; if_modified_since before; }
    location /off/ { alias @root@/; if_modified_since off; }
    location /noetag/ { alias @root@/; etag off; }
    location /proxy/ { proxy_pass http://@backend@; }
    location /gzip/ { alias @root@/; gzip on; gzip_min_length 1; gzip_types text/plain; }
    location /expires/ { alias @root@/; expires 1h; add_header X-A b; }
''', http='types { text/plain txt; } proxy_http_version 1.1;', files={'f.txt': b'c' * 1000}, answer=response('behind', 'Last-Modified: Tue, 14 Nov 2023 22:13:20 GMT', 'ETag: "6553f100-3e8"'))
for where in ('/', '/before/', '/off/', '/noetag/', '/proxy/', '/gzip/', '/expires/'):
    for field in ('If-None-Match', 'If-Match'):
        for tag in TAGS:
            conditions.case(f'{where} {field} {tag}', get(f'{where}f.txt', f'{field}: {tag}', *(['Accept-Encoding: gzip'] if 'gzip' in where else [])), ANY)
    for field in ('If-Modified-Since', 'If-Unmodified-Since'):
        for date in DATES:
            conditions.case(f'{where} {field} {date}', get(f'{where}f.txt', f'{field}: {date}'), ANY)
            conditions.case(f'{where} HEAD {field} {date}', request('HEAD', f'{where}f.txt', f'{field}: {date}'), ANY)
    conditions.case(f'{where} POST', post(f'{where}f.txt', b'x', 'If-None-Match: *'), ANY)
test_conditions = conditions.tests()
