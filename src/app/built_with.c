#include "app/built_with.h"
#include "conf/conf.h"
#include "feature/features.h"

// A module of nginx is there when its directive is. mp4 is only accepted: nothing seeks, so it is not claimed. nginx builds the one kind only when asked to, the other unless told not to.
static const struct module {
    const char *name, *directive;
} asked_for[] = {
    {"http_addition_module", "add_before_body"},
    {"http_auth_jwt_module", "auth_jwt"},
    {"http_auth_request_module", "auth_request"},
    {"http_dav_module", "dav_methods"},
    {"http_flv_module", "flv"},
    {"http_geoip_module", "geoip_country"},
    {"http_gunzip_module", "gunzip"},
    {"http_gzip_static_module", "gzip_static"},
    {"http_image_filter_module", "image_filter"},
    {"http_random_index_module", "random_index"},
    {"http_realip_module", "set_real_ip_from"},
    {"http_secure_link_module", "secure_link"},
    {"http_slice_module", "slice"},
    {"http_ssl_module", "ssl_certificate"},
    {"http_stub_status_module", "stub_status"},
    {"http_sub_module", "sub_filter"},
    {"http_v2_module", "http2"},
    {"http_v3_module", "http3"},
    {"http_xslt_module", "xslt_stylesheet"},
    {"mail", "smtp_auth"},
    {"stream", "ssl_preread"},
}, usual[] = {
    {"http-cache", "proxy_cache"},
    {"http_access_module", "allow"},
    {"http_auth_basic_module", "auth_basic"},
    {"http_autoindex_module", "autoindex"},
    {"http_browser_module", "ancient_browser"},
    {"http_charset_module", "charset"},
    {"http_empty_gif_module", "empty_gif"},
    {"http_fastcgi_module", "fastcgi_pass"},
    {"http_geo_module", "geo"},
    {"http_grpc_module", "grpc_pass"},
    {"http_gzip_module", "gzip"},
    {"http_limit_conn_module", "limit_conn"},
    {"http_limit_req_module", "limit_req"},
    {"http_map_module", "map"},
    {"http_memcached_module", "memcached_pass"},
    {"http_mirror_module", "mirror"},
    {"http_proxy_module", "proxy_pass"},
    {"http_referer_module", "valid_referers"},
    {"http_rewrite_module", "rewrite"},
    {"http_scgi_module", "scgi_pass"},
    {"http_split_clients_module", "split_clients"},
    {"http_ssi_module", "ssi"},
    {"http_upstream_hash_module", "hash"},
    {"http_upstream_ip_hash_module", "ip_hash"},
    {"http_upstream_keepalive_module", "keepalive"},
    {"http_upstream_least_conn_module", "least_conn"},
    {"http_upstream_random_module", "random"},
    {"http_upstream_sticky_module", "sticky"},
    {"http_upstream_zone_module", "zone"},
    {"http_userid_module", "userid"},
    {"http_uwsgi_module", "uwsgi_pass"},
};

void built_with_print(FILE *to) {
    for (size_t i = 0; i < ARRAY_LEN(asked_for); i++) {
        if (manual_knows(all_features, all_features_count, str_c(asked_for[i].directive)))
            fprintf(to, " --with-%s", asked_for[i].name);
    }
    for (size_t i = 0; i < ARRAY_LEN(usual); i++) {
        if (!manual_knows(all_features, all_features_count, str_c(usual[i].directive)))
            fprintf(to, " --without-%s", usual[i].name);
    }
}
