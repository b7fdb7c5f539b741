"""What -t says of the log directives, in nginx's words."""
from weirtest import Verdicts

http = Verdicts()
for syslog in ('syslog:', 'syslog:server=', 'syslog:facility=local7', 'syslog:server=127.0.0.1,facility=x', 'syslog:server=127.0.0.1,severity=x',
               'syslog:server=127.0.0.1,tag=a-b', 'syslog:server=127.0.0.1,tag=' + 'a' * 32, 'syslog:server=127.0.0.1,tag=' + 'a' * 33,
               'syslog:server=127.0.0.1,server=127.0.0.2', 'syslog:server=127.0.0.1,facility=auth,facility=user',
               'syslog:server=127.0.0.1,foo', 'syslog:server=127.0.0.1,severity=info,severity=info', 'syslog:server=[::1]:5',
               'syslog:server=127.0.0.1,nohostname', 'syslog:server=127.0.0.1,tag=', 'syslog:server=127.0.0.1,,tag=a',
               'syslog:server=127.0.0.1:99999', 'syslog:server=unix:', 'syslog:server=unix:@dir@/s,tag=T_1', 'syslog:server=no.such.host.invalid'):
    http.case(f'access_log {syslog};')
    http.case(f'error_log {syslog} info;')
for text in ('syslog:server=127.0.0.1 combined buffer=32k', 'syslog:server=127.0.0.1 combined if=$host', 'syslog:server=127.0.0.1 combined gzip',
             'x.log combined gzip=0', 'x.log combined gzip=10', 'x.log combined gzip=9', 'x.log combined gzip=', 'x.log combined gzip=x',
             'x.log combined gzip buffer=1k flush=1s', 'x.log combined gzip flush=1s', 'x.log combined buffer=0', 'x.log combined flush=1s', 'x.log combined bar',
             'x.log nosuch', '@dir@/$host.log combined buffer=1k', '@dir@/$host.log combined gzip', '@dir@/$host.log combined flush=1s',
             '@dir@/$host.log combined', '@dir@/${host.log', '$nosuch combined', 'off x', 'off combined buffer=x', '', 'x.log combined if=',
             'x.log combined if=$nosuch', 'x.log combined if=$host if=$uri', 'x.log combined gzip; access_log x.log combined',
             'x.log combined gzip; access_log x.log combined buffer=1k', 'x.log combined buffer=1k; access_log x.log combined',
             'x.log combined buffer=1k; access_log x.log combined buffer=2k', 'x.log combined gzip=1; access_log x.log combined gzip=2',
             'x.log combined gzip=1; access_log x.log combined gzip=1 buffer=64k', 'x.log combined buffer=1k flush=1s; access_log x.log combined buffer=1k'):
    http.case(f'access_log {text};'.replace(' x.log', ' @dir@/x.log'))
for text in ('max=1000 inactive=20s valid=1m min_uses=2', 'off', 'x', 'inactive=1s', 'max=0', 'max=1 off', 'max=1 valid=x', 'max=1 min_uses=x',
             'max=1 min_uses=0', 'max=1 valid=0', '', 'max=-1', 'max=1 inactive=-1', 'max=1; open_log_file_cache max=2', 'max=1 max=2'):
    http.case(f'open_log_file_cache {text};')
for text in ('error_log stderr x;', 'error_log;', 'error_log @dir@/x error warn;', 'error_log off;', 'log_not_found x;', 'log_subrequest x;',
             'log_format a;', 'log_format a escape=json;', 'log_format a escape=x b;', 'log_not_found on; log_not_found off;',
             'log_format a $status; log_format a $status;', 'server { log_format a b; }', 'error_log @dir@/a; error_log @dir@/b info;'):
    http.case(text)
test_http = http.tests()

main = Verdicts('@here@ events {} http { server { access_log off; listen unix:@dir@/s; } }')
for text in ('error_log syslog:;', 'error_log syslog:server=127.0.0.1,severity=debug error;', 'error_log memory:1m debug;', 'error_log memory:;',
             'error_log memory:x;', 'error_log memory:0;', 'error_log memory:32k error;', 'error_log stderr;', 'error_log stderr crit; error_log stderr debug;',
             'access_log off;', 'log_not_found off;'):
    main.case(text)
test_main = main.tests()
