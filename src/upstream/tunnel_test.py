"""Tunnels: 101 Switching Protocols, bytes both ways, ends, time-outs, the log line, and what a quiet one costs."""
import re
import resource
import socket
import threading
import time

import pytest

from weirtest import (WEIR, Backend, Client, Close, Echo, Pause, Reset, ShutdownWrite, Table, UntilClosed, exchange, get, proc,
                      request, response, until)

SWITCH = (b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
          b'Sec-WebSocket-Accept: x\r\n\r\n')
ASK = ('Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Key: dGVzdA==', 'Sec-WebSocket-Version: 13')
MAGIC = 'proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";'
LOG = ("log_format t '$status $bytes_sent $body_bytes_sent $upstream_status $upstream_bytes_sent $upstream_bytes_received "
       "$upstream_response_length \"$request\" \"$http_user_agent\" $upstream_addr'; access_log @dir@/t.log t;")


def upgraded(server, *lines):
    client = Client(server.port)
    client.send(get('/ws', *(lines or ASK)))
    r = client.response()
    assert r.status == 101, r
    return client, r


def receive(client, data):
    """Exactly these bytes come next."""
    while len(client.received) - client.used < len(data):
        assert client.receive(), client.ended
    got = bytes(client.received[client.used:client.used + len(data)])
    assert got == data
    client.used += len(data)


# --- the handshake, as nginx has it --------------------------------------------------------------------------------------

def talk(*parts):
    """Sends the handshake, then each part, and waits for its echo; then FIN, and the rest."""
    def run(client):
        client.send(get('/', *ASK, 'User-Agent: t'))
        client.interim(101)
        for part in parts:
            seen = len(client.received)
            client.send_raw(part)
            until(lambda s=seen, n=len(part): len(client.received) >= s + n or not client.receive(), 'the echo')
        client.shutdown_write()
    return run


table = Table(f'location / {{ proxy_pass http://@backend@; {MAGIC} proxy_set_header Host $host; }}', answer=[SWITCH, Echo(), Close()],
              log='status=$status|request=$request|body_bytes_sent=$body_bytes_sent|us=$upstream_status|'
                  'ubr=$upstream_bytes_received|ubs=$upstream_bytes_sent|url=$upstream_response_length|agent=$http_user_agent|'
                  'length=$request_length|method=$request_method|uri=$uri|args=$args|host=$host|sent=$sent_http_upgrade|'
                  'got=$upstream_http_upgrade|addr=$remote_addr|user=$remote_user|cookie=$cookie_none')
table.case('echo', talk(b'hello', b'x' * 5000), 101)
table.case('nothing said', talk(), 101)
table.case('not upgraded', get('/', *ASK), 200, lambda q: response(b'no'))
table.case('refused', get('/', *ASK), 400, lambda q: response(b'no', status='400 Bad Request'))
table.case('no websocket asked', get('/'), 200, lambda q: response(b'plain'))
table.case('bytes behind the head', talk(), 101, [SWITCH + b'first', Echo(), Close()])
table.case('more fields', talk(b'abc'), 101, [SWITCH[:-2] + b'X-One: 1\r\nSet-Cookie: a=b\r\nServer: app\r\n\r\n', Echo(), Close()])
test_as_nginx = table.tests()


@pytest.mark.weir_only('nginx needs proxy_http_version 1.1 and two fields')
@pytest.mark.parametrize('conf', ['', 'proxy_set_header Connection "";', 'proxy_set_header X-A b;', 'proxy_buffering off;'])
def test_websocket_without_a_word(site, conf):
    site.backend(answer=[SWITCH, Echo(), Close()])
    server = site.server(f'location / {{ proxy_pass http://@backend@; {conf} }}')
    client, r = upgraded(server)
    assert r.header('Upgrade') == 'websocket' and r.header('Connection') == 'upgrade' and r.header('Sec-WebSocket-Accept') == 'x'
    client.send_raw(b'ping')
    receive(client, b'ping')
    client.close()
    q = site.backend().requests[0]
    assert q.header('Upgrade') == 'websocket' and q.header('Connection') == 'upgrade' and q.header('Sec-WebSocket-Version') == '13'


