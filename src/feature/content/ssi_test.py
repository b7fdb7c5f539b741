"""ssi: all commands, however the page is cut; includes run beside each other."""
import threading
import time

from weirtest import Client, Table, chunked, get, request, response

HTML = 'Content-Type: text/html'
ssi = Table('''
    ssi on;
    root @root@;
    types { text/html html; text/plain txt; }
    location /back/ { proxy_pass http://@backend@; }
    location /page { proxy_pass http://@backend@/back/page; }
    location /silent { ssi_silent_errors on; ssi_min_file_chunk 2k; proxy_pass http://@backend@/back/page; }
    location /lm/ { ssi_last_modified on; root @root@; }
    location /types/ { ssi_types text/plain; root @root@; }
    location /off/ { ssi off; root @root@; }
    location /short { ssi_value_length 10; proxy_pass http://@backend@/back/page; }
    location = /uri { default_type text/html; return 200 "[$uri $args $request_uri $request_method]"; }
    location = /empty { return 204; }
    location = /error { return 500; }
    location = /moved { return 302 /uri; }
    location = /nested { default_type text/html; return 200 'n(<!--#include virtual="/uri?in=1" -->)'; }
    location = /loop { default_type text/html; return 200 'l<!--#include virtual="/loop" -->'; }
    location = /setter { default_type text/html; return 200 '<!--#set var="x" value="inner" -->'; }
    location = /echo { default_type text/html; return 200 '<!--#echo var="x" -->'; }
    location = /plain { default_type text/plain; return 200 '<!--#echo var="x" -->'; }
    location = /dead { proxy_pass http://@dead@; }
''', http='proxy_http_version 1.1;', files={'f.html': 'file', 'dir/rel.html': 'rel <!--#include virtual="other.html" -->', 'dir/other.html': 'other',
                                            'lm/f.html': 'a<!--#echo var="uri" -->b', 'types/f.txt': '<!--#echo var="uri" -->', 'types/f.html': '<!--#echo var="uri" -->',
                                            'off/f.html': '<!--#echo var="uri" -->', 'big.html': 'big' * 40000, 'f.txt': '<!--#echo var="uri" -->',
                                            'none.html': 'no command here', 'empty.html': ''})
