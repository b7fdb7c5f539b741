"""What -t says of the cache's directives, of all families, as nginx says it."""
import re

import pytest
from weirtest import Verdicts, run

CASES = '''
    proxy_cache_path @dir@/c keys_zone=a:1m;  proxy_cache_path @dir@/c keys_zone=a:1;
    proxy_cache_path @dir@/c keys_zone=a:7k;  proxy_cache_path @dir@/c keys_zone=a;
    proxy_cache_path @dir@/c keys_zone=:1m;  proxy_cache_path @dir@/c;  proxy_cache_path @dir@/c levels=1:2;
    proxy_cache_path @dir@/c levels=1:2:3 keys_zone=a:1m;  proxy_cache_path @dir@/c levels=1:2:2 keys_zone=a:1m;
    proxy_cache_path @dir@/c levels=1:2:2:1 keys_zone=a:1m;  proxy_cache_path @dir@/c levels=3 keys_zone=a:1m;
    proxy_cache_path @dir@/c levels=1: keys_zone=a:1m;  proxy_cache_path @dir@/c levels= keys_zone=a:1m;
    proxy_cache_path @dir@/c keys_zone=a:1m use_temp_path=x;
    proxy_cache_path @dir@/c keys_zone=a:1m use_temp_path=off;  proxy_cache_path @dir@/c keys_zone=a:1m inactive=x;
    proxy_cache_path @dir@/c keys_zone=a:1m inactive=60m max_size=1g min_free=10m;
    proxy_cache_path @dir@/c keys_zone=a:1m max_size=x;  proxy_cache_path @dir@/c keys_zone=a:1m min_free=x;
    proxy_cache_path @dir@/c keys_zone=a:1m loader_files=x;  proxy_cache_path @dir@/c keys_zone=a:1m loader_sleep=x;
    proxy_cache_path @dir@/c keys_zone=a:1m loader_threshold=x;
    proxy_cache_path @dir@/c keys_zone=a:1m manager_files=x;  proxy_cache_path @dir@/c keys_zone=a:1m manager_sleep=x;
    proxy_cache_path @dir@/c keys_zone=a:1m manager_threshold=x;
    proxy_cache_path @dir@/c keys_zone=a:1m loader_files=10 loader_sleep=1s loader_threshold=10ms manager_files=10 manager_sleep=10ms manager_threshold=20ms;
    proxy_cache_path @dir@/c keys_zone=a:1m bogus;
    proxy_cache_path @dir@/c keys_zone=a:1m; proxy_cache_path @dir@/d keys_zone=a:1m;
    proxy_cache_path @dir@/c keys_zone=a:1m; proxy_cache_path @dir@/c keys_zone=b:1m;  proxy_cache nosuch;
    proxy_cache off;  proxy_cache off; proxy_cache off;  proxy_cache "";  proxy_cache $host; proxy_cache_key a;
    proxy_cache_path @dir@/c keys_zone=a:1m; proxy_cache a; proxy_cache_key $uri;
    proxy_cache a; proxy_cache_key $uri; proxy_cache_path @dir@/c keys_zone=a:1m;
    proxy_cache_path @dir@/c keys_zone=a:1m; proxy_cache a; proxy_cache_key $uri; proxy_store on;
    proxy_cache_path @dir@/c keys_zone=a:1m; proxy_store on; proxy_cache a; proxy_cache_key $uri;
    proxy_cache_valid 200;  proxy_cache_valid 200 x;  proxy_cache_valid x 1m;  proxy_cache_valid 99 1m;
    proxy_cache_valid 600 1m;  proxy_cache_valid any 1m;  proxy_cache_valid 1m;  proxy_cache_valid any;
    proxy_cache_valid 200 0;  proxy_cache_valid 200 404 1m;  proxy_cache_methods GET;
    proxy_cache_methods POST DELETE;  proxy_cache_methods OPTIONS;  proxy_cache_methods BOGUS;
    proxy_cache_min_uses 0;  proxy_cache_min_uses x;  proxy_cache_min_uses -1;  proxy_cache_use_stale error off;
    proxy_cache_use_stale denied;  proxy_cache_use_stale bogus;  proxy_cache_use_stale non_idempotent;
    proxy_cache_use_stale error timeout invalid_header updating http_500 http_503 http_403 http_404 http_429;
    proxy_cache_lock maybe;  proxy_cache_lock on;  proxy_cache_lock_age x;  proxy_cache_lock_timeout x;
    proxy_cache_lock_age 1s;  proxy_cache_lock_timeout 1s;  proxy_cache_max_range_offset x;
    proxy_cache_max_range_offset 10;  proxy_cache_revalidate x;  proxy_cache_revalidate on;
    proxy_cache_background_update x;  proxy_cache_background_update on;  proxy_cache_key a; proxy_cache_key b;
    proxy_no_cache $arg_a;  proxy_no_cache;  proxy_cache_bypass;
    proxy_cache_bypass $arg_a; proxy_no_cache $arg_a; proxy_no_cache $arg_b;
    fastcgi_cache_path @dir@/c keys_zone=a:1m;  fastcgi_cache_path @dir@/c keys_zone=a:1;
    fastcgi_cache_path @dir@/c keys_zone=a:7k;  fastcgi_cache_path @dir@/c keys_zone=a;
    fastcgi_cache_path @dir@/c keys_zone=:1m;  fastcgi_cache_path @dir@/c;  fastcgi_cache_path @dir@/c levels=1:2;
    fastcgi_cache_path @dir@/c levels=1:2:3 keys_zone=a:1m;  fastcgi_cache_path @dir@/c levels=1:2:2 keys_zone=a:1m;
    fastcgi_cache_path @dir@/c levels=1:2:2:1 keys_zone=a:1m;  fastcgi_cache_path @dir@/c levels=3 keys_zone=a:1m;
    fastcgi_cache_path @dir@/c levels=1: keys_zone=a:1m;  fastcgi_cache_path @dir@/c levels= keys_zone=a:1m;
    fastcgi_cache_path @dir@/c keys_zone=a:1m use_temp_path=x;
    fastcgi_cache_path @dir@/c keys_zone=a:1m use_temp_path=off;
    fastcgi_cache_path @dir@/c keys_zone=a:1m inactive=x;
    fastcgi_cache_path @dir@/c keys_zone=a:1m inactive=60m max_size=1g min_free=10m;
    fastcgi_cache_path @dir@/c keys_zone=a:1m max_size=x;  fastcgi_cache_path @dir@/c keys_zone=a:1m min_free=x;
    fastcgi_cache_path @dir@/c keys_zone=a:1m loader_files=x;
    fastcgi_cache_path @dir@/c keys_zone=a:1m loader_sleep=x;
    fastcgi_cache_path @dir@/c keys_zone=a:1m loader_threshold=x;
    fastcgi_cache_path @dir@/c keys_zone=a:1m manager_files=x;
    fastcgi_cache_path @dir@/c keys_zone=a:1m manager_sleep=x;
    fastcgi_cache_path @dir@/c keys_zone=a:1m manager_threshold=x;
    fastcgi_cache_path @dir@/c keys_zone=a:1m loader_files=10 loader_sleep=1s loader_threshold=10ms manager_files=10 manager_sleep=10ms manager_threshold=20ms;
    fastcgi_cache_path @dir@/c keys_zone=a:1m bogus;
    fastcgi_cache_path @dir@/c keys_zone=a:1m; fastcgi_cache_path @dir@/d keys_zone=a:1m;
    fastcgi_cache_path @dir@/c keys_zone=a:1m; fastcgi_cache_path @dir@/c keys_zone=b:1m;  fastcgi_cache nosuch;
    fastcgi_cache off;  fastcgi_cache off; fastcgi_cache off;  fastcgi_cache "";
    fastcgi_cache $host; fastcgi_cache_key a;
    fastcgi_cache_path @dir@/c keys_zone=a:1m; fastcgi_cache a; fastcgi_cache_key $uri;
    fastcgi_cache a; fastcgi_cache_key $uri; fastcgi_cache_path @dir@/c keys_zone=a:1m;
    fastcgi_cache_path @dir@/c keys_zone=a:1m; fastcgi_cache a; fastcgi_cache_key $uri; fastcgi_store on;
    fastcgi_cache_path @dir@/c keys_zone=a:1m; fastcgi_store on; fastcgi_cache a; fastcgi_cache_key $uri;
    fastcgi_cache_valid 200;  fastcgi_cache_valid 200 x;  fastcgi_cache_valid x 1m;  fastcgi_cache_valid 99 1m;
    fastcgi_cache_valid 600 1m;  fastcgi_cache_valid any 1m;  fastcgi_cache_valid 1m;  fastcgi_cache_valid any;
    fastcgi_cache_valid 200 0;  fastcgi_cache_valid 200 404 1m;  fastcgi_cache_methods GET;
    fastcgi_cache_methods POST DELETE;  fastcgi_cache_methods OPTIONS;  fastcgi_cache_methods BOGUS;
    fastcgi_cache_min_uses 0;  fastcgi_cache_min_uses x;  fastcgi_cache_min_uses -1;
    fastcgi_cache_use_stale error off;  fastcgi_cache_use_stale denied;  fastcgi_cache_use_stale bogus;
    fastcgi_cache_use_stale non_idempotent;
    fastcgi_cache_use_stale error timeout invalid_header updating http_500 http_503 http_403 http_404 http_429;
    fastcgi_cache_lock maybe;  fastcgi_cache_lock on;  fastcgi_cache_lock_age x;  fastcgi_cache_lock_timeout x;
    fastcgi_cache_lock_age 1s;  fastcgi_cache_lock_timeout 1s;  fastcgi_cache_max_range_offset x;
    fastcgi_cache_max_range_offset 10;  fastcgi_cache_revalidate x;  fastcgi_cache_revalidate on;
    fastcgi_cache_background_update x;  fastcgi_cache_background_update on;  fastcgi_cache_key a; fastcgi_cache_key b;
    fastcgi_no_cache $arg_a;  fastcgi_no_cache;  fastcgi_cache_bypass;
    fastcgi_cache_bypass $arg_a; fastcgi_no_cache $arg_a; fastcgi_no_cache $arg_b;
    uwsgi_cache_path @dir@/c keys_zone=a:1m;  uwsgi_cache_path @dir@/c keys_zone=a:1;
    uwsgi_cache_path @dir@/c keys_zone=a:7k;  uwsgi_cache_path @dir@/c keys_zone=a;
    uwsgi_cache_path @dir@/c keys_zone=:1m;  uwsgi_cache_path @dir@/c;  uwsgi_cache_path @dir@/c levels=1:2;
    uwsgi_cache_path @dir@/c levels=1:2:3 keys_zone=a:1m;  uwsgi_cache_path @dir@/c levels=1:2:2 keys_zone=a:1m;
    uwsgi_cache_path @dir@/c levels=1:2:2:1 keys_zone=a:1m;  uwsgi_cache_path @dir@/c levels=3 keys_zone=a:1m;
    uwsgi_cache_path @dir@/c levels=1: keys_zone=a:1m;  uwsgi_cache_path @dir@/c levels= keys_zone=a:1m;
    uwsgi_cache_path @dir@/c keys_zone=a:1m use_temp_path=x;
    uwsgi_cache_path @dir@/c keys_zone=a:1m use_temp_path=off;  uwsgi_cache_path @dir@/c keys_zone=a:1m inactive=x;
    uwsgi_cache_path @dir@/c keys_zone=a:1m inactive=60m max_size=1g min_free=10m;
    uwsgi_cache_path @dir@/c keys_zone=a:1m max_size=x;  uwsgi_cache_path @dir@/c keys_zone=a:1m min_free=x;
    uwsgi_cache_path @dir@/c keys_zone=a:1m loader_files=x;  uwsgi_cache_path @dir@/c keys_zone=a:1m loader_sleep=x;
    uwsgi_cache_path @dir@/c keys_zone=a:1m loader_threshold=x;
    uwsgi_cache_path @dir@/c keys_zone=a:1m manager_files=x;  uwsgi_cache_path @dir@/c keys_zone=a:1m manager_sleep=x;
    uwsgi_cache_path @dir@/c keys_zone=a:1m manager_threshold=x;
    uwsgi_cache_path @dir@/c keys_zone=a:1m loader_files=10 loader_sleep=1s loader_threshold=10ms manager_files=10 manager_sleep=10ms manager_threshold=20ms;
    uwsgi_cache_path @dir@/c keys_zone=a:1m bogus;
    uwsgi_cache_path @dir@/c keys_zone=a:1m; uwsgi_cache_path @dir@/d keys_zone=a:1m;
    uwsgi_cache_path @dir@/c keys_zone=a:1m; uwsgi_cache_path @dir@/c keys_zone=b:1m;  uwsgi_cache nosuch;
    uwsgi_cache off;  uwsgi_cache off; uwsgi_cache off;  uwsgi_cache "";  uwsgi_cache $host; uwsgi_cache_key a;
    uwsgi_cache_path @dir@/c keys_zone=a:1m; uwsgi_cache a; uwsgi_cache_key $uri;
    uwsgi_cache a; uwsgi_cache_key $uri; uwsgi_cache_path @dir@/c keys_zone=a:1m;
    uwsgi_cache_path @dir@/c keys_zone=a:1m; uwsgi_cache a; uwsgi_cache_key $uri; uwsgi_store on;
    uwsgi_cache_path @dir@/c keys_zone=a:1m; uwsgi_store on; uwsgi_cache a; uwsgi_cache_key $uri;
    uwsgi_cache_valid 200;  uwsgi_cache_valid 200 x;  uwsgi_cache_valid x 1m;  uwsgi_cache_valid 99 1m;
    uwsgi_cache_valid 600 1m;  uwsgi_cache_valid any 1m;  uwsgi_cache_valid 1m;  uwsgi_cache_valid any;
    uwsgi_cache_valid 200 0;  uwsgi_cache_valid 200 404 1m;  uwsgi_cache_methods GET;
    uwsgi_cache_methods POST DELETE;  uwsgi_cache_methods OPTIONS;  uwsgi_cache_methods BOGUS;
    uwsgi_cache_min_uses 0;  uwsgi_cache_min_uses x;  uwsgi_cache_min_uses -1;  uwsgi_cache_use_stale error off;
    uwsgi_cache_use_stale denied;  uwsgi_cache_use_stale bogus;  uwsgi_cache_use_stale non_idempotent;
    uwsgi_cache_use_stale error timeout invalid_header updating http_500 http_503 http_403 http_404 http_429;
    uwsgi_cache_lock maybe;  uwsgi_cache_lock on;  uwsgi_cache_lock_age x;  uwsgi_cache_lock_timeout x;
    uwsgi_cache_lock_age 1s;  uwsgi_cache_lock_timeout 1s;  uwsgi_cache_max_range_offset x;
    uwsgi_cache_max_range_offset 10;  uwsgi_cache_revalidate x;  uwsgi_cache_revalidate on;
    uwsgi_cache_background_update x;  uwsgi_cache_background_update on;  uwsgi_cache_key a; uwsgi_cache_key b;
    uwsgi_no_cache $arg_a;  uwsgi_no_cache;  uwsgi_cache_bypass;
    uwsgi_cache_bypass $arg_a; uwsgi_no_cache $arg_a; uwsgi_no_cache $arg_b;
    scgi_cache_path @dir@/c keys_zone=a:1m;  scgi_cache_path @dir@/c keys_zone=a:1;
    scgi_cache_path @dir@/c keys_zone=a:7k;  scgi_cache_path @dir@/c keys_zone=a;
    scgi_cache_path @dir@/c keys_zone=:1m;  scgi_cache_path @dir@/c;  scgi_cache_path @dir@/c levels=1:2;
    scgi_cache_path @dir@/c levels=1:2:3 keys_zone=a:1m;  scgi_cache_path @dir@/c levels=1:2:2 keys_zone=a:1m;
    scgi_cache_path @dir@/c levels=1:2:2:1 keys_zone=a:1m;  scgi_cache_path @dir@/c levels=3 keys_zone=a:1m;
    scgi_cache_path @dir@/c levels=1: keys_zone=a:1m;  scgi_cache_path @dir@/c levels= keys_zone=a:1m;
    scgi_cache_path @dir@/c keys_zone=a:1m use_temp_path=x;  scgi_cache_path @dir@/c keys_zone=a:1m use_temp_path=off;
    scgi_cache_path @dir@/c keys_zone=a:1m inactive=x;
    scgi_cache_path @dir@/c keys_zone=a:1m inactive=60m max_size=1g min_free=10m;
    scgi_cache_path @dir@/c keys_zone=a:1m max_size=x;  scgi_cache_path @dir@/c keys_zone=a:1m min_free=x;
    scgi_cache_path @dir@/c keys_zone=a:1m loader_files=x;  scgi_cache_path @dir@/c keys_zone=a:1m loader_sleep=x;
    scgi_cache_path @dir@/c keys_zone=a:1m loader_threshold=x;
    scgi_cache_path @dir@/c keys_zone=a:1m manager_files=x;  scgi_cache_path @dir@/c keys_zone=a:1m manager_sleep=x;
    scgi_cache_path @dir@/c keys_zone=a:1m manager_threshold=x;
    scgi_cache_path @dir@/c keys_zone=a:1m loader_files=10 loader_sleep=1s loader_threshold=10ms manager_files=10 manager_sleep=10ms manager_threshold=20ms;
    scgi_cache_path @dir@/c keys_zone=a:1m bogus;
    scgi_cache_path @dir@/c keys_zone=a:1m; scgi_cache_path @dir@/d keys_zone=a:1m;
    scgi_cache_path @dir@/c keys_zone=a:1m; scgi_cache_path @dir@/c keys_zone=b:1m;  scgi_cache nosuch;
    scgi_cache off;  scgi_cache off; scgi_cache off;  scgi_cache "";  scgi_cache $host; scgi_cache_key a;
    scgi_cache_path @dir@/c keys_zone=a:1m; scgi_cache a; scgi_cache_key $uri;
    scgi_cache a; scgi_cache_key $uri; scgi_cache_path @dir@/c keys_zone=a:1m;
    scgi_cache_path @dir@/c keys_zone=a:1m; scgi_cache a; scgi_cache_key $uri; scgi_store on;
    scgi_cache_path @dir@/c keys_zone=a:1m; scgi_store on; scgi_cache a; scgi_cache_key $uri;  scgi_cache_valid 200;
    scgi_cache_valid 200 x;  scgi_cache_valid x 1m;  scgi_cache_valid 99 1m;  scgi_cache_valid 600 1m;
    scgi_cache_valid any 1m;  scgi_cache_valid 1m;  scgi_cache_valid any;  scgi_cache_valid 200 0;
    scgi_cache_valid 200 404 1m;  scgi_cache_methods GET;  scgi_cache_methods POST DELETE;
    scgi_cache_methods OPTIONS;  scgi_cache_methods BOGUS;  scgi_cache_min_uses 0;  scgi_cache_min_uses x;
    scgi_cache_min_uses -1;  scgi_cache_use_stale error off;  scgi_cache_use_stale denied;
    scgi_cache_use_stale bogus;  scgi_cache_use_stale non_idempotent;
    scgi_cache_use_stale error timeout invalid_header updating http_500 http_503 http_403 http_404 http_429;
    scgi_cache_lock maybe;  scgi_cache_lock on;  scgi_cache_lock_age x;  scgi_cache_lock_timeout x;
    scgi_cache_lock_age 1s;  scgi_cache_lock_timeout 1s;  scgi_cache_max_range_offset x;
    scgi_cache_max_range_offset 10;  scgi_cache_revalidate x;  scgi_cache_revalidate on;
    scgi_cache_background_update x;  scgi_cache_background_update on;  scgi_cache_key a; scgi_cache_key b;
    scgi_no_cache $arg_a;  scgi_no_cache;  scgi_cache_bypass;
    scgi_cache_bypass $arg_a; scgi_no_cache $arg_a; scgi_no_cache $arg_b;
'''
verdicts = Verdicts()
# Two spaces part the cases.
for case in re.split(r'(?<=;)(?:  |\n) *', CASES.strip()):
    verdicts.case(case)