@pytest.mark.weir_only('nginx passes a 101 that it did not ask for')
@pytest.mark.parametrize('conf, lines', [
    ('proxy_set_header Upgrade "";', ASK), ('proxy_set_header Connection close;', ASK), ('proxy_http_version 1.0;', ASK),
    ('proxy_pass_request_headers off;', ASK), ('', ('Upgrade: h2c', 'Connection: Upgrade')), ('', ('Upgrade: websocket',)),
    ('', ('Connection: Upgrade',)), ('', ())])
def test_unasked(site, conf, lines):
    """Where the configuration says otherwise, or the client did not ask, nothing is asked, and a 101 is an error."""
    site.backend(answer=[SWITCH, UntilClosed()])
    server = site.server(f'location / {{ proxy_pass http://@backend@; {conf} }}')
    assert exchange(server.port, get('/', *lines))[0].status == 502
    assert not site.backend().requests[0].all('Upgrade')
    server.wait_error('error', 'upstream switched protocols without being asked to')


@pytest.mark.weir_only('nginx forwards them')
@pytest.mark.parametrize('data', [request('POST', '/', *ASK, body=b'abc'), request('GET', '/', *ASK, version='1.0')])
def test_no_tunnel_for_a_body_or_http_1_0(site, data):
    server = site.server(f'location / {{ proxy_pass http://@backend@; {MAGIC} }}')
    assert exchange(server.port, data)[0].status == 200
    assert not site.backend().requests[0].all('Upgrade')


# --- bytes and ends --------------------------------------------------------------------------------------------------------

def test_many_bytes_both_ways(site):
    """More than sockets hold, in both directions at once, with the client reading late."""
    site.backend(answer=[SWITCH, Echo(), Close()])
    server = site.server(f'location / {{ proxy_pass http://@backend@; {MAGIC} }}', http=LOG)
    data = bytes(range(256)) * (16 << 12)
    client, r = upgraded(server)
    sender = threading.Thread(target=client.send_raw, args=(data,))
    sender.start()
    time.sleep(0.2)
    receive(client, data)
    sender.join()
    client.close()
    line = server.wait_lines(1, 't.log')[0].split()
    assert line[0] == '101' and int(line[2]) == len(data) and int(line[1]) == len(data) + len(r.raw)


@pytest.mark.weir_only('nginx ends both directions with the first end')
@pytest.mark.parametrize('first', ['client', 'peer'])
def test_half_close(site, first):
    """One side's end reaches the other side as an end, and the other direction goes on."""
    last = b'last words' * 1000
    steps = [SWITCH, Echo(), last, Close()] if first == 'client' else [SWITCH, b'early', ShutdownWrite(), UntilClosed()]
    site.backend(answer=steps)
    server = site.server(f'location / {{ proxy_pass http://@backend@; {MAGIC} }}', http=LOG)
    client, _ = upgraded(server)
    if first == 'client':
        client.send_raw(b'one')
        receive(client, b'one')
        client.shutdown_write()
        receive(client, last)
        client.wait_closed()
        assert site.backend().requests[0].body == b'one'
    else:
        receive(client, b'early')
        assert not client.receive() and client.ended == 'eof'
        assert client.send_raw(b'still here') and not server.lines('t.log')
        client.shutdown_write()
    server.wait_lines(1, 't.log')


@pytest.mark.parametrize('steps', [[SWITCH, Close()], [SWITCH, Reset()], [SWITCH, b'bye', Close()]])
def test_the_peer_goes(site, steps):
    site.backend(answer=steps)
    server = site.server(f'location / {{ proxy_pass http://@backend@; {MAGIC} }}', http=LOG)
    with Client(server.port) as c:
        c.send(get('/ws', *ASK))
        if steps[1:] and isinstance(steps[1], Reset):
            c.read_to_end()
        else:
            assert c.response().status == 101
            assert c.read_to_end() == (b'bye' if len(steps) == 3 else b'')
            c.shutdown_write()
    assert server.wait_lines(1, 't.log')[0].startswith('101 ' if not isinstance(steps[1], Reset) else ('101 ', '502 ', '499 '))


def test_the_client_resets(site):
    site.backend(answer=[SWITCH, Echo(), Close()])
    server = site.server(f'location / {{ proxy_pass http://@backend@; {MAGIC} }}', http=LOG)
    client, _ = upgraded(server)
    client.send_raw(b'abc')
    receive(client, b'abc')
    client.reset()
    assert server.wait_lines(1, 't.log')[0].startswith('101 ')
    site.backend().settle()


