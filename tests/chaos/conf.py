"""The configurations of the chaos: one rich one in many variants, and broken ones."""
import random

STRICT = 'proxy_connect_timeout 30s; proxy_read_timeout 30s; proxy_send_timeout 30s;'
MOODY = 'proxy_connect_timeout 1s; proxy_read_timeout 1s; proxy_send_timeout 1s;'

GATEWAYS = '''
location /g/ { proxy_pass http://good; %(strict)s }
location /nb/ { proxy_pass http://good; proxy_buffering off; proxy_request_buffering off; %(strict)s }
location /small/ { proxy_pass http://good; proxy_buffers 2 4k; proxy_buffer_size 4k; proxy_busy_buffers_size 4k; %(strict)s }
location /rate/ { proxy_pass http://good; limit_rate 400k; limit_rate_after 20k; %(strict)s }
location /lazy/ { proxy_pass http://good; proxy_limit_rate 400k; %(strict)s }
location /cache/ { proxy_pass http://good; proxy_cache c1; proxy_cache_valid 200 1s; proxy_cache_lock on; proxy_cache_use_stale updating error timeout;
    proxy_cache_background_update on; proxy_cache_key $uri; proxy_ignore_headers Set-Cookie; %(strict)s }
location /purge/ { proxy_pass http://good; proxy_cache c1; proxy_cache_key $arg_u; proxy_cache_purge 1; %(strict)s }
location /slice/ { slice 8k; proxy_pass http://good; proxy_cache c1; proxy_set_header Range $slice_range; proxy_cache_key $uri$slice_range;
    proxy_cache_valid 200 206 1s; proxy_ignore_headers Set-Cookie; %(strict)s }
location /ssi { ssi on; proxy_pass http://good; %(strict)s }
location /auth/ { auth_request /check; proxy_pass http://good; %(strict)s }
location = /check { internal; proxy_pass http://good/b/0; proxy_pass_request_body off; proxy_set_header Content-Length ""; %(strict)s }
location /mirror/ { mirror /mirrored; proxy_pass http://good; %(strict)s }
location = /mirrored { internal; proxy_pass http://moody; %(moody)s }
location /gzip/ { gzip on; gzip_min_length 1; gzip_types *; proxy_pass http://good; %(strict)s }
location /sub/ { sub_filter nothing something; sub_filter_types *; proxy_pass http://good; %(strict)s }
location /resolved/ { set $there name.test; proxy_pass http://$there:%(g0)d; %(strict)s }
location /least/ { proxy_pass http://timed; %(strict)s }
location /ws { proxy_pass http://good; proxy_read_timeout 1h; proxy_connect_timeout 30s; }
location /static/ { alias %(root)s/; }
location /logged/ { proxy_pass http://good; %(strict)s access_log %(dir)s/log-$arg_k.log; }
location /fcgi/ { fastcgi_pass %(fcgi)s; fastcgi_param REQUEST_METHOD $request_method; fastcgi_param REQUEST_URI $request_uri; fastcgi_param CONTENT_LENGTH $content_length;
    fastcgi_read_timeout 30s; fastcgi_keep_conn on; }
location /chaos.G/ { grpc_pass grpc://127.0.0.1:%(grpc)d; grpc_read_timeout 30s; grpc_send_timeout 30s; }
location /m/ { proxy_pass http://moody; %(moody)s }
location /m-nb/ { proxy_pass http://moody; proxy_buffering off; proxy_request_buffering off; %(moody)s }
location /m-one/ { proxy_pass http://one; %(moody)s }
location /m-queue/ { proxy_pass http://queued; %(moody)s proxy_next_upstream error timeout invalid_header http_500 non_idempotent; }
location /m-sticky/ { proxy_pass http://bound; %(moody)s }
location /m-learn/ { proxy_pass http://learned; %(moody)s }
location /m-health/ { proxy_pass http://healthy; health_check uri=/b/3 interval=300ms fails=1 passes=1; %(moody)s }
location /m-hash/ { proxy_pass http://hashed; %(moody)s }
location /m-names/ { proxy_pass http://named; %(moody)s }
location /m-cache/ { proxy_pass http://moody; proxy_cache c2; proxy_cache_valid any 1s; proxy_cache_lock on; proxy_cache_lock_timeout 1s;
    proxy_cache_use_stale error timeout updating invalid_header http_500; proxy_cache_background_update on; proxy_ignore_headers Set-Cookie; %(moody)s }
location /m-slice/ { slice 8k; proxy_pass http://moody; proxy_cache c2; proxy_set_header Range $slice_range; proxy_cache_key $uri$slice_range;
    proxy_cache_valid any 1s; %(moody)s }
location /m-auth/ { auth_request /m-check; proxy_pass http://moody; %(moody)s }
location = /m-check { internal; proxy_pass http://moody/b/0; proxy_pass_request_body off; proxy_set_header Content-Length ""; %(moody)s }
location /m-ssi { ssi on; proxy_pass http://moody; %(moody)s }
location /m-gzip/ { gzip on; gzip_min_length 1; gzip_types *; proxy_pass http://moody; %(moody)s }
location /m-ws { proxy_pass http://moody; %(moody)s }
location /m-error/ { error_page 500 502 504 = /n; proxy_intercept_errors on; proxy_pass http://moody; %(moody)s }
location /m-lc/ { limit_conn lc 2; limit_req zone=lr burst=5; proxy_pass http://moody; %(moody)s }
location /m-delay/ { limit_req zone=lr burst=50; proxy_pass http://moody; %(moody)s }
location /m-store/ { proxy_store %(dir)s/store$uri; proxy_temp_path %(dir)s/proxy_temp; proxy_pass http://moody; %(moody)s }
location = /n { return 200 n%(n)d; }
location = /status { stub_status; access_log off; }
location / { return 404; }
'''