PAGES = {
    'text': 'just text', 'echo': 'a<!--#echo var="uri" -->b', 'echo args': '<!--#echo var="args" default="none" -->', 'unknown var': '<!--#echo var="nope" -->',
    'default': '<!--#echo var="nope" default="dflt" -->', 'empty default': '[<!--#echo var="nope" default="" -->]', 'request_uri': '<!--#echo var="request_uri" -->',
    'upper': '<!--#echo var="REQUEST_METHOD" -->', 'field': '<!--#echo var="http_x_field" -->', 'arg': '<!--#echo var="arg_x" -->',
    'set': '<!--#set var="a" value="x&y<z>" --><!--#echo var="a" --> <!--#echo var="a" encoding="none" --> <!--#echo var="a" encoding="url" -->',
    'set var': '<!--#set var="a" value="1" --><!--#set var="b" value="[$a ${a}2 $nope \\$a]" --><!--#echo var="b" -->', 'url': '<!--#set var="a" value="a b/c?d=é\'%#" --><!--#echo var="a" encoding="url" -->',
    'include': 'a<!--#include virtual="/uri?x=y" -->b', 'include file': '<!--#include file="f.html" -->', 'relative': '<!--#include virtual="/dir/rel.html" -->',
    'two includes': '<!--#include virtual="/uri" --> and <!--#include virtual="/f.html" -->', 'variable': '<!--#set var="u" value="uri" --><!--#include virtual="/$u?$arg_x" -->',
    'wait': '<!--#include virtual="/setter" wait="yes" --><!--#echo var="x" -->', 'nested': '<!--#include virtual="/nested" -->', 'big': '<!--#include virtual="/big.html" -->',
    'set include': '<!--#include virtual="/uri" set="v" -->[<!--#echo var="v" -->]', 'set include empty': '<!--#include virtual="/empty" set="v" -->[<!--#echo var="v" -->]',
    'shared': '<!--#set var="x" value="outer" --><!--#include virtual="/echo" -->', 'plain is not searched': '<!--#include virtual="/plain" -->',
    'proxied': '<!--#include virtual="/back/one" wait="yes" --><!--#include virtual="/back/two" -->', 'empty include': '[<!--#include virtual="/empty" -->]',
    'stub': '<!--#block name="s" -->stub!<!--#endblock --><!--#include virtual="/empty" stub="s" --><!--#include virtual="/uri" stub="s" -->',
    'stub of an error': '<!--#block name="s" -->stub!<!--#endblock --><!--#include virtual="/error" stub="s" -->',
    'stub of a dead': '<!--#block name="s" -->stub!<!--#endblock --><!--#include virtual="/dead" stub="s" -->', 'stub of nothing': '<!--#include virtual="/empty" stub="none" -->x',
    'stub of missing': '<!--#block name="s" -->stub!<!--#endblock --><!--#include virtual="/none" stub="s" -->', 'unused block': 'a<!--#block name="s" -->stub!<!--#endblock -->b',
    'if': '<!--#if expr="$arg_x" -->yes<!--#else -->no<!--#endif -->.', 'if not': '<!--#if expr="$arg_nope" -->yes<!--#else -->no<!--#endif -->.',
    'if equal': '<!--#if expr="$arg_x = 1" -->one<!--#elif expr="$arg_x = 2" -->two<!--#else -->more<!--#endif -->', 'if unequal': '<!--#if expr="$arg_x != 2" -->not<!--#endif -->.',
    'if regex': '<!--#if expr="$arg_y = /^(b+)C/" -->match <!--#echo var="1" --><!--#endif -->.', 'if not regex': '<!--#if expr="$arg_y != /z/" -->no z<!--#endif -->.',
    'if named': '<!--#if expr="$arg_y = /(?P<who>b+)/" --><!--#echo var="who" --><!--#endif -->.', 'elif twice': '<!--#if expr="$arg_x = 9" -->9<!--#elif expr="$arg_x = 8" -->8<!--#elif expr="$arg_x = 2" -->2<!--#elif expr="$arg_x = 2" -->again<!--#else -->e<!--#endif -->.',
    'if with vars': '<!--#set var="t" value="2" --><!--#if expr="$arg_x = $t" -->same<!--#endif -->.', 'include in a branch': '<!--#if expr="$arg_nope" --><!--#include virtual="/uri" --><!--#else --><!--#include virtual="/f.html" --><!--#endif -->',
    'if in if': '<!--#if expr="$arg_x" -->a<!--#if expr="$arg_x" -->b<!--#endif -->c<!--#endif -->d', 'if spaces': '<!--#if expr="$arg_x  =  2" -->eq<!--#endif -->.',
    'else alone': 'a<!--#else -->b', 'endif alone': 'a<!--#endif -->b', 'elif alone': 'a<!--#elif expr="$x" -->b', 'bad regex': '<!--#if expr="$arg_x = /(/" -->x<!--#endif -->.',
    'bad expression': '<!--#if expr="x" -->x<!--#endif -->.', 'bad operator': '<!--#if expr="$arg_x > 1" -->x<!--#endif -->.', 'regex without end': '<!--#if expr="$arg_x = /a" -->x<!--#endif -->.',
    'unknown command': 'a<!--#nope -->b', 'unknown parameter': '<!--#echo nope="x" -->.', 'missing parameter': '<!--#echo default="x" -->.', 'no parameter': '<!--#include -->.',
    'both': '<!--#include virtual="/uri" file="f.html" -->.', 'unsafe': '<!--#include virtual="/../etc/passwd" -->.', 'unsafe 2': '<!--#include virtual="../../x" -->.',
    'errmsg': '<!--#config errmsg="oops" --><!--#nope -->.', 'quotes': "<!--#echo var='uri' -->", 'no space': '<!--#echo var="uri"-->.', 'spaces': '<!--#  echo   var = "uri"   -->.',
    'lines': '<!--#echo\n  var="uri"\n-->.', 'escaped quote': '<!--#set var="a" value="x\\"y" --><!--#echo var="a" -->', 'a comment': '<!-- not a command --><!--[if IE]><!-#echo -->', 'almost': '<<!<!-<!--<!--#echo var="uri" --><!--.',
    'long': '<!--#echo var="' + 'x' * 300 + '" -->.', 'short value': '<!--#echo var="a" default="01234567890" -->.', 'apostrophe': "it's <!--#echo var=\"uri\" --> isn't it", 'timefmt': '<!--#config timefmt="%%Y" --><!--#echo var="date_gmt" --> <!--#echo var="date_local" -->',
    'missing include': 'a<!--#include virtual="/none.txt" set="x" -->b', 'moved': '<!--#include virtual="/moved" set="x" -->[<!--#echo var="x" -->]',
    'many': '<!--#include virtual="/f.html" -->' * 150,
    'space in uri': '<!--#include virtual="/a%%20b" set="z" -->.'.replace('%%', '%'), 'dots': '<!--#include virtual="/dir/./other.html" -->', 'escapes': '<!--#set var="a" value="x\\\\y\\ny\\\'z" --><!--#echo var="a" encoding="none" -->', 'url set': '<!--#set var="a" value="<>[]^`{|}~;=?@:&,+()*!" --><!--#echo var="a" encoding="url" -->',
    'if text': '<!--#if expr="ABC = abc" -->y<!--#endif -->.', 'if slash': '<!--#if expr="$uri = \\/page" -->y<!--#endif -->.', 'if braces': '<!--#if expr="${arg_x}a = 2a" -->y<!--#endif -->.',
    'if two equals': '<!--#if expr="$arg_x == 2" -->y<!--#endif -->.', 'if case': '<!--#if expr="$uri = /PAGE/" -->y<!--#endif -->.', 'if empty': '<!--#if expr="" -->y<!--#endif -->.',
}


