"""fastcgi_cache, scgi_cache, uwsgi_cache and proxy_cache against nginx, by the same table: what is kept, for how long, what each answer
says of it, and what of a Range is answered how."""
import re

from weirtest import Table, get, post, request

LOG = 'request=$request|status=$status|body_bytes_sent=$body_bytes_sent|cache=$upstream_cache_status|upstream_status=$upstream_status'
HTTP = '''
    KIND_cache_path @dir@/cache levels=1:2 keys_zone=one:1m;
    KIND_cache_path @dir@/two keys_zone=two:1m;
    KIND_param REQUEST_METHOD $request_method;
    KIND_param REQUEST_URI $request_uri;
    KIND_param HTTP_HOST $host;
    KIND_param CONTENT_LENGTH $content_length;
    add_header X-Cache $upstream_cache_status always;
    gzip_types text/plain;
    large_client_header_buffers 4 64k;
'''
CONF = '''
    KIND_cache one;
    KIND_cache_key "$request_method $request_uri";
    KIND_cache_valid 200 301 404 1h;
    location / { KIND_pass @KIND@; }
    location /uri/ { KIND_cache_key $uri; KIND_pass @KIND@; }
    location /methods/ { KIND_cache_methods GET POST; KIND_cache_key $request_uri; KIND_pass @KIND@; }
    location /post/ { KIND_cache_methods POST; KIND_pass @KIND@; }
    location /bypass/ { KIND_cache_key $uri; KIND_cache_bypass $arg_b $http_x_b; KIND_pass @KIND@; }
    location /no/ { KIND_cache_key $uri; KIND_no_cache $arg_n $http_x_n; KIND_pass @KIND@; }
    location /uses/ { KIND_cache_min_uses 3; KIND_pass @KIND@; }
    location /any/ { KIND_cache_valid any 1h; KIND_pass @KIND@; }
    location /several/ { KIND_cache_valid 500 503 1h; KIND_cache_valid 404 0; KIND_cache_valid any 1h; KIND_pass @KIND@; }
    location /short/ { KIND_cache_valid 1h; KIND_pass @KIND@; }
    location /ignore/ { KIND_ignore_headers Cache-Control Expires Set-Cookie Vary X-Accel-Expires; KIND_pass @KIND@; }
    location /ignorecc/ { KIND_ignore_headers Cache-Control; KIND_pass @KIND@; }
    location /ignoreaccel/ { KIND_ignore_headers X-Accel-Redirect X-Accel-Limit-Rate X-Accel-Buffering X-Accel-Charset; KIND_pass @KIND@; }
    location /hide/ { KIND_hide_header X-Hidden; KIND_pass_header X-Accel-Expires; KIND_pass @KIND@; }
    location /lock/ { KIND_cache_lock on; KIND_pass @KIND@; }
    location /off/ { KIND_cache off; KIND_pass @KIND@; }
    location /zone/ { KIND_cache $arg_zone; KIND_cache_key $uri; KIND_pass @KIND@; }
    location /gzip/ { gzip on; gzip_min_length 1; KIND_pass @KIND@; }
    location /range/ { KIND_force_ranges on; KIND_pass @KIND@; }
    location /offset/ { KIND_cache_max_range_offset 4; KIND_pass @KIND@; }
    location /intercept/ { KIND_intercept_errors on; error_page 404 = @gone; KIND_pass @KIND@; }
    location @gone { return 410 "gone"; }
    location /inside/ { internal; return 200 "inside $uri"; }
    location /unbuffered/ { KIND_buffering off; KIND_pass @KIND@; }
    location /store/ { KIND_store @dir@/stored$uri; KIND_pass @KIND@; }
    location /revalidate/ { KIND_cache_revalidate on; KIND_pass @KIND@; }
    location /vars/ { add_header X-Vars "$upstream_cache_status|$upstream_http_x_up|$upstream_status|$upstream_http_etag"; KIND_pass @KIND@; }
    location /sub/ { sub_filter_types text/plain; sub_filter body BODY; sub_filter_once off; KIND_pass @KIND@; }
    location /unsaid/ { KIND_cache_valid 404 1h; KIND_pass @KIND@; }
    location /never/ { KIND_no_cache 1; KIND_pass @KIND@; }
    location /around/ { KIND_cache_bypass 1; KIND_cache_max_range_offset 4; KIND_pass @KIND@; }
    location /dead/ { KIND_cache_valid any 1h; KIND_pass @dead@; }
'''
VALID = ('ETag: "e"', 'Last-Modified: Thu, 02 Jan 2020 03:04:05 GMT')
SAYS = (
    ('nothing',), ('max-age', 'Cache-Control: max-age=60'), ('max-age 0', 'Cache-Control: max-age=0'), ('no-cache', 'Cache-Control: no-cache'),
    ('no-store', 'Cache-Control: no-store'), ('private', 'Cache-Control: private'), ('s-maxage', 'Cache-Control: s-maxage=60, max-age=0'),
    ('max-age x', 'Cache-Control: max-age=x'), ('two lines', 'Cache-Control: public', 'Cache-Control: no-store'),
    ('expires past', 'Expires: Thu, 01 Jan 1970 00:00:00 GMT'), ('expires future', 'Expires: Thu, 01 Jan 2037 00:00:00 GMT'),
    ('expires 0', 'Expires: 0'), ('accel', 'X-Accel-Expires: 60'), ('accel 0', 'X-Accel-Expires: 0'), ('accel @', 'X-Accel-Expires: @4000000000'),
    ('accel wins', 'X-Accel-Expires: 60', 'Cache-Control: no-cache'), ('cookie', 'Set-Cookie: a=b'), ('vary *', 'Vary: *'),
    ('vary', 'Vary: Accept-Encoding'), ('pragma', 'Pragma: no-cache'), ('fields', 'X-A: 1', 'X-A: 2', *VALID), ('ranges', 'Accept-Ranges: bytes'),
    ('date', 'Date: Thu, 02 Jan 2020 03:04:05 GMT', 'Server: x'), ('encoding', 'Content-Encoding: gzip'), ('unbuffered', 'X-Accel-Buffering: no'),
    ('charset', 'X-Accel-Charset: koi8-r'), ('hidden', 'X-Hidden: 1', 'X-Powered-By: php'), ('location', 'Location: http://up/x'),
    ('stale', 'Cache-Control: max-age=60, stale-while-revalidate=60, stale-if-error=60'))


