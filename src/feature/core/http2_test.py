"""Directives of HTTP/2 that only configure, and those that newer versions of nginx replaced: a warning says what to write instead."""
from weirtest import Verdicts

verdicts = Verdicts('events {} http { @here@ server { access_log off; listen unix:@dir@/s; } }')
for text in ('http2_idle_timeout 3m;', 'http2_recv_timeout 30s;', 'http2_max_requests 1000;', 'http2_max_field_size 4k;', 'http2_max_header_size 16k;',
             'http2_idle_timeout 3m; http2_recv_timeout 30s;', 'http2_pool_size 4k;', 'http2_pool_size x;', 'http2_streams_index_size 32;',
             'http2_streams_index_size x;', 'http2_recv_buffer_size 256k;', 'http2_recv_buffer_size x;', 'http2_body_preread_size 64k;',
             'http2_body_preread_size x;', 'http2_chunk_size 8k;', 'http2_chunk_size x;'):
    verdicts.case(text)
for text in ('http2_push on;', 'http2_push_preload on;', 'http2_max_concurrent_pushes 10;'):
    name = text.split()[0]
    verdicts.case(text, f'[warn] the "{name}" directive is obsolete, ignored in @dir@/x.conf:1', 'obsolete since nginx 1.25.1')
test_http2 = verdicts.tests()
