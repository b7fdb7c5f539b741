"""The response cache against nginx: the same requests, and what each answer says of the cache."""
from weirtest import Close, Table, chunked, get, post, request, response

HTTP = '''
    proxy_cache_path @dir@/cache levels=1:2 keys_zone=one:1m;
    proxy_http_version 1.1;
    add_header X-Cache $upstream_cache_status always;
'''
LOG = 'request=$request|status=$status|body_bytes_sent=$body_bytes_sent|cache=$upstream_cache_status|upstream_status=$upstream_status'


def same(*headers, body=b'body', status='200 OK', length=True):
    return lambda q: response(body, *headers, status=status, length=length)


table = Table('location / { proxy_cache one; proxy_cache_valid 200 301 404 1h; proxy_pass http://@backend@; }', http=HTTP, log=LOG)


def twice(name, data, *headers, body=b'body', status=200, reason='OK', times=2, **how):
    table.case(name, data * times, [status] * times, same(*headers, body=body, status=f'{status} {reason}'), **how)


twice('plain', get('/plain'))
twice('query', get('/query?a=b'))
twice('HEAD', request('HEAD', '/head'))
table.case('HEAD, then GET', request('HEAD', '/head2') + get('/head2'), [200, 200], same())
table.case('GET, then HEAD', get('/head3') + request('HEAD', '/head3'), [200, 200], same())
twice('POST', post('/post', b'x'))
twice('404', get('/404'), status=404, reason='Not Found')
twice('301', get('/301'), 'Location: /x', status=301, reason='Moved Permanently')
twice('302 is not', get('/302'), 'Location: /x', status=302, reason='Found')
twice('500 is not', get('/500'), status=500, reason='X')
twice('empty', get('/empty'), body=b'')
twice('large', get('/large'), body=bytes(range(256)) * 1000)
table.case('204', get('/204') * 2, [204, 204], lambda q: response(b'', 'Cache-Control: max-age=9', status='204 No Content', length=False))
for name, *headers in (
        ('max-age', 'Cache-Control: max-age=60'), ('max-age 0', 'Cache-Control: max-age=0'), ('no-cache', 'Cache-Control: no-cache'),
        ('no-store', 'Cache-Control: no-store'), ('private', 'Cache-Control: private'), ('public', 'Cache-Control: public'),
        ('s-maxage 0', 'Cache-Control: s-maxage=0, max-age=60'), ('max-age x', 'Cache-Control: max-age=x'),
        ('expires past', 'Expires: Thu, 01 Jan 1970 00:00:00 GMT'), ('expires future', 'Expires: Thu, 01 Jan 2037 00:00:00 GMT'),
        ('expires 0', 'Expires: 0'), ('accel', 'X-Accel-Expires: 60'), ('accel 0', 'X-Accel-Expires: 0'),
        ('accel @', 'X-Accel-Expires: @4000000000'), ('accel wins', 'X-Accel-Expires: 60', 'Cache-Control: no-cache'),
        ('cookie', 'Set-Cookie: a=b'), ('vary *', 'Vary: *'), ('vary', 'Vary: Accept-Encoding'), ('pragma', 'Pragma: no-cache'),
        ('fields', 'X-A: 1', 'X-A: 2', 'Content-Type: text/x', 'ETag: "e"', 'Last-Modified: Thu, 02 Jan 2020 03:04:05 GMT'),
        ('unbuffered', 'X-Accel-Buffering: no'), ('ranges', 'Accept-Ranges: bytes'),
        ('date', 'Date: Thu, 02 Jan 2020 03:04:05 GMT', 'Server: x'), ('encoding', 'Content-Encoding: gzip'),
):
    twice('says ' + name, get('/says/' + name.replace(' ', '-')), *headers)
table.case('chunked', get('/chunked') * 2, [200, 200], lambda q: chunked(b'abc'),
           weir=[200, 200], why='a length that is known is said')
table.case('until close', get('/close') * 2, [200, 200], lambda q: [same(length=False)(q), Close()],
           weir=[200, 200], why='a length that is known is said')
table.case('cut short', get('/cut', 'Connection: close') , [200], lambda q: [b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc', Close()])
table.case('vary, two', get('/v', 'Accept-Language: a') * 2 + get('/v', 'Accept-Language: b') * 2 + get('/v', 'Accept-Language: a') + get('/v'),
           [200] * 6, lambda q: response((q.header('Accept-Language') or '-').encode(), 'Vary: Accept-Language'))
VALID = ('ETag: "e"', 'Last-Modified: Thu, 02 Jan 2020 03:04:05 GMT')
for name, *fields in (
        ('none match', 'If-None-Match: "e"'), ('none match other', 'If-None-Match: "x"'),
        ('modified since', 'If-Modified-Since: Thu, 02 Jan 2020 03:04:05 GMT'), ('match other', 'If-Match: "x"'),
        ('range', 'Range: bytes=0-1'), ('range end', 'Range: bytes=-2'), ('ranges', 'Range: bytes=0-0,2-2'),
        ('range beyond', 'Range: bytes=100-'), ('if-range', 'Range: bytes=1-2', 'If-Range: "e"'),
        ('if-range other', 'Range: bytes=1-2', 'If-Range: "x"'), ('ranges backwards', 'Range: bytes=2-2,0-0')):
    for more in ((), ('Accept-Ranges: bytes',)):
        how = {'match other': dict(weir=[412] * 3, why='nginx closes the connection although it says keep-alive')}.get(name, {})
        if name == 'range beyond' and more:
            how = dict(weir=[416] * 3, why='nginx does not keep what it answered with 416')
        uri = '/cond/' + (name + str(len(more))).replace(' ', '-')
        data = get(uri, *fields)
        table.case(f'condition {name} {len(more)}', data * 3, ['any'] * 3, same(*VALID, *more, body=b'0123456789'), **how)
test_cache = table.tests()

