"""add_header_inherit and add_trailer_inherit (nginx 1.29.3): off, on, merge."""
import pytest

from weirtest import exchange, get

CONF = '''
    add_header A http; add_trailer T http;
    server { listen 127.0.0.1:@port@; add_header B server; add_trailer U server; %s
        location / { return 200 x; }
        location /own { add_header C own; add_trailer V own; return 200 x;
            location /own/in { return 200 x; }
            location /own/merge { add_header D in; add_header_inherit merge; add_trailer_inherit merge; return 200 x; } }
        location /off { add_header_inherit off; add_trailer_inherit off; return 200 x;
            location /off/in { return 200 x; }
            location /off/on { add_header_inherit on; add_trailer_inherit on; return 200 x; }
            location /off/own { add_header E e; add_trailer W w; return 200 x; } }
    }
'''
STANDARD = {'/': 'B U', '/own': 'C V', '/own/in': 'C V', '/own/merge': 'D C V', '/off': '', '/off/in': '', '/off/on': '',
            '/off/own': 'E W'}
MERGE = {'/': 'B A U T', '/own': 'C B A V U T', '/own/in': 'C B A V U T', '/own/merge': 'D C B A V U T', '/off': '', '/off/in': '',
         '/off/on': '', '/off/own': 'E W'}
OFF = {'/': '', '/own': 'C V', '/own/in': '', '/own/merge': 'D C V', '/off': '', '/off/in': '', '/off/on': '', '/off/own': 'E W'}
RULE = 'add_header_inherit {0}; add_trailer_inherit {0};'


@pytest.mark.weir_only('nginx has it since 1.29.3')
@pytest.mark.parametrize('rule, wanted', [('', STANDARD), (RULE.format('on'), STANDARD), (RULE.format('merge'), MERGE),
                                          (RULE.format('off'), OFF)], ids=['none', 'on', 'merge', 'off'])
def test_rules(site, rule, wanted):
    site.backend(answer=b'')
    server = site.server(CONF % rule)
    found = {}
    for path in wanted:
        r = exchange(server.port, get(path))[0]
        names = [n for n, _ in r.headers if len(n) == 1] + [n for n, _ in r.trailers]
        found[path] = ' '.join(names)
    assert found == wanted
