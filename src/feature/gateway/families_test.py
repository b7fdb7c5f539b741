"""Directives of the gateway families that no other test asks about: what -t says of good and of bad values, as nginx says it.

Families are written once (feature/gateway/gateway_rows.c); this holds each name of each family to nginx's words."""
import re

import pytest
from weirtest import Verdicts, run

CASES = '''
    fastcgi_bind 127.0.0.1;  fastcgi_bind off;  fastcgi_bind 127.0.0.1:0 transparent;  fastcgi_bind;
    fastcgi_buffer_size 8k;  fastcgi_buffer_size x;  fastcgi_buffers 4 16k;  fastcgi_buffers 1 4k;  fastcgi_buffers 4;
    fastcgi_buffers x 4k;  fastcgi_busy_buffers_size 8k;  fastcgi_busy_buffers_size 1k;  fastcgi_busy_buffers_size x;
    fastcgi_connect_timeout 5s;  fastcgi_connect_timeout soon;  fastcgi_force_ranges on;  fastcgi_force_ranges x;
    fastcgi_ignore_client_abort on;  fastcgi_ignore_client_abort x;  fastcgi_limit_rate 10k;
    fastcgi_max_temp_file_size 0;  fastcgi_max_temp_file_size 1;  fastcgi_max_temp_file_size x;
    fastcgi_next_upstream_timeout 1s;  fastcgi_next_upstream_timeout x;  fastcgi_next_upstream_tries 2;
    fastcgi_next_upstream_tries x;  fastcgi_send_timeout 1s;  fastcgi_send_timeout x;  fastcgi_socket_keepalive on;
    fastcgi_socket_keepalive x;  fastcgi_store on;  fastcgi_store off;  fastcgi_store /data$uri;  fastcgi_store;
    fastcgi_store_access user:rw group:r;  fastcgi_store_access bogus;  fastcgi_store_access user:x;
    fastcgi_temp_file_write_size 16k;  fastcgi_temp_file_write_size 1k;  fastcgi_temp_file_write_size x;
    grpc_bind 127.0.0.1;  grpc_bind off;  grpc_bind 127.0.0.1:0 transparent;  grpc_bind;  grpc_buffer_size 8k;
    grpc_buffer_size x;  grpc_connect_timeout 5s;  grpc_connect_timeout soon;  grpc_hide_header X-A;
    grpc_hide_header;  grpc_ignore_headers Expires;  grpc_ignore_headers Bogus;  grpc_intercept_errors on;
    grpc_intercept_errors x;  grpc_next_upstream error timeout;  grpc_next_upstream bogus;
    grpc_next_upstream_timeout 1s;  grpc_next_upstream_timeout x;  grpc_next_upstream_tries 2;
    grpc_next_upstream_tries x;  grpc_pass_header X-A;  grpc_pass_header;  grpc_socket_keepalive on;
    grpc_socket_keepalive x;  grpc_ssl_certificate /none.pem;  grpc_ssl_certificate_key /none.pem;
    grpc_ssl_ciphers DEFAULT;  grpc_ssl_ciphers;  grpc_ssl_conf_command Protocol TLSv1.2;  grpc_ssl_conf_command x;
    grpc_ssl_crl /none.pem;  grpc_ssl_password_file /none;  grpc_ssl_protocols TLSv1.2;  grpc_ssl_protocols SSLv9;
    grpc_ssl_server_name on;  grpc_ssl_server_name x;  grpc_ssl_session_reuse off;  grpc_ssl_session_reuse x;
    grpc_ssl_verify_depth 2;  grpc_ssl_verify_depth x;  grpc_buffering on;  grpc_buffers 4 16k;
    grpc_busy_buffers_size 8k;  grpc_force_ranges on;  grpc_ignore_client_abort on;  grpc_limit_rate 10k;
    grpc_max_temp_file_size 0;  grpc_pass_request_body off;  grpc_pass_request_headers off;
    grpc_request_buffering off;  grpc_send_lowat 0;  grpc_store on;  grpc_store_access user:rw;
    grpc_temp_file_write_size 16k;  grpc_temp_path /tmp/w;
    proxy_send_lowat x;  fastcgi_send_lowat x;  proxy_bind 127.0.0.1;  proxy_bind off;  proxy_bind 127.0.0.1:0 transparent;  proxy_bind;
    proxy_headers_hash_bucket_size 64;  proxy_headers_hash_max_size 512;  proxy_pass_header X-A;  proxy_pass_header;
    proxy_socket_keepalive on;  proxy_socket_keepalive x;  proxy_ssl_crl /none.pem;  proxy_ssl_password_file /none;
    proxy_ssl_verify_depth 2;  proxy_ssl_verify_depth x;
    scgi_bind 127.0.0.1;  scgi_bind off;  scgi_bind 127.0.0.1:0 transparent;  scgi_bind;  scgi_buffer_size 8k;
    scgi_buffer_size x;  scgi_buffers 4 16k;  scgi_buffers 1 4k;  scgi_buffers 4;  scgi_buffers x 4k;
    scgi_busy_buffers_size 8k;  scgi_busy_buffers_size 1k;  scgi_busy_buffers_size x;  scgi_connect_timeout 5s;
    scgi_connect_timeout soon;  scgi_force_ranges on;  scgi_force_ranges x;  scgi_hide_header X-A;  scgi_hide_header;
    scgi_ignore_client_abort on;  scgi_ignore_client_abort x;  scgi_ignore_headers Expires;
    scgi_ignore_headers Bogus;  scgi_intercept_errors on;  scgi_intercept_errors x;  scgi_limit_rate 10k;
    scgi_max_temp_file_size 0;  scgi_max_temp_file_size 1;  scgi_max_temp_file_size x;
    scgi_next_upstream error timeout;  scgi_next_upstream bogus;  scgi_next_upstream_timeout 1s;
    scgi_next_upstream_timeout x;  scgi_next_upstream_tries 2;  scgi_next_upstream_tries x;  scgi_pass_header X-A;
    scgi_pass_header;  scgi_pass_request_body off;  scgi_pass_request_body x;  scgi_pass_request_headers off;
    scgi_pass_request_headers x;  scgi_read_timeout 1s;  scgi_read_timeout x;  scgi_request_buffering off;
    scgi_request_buffering x;  scgi_send_timeout 1s;  scgi_send_timeout x;  scgi_socket_keepalive on;
    scgi_socket_keepalive x;  scgi_store on;  scgi_store off;  scgi_store /data$uri;  scgi_store;
    scgi_store_access user:rw group:r;  scgi_store_access bogus;  scgi_store_access user:x;
    scgi_temp_file_write_size 16k;  scgi_temp_file_write_size 1k;  scgi_temp_file_write_size x;  scgi_send_lowat 0;
    uwsgi_bind 127.0.0.1;  uwsgi_bind off;  uwsgi_bind 127.0.0.1:0 transparent;  uwsgi_bind;  uwsgi_buffer_size 8k;
    uwsgi_buffer_size x;  uwsgi_buffering on;  uwsgi_buffering maybe;  uwsgi_buffers 4 16k;  uwsgi_buffers 1 4k;
    uwsgi_buffers 4;  uwsgi_buffers x 4k;  uwsgi_busy_buffers_size 8k;  uwsgi_busy_buffers_size 1k;
    uwsgi_busy_buffers_size x;  uwsgi_connect_timeout 5s;  uwsgi_connect_timeout soon;  uwsgi_force_ranges on;
    uwsgi_force_ranges x;  uwsgi_hide_header X-A;  uwsgi_hide_header;  uwsgi_ignore_client_abort on;
    uwsgi_ignore_client_abort x;  uwsgi_ignore_headers Expires;  uwsgi_ignore_headers Bogus;
    uwsgi_intercept_errors on;  uwsgi_intercept_errors x;  uwsgi_limit_rate 10k;  uwsgi_max_temp_file_size 0;
    uwsgi_max_temp_file_size 1;  uwsgi_max_temp_file_size x;  uwsgi_next_upstream error timeout;
    uwsgi_next_upstream bogus;  uwsgi_next_upstream_timeout 1s;  uwsgi_next_upstream_timeout x;
    uwsgi_next_upstream_tries 2;  uwsgi_next_upstream_tries x;  uwsgi_pass_header X-A;  uwsgi_pass_header;
    uwsgi_pass_request_body off;  uwsgi_pass_request_body x;  uwsgi_pass_request_headers off;
    uwsgi_pass_request_headers x;  uwsgi_read_timeout 1s;  uwsgi_read_timeout x;  uwsgi_request_buffering off;
    uwsgi_request_buffering x;  uwsgi_send_timeout 1s;  uwsgi_send_timeout x;  uwsgi_socket_keepalive on;
    uwsgi_socket_keepalive x;  uwsgi_store on;  uwsgi_store off;  uwsgi_store /data$uri;  uwsgi_store;
    uwsgi_store_access user:rw group:r;  uwsgi_store_access bogus;  uwsgi_store_access user:x;
    uwsgi_temp_file_write_size 16k;  uwsgi_temp_file_write_size 1k;  uwsgi_temp_file_write_size x;
    uwsgi_send_lowat 0;  uwsgi_ssl_certificate /none.pem;  uwsgi_ssl_certificate_key /none.pem;
    uwsgi_ssl_ciphers DEFAULT;  uwsgi_ssl_ciphers;  uwsgi_ssl_conf_command Protocol TLSv1.2;  uwsgi_ssl_conf_command x;
    uwsgi_ssl_crl /none.pem;  uwsgi_ssl_name x;  uwsgi_ssl_password_file /none;  uwsgi_ssl_protocols TLSv1.2;
    uwsgi_ssl_protocols SSLv9;  uwsgi_ssl_server_name on;  uwsgi_ssl_server_name x;  uwsgi_ssl_session_reuse off;
    uwsgi_ssl_session_reuse x;  uwsgi_ssl_trusted_certificate /none.pem;  uwsgi_ssl_verify on;  uwsgi_ssl_verify x;
    uwsgi_ssl_verify_depth 2;  uwsgi_ssl_verify_depth x;  uwsgi_pass suwsgi://;  uwsgi_pass suwsgi://x;  uwsgi_pass suwsgi://127.0.0.1:1;
'''
verdicts = Verdicts()
for text in re.findall(r'\S[^;]*;', CASES):
    verdicts.case(text)