HTTP = '''
proxy_http_version 1.1; proxy_set_header Host $host;
http2 on; client_max_body_size 0; client_body_buffer_size 8k; keepalive_requests 1000000; %(http)s
client_header_timeout 20s; client_body_timeout 20s; send_timeout 20s; keepalive_timeout 20s;
resolver 127.0.0.1:%(dns)d valid=1s; resolver_timeout 2s;
limit_req_zone $arg_k zone=lr:64k rate=100r/s; limit_conn_zone $arg_k zone=lc:64k;
proxy_cache_path %(dir)s/c1 keys_zone=c1:256k max_size=3m inactive=2s levels=1:2 purger=on;
proxy_cache_path %(dir)s/c2 keys_zone=c2:%(c2)s max_size=1m inactive=1s;
log_format chaos '$connection.$connection_requests $realip_remote_port $msec $request_time "$request" $status $bytes_sent';
access_log %(dir)s/access.log chaos; open_log_file_cache max=3 inactive=1s; open_file_cache max=10 inactive=2s;
upstream good { zone good 256k; %(goods)s keepalive 4; }
upstream timed { zone timed 64k; least_time header; %(goods)s }
upstream moody { zone moody 64k; %(balance)s %(moodies)s }
upstream one { zone one 64k; server 127.0.0.1:%(m0)d max_conns=1 max_fails=0; }
upstream queued { zone queued 64k; server 127.0.0.1:%(m0)d max_conns=1 max_fails=0; server 127.0.0.1:%(m1)d max_conns=1 max_fails=0; queue 10 timeout=1s; }
upstream bound { zone bound 64k; %(moodies)s sticky cookie srv; }
upstream learned { zone learned 64k; %(moodies)s sticky learn create=$upstream_cookie_s lookup=$cookie_s zone=sl:64k; }
upstream healthy { zone healthy 64k; %(moodies)s }
upstream hashed { zone hashed 64k; hash $arg_k consistent; %(moodies)s }
upstream named { zone named 64k; server moody.test:%(m0)d resolve max_fails=0; server 127.0.0.1:%(m1)d backup; }
%(more)s
'''