def page(name):
    text = PAGES[name].encode()

    def answer(q):
        if q.target.startswith('/back/page'):
            return response(text, HTML, 'ETag: "x"')
        return response(f'<{q.method} {q.target} {q.header("X-Field")}>', HTML)
    return answer


def pieces(name, size):
    text = PAGES[name].encode()

    def answer(q):
        if q.target.startswith('/back/page'):
            return chunked(*[text[i:i + size] for i in range(0, len(text), size)], headers=[HTML])
        return response(f'<{q.method} {q.target}>', HTML)
    return answer




for name in PAGES:
    ssi.case(name, get('/page?x=2&y=abbbCd', 'X-Field: <a&b>'), 200, page(name))
    if len(PAGES[name]) < 1000 and name != 'almost':    # cut there, nginx loses some of it
        ssi.case(f'{name}, byte by byte', get('/page?x=2&y=abbbCd'), 200, pieces(name, 1))
        ssi.case(f'{name}, by 7', get('/page?x=2&y=abbbCd'), 200, pieces(name, 7))
for name in ('unknown command', 'errmsg', 'else alone', 'bad regex'):
    ssi.case(f'{name}, silent', get('/silent'), 200, page(name))
ssi.case('short values', get('/short'), 200, page('short value'))
for path, status in (('f.html', 200), ('f.txt', 200), ('none.html', 200), ('empty.html', 200), ('dir/rel.html', 200), ('lm/f.html', 200), ('types/f.txt', 200),
                     ('types/f.html', 200), ('off/f.html', 200), ('big.html', 200), ('nested', 200)):
    ssi.case(f'file {path}', get('/' + path), status)
    ssi.case(f'{path} not modified', get('/' + path, 'If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT'), 200 if path == 'nested' else 304)
ssi.case('range', get('/lm/f.html', 'Range: bytes=0-1'))
ssi.case('HEAD', request('HEAD', '/lm/f.html'), weir=200, why='Transfer-Encoding is shown as it would be for GET')
ssi.case('pipelined', get('/page?x=2') + get('/nested') + get('/lm/f.html'), [200, 200, 200], page('two includes'))
test_ssi = ssi.tests()


def test_includes_run_beside_each_other(site):
    """Three slow parts take as long as one, and come in their order."""
    def slow(q):
        time.sleep({'a': 0.5, 'b': 0.3, 'c': 0.1}[q.target[-1]])
        return response(q.target[-1] * 3)
    backend = site.backend('backend', slow)
    site.file('p.html', '<!--#include virtual="/s/a" -->-<!--#include virtual="/s/b" -->-<!--#include virtual="/s/c" -->')
    server = site.server('ssi on; root @root@; types { text/html html; } location /s/ { proxy_pass http://@backend@; }')
    with Client(server.port) as c:
        begin = time.monotonic()
        assert c.ask(get('/p.html')).body == b'aaa-bbb-ccc'
        assert time.monotonic() - begin < 0.85
    assert len(backend.requests) == 3


