"""types and default_type: inheritance, and the mime.types that weir installs."""
import os
import re

import pytest

from weirtest import Table, Verdicts, exchange, get

OURS = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))), 'conf', 'mime.types')
THEIRS = '/etc/nginx/mime.types'

table = Table('''
    root @root@; types { text/x-server s shared; } default_type server/default;
    location / { }
    location /own/ { alias @root@/; types { text/x-own o shared; } location /own/in/ { alias @root@/; } }
    location /two/ { alias @root@/; types { a/b s; } types { c/d o; } }
    location /none/ { alias @root@/; types { } default_type x/y; }
    location /empty/ { alias @root@/; types { } default_type ''; }
    location /upper/ { alias @root@/; types { Text/Upper S; } }
    location /text/ { types { } default_type text/x-text; return 200 text; }
''', files={f'a.{e}': e for e in ('s', 'o', 'shared', 'S', 'unknown', 'tar.s')} | {'noext': '', 'dot.': '', '.s': ''}, http='default_type http/default;')
for where in ('', 'own/', 'own/in/', 'two/', 'none/', 'empty/', 'upper/'):
    for name in ('a.s', 'a.o', 'a.shared', 'a.S', 'a.unknown', 'a.tar.s', 'noext', 'dot.', '.s'):
        table.case(f'/{where}{name}', get(f'/{where}{name}'))
table.case('/text/a.s', get('/text/a.s'))
test_types = table.tests()


def extensions(path):
    with open(path) as f:
        return {e: m[1] for m in re.finditer(r'(?m)^\s+([\w./+-]+)\s+([^;{}]+);', f.read()) for e in m[2].split()}


def test_our_mime_types(site):
    """Each extension that Debian's nginx knows has its type; the file loads and answers."""
    ours = extensions(OURS)
    if os.path.exists(THEIRS):
        for extension, kind in extensions(THEIRS).items():
            assert ours.get(extension) == kind, extension
    for extension in ours:
        site.file(f'x.{extension}', extension)
    server = site.server(f'root @root@; include {OURS};')
    for extension, kind in ours.items():
        assert exchange(server.port, get(f'/x.{extension}'))[0].header('Content-Type') == kind, extension


verdicts = Verdicts()
for text in ('types { a/b c; d/e c; }', 'types { a/b; }', 'types a { }', 'types { a/b c { } }', 'default_type;', 'default_type a/b c;', 'types;'):
    verdicts.case(text)
test_verdicts = verdicts.tests()