class Conf:
    def __init__(self, names, seed):
        self.names, self.rng, self.n = names, random.Random(f'{seed}/conf'), 0

    def text(self, plain=False):
        """A configuration that serves all that clients ask for; plain: always of the same shape."""
        rng, self.n = self.rng, self.n + 1
        d = dict(self.names, n=self.n, strict=STRICT, moody=MOODY)
        goods = [f'server 127.0.0.1:{p};' for p in d['good']]
        moodies = [f'server 127.0.0.1:{p} max_fails=2 fail_timeout=1s;' for p in d['moodies']]
        d.update(g0=d['good'][0], m0=d['moodies'][0], m1=d['moodies'][1], http='', balance='', more='', c2='64k', workers=2)
        extra = False
        if not plain:
            if rng.random() < 0.5:
                goods = goods[:1]
            rng.shuffle(moodies)
            moodies = moodies[:rng.randrange(1, len(moodies) + 1)]
            if rng.random() < 0.3:
                moodies.append('server 127.0.0.2:1 down;')
            d['balance'] = rng.choice(['', 'least_conn;', 'random two;', 'ip_hash;', 'hash $arg_k;', 'least_time last_byte;', ''])
            d['http'] = rng.choice(['', 'gzip on;', 'proxy_socket_keepalive on;', 'server_tokens off;'])
            d['c2'] = rng.choice(['64k', '64k', '128k'])
            d['workers'] = rng.choice([1, 2, 2, 3])
            extra = rng.random() < 0.5
            if rng.random() < 0.3:
                d['more'] = f'upstream more{self.n} {{ zone more{self.n} 64k; server more.test:80 resolve; }}'
        d['goods'], d['moodies'] = ' '.join(goods), ' '.join(moodies)
        gateways = GATEWAYS % d
        ports = d['ports']
        cert = 'server' if plain else rng.choice(['server', 'rsa'])
        tls = f'ssl_certificate {d["certs"]}/{cert}.pem; ssl_certificate_key {d["certs"]}/{cert}.key;'
        servers = [f'server {{ listen 127.0.0.1:{ports[0]}; {gateways} }}',
                   f'server {{ listen 127.0.0.1:{ports[1]} ssl; {tls} ssl_session_cache shared:s:64k; ssl_client_certificate {d["certs"]}/ca.pem; '
                   f'ssl_verify_client optional; {gateways} }}',
                   f'server {{ listen 127.0.0.1:{ports[2]} proxy_protocol; listen unix:{d["dir"]}/u.sock; set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol; {gateways} }}']
        if extra:
            servers.append(f'server {{ listen 127.0.0.1:{ports[3]}; {gateways} }}')
        rest = ''.join(f'server {{ listen 127.0.0.1:{ports[0]}; server_name x{i}.test; location / {{ return 200 x; }} }}' for i in range(rng.randrange(5)))
        return (f'daemon on; worker_processes {d["workers"]}; pid {d["dir"]}/pid; error_log {d["dir"]}/error.log info; worker_rlimit_nofile 8192;\n'
                f'events {{ worker_connections 2000; }}\nhttp {{ {HTTP % d}\n'
                + ''.join(f'{k}_temp_path {d["dir"]}/{k}_temp; ' for k in ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi')) + '\n'.join(servers) + rest + '\n}\n')

    def broken(self):
        return self.rng.choice([lambda t: t.replace('listen', 'lisen', 1), lambda t: t[:self.rng.randrange(len(t) - 3)],
                                lambda t: t.replace('server.pem', 'nothing.pem').replace('rsa.pem', 'nothing.pem'),
                                lambda t: t.replace('keys_zone=c1:256k', 'keys_zone=c1:1k')])(self.text())
