"""disable_symlinks: which links on the way to a file are followed."""
import gzip
import os

from weirtest import ANY, Table, exchange, get


def links(site):
    site.file('real/in/f.txt', 'file')
    root = site.root
    os.symlink('real', os.path.join(root, 'link'))
    os.symlink('f.txt', os.path.join(root, 'real', 'in', 'lf.txt'))
    os.symlink('real/in/f.txt', os.path.join(root, 'up.txt'))
    os.symlink('nowhere', os.path.join(root, 'broken'))
    os.symlink('loop', os.path.join(root, 'loop'))
    os.symlink(root, os.path.join(root, 'self'))
    site.file('owned', 'of somebody else')
    os.symlink('owned', os.path.join(root, 'other.txt'))
    os.symlink('dir-owned', os.path.join(root, 'otherdir'))
    site.file('dir-owned/x.txt', 'below somebody else')
    if os.getuid() == 0:
        os.chown(os.path.join(root, 'owned'), 65534, 65534)
        os.chown(os.path.join(root, 'dir-owned'), 65534, 65534)
    site.file('gz/real.txt.gz', gzip.compress(b'compressed before', mtime=0))
    site.file('gz/both.txt', 'plain')
    for name in ('link', 'both'):
        os.symlink('real.txt.gz', os.path.join(root, 'gz', name + '.txt.gz'))
    os.symlink('../owned', os.path.join(root, 'gz', 'other.txt.gz'))


table = Table('''
    root @root@;
    location / { disable_symlinks on; }
    location /off/ { alias @root@/; disable_symlinks off; }
    location /own/ { alias @root@/; disable_symlinks if_not_owner; }
    location /from/ { alias @root@/self/; disable_symlinks on from=@root@/self; }
    location /fromslash/ { alias @root@/self/; disable_symlinks on from=@root@/self/; }
    location /fromvar/ { alias @root@/self/; disable_symlinks on from=$document_root; }
    location /fromhalf/ { alias @root@/self/; disable_symlinks on from=@root@/sel; }
    location /fromnothing/ { alias @root@/self/; disable_symlinks on from=$arg_x; }
    location /fromown/ { alias @root@/self/; disable_symlinks from=@root@/self if_not_owner; }
    location /index/ { alias @root@/; disable_symlinks on; index link/in/f.txt; }
    location /index2/ { alias @root@/; disable_symlinks on; index up.txt; }
    location /index3/ { alias @root@/; disable_symlinks on; index real/in/f.txt; }
    location /try1/ { alias @root@/; disable_symlinks on; try_files /link/in/f.txt =404; }
    location /try2/ { root @root@; disable_symlinks on; try_files /up.txt /real/in/f.txt =404; }
    location /if/ { root @root@; disable_symlinks on; set $p @root@/$arg_f; if (-f $p) { return 200 file; } return 200 none; }
    location /gz/ { alias @root@/gz/; disable_symlinks on; gzip_static always; }
    location /gzoff/ { alias @root@/gz/; gzip_static always; }
    location /gzown/ { alias @root@/gz/; disable_symlinks if_not_owner; gzip_static always; }
    location /gzcached/ { alias @root@/gz/; disable_symlinks on; gzip_static always; open_file_cache max=10; open_file_cache_errors on; }
    location /cached/ { alias @root@/; disable_symlinks on; open_file_cache max=10; open_file_cache_errors on; }
    location /cachedoff/ { alias @root@/; open_file_cache max=10; open_file_cache_errors on; }
''', setup=links, http='types { text/plain txt; }')
PATHS = ('real/in/f.txt', 'link/in/f.txt', 'real/in/lf.txt', 'up.txt', 'broken', 'loop', 'link', 'link/', 'real', 'real/in/none',
         'none/x', 'real/in/f.txt/x', 'self/real/in/f.txt', 'other.txt', 'otherdir/x.txt', 'owned')
# What nginx answers, in the order of PATHS.
STATUSES = {
    '': '200 404 403 403 403 403 403 404 301 404 404 404 404 403 404 200',
    'off/': '200 200 200 200 404 403 301 403 301 404 404 404 200 200 200 200',
    'own/': '200 200 200 200 404 403 301 403 301 404 404 404 200 403 403 200',
    'from/': '200 404 403 403 403 403 403 404 301 404 404 404 404 403 404 200',
    'fromslash/': '200 404 403 403 403 403 403 404 301 404 404 404 404 403 404 200',
    'fromvar/': '200 404 403 403 403 403 403 404 301 404 404 404 404 403 404 200',
    'fromhalf/': '404 404 404 404 404 404 404 404 404 404 404 404 404 404 404 404',
    'fromnothing/': '404 404 404 404 404 404 404 404 404 404 404 404 404 404 404 404',
    'fromown/': '200 200 200 200 404 403 301 403 301 404 404 404 200 403 403 200',
    'cached/': '200 404 403 403 403 403 403 404 301 404 404 404 404 403 404 200',
    'cachedoff/': '200 200 200 200 404 403 301 403 301 404 404 404 200 200 200 200',
}
for where, statuses in STATUSES.items():
    for path, status in zip(PATHS, statuses.split()):
        table.case(f'/{where}{path}', get(f'/{where}{path}'), int(status))
        if 'cached' in where:
            table.case(f'again /{where}{path}', get(f'/{where}{path}'), int(status))
for name in ('up.txt', 'real/in/f.txt', 'link/in/f.txt', 'real/in/lf.txt'):
    table.case(f'if -f {name}', get(f'/if/?f={name}'))
for where, status in (('try1', 404), ('try2', 200), ('index', 404), ('index2', 403), ('index3', 200)):
    table.case(f'/{where}/', get(f'/{where}/'), status)
for where in ('gz', 'gzoff', 'gzown', 'gzcached', 'gzcached'):
    for name in ('real', 'link', 'both', 'other', 'none'):
        table.case(f'{where} {name} {len(table.cases)}', get(f'/{where}/{name}.txt'), ANY)
test_links = table.tests()


def test_the_error_names_the_link(site):
    links(site)
    server = site.server('root @root@; disable_symlinks on;')
    for path, text in (('/up.txt', r'openat\(\) ".*/up\.txt" failed \(40: Too many levels of symbolic links\)'),
                       ('/link/in/f.txt', r'openat\(\) ".*/link/in/f\.txt" failed \(20: Not a directory\)')):
        assert exchange(server.port, get(path))[0].status == (403 if '40' in text else 404)
        server.wait_error('error', text)