for case in ('proxy_cache_convert_head x;', 'proxy_cache_convert_head off;', 'proxy_cache_use_stale http_502 http_504;',
             'fastcgi_cache_path @dir@/c keys_zone=a:1m; proxy_cache a;',
             'proxy_cache_path @dir@/c keys_zone=a:1m; fastcgi_cache_path @dir@/d keys_zone=a:1m;',
             'fastcgi_cache_path @dir@/c keys_zone=a:1m; fastcgi_cache a;', 'server { if ($arg_a) { proxy_cache off; } }',
             'server { location / { if ($arg_a) { proxy_cache_bypass 1; } } }'):
    verdicts.case(case)
test_rows = verdicts.tests()

# Of the commercial nginx, whose documentation has them.
PURGES = ['proxy_cache_purge', 'fastcgi_cache_purge', 'uwsgi_cache_purge', 'scgi_cache_purge']
PURGER = '%s @dir@/c keys_zone=a:1m purger=on purger_files=10 purger_sleep=50ms purger_threshold=50ms;'


@pytest.mark.weir_only('nginx has them in its commercial edition')
@pytest.mark.parametrize('purge', PURGES)
def test_commercial_ones(site, purge):
    text = f'{purge} $arg_purge; ' + (PURGER % purge.replace('purge', 'path')).replace('@dir@', site.directory)
    r = run('-t', '-c', site.file('x.conf', 'events {} http { access_log off; %s server { } }' % text), '-e', 'stderr')
    assert r.returncode == 0, r.stderr
    for other in ('PURGE from 127.0.0.1', 'zone $uri', 'on from all'):    # of the module ngx_cache_purge: not taken for conditions
        r = run('-t', '-c', site.file('x.conf', 'events {} http { %s }' % text.replace('$arg_purge', other)), '-e', 'stderr')
        assert r.returncode == 1 and f'invalid value "{other.split()[0]}"' in r.stderr and 'map $request_method $purge' in r.stderr
    r = run('-t', '-c', site.file('x.conf', 'events {} http { %s }' % text.replace('purger=on', 'purger=x')), '-e', 'stderr')
    assert 'invalid purger value "purger=x", it must be "on" or "off"' in r.stderr
