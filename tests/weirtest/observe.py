"""What one exchange looked like, as lines of text that two servers must agree on.

Allowed differences, all of them:

    Date                    must be a date of RFC 9110 in GMT; its value differs
    multipart boundaries    written @boundary@
    Expires                 near to Date is written as its distance from it
    Server                  must be there; its value differs, and so do the error pages made by the server, which end with
                            it: their length is counted without it
    own ports, directories  written @port@, @dir@, @client@ (the client's port): each server has its own
    chunk boundaries        the decoded body and the framing are compared
    Connection to backends  nginx 1.22 says "close" unless told otherwise, weir keeps connections (as nginx does since
                            1.29.7): a line "Connection: close" is left out unless the table says connection=True
    bytes in the log        $bytes_sent and $body_bytes_sent that equal what the client received are written @received@,
                            and so is $sent_http_content_length
    gzip                    bodies with Content-Encoding: gzip are compared decoded: compressors differ
    reason phrases          where nginx 1.22 has none for a status of its own, any will do

    Age                     weir says it of what its cache keeps by Cache-Control or Expires (RFC 9111 5.1), nginx never does: left
                            out where weir alone says it

ETag, Last-Modified, the order of fields and their spelling are compared as they are.
"""
import hashlib
import re
from email.utils import parsedate_to_datetime
import zlib

_DATE = re.compile(r'(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} '
                   r'\d\d:\d\d:\d\d GMT\Z')
_PAGE = re.compile(rb'<hr><center>([^<]*)</center>')


def show(data):
    """Bytes as lines that a person can read and that tell every byte."""
    if len(data) > 4096:
        digest = hashlib.sha256(data).hexdigest()[:16]
        return [f'({len(data)} bytes, sha256 {digest}) {bytes(data[:60])!r} .. {bytes(data[-60:])!r}']
    text = bytes(data).decode('latin-1').encode('unicode_escape').decode()
    return text.replace('\\n', '\\n\n').splitlines()


def same(reference, tested):
    """Do the lines of two outcomes agree?"""
    if not any(line.startswith('Age: ') for line in reference):
        tested = [line for line in tested if not line.startswith('Age: ')]
    return len(reference) == len(tested) and all(
        a == b or re.fullmatch(r'HTTP/1\.[01] \d{3} ', a) and b.startswith(a) for a, b in zip(reference, tested))


class Mask:
    """Replaces what is a server's own in bytes."""

    def __init__(self, names, client_port):
        pairs = [(str(value).encode(), f'@{name}@'.encode()) for name, value in names.items()]
        if client_port:
            pairs.append((str(client_port).encode(), b'@client@'))
        self.rules = [(re.compile(rb'(?<![0-9A-Za-z])' + re.escape(old) + rb'(?![0-9A-Za-z])'), new) for old, new in
                      sorted(pairs, key=lambda p: -len(p[0]))]

    def __call__(self, data):
        if isinstance(data, str):
            return self(data.encode('latin-1', 'backslashreplace')).decode('latin-1')
        for pattern, new in self.rules:
            data = pattern.sub(new, data)
        return data


def _distance(value, date):
    """"Date+3600": what a server makes of its clock; a date that is far away stays as it is."""
    seconds = int((parsedate_to_datetime(value) - parsedate_to_datetime(date)).total_seconds())
    return f'Date{seconds:+}' if abs(seconds) < 400 * 86400 else value


def _page_length(r, server):
    title = {302: 'Found', 401: 'Authorization Required'}.get(r.status, r.reason)
    return len(f'<html>\r\n<head><title>{r.status} {title}</title></head>\r\n<body>\r\n<center><h1>{r.status} {title}'
               f'</h1></center>\r\n<hr><center>{server}</center>\r\n</body>\r\n</html>\r\n')


def _decoded(r):
    """What a gzip body holds, or None when it is none or broken."""
    if [v.lower() for v in r.all('Content-Encoding')] != ['gzip'] or not r.body:
        return None
    try:
        plain, left = b'', r.body
        while left:
            z = zlib.decompressobj(31)
            plain += z.decompress(left) + z.flush()
            if not z.eof:
                return None
            left = z.unused_data
        return plain
    except zlib.error:
        return None


def response_lines(r, mask):
    lines = []
    for one in r.interim:
        lines.append(f'{one.version} {one.status} {one.reason}')
        lines += [f'{n}: {mask(v)}' for n, v in one.headers]
    lines.append(f'{r.version} {r.status} {r.reason}')
    plain = _decoded(r)
    body, saved = r.body if plain is None else plain, 0
    page = _PAGE.search(body) if r.status >= 300 else None
    server = (r.all('Server') or [''])[0]
    boundary = re.search(r'multipart/byteranges; boundary=(\d{20})\Z', (r.all('Content-Type') or [''])[0])
    if boundary:
        body = body.replace(boundary[1].encode(), b'@boundary@')
    if page:
        saved = len(page[1])
        body = body[:page.start(1)] + b'@server@' + body[page.end(1):]
    elif r.status >= 300 and not body and r.all('Content-Length') == [str(_page_length(r, server))]:
        saved = len(server)    # of HEAD
    for name, value in r.headers:
        if name == 'Date' and _DATE.match(value):
            value = '@date@'
        elif name == 'Content-Type' and boundary:
            value = value.replace(boundary[1], '@boundary@')
        elif name == 'Expires' and _DATE.match(value):
            value = _distance(value, (r.all('Date') or [value])[0])
        elif name == 'Server' and value:
            value = '@server@'
        elif name == 'Content-Length' and saved:
            value = f'{int(value) - saved} without @server@'
        lines.append(f'{name}: {mask(value)}')
    lines.append(f'({r.framing}{"" if r.complete else ", cut short"})')
    if plain is not None:
        lines.append('(gzip)')
    lines += show(mask(body))
    lines += [f'trailer {n}: {v}' for n, v in r.trailers]
    return lines


def backend_lines(requests, mask, connection):
    lines = []
    for q in requests:
        head, separator, rest = q.raw.partition(b'\r\n\r\n')
        head = head.split(b'\r\n')
        if not connection:
            head = [line for line in head if line.lower() != b'connection: close']
        lines.append(f'-- {q.backend.name} received{"" if q.complete else " (not to its end)"}')
        lines += show(mask(b'\r\n'.join(head) + separator))
        if q.framing is not None and (q.body or q.complete):
            lines += show(mask(q.body)) if q.body else []
        elif rest:
            lines += show(mask(rest))
    return lines


def log_lines(lines, responses, mask):
    """lines: of the access log, "name=value|name=value"."""
    found = []
    for i, line in enumerate(lines):
        fields = []
        for field in line.split('|'):
            name, equals, value = field.partition('=')
            if i < len(responses):
                r = responses[i]
                length = (r.all('Content-Length') or ['-'])[0]
                received = {'sent_http_content_length': length, 'bytes_sent': len(r.raw), 'body_bytes_sent': len(r.raw) - r.raw.find(b'\r\n\r\n') - 4}
                if name in received and value == str(received[name]):
                    value = '@received@'
            fields.append(name + equals + mask(value))
        found += ['-- access log'] + fields
    return found
