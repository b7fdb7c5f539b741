"""weir as process 1 of a container: in namespaces of its own, with the image's files and entry point, logs on pipes."""
import os
import shutil
import signal
import subprocess

import pytest

from weirtest import WEIR, proc, until

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sanitized = 'build-asan' in WEIR or 'build-tsan' in WEIR
pytestmark = [pytest.mark.root, pytest.mark.weir_only('weir\'s own image'),
              pytest.mark.skipif(not shutil.which('unshare'), reason='needs unshare'),
              pytest.mark.skipif(sanitized, reason='a sanitizer wants the whole system')]

# What a runtime and the image's Dockerfile do. What the visitor sees goes to a file of the test's.
OUTSIDE = r"""
set -e
mount --make-rprivate /
mount -t tmpfs none "$1"
m=$1/m
mkdir "$1/u" "$1/w" "$m"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/u,workdir=$1/w" "$m" || exit 77
mount --bind /dev "$m/dev"
mount -t tmpfs none "$m/run"
mount -t proc proc "$m/proc"
ip link set lo up 2>/dev/null || ifconfig lo up
rm -rf "$m/etc/nginx" "$m/var/log/nginx" "$m/docker-entrypoint.d"
mkdir -p "$m/etc/nginx/templates" "$m/usr/share/nginx/html" "$m/var/log/nginx" "$m/var/cache/nginx"
cp -r "$2/container/etc/." "$2/etc/mime.types" "$m/etc/nginx/"
cp -r "$2/container/docker-entrypoint.d" "$2/container/docker-entrypoint.sh" "$m/"
cp "$3" "$m/usr/sbin/nginx"
cp "$4" "$m/visitor"
mkdir "$m/seen"
mount --bind "$5" "$m/seen"
grep -q '^nginx:' "$m/etc/passwd" || echo 'nginx:x:101:101::/nonexistent:/bin/false' >> "$m/etc/passwd"
grep -q '^nginx:' "$m/etc/group" || echo 'nginx:x:101:' >> "$m/etc/group"
ln -s /dev/stdout "$m/var/log/nginx/access.log"
ln -s /dev/stderr "$m/var/log/nginx/error.log"
echo hello > "$m/usr/share/nginx/html/index.html"
echo 'server { listen ${OTHER_PORT}; return 200 "$host ${OTHER_PORT}"; }' > "$m/etc/nginx/templates/other.conf.template"
export OTHER_PORT=8081
exec chroot "$m" sh -c 'sh /visitor >> /seen/out 2>&1 & exec /docker-entrypoint.sh nginx -p /etc/nginx/ -c /etc/nginx/nginx.conf -e /var/log/nginx/error.log -g "daemon off;"'
"""

VISITOR = r"""
nginx="nginx -p /etc/nginx/ -c /etc/nginx/nginx.conf -e stderr"
answer() { curl -s --max-time 10 "http://127.0.0.1$1"; }
until_serves() { n=0; until [ "$(answer /)" = hello ]; do n=$((n + 1)); [ $n -lt 200 ] || return; sleep 0.05; done; }
children() { for f in /proc/[0-9]*/stat; do [ -e "$f" ] && sed -n 's/^\([0-9]*\) (nginx) [A-Z] 1 .*/\1/p' "$f" 2>/dev/null; done; }
until_serves
echo "comm $(cat /proc/1/comm)"
[ -n "$HAS_ENVSUBST" ] && echo "template $(answer :8081/)"
for i in 1 2 3 4 5; do sh -c 'sleep 0.2 & sleep 0.3 &'; done
sleep 1
echo "zombies $(grep -l '^State:.*Z' /proc/[0-9]*/status 2>/dev/null | wc -l)"
worker=$(children)
kill -9 "$worker"
until_serves
[ -n "$(children)" ] && [ "$(children)" != "$worker" ] && echo "worker replaced"
echo 'server { listen 8082; return 200 more; }' > /etc/nginx/conf.d/more.conf
$nginx -s reload; echo "reload $?"
echo "more $(answer :8082/)"
echo 'bogus;' > /etc/nginx/conf.d/bogus.conf
$nginx -s reload 2>/dev/null; echo "bad reload $?"
kill -HUP 1
sleep 0.5
echo "still $(answer /)"
rm /etc/nginx/conf.d/bogus.conf
$nginx -s reopen; echo "reopen $?"
answer /after-reopen > /dev/null
echo done
"""


@pytest.mark.parametrize('number', [signal.SIGQUIT, signal.SIGTERM])
def test_process_1(site, number):
    """Orphans are reaped, a dead worker is replaced, a reload and reopening work, logs come out of the container's pipes, and the
    runtime's signal ends it with exit code 0."""
    place, notes, visitor, outside = (site.directory_for('overlay'), site.directory_for('notes'), site.file('visitor', VISITOR),
                                      site.file('outside', OUTSIDE))
    has = 'yes' if shutil.which('envsubst') else ''
    runtime = subprocess.Popen(['unshare', '-m', '-n', '-p', '--fork', '--kill-child', 'sh', outside, place, f'{ROOT}/packaging', WEIR, visitor,
                                notes], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env={**os.environ, 'HAS_ENVSUBST': has})

    def seen():
        try:
            with open(f'{notes}/out') as f:
                return [line for line in f.read().splitlines() if 'signal process started' not in line]    # by -s, to its error log
        except FileNotFoundError:
            return []
    until(lambda: 'done' in seen() or runtime.poll() is not None, 'the visitor', 60)
    if runtime.poll() == 77:
        pytest.skip('no overlay here')
    if runtime.poll() is None:
        os.kill(proc.tree(runtime.pid)[1], number)
    out, err = (b.decode() for b in runtime.communicate(timeout=30))
    want = ['comm nginx', *(['template 127.0.0.1 8081'] if has else []), 'zombies 0', 'worker replaced', 'reload 0', 'more more',
            'bad reload 1', 'still hello', 'reopen 0', 'done']
    assert seen() == want, (seen(), out[-2000:], err[-2000:])
    assert runtime.returncode == 0
    assert '"GET / HTTP/1.1" 200' in out and '"GET /after-reopen HTTP/1.1" 404' in out
    assert 'start worker process' in err and 'exited on signal 9' in err and 'unknown directive "bogus"' in err
