"""post_action: a request when one has ended."""
from weirtest import Client, get, post, until


def test_it_is_asked_after_the_answer(site):
    action = site.backend('action')
    server = site.server('''location / { post_action /done; proxy_pass http://@backend@; }
        location /file { post_action @named; root @root@; }
        location /off { post_action /done; location /off/in { post_action off; proxy_pass http://@backend@; } }
        location = /done { internal; proxy_pass http://@action@; proxy_set_header X-Sent $body_bytes_sent; proxy_set_header X-Completion $request_completion;
            proxy_set_header X-Uri $request_uri; }
        location @named { proxy_pass http://@action@; proxy_set_header X-Uri $request_uri; }''')
    site.file('file', 'content')
    with Client(server.port) as c:
        size = len(c.ask(get('/x?y')).body)
        assert c.ask(get('/file')).body == b'content'
        assert c.ask(get('/off/in')).status == 200
        assert c.ask(post('/z', b'body')).status == 200
    until(lambda: len(action.requests) == 3, 'the actions')
    first, second, third = action.requests
    assert first.target == '/done?y' and first.header('X-Uri') == '/x?y' and first.header('X-Sent') == str(size) and first.header('X-Completion') == 'OK'
    assert second.header('X-Uri') == '/file' and third.header('X-Uri') == '/z'


def test_its_failure_is_nobodys(site):
    server = site.server('location / { post_action /dead; return 200 fine; } location = /dead { proxy_pass http://@dead@; }')
    with Client(server.port) as c:
        for _ in range(3):
            assert c.ask(get('/')).text == 'fine'