test_families = verdicts.tests()

# Newer than Debian's nginx.
NEW = '''
    fastcgi_allow_upstream 127.0.0.0/8;  fastcgi_bind_dynamic on;  fastcgi_request_dynamic on;
    grpc_allow_upstream 127.0.0.0/8;  grpc_bind_dynamic on;  grpc_request_dynamic on;  proxy_bind_dynamic on;
    proxy_request_dynamic on;  scgi_allow_upstream 127.0.0.0/8;  scgi_bind_dynamic on;  scgi_request_dynamic on;
    uwsgi_allow_upstream 127.0.0.0/8;  uwsgi_bind_dynamic on;  uwsgi_request_dynamic on;
    grpc_ssl_certificate_cache max=10;  uwsgi_ssl_certificate_cache max=10 inactive=1h valid=1m;
    grpc_ssl_key_log /tmp/keys;  uwsgi_ssl_key_log /tmp/keys;
'''


@pytest.mark.weir_only('nginx 1.22 does not have them')
@pytest.mark.parametrize('text', re.findall(r'\S[^;]*;', NEW))
def test_newer_ones(site, text):
    path = site.file('x.conf', 'events {} http { access_log off; server { location / { %s } } }' % text)
    r = run('-t', '-c', path, '-e', 'stderr')
    assert 'unknown directive' not in r.stderr and r.returncode == 0, r.stderr


@pytest.mark.weir_only('the manual of weir')
def test_the_manual_names_kin_that_there_are():
    manual = run('manual').stdout
    kin = {n for line in re.findall(r'(?m)^Likewise: (.*)\.$', manual) for n in line.split(', ')}
    assert len(kin) > 100 and kin <= set(re.findall(r'(?m)^### (\w+)$', manual))
