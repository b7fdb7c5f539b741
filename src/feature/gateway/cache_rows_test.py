"""What -t says of the cache's directives, of all families, as nginx says it."""
import re

import pytest
from weirtest import Verdicts, run

PATHS = '''
    F_cache_path @dir@/c keys_zone=a:1m;  F_cache_path @dir@/c keys_zone=a:1;  F_cache_path @dir@/c keys_zone=a:7k;
    F_cache_path @dir@/c keys_zone=a;  F_cache_path @dir@/c keys_zone=:1m;  F_cache_path @dir@/c;
    F_cache_path @dir@/c levels=1:2;  F_cache_path @dir@/c levels=1:2:3 keys_zone=a:1m;
    F_cache_path @dir@/c levels=1:2:2 keys_zone=a:1m;  F_cache_path @dir@/c levels=1:2:2:1 keys_zone=a:1m;
    F_cache_path @dir@/c levels=3 keys_zone=a:1m;  F_cache_path @dir@/c levels=1: keys_zone=a:1m;
    F_cache_path @dir@/c levels= keys_zone=a:1m;  F_cache_path @dir@/c keys_zone=a:1m use_temp_path=x;
    F_cache_path @dir@/c keys_zone=a:1m use_temp_path=off;  F_cache_path @dir@/c keys_zone=a:1m inactive=x;
    F_cache_path @dir@/c keys_zone=a:1m inactive=60m max_size=1g min_free=10m;
    F_cache_path @dir@/c keys_zone=a:1m max_size=x;  F_cache_path @dir@/c keys_zone=a:1m min_free=x;
    F_cache_path @dir@/c keys_zone=a:1m loader_files=x;  F_cache_path @dir@/c keys_zone=a:1m loader_sleep=x;
    F_cache_path @dir@/c keys_zone=a:1m loader_threshold=x;  F_cache_path @dir@/c keys_zone=a:1m manager_files=x;
    F_cache_path @dir@/c keys_zone=a:1m manager_sleep=x;  F_cache_path @dir@/c keys_zone=a:1m manager_threshold=x;
    F_cache_path @dir@/c keys_zone=a:1m loader_files=10 loader_sleep=1s loader_threshold=10ms manager_files=10 manager_sleep=10ms manager_threshold=20ms;
    F_cache_path @dir@/c keys_zone=a:1m bogus;
    F_cache_path @dir@/c keys_zone=a:1m; F_cache_path @dir@/d keys_zone=a:1m;
    F_cache_path @dir@/c keys_zone=a:1m; F_cache_path @dir@/c keys_zone=b:1m;
    F_cache nosuch;  F_cache off;  F_cache off; F_cache off;  F_cache "";  F_cache $host; F_cache_key a;
    F_cache_path @dir@/c keys_zone=a:1m; F_cache a; F_cache_key $uri;
    F_cache a; F_cache_key $uri; F_cache_path @dir@/c keys_zone=a:1m;
    F_cache_path @dir@/c keys_zone=a:1m; F_cache a; F_cache_key $uri; F_store on;
    F_cache_path @dir@/c keys_zone=a:1m; F_store on; F_cache a; F_cache_key $uri;
    F_cache_valid 200;  F_cache_valid 200 x;  F_cache_valid x 1m;  F_cache_valid 99 1m;  F_cache_valid 600 1m;
    F_cache_valid any 1m;  F_cache_valid 1m;  F_cache_valid any;  F_cache_valid 200 0;  F_cache_valid 200 404 1m;
    F_cache_methods GET;  F_cache_methods POST DELETE;  F_cache_methods OPTIONS;  F_cache_methods BOGUS;
    F_cache_min_uses 0;  F_cache_min_uses x;  F_cache_min_uses -1;
    F_cache_use_stale error off;  F_cache_use_stale denied;  F_cache_use_stale bogus;  F_cache_use_stale non_idempotent;
    F_cache_use_stale error timeout invalid_header updating http_500 http_503 http_403 http_404 http_429;
    F_cache_lock maybe;  F_cache_lock on;  F_cache_lock_age x;  F_cache_lock_timeout x;  F_cache_lock_age 1s;  F_cache_lock_timeout 1s;
    F_cache_max_range_offset x;  F_cache_max_range_offset 10;  F_cache_revalidate x;  F_cache_revalidate on;
    F_cache_background_update x;  F_cache_background_update on;
    F_cache_key a; F_cache_key b;  F_no_cache $arg_a;  F_no_cache;  F_cache_bypass;
    F_cache_bypass $arg_a; F_no_cache $arg_a; F_no_cache $arg_b;
'''
verdicts = Verdicts()
for family in ('proxy', 'fastcgi', 'uwsgi', 'scgi'):
    # Two spaces part the cases.
    for case in re.split(r'(?<=;)(?:  |\n) *', PATHS.strip()):
        verdicts.case(re.sub(r'\bF_', family + '_', case))
for case in ('proxy_cache_convert_head x;', 'proxy_cache_convert_head off;', 'proxy_cache_use_stale http_502 http_504;',
             'fastcgi_cache_path @dir@/c keys_zone=a:1m; proxy_cache a;',
             'proxy_cache_path @dir@/c keys_zone=a:1m; fastcgi_cache_path @dir@/d keys_zone=a:1m;',
             'fastcgi_cache_path @dir@/c keys_zone=a:1m; fastcgi_cache a;', 'server { if ($arg_a) { proxy_cache off; } }',
             'server { location / { if ($arg_a) { proxy_cache_bypass 1; } } }'):
    verdicts.case(case)
test_rows = verdicts.tests()

# Of the commercial nginx, whose documentation has them.
PAID = '''
    F_cache_purge $arg_purge;  F_cache_path @dir@/c keys_zone=a:1m purger=on purger_files=10 purger_sleep=50ms purger_threshold=50ms;
'''


@pytest.mark.weir_only('nginx has them in its commercial edition')
@pytest.mark.parametrize('family', ['proxy', 'fastcgi', 'uwsgi', 'scgi'])
def test_commercial_ones(site, family):
    text = PAID.replace('F_', family + '_').replace('@dir@', site.directory)
    r = run('-t', '-c', site.file('x.conf', 'events {} http { access_log off; %s server { } }' % text), '-e', 'stderr')
    assert r.returncode == 0, r.stderr
    r = run('-t', '-c', site.file('x.conf', 'events {} http { %s }' % text.replace('purger=on', 'purger=x')), '-e', 'stderr')
    assert 'invalid purger value "purger=x", it must be "on" or "off"' in r.stderr