def test_read_timeout(site):
    """proxy_read_timeout bounds the silence of both sides; any byte of either begins it again."""
    site.backend(answer=[SWITCH, Echo(), Close()])
    server = site.server(f'location / {{ proxy_pass http://@backend@; {MAGIC} proxy_read_timeout 800ms; }}', http=LOG, main='error_log @dir@/e.log info;')
    client, _ = upgraded(server)
    begin = time.monotonic()
    for _ in range(4):
        time.sleep(0.35)
        client.send_raw(b'.')
        receive(client, b'.')
    assert not client.receive() and client.ended == 'eof'
    assert time.monotonic() - begin > 4 * 0.35 + 0.7
    server.wait_lines(1, 't.log')
    line = server.wait_error('info', 'upstream timed out', 'e.log').message
    assert re.search(r'upstream timed out \(110: Connection timed out\) while proxying upgraded connection, client: 127.0.0.1, '
                     r'server: [^,]*, request: "GET /ws HTTP/1.1", upstream: "http://127.0.0.1:\d+/ws", host: "localhost"', line)


def test_bytes_sent_before_the_answer(site):
    """A client that is early: what it sent behind its request reaches the peer."""
    site.backend(answer=[Pause(0.1), SWITCH, Echo(), Close()])
    server = site.server(f'location / {{ proxy_pass http://@backend@; {MAGIC} }}')
    with Client(server.port) as c:
        c.send(get('/ws', *ASK) + b'early')
        c.interim(101)
        c.wait_for(b'\r\n\r\nearly')


@pytest.mark.weir_only('weir hands the peer back at the end')
def test_active_connections_are_counted(site):
    """max_conns counts tunnels, and no longer when they are gone."""
    site.backend(answer=[SWITCH, Echo(), Close()])
    server = site.server('location / { proxy_pass http://one; }', http='upstream one { server @backend@ max_conns=1; }')
    client, _ = upgraded(server)
    assert exchange(server.port, get('/'))[0].status == 502
    client.close()
    site.backend().settle()
    site.backend(answer=response(b'ok'))
    until(lambda: exchange(server.port, get('/'))[0].status == 200, 'the peer to be free')


def test_limit_conn_counts_tunnels(site):
    """A connection is limited as long as it is a tunnel, and no longer."""
    site.backend(answer=[SWITCH, Echo(), Close()])
    server = site.server(f'location / {{ limit_conn addr 1; proxy_pass http://@backend@; {MAGIC} }}',
                         http=f'limit_conn_zone $remote_addr zone=addr:1m; {LOG}')
    client, _ = upgraded(server)
    client.send_raw(b'abc')
    receive(client, b'abc')
    assert exchange(server.port, get('/'))[0].status == 503
    client.close()
    assert sorted(line[:4] for line in server.wait_lines(2, 't.log')) == ['101 ', '503 '], 'two threads, in any order'
    site.backend(answer=response(b'ok'))
    until(lambda: exchange(server.port, get('/'))[0].status == 200, 'the place to be free')


def test_stops_gracefully(site):
    """QUIT waits for tunnels, as nginx does; idle ones too."""
    site.backend(answer=[SWITCH, Echo(), Close()])
    server = site.server(f'location / {{ proxy_pass http://@backend@; {MAGIC} }}', http=LOG)
    client, _ = upgraded(server)
    server.send_signal(3)
    time.sleep(0.3)
    assert server.alive()
    client.send_raw(b'still')
    receive(client, b'still')
    client.close()
    server.stopped = True
    assert server.wait_exit() == 0
    assert server.lines('t.log')[0].startswith('101 ')


