"""What is wrong in the outermost block leaves the blocks inside it readable: -t names the first error, and ends."""
from weirtest import Verdicts

INSIDE = ('charset utf-8; charset_map koi8-r utf-8 { 80 e282ac; }', 'limit_req_zone $uri zone=a:1m rate=1r/s; limit_req zone=a;', 'limit_conn_zone $uri zone=b:1m; limit_conn b 1;',
          'upstream u { server 127.0.0.1:1; hash $uri; }', 'max_ranges 1; userid on;', 'root /x; gzip on; map $uri $a { default b; } log_format x $a;',
          'server { listen unix:@dir@/t; access_log off; location / { charset koi8-r; limit_except GET { deny all; } if ($uri) { charset off; } } }')
for_test = Verdicts('@here@ server { listen unix:@dir@/s; access_log off; } }')
for inside in INSIDE:
    for broken in ('nosuch x;', 'worker_processes x;', 'daemon on; daemon on;', 'user;'):
        for_test.case(f'{broken} events {{ }} http {{ {inside}', accepted=False)
    for_test.case(f'events {{ nosuch; }} http {{ {inside}', accepted=False)
    for_test.case(f'events {{ }} http {{ nosuch; {inside}', accepted=False)
test_errors_outside = for_test.tests()
