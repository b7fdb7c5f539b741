"""load_module: what is built in, what weir offers instead; mp4."""
import os

import pytest

from weirtest import exchange, get, run


def verdict(site, text):
    path = os.path.join(site.directory, 'x.conf')
    with open(path, 'w') as f:
        f.write(text)
    return run('-t', '-c', path, '-p', site.directory)


WHOLE = ('{} events {{}} http {{ client_body_temp_path @; proxy_temp_path @; access_log off; server {{ access_log off; listen unix:@/s; {} }} }} '
         'pid @/pid; error_log stderr;')


@pytest.mark.weir_only('nginx loads modules')
@pytest.mark.parametrize('file, said', [
    ('modules/ngx_http_brotli_filter_module.so', None), ('ngx_http_zstd_static_module.so', None),
    ('/usr/lib/nginx/modules/ngx_http_lua_module.so', 'weir has no such module; map, auth_request'),
    ('modules/ngx_stream_module.so', 'weir has no such module; weir speaks HTTP'),
    ('modules/ngx_http_headers_more_filter_module.so', 'weir has no such module; add_header'),
    ('modules/ngx_something_module.so', 'weir has its modules built in, and none of that name')])
def test_modules(site, file, said):
    result = verdict(site, WHOLE.format(f'load_module {file};', '').replace('@', site.directory))
    assert result.returncode == 0, result.stderr
    if said is None:
        assert 'load' not in result.stderr
    else:
        assert f'[warn] "{file}" is not loaded: {said}' in result.stderr


@pytest.mark.weir_only('nginx cuts the file by the argument "start"')
def test_media(site):
    result = verdict(site, WHOLE.format('', 'location / { mp4; mp4_buffer_size 1m; mp4_max_buffer_size 10m; mp4_start_key_frame on; }').replace('@', site.directory))
    assert result.returncode == 0 and '"mp4" is accepted without effect' in result.stderr
    site.file('v.mp4', b'0123456789')
    server = site.server('root @root@; location / { mp4; mp4_buffer_size 1m; mp4_limit_rate off; mp4_limit_rate_after 1m; }')
    assert exchange(server.port, get('/v.mp4?start=5'))[0].body == b'0123456789'
    assert exchange(server.port, get('/v.mp4', 'Range: bytes=5-'))[0].body == b'56789'