def test_all_log_variables_survive(site):
    """A line of a tunnel says what a line of a request would: values from before the tunnel and from its end."""
    site.backend(answer=[SWITCH, Echo(), Close()])
    server = site.server('location / { proxy_pass http://@backend@; ' + MAGIC + ' access_log @dir@/v.log v if=$arg_a; }',
                         http="access_log off; log_format v escape=json '$arg_b|$arg_a|$uri|$request_uri|$http_x_y|$remote_addr|$host|$status|$request_time|"
                              "$upstream_addr|$upstream_response_time|$upstream_http_sec_websocket_accept|$connection_requests|$request_length|"
                              "$http_none|$server_protocol|$request_method|$scheme|$body_bytes_sent|$sent_http_sec_websocket_accept|$time_iso8601';")
    with Client(server.port) as c:
        asked = get('/p%20q?a=7&b=8', *ASK, 'X-Y: yes')
        c.send(asked)
        c.interim(101)
        c.send_raw(b'12345')
        c.wait_for(b'12345')
        time.sleep(0.2)
    line = server.wait_lines(1, 'v.log')[0].split('|')
    assert line[:8] == ['8', '7', '/p q', '/p%20q?a=7&b=8', 'yes', '127.0.0.1', 'localhost', '101']
    assert float(line[8]) >= 0.2 and float(line[10]) >= 0.2 and line[9] == site.backend().address
    assert line[11:19] == ['x', '1', str(len(asked)), '', 'HTTP/1.1', 'GET', 'http', '5'] and line[19] == 'x' and line[20]


# --- what it costs ---------------------------------------------------------------------------------------------------------

def head_of(sock):
    """What comes up to an empty line; empty when the connection ends before."""
    data = b''
    while b'\r\n\r\n' not in data:
        more = sock.recv(65536)
        if not more:
            return b''
        data += more
    return data


class Peers:
    """A back end for thousands: answers 101 on each connection and keeps it, without a thread each."""

    def __init__(self, backend):
        import selectors
        self.selector = selectors.DefaultSelector()
        self.listener = backend.listener
        self.sockets = []
        self.stop = False
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        self.listener.settimeout(0.2)
        while not self.stop:
            try:
                s, _ = self.listener.accept()
            except (socket.timeout, OSError):
                continue
            s.settimeout(10)
            if head_of(s):
                s.sendall(SWITCH)
            self.sockets.append(s)


@pytest.mark.weir_only('a target of weir; nginx takes 22 KiB')
@pytest.mark.parametrize('most, conf', [
    (10000, 'proxy_pass http://@many@;'), (2000, 'limit_conn everybody 65535; proxy_pass http://@many@;'),
    (2000, 'set $where @many@; proxy_pass http://$where;')], ids=['plain', 'limit_conn', 'variables'])
def test_a_quiet_tunnel_costs_less_than_2_kib(site, most, conf):
    """User memory of the worker per quiet tunnel, over as many as descriptors allow, up to 10,000."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sanitizer = 'build-asan' in WEIR or 'build-tsan' in WEIR    # its memory is not ours
    n = 1000 if sanitizer else min(most, (hard - 500) // 2)
    backend = Backend(listen=False)
    site.backends['many'] = backend
    backend.listener = socket.socket()
    backend.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    backend.listener.bind(('127.0.0.1', backend.port))
    backend.listener.listen(4096)
    peers = Peers(backend)
    peers.thread.start()
    server = site.server('server { listen 127.0.0.1:@port@; location / { ' + conf + MAGIC + ' proxy_read_timeout 1h; } }',
                         workers=1, http='access_log @dir@/access.log; limit_conn_zone $host zone=everybody:1m;', main='events { worker_connections 65535; }')
    ask = get('/chat', *ASK, 'User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0',
              'Origin: http://chat.example.com', 'Accept: */*', 'Accept-Language: en-US,en;q=0.5', 'Cookie: session=0123456789abcdef',
              'Sec-WebSocket-Extensions: permessage-deflate', 'Pragma: no-cache', 'Cache-Control: no-cache')
    clients = []

    def open_some(count):
        for _ in range(count):
            s = socket.create_connection(('127.0.0.1', server.port), 15)
            s.sendall(ask)
            assert head_of(s).startswith(b'HTTP/1.1 101 ')
            clients.append(s)
    try:
        open_some(200)
        before = server.memory()['private']
        open_some(n - 200)
        time.sleep(1.5)    # stacks and blocks that nobody uses go back
        each = (server.memory()['private'] - before) / (n - 200)
        print(f'{each:.0f} bytes each over {n}')
        assert each <= 2048 or sanitizer
        for s in clients[::97]:    # they are still alive
            s.sendall(b'x')
        for s in peers.sockets[::97]:
            assert s.recv(1) == b'x'
    finally:
        peers.stop = True
        for s in clients + peers.sockets:
            s.close()
        peers.thread.join()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    server.wait_lines(n, 'access.log')
    assert proc.count_descriptors(server.processes()) < 200
