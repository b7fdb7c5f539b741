"""env, working_directory, worker_priority: what the worker is given."""
import os
import re

import pytest

from weirtest import Verdicts, exchange, get, until


def test_env_sets_a_variable(site):
    """TZ is one that shows: the local time of the worker."""
    server = site.server('access_log @dir@/x.log f; location / { return 204; }', http="log_format f '$time_iso8601 $time_local';",
                         main='env TZ=XYZ-05:30; env OTHER; env EMPTY=;', workers=1)
    exchange(server.port, get('/'))
    line = server.wait_lines(1, 'x.log')[0]
    assert re.search(r'\+05:30 .* \+0530$', line), line


@pytest.mark.weir_only('nginx runs as one process for each number')
def test_worker_priority(site):
    if os.getuid() != 0:
        pytest.skip('needs root')
    server = site.server('location / { return 204; }', main='worker_priority 7; working_directory @dir@;')
    worker = until(server.workers, 'workers')[0]
    until(lambda: os.getpriority(os.PRIO_PROCESS, worker) == 7, 'its priority')
    until(lambda: os.readlink(f'/proc/{worker}/cwd') == server.directory, 'its directory')


verdicts = Verdicts('@here@ events {} http { server { access_log off; listen unix:@dir@/s; } }')
for text in ('env A;', 'env A=b;', 'env;', 'env A B;', 'worker_priority x;', 'worker_priority -5;', 'worker_priority 5;', 'working_directory;', 'working_directory /tmp;',
             'worker_rlimit_nofile x;', 'worker_rlimit_nofile 100;', 'worker_rlimit_core 10m;', 'worker_rlimit_core x;', 'timer_resolution 100ms;', 'timer_resolution x;',
             'pcre_jit on;', 'pcre_jit x;', 'lock_file @dir@/l;', 'debug_points stop;', 'debug_points x;', 'worker_shutdown_timeout 5s;', 'worker_shutdown_timeout x;',
             'worker_cpu_affinity auto;', 'worker_cpu_affinity 01 10;', 'worker_cpu_affinity x;', 'worker_cpu_affinity auto 01;', 'thread_pool a threads=4;',
             'daemon x;', 'master_process x;', 'pid;', 'worker_processes 0;', 'worker_processes x;', 'worker_processes auto; worker_processes 2;'):
    verdicts.case(text)
verdicts.case('ssl_object_cache_inheritable x;', '[emerg] invalid value "x" in "ssl_object_cache_inheritable" directive, it must be "on" or "off" in @dir@/x.conf:1',
              'a directive of nginx 1.27.4')
test_verdicts = verdicts.tests()
