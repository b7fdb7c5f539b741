"""Requests cut at every byte position: nginx's status or a clean close, and no trace of it at the back end."""
import pytest

from weirtest import Client, Table, exchange, get, post, request, until

LOG = 'request=$request|status=$status'
SAMPLES = {
    'get': get('/path?q=1', 'X-Field: v'),
    'post': post('/path', b'0123456789'),
    'chunked': request('POST', '/path', chunks=[b'abc', b'defghij']),
    'old': b'GET / HTTP/1.0\r\n\r\n',
    'bare LF': b'GET / HTTP/1.1\nHost: x\n\n',
    'absolute': get('http://host.test:80/path'),
}

half = Table('location / { proxy_pass http://@backend@; proxy_http_version 1.1; }', log=LOG)
for name, data in SAMPLES.items():
    for at in range(len(data)):
        half.case(f'{name} cut at {at}', data[:at], None, half_close=True, sees=[])
test_half_closed = half.tests()

# The same after a whole request: the first must be answered.
second = Table('location / { return 200 "$uri"; }', log=LOG)
for name, data in SAMPLES.items():
    for at in range(1, len(data), 5):
        second.case(f'{name} cut at {at}', get('/first') + data[:at], [200], half_close=True)
test_second = second.tests()


@pytest.mark.parametrize('how', ['close', 'reset'])
def test_gone_at_every_byte(site, how):
    """Clients that vanish at each position leave nothing: no request at the back end, no descriptor, no worse log line."""
    server = site.server('location / { proxy_pass http://@backend@; }')
    assert exchange(server.port, get('/warm'))[0].status == 200
    site.backend().close_idle()
    until(lambda: not site.backend().busy(), 'the back end to be idle')
    before = server.settled_descriptors()
    for data in SAMPLES.values():
        for at in range(len(data)):
            c = Client(server.port)
            c.send(data[:at])
            c.close() if how == 'close' else c.reset()
    until(lambda: server.descriptors() <= before, f'descriptors to go back to {before}')
    assert [q.target for q in site.backend().requests if q.complete] == ['/warm']
    server.stop()
    assert not [line for line in server.errors() if line.level in ('error', 'crit', 'alert', 'emerg')]