def page(*fields, body=b'body', status=None, length=True, kind='text/plain'):
    head = ([f'Status: {status}'] if status else []) + ([f'Content-Type: {kind}'] if kind else []) + list(fields)
    head += [f'Content-Length: {len(body)}'] if length else []
    return '\r\n'.join(head).encode() + b'\r\n\r\n' + body


def by_request(q):
    """What was asked for first is seen in what is kept."""
    return page('X-Up: up', *VALID, body=f'body of {q.method} {q.target}'.encode())


def http(answer, q):
    """What the application said, as a server of HTTP says it."""
    data = answer(q) if callable(answer) else answer
    status = re.match(rb'Status: ([^\r]*)\r\n', data)
    if status is None and b'Location:' in data.partition(b'\r\n\r\n')[0]:
        status = re.match(rb'(.*)', b'302 Found')
    return b'HTTP/1.1 ' + (status[1] if status else b'200 OK') + b'\r\n' + data[status.end() if status and data.startswith(b'Status') else 0:]


def language(q):
    return q.header('Accept-Language') or q.header('HTTP_ACCEPT_LANGUAGE') or '-'


def table_of(kind):
    backend = {'fastcgi': '@fcgi@', 'proxy': 'http://@backend@'}.get(kind, f'@{kind}@')
    conf, more = CONF.replace('@KIND@', backend), HTTP
    if kind == 'proxy':
        conf = conf.replace('_pass @dead@', '_pass http://@dead@')
        more = re.sub('KIND_param.*', '', more) + 'proxy_http_version 1.1;'
    table = Table(conf.replace('KIND', kind), log=LOG, http=more.replace('KIND', kind))

    def case(name, data, statuses, answer, **how):
        table.case(name, data, statuses, (lambda q: http(answer, q)) if kind == 'proxy' else answer, **how)

    for name, *fields in SAYS:
        path = '/says/' + name.replace(' ', '-')
        for where in ('/says', '/ignore', '/ignorecc', '/hide', '/any', '/gzip', '/unbuffered', '/revalidate'):
            data = get(path.replace('/says', where), 'Accept-Encoding: gzip')
            case(f'{where[1:]}: {name}', data * 2, ['any'] * 2, page(*fields))
    for code, reason in ((201, 'Created'), (204, 'No Content'), (206, 'Partial Content'), (301, 'Moved'), (302, 'Found'), (304, 'Not Modified'), (400, 'Bad'),
                         (403, 'No'), (404, 'Not Found'), (410, 'Gone'), (418, 'T'), (500, 'X'), (502, 'B'), (503, 'U')):
        for where in ('/', '/any/', '/several/', '/short/', '/intercept/'):
            wanted = 410 if where == '/intercept/' and code == 404 else code
            empty = code in (204, 304)
            case(f'{code} in {where}', get(f'{where}s{code}') * 2, [wanted] * 2,
                 page(status=f'{code} {reason}', body=b'' if empty else b'body', length=not empty, kind=None if empty else 'text/plain'))
    for name, data, statuses in (
            ('HEAD', request('HEAD', '/a') * 2, [200] * 2),
            ('GET, then HEAD', get('/uri/c') + request('HEAD', '/uri/c') * 2, [200] * 3), ('POST', post('/d', b'x') * 2, [200] * 2),
            ('POST kept', post('/post/d', b'x') * 2 + post('/post/d', b'y'), [200] * 3), ('GET, POST', get('/methods/e') + post('/methods/e', b'x') + get('/methods/e'), [200] * 3),
            ('PUT', request('PUT', '/f', body=b'x') * 2, [200] * 2), ('OPTIONS', request('OPTIONS', '/g') * 2, [200] * 2),
            ('query', get('/h?a') + get('/h?b') + get('/h?a'), [200] * 3), ('query not in key', get('/uri/h?a') + get('/uri/h?b'), [200] * 2),
            ('bypass', b''.join(get('/bypass/a' + q) for q in ('', '', '?b=1', '', '?b=0', '?b=', '?b=00', '')), [200] * 8),
            ('bypass by field', get('/bypass/b') + get('/bypass/b', 'X-B: yes') + get('/bypass/b'), [200] * 3),
            ('no_cache', b''.join(get('/no/a' + q) for q in ('?n=1', '?n=1', '?n=0', '', '?n=1')), [200] * 5),
            ('no_cache by field', get('/no/b', 'X-N: yes') * 2 + get('/no/b') * 2, [200] * 4),
            ('min_uses', get('/uses/a') * 5, [200] * 5), ('lock', get('/lock/a') * 3, [200] * 3), ('off', get('/off/a') * 2, [200] * 2),
            ('zones', b''.join(get('/zone/a?zone=' + z) for z in ('one', 'one', 'two', 'two', 'off', '', 'one')), [200] * 7),
            ('no such zone', get('/zone/b?zone=three'), [500]),
            ('variables', get('/vars/a') * 2, [200] * 2), ('gzip', get('/gzip/x', 'Accept-Encoding: gzip') * 2 + get('/gzip/x'), [200] * 3),
            ('store', get('/store/a') * 2, [200] * 2), ('sub_filter', get('/sub/a') * 2, [200] * 2)):
        case(name, data, statuses, by_request)
    how = dict(weir=[200] * 4, why='an answer to HEAD has no body: a GET is asked for again') if kind != 'proxy' else {}
    case('HEAD, then GET', request('HEAD', '/uri/b') + get('/uri/b') * 2 + request('HEAD', '/uri/b'), [200] * 4,
         lambda q: page(body=b'' if q.method == 'HEAD' else b'body'), **how)
    for name, *fields in (
            ('none match', 'If-None-Match: "e"'), ('none match other', 'If-None-Match: "x"'), ('modified since', 'If-Modified-Since: Thu, 02 Jan 2020 03:04:05 GMT'),
            ('modified before', 'If-Modified-Since: Thu, 02 Jan 2010 03:04:05 GMT'), ('range', 'Range: bytes=0-1'), ('range end', 'Range: bytes=-2'),
            ('ranges', 'Range: bytes=0-0,2-2'), ('if-range', 'Range: bytes=1-2', 'If-Range: "e"'), ('if-range other', 'Range: bytes=1-2', 'If-Range: "x"'),
            ('range far', 'Range: bytes=5-6'), ('range open', 'Range: bytes=5-'), ('range spaces', 'Range: bytes= 5 - 6'),
            ('range other unit', 'Range: chars=5-6'), ('range near, far', 'Range: bytes=3-3,7-7')):
        for where in ('', '/range', '/offset', '/gzip', '/unsaid', '/never', '/around', '/unbuffered', '/uses'):
            for more in ((), ('Accept-Ranges: bytes',)):
                path = f'{where}/cond/{name}{len(more)}'.replace(' ', '-')
                case(f'condition {name} {where} {len(more)}', get(path, *fields) * 3, ['any'] * 3, page(*VALID, *more, body=b'0123456789'))
    case('vary', b''.join(get('/v', *f) for f in (['Accept-Language: a'], ['Accept-Language: a'], ['Accept-Language: b'], [], ['Accept-Language: b'], [])), [200] * 6,
         lambda q: page('Vary: Accept-Language', body=language(q).encode()))
    case('vary of two', b''.join(get('/v2', *f) for f in (['A: 1'], ['B: 1'], ['A: 1', 'B: 1'], ['A: 1'], ['B: 1'])), [200] * 5, page('Vary: A, B'))
    case('empty', get('/empty') * 2, [200] * 2, page(body=b''))
    case('large', get('/large') * 2, [200] * 2, page(body=bytes(range(256)) * 1000))
    for name, answer in (('X-Accel-Redirect', page('X-Accel-Redirect: /inside/x', 'Cache-Control: max-age=60')),
                         ('X-Accel-Redirect, no-store', page('X-Accel-Redirect: /inside/x', 'Cache-Control: no-store')),
                         ('X-Accel-Limit-Rate', page('X-Accel-Limit-Rate: 100000'))):
        for where in ('/accel', '/ignoreaccel'):
            case(f'{name} {where}', get(f'{where}/{name}'.replace(' ', '-')) * 2, [200] * 2, answer)
    for name, *fields in (('no-store', 'Cache-Control: no-store'), ('cookie', 'Set-Cookie: a=b'), ('vary *', 'Vary: *')):
        for what, status, field in (('range', 206, 'Range: bytes=1-2'), ('condition', 304, 'If-None-Match: "e"')):
            case(f'{name}, {what}', get(f'/forbidden/{what}-{name}'.replace(' ', '-'), field) * 2, [200] * 2, page(*VALID, *fields, 'Accept-Ranges: bytes'),
                 weir=[status] * 2, why='the back end was not sent what the client wants: it is done here, kept or not')
    case('far, when it is there', get('/offset/there') + get('/offset/there', 'Range: bytes=7-8') + get('/offset/there', 'Range: bytes=-1') +
         get('/offset/there'), ['any'] * 4, page('Accept-Ranges: bytes', body=b'0123456789'))
    if kind != 'proxy':
        case('malformed', get('/bad') * 2, [502] * 2, b'no field at all\r\n\r\n')
    case('nobody there', get('/dead/a') * 2, [502] * 2, page())
    return table


test_scgi = table_of('scgi').tests()
test_uwsgi = table_of('uwsgi').tests()
test_fastcgi = table_of('fastcgi').tests()
test_proxy = table_of('proxy').tests()