def test_cycles_end(site):
    server = site.server("ssi on; location = /loop { default_type text/html; return 200 'l<!--#include virtual=\"/loop\" -->'; }")
    with Client(server.port) as c:
        r = c.ask(get('/loop'))
    assert r.status == 200 and r.body == b'l' * 51 + b'[an error occurred while processing the directive]'
    server.wait_error('error', 'subrequests cycle while processing "/loop"')


def test_many_includes(site):
    """More than may run at once, some of them slow: bounded and in order."""
    site.file('p.html', ''.join(f'<!--#include virtual="/s/{i}" -->,' for i in range(500)))
    site.backend('backend', lambda q: response(q.target[3:]))
    server = site.server('ssi on; root @root@; types { text/html html; } location /s/ { proxy_pass http://@backend@; }')
    with Client(server.port) as c:
        assert c.ask(get('/p.html')).text == ''.join(f'{i},' for i in range(500))


def test_an_include_that_is_cut(site):
    """The page began: the client must see that it is not whole."""
    site.file('p.html', 'begin <!--#include virtual="/s" --> end')
    from weirtest import Close
    site.backend('backend', lambda q: [b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf', Close()])
    server = site.server('ssi on; root @root@; types { text/html html; } location /s { proxy_pass http://@backend@; }')
    with Client(server.port) as c:
        c.send(get('/p.html'))
        c.read_to_end()
    assert b'half' in c.received and not c.received.endswith(b'0\r\n\r\n')


def test_client_leaves(site):
    """All that is under way for it ends."""
    hold, asked = threading.Event(), threading.Semaphore(0)

    def answer(q):
        asked.release()
        hold.wait(10)
        return response(b'x')
    site.backend('backend', answer)
    site.file('p.html', '<!--#include virtual="/s/1" --><!--#include virtual="/s/2" -->')
    server = site.server('ssi on; root @root@; types { text/html html; } location /s/ { proxy_pass http://@backend@; } location = /p.html { access_log @dir@/p.log s; } '
                         'location = /alive { return 204; }', http="access_log off; log_format s '$status';")
    c = Client(server.port)
    c.send(get('/p.html'))
    assert asked.acquire(timeout=5) and asked.acquire(timeout=5)
    c.close()
    server.wait_lines(1, 'p.log')
    hold.set()
    with Client(server.port) as c:
        assert c.ask(get('/alive')).status == 204


def test_errors_are_shown(site):
    site.file('p.html', 'a<!--#include virtual="/none" -->b')
    server = site.server('ssi on; root @root@; types { text/html html; }')
    with Client(server.port) as c:
        r = c.ask(get('/p.html'))
    assert r.status == 200 and r.text.startswith('a<html>') and '404 Not Found' in r.text and r.text.endswith('</html>\r\nb')


def test_date(site):
    site.file('p.html', '<!--#config timefmt="%s" --><!--#echo var="date_gmt" -->|<!--#config timefmt="%A %d-%b-%Y" --><!--#echo var="DATE_LOCAL" -->')
    server = site.server('ssi on; root @root@; types { text/html html; }')
    with Client(server.port) as c:
        seconds, day = c.ask(get('/p.html')).text.split('|')
    assert abs(int(seconds) - time.time()) < 100000 and day == time.strftime('%A %d-%b-%Y')


def test_commands_in_a_block(site):
    """They are carried out where the block stands for an include (in nginx only if that include is searched too)."""
    site.file('p.html', '<!--#block name="s" -->x <!--#echo var="uri" --> y<!--#endblock -->[<!--#include virtual="/empty" stub="s" -->]')
    server = site.server('ssi on; root @root@; types { text/html html; } location = /empty { return 204; }')
    with Client(server.port) as c:
        assert c.ask(get('/p.html')).body == b'[x /p.html y]'


def test_what_looks_like_a_command_at_the_end(site):
    site.file('p.html', 'text <!--')
    server = site.server('ssi on; root @root@; types { text/html html; }')
    with Client(server.port) as c:
        assert c.ask(get('/p.html')).body == b'text <!--'
