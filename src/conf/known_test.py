"""Every directive that nginx documents for these modules is there, or its module is one that weir says it will not have."""
import os
import re

import pytest

from weirtest import run

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

MODULES = '''CORE HTTP_ACCESS HTTP_ADDITION HTTP_AUTH_BASIC HTTP_AUTH_REQUEST HTTP_AUTOINDEX HTTP_BROWSER HTTP_CHARSET HTTP_CORE HTTP_DAV
    HTTP_EMPTY_GIF HTTP_FLV HTTP_GEO HTTP_GUNZIP HTTP_GZIP HTTP_GZIP_STATIC HTTP_HEADERS HTTP_INDEX HTTP_LIMIT_CONN HTTP_LIMIT_REQ HTTP_LOG
    HTTP_MAP HTTP_MEMCACHED HTTP_MIRROR HTTP_MP4 HTTP_RANDOM_INDEX HTTP_REALIP HTTP_REFERER HTTP_REWRITE HTTP_SECURE_LINK HTTP_SLICE HTTP_SPLIT_CLIENTS
    HTTP_SSI HTTP_STUB_STATUS HTTP_SUB HTTP_USERID'''.split()
NEVER = 'HTTP_F4F HTTP_GEOIP HTTP_HLS HTTP_IMAGE_FILTER HTTP_JS HTTP_PERL HTTP_XSLT GOOGLE_PERFTOOLS'.split()
ELSEWHERE = {
    'include': 'read by the parser itself',
    **{n: 'of other systems than Linux' for n in ('acceptex_read', 'devpoll_changes', 'devpoll_events', 'eventport_events', 'iocp_threads', 'kqueue_changes', 'kqueue_events', 'post_acceptex')},
    'memcached_force_ranges': 'only its documentation had it: values are given in parts anyway',
    'epoll_events': 'not documented', 'ssi_ignore_recycled_buffers': 'not documented',
}


def known():
    with open(os.path.join(HERE, 'known.c'), encoding='utf-8') as f:
        return re.findall(r'\{"([a-z0-9_]+)", M_([A-Z0-9_]+)\}', f.read())


def there():
    with open(os.path.join(ROOT, 'docs', 'directives.md'), encoding='utf-8') as f:
        return set(re.findall(r'(?m)^### ([a-z0-9_]+)$', f.read()))


@pytest.mark.weir_only('of weir')
def test_none_is_missing():
    rows, names = there(), [n for n, module in known() if module in MODULES]
    assert len(names) > 230 and {m for _, m in known()} >= set(MODULES + NEVER)
    assert [n for n in names if n not in rows and n not in ELSEWHERE] == []


@pytest.mark.weir_only('of weir')
@pytest.mark.parametrize('module', NEVER)
def test_what_will_not_be_there_says_what_is(site, module):
    name = next(n for n, m in known() if m == module)
    path = site.file('x.conf', 'events {} http { server { listen unix:%s/s; location / { %s x; } } }' % (site.directory, name))
    said = run('-t', '-c', path, '-e', 'stderr').stderr
    assert f'unknown directive "{name}"' in said and re.search(r"hint: weir does not have nginx's ngx_\w+_module: \w", said), said
    assert 'which weir does not have: ' in run('help', name).stdout


@pytest.mark.weir_only('since nginx 1.27.4')
@pytest.mark.parametrize('value, good', [('on', True), ('off', True), ('x', False)])
def test_newer_than_debian(site, value, good):
    path = site.file('x.conf', f'ssl_object_cache_inheritable {value}; events {{}} http {{ access_log off; server {{ listen unix:{site.directory}/s; }} }}')
    done = run('-t', '-c', path, '-e', 'stderr', '-g', f'pid {site.directory}/pid;')
    assert (done.returncode == 0) == good, done.stderr
