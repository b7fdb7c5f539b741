"""The Debian package: it is built, installed, upgraded while it serves, put in nginx's place, and purged, on a copy of this system's
files that is thrown away (an overlay, with a network and processes of its own)."""
import os
import shutil
import subprocess

import pytest

from weirtest import WEIR

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
pytestmark = [pytest.mark.root, pytest.mark.weir_only('weir\'s own package'),
              pytest.mark.skipif(not shutil.which('dpkg-deb') or not shutil.which('unshare'), reason='needs dpkg-deb and unshare'),
              pytest.mark.skipif('build-asan' in WEIR or 'build-tsan' in WEIR, reason='the package is a release build')]

# The system's own name for it decides what the scripts of the package do.
SYSTEMCTL = r"""#!/bin/sh
echo "systemctl $*" >> /root/told
pid() { for f in /run/weir.pid /run/nginx.pid; do [ ! -s $f ] || { cat $f; return; }; done; echo 0; }
case "$*" in
  "show -p MainPID --value weir.service") pid ;;
  "is-active --quiet weir.service") [ "$(pid)" != 0 ] ;;
  "restart weir"|"start weir"*) . /etc/default/weir; exec /usr/sbin/weir $WEIR_ARGS ;;
  "stop weir"*) p=$(pid); [ "$p" = 0 ] || { kill -QUIT "$p"; while kill -0 "$p" 2>/dev/null; do sleep 0.05; done; } ;;
esac
"""

OUTSIDE = r"""
set -e
mount --make-rprivate /
mount -t tmpfs none "$1"
mkdir "$1/u" "$1/w" "$1/m"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/u,workdir=$1/w" "$1/m" || exit 77
mount --bind /dev "$1/m/dev"
mount -t tmpfs none "$1/m/run"
mount -t tmpfs none "$1/m/tmp"
mount -t proc proc "$1/m/proc"
ip link set lo up 2>/dev/null || ifconfig lo up
cp "$2" "$1/m/root/package.deb"
cp "$3" "$1/m/root/inside"
cp "$4" "$1/m/root/systemctl"
exec chroot "$1/m" sh /root/inside
"""

INSIDE = r"""
set -e
export DEBIAN_FRONTEND=noninteractive LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
say() { echo "== $*"; }
answer() { curl -s -o /dev/null -w '%{http_code}\n' --max-time 10 "http://127.0.0.1$1"; }
serves() { n=0; until [ "$(answer /)" = 200 ]; do n=$((n + 1)); [ $n -lt 100 ]; sleep 0.05; done; }
gone() { n=0; while kill -0 "$1" 2>/dev/null; do n=$((n + 1)); [ $n -lt 200 ]; sleep 0.05; done; }
mkdir -p /var/www/html && echo hello > /var/www/html/index.html

say install
dpkg -i /root/package.deb
dpkg -V weir
weir -t
[ "$(stat -c %U:%G:%a /var/log/weir)" = root:adm:755 ]

say run
weir
serves
grep -q '"GET / HTTP/1.1" 200' /var/log/weir/access.log || { sleep 1; grep -q '"GET / HTTP/1.1" 200' /var/log/weir/access.log; }
old=$(cat /run/weir.pid)

say upgrade
install -m 755 /root/systemctl /usr/local/bin/systemctl
mkdir -p /run/systemd/system
echo '# of the administrator' >> /etc/weir/weir.conf
dpkg-deb -R /root/package.deb /root/next
sed -i 's/^Version: .*/&+next/' /root/next/DEBIAN/control
echo '# of the next version' >> /root/next/etc/weir/mime.types
dpkg-deb --root-owner-group -b /root/next /root/next.deb > /dev/null
(while [ ! -e /root/enough ]; do answer /; done > /root/answers) &
dpkg -i --force-confold /root/next.deb
gone "$old"
touch /root/enough
wait
new=$(cat /run/weir.pid)
[ "$new" != "$old" ] && kill -0 "$new"
if grep -v '^200$' /root/answers; then exit 1; fi     # set -e does not look at what is negated
[ "$(wc -l < /root/answers)" -gt 3 ]
grep -q 'of the administrator' /etc/weir/weir.conf
grep -q 'of the next version' /etc/weir/mime.types
[ "$(readlink /proc/$new/exe)" = /usr/sbin/weir ]

say broken
echo 'bogus;' >> /etc/weir/weir.conf
dpkg -i --force-confold /root/next.deb 2>&1 | grep 'was not upgraded'
[ "$(cat /run/weir.pid)" = "$new" ] && serves
sed -i '/bogus/d' /etc/weir/weir.conf

say adopt
systemctl stop weir
if [ -f /etc/nginx/nginx.conf ] && [ -f /etc/nginx/sites-available/default ]; then
  ln -sf ../sites-available/default /etc/nginx/sites-enabled/default
  find /etc/nginx -type f -exec md5sum {} + | sort > /root/before
  weir-adopt-nginx --check
  weir-adopt-nginx
  serves
  [ "$(readlink /proc/$(cat /run/nginx.pid)/exe)" = /usr/sbin/weir ]
  weir-adopt-nginx --back
  find /etc/nginx -type f -exec md5sum {} + | sort | cmp - /root/before
else
  echo 'no nginx here'
fi

say remove
systemctl start weir
serves
dpkg -r weir
[ ! -e /run/weir.pid ] && [ -e /etc/weir/weir.conf ] && [ ! -e /usr/sbin/weir ]

say purge
dpkg -P weir
find / -xdev \( -path /root -o -path /work -o -path /home -o -path /tmp -o -path /proc -o -path /var/lib/dpkg/info \) -prune -o -name '*weir*' -newer /root/inside -print
if dpkg -s weir 2>/dev/null; then exit 1; fi
say done
"""


def build():
    r = subprocess.run([f'{ROOT}/tools/make-deb'], capture_output=True, text=True, timeout=900)
    assert r.returncode == 0, r.stdout + r.stderr
    return f'{ROOT}/{r.stdout.split()[-1]}'


def test_package(site):
    package = build()
    place = site.directory_for('overlay')
    paths = [site.file(name, text) for name, text in (('outside', OUTSIDE), ('inside', INSIDE), ('systemctl', SYSTEMCTL))]
    r = subprocess.run(['unshare', '-m', '-n', '-p', '--fork', '--kill-child', 'sh', paths[0], place, package, *paths[1:]], capture_output=True,
                       env={k: v for k, v in os.environ.items() if k != 'WEIR'},
                       text=True, timeout=300)
    if r.returncode == 77:
        pytest.skip('no overlay: ' + r.stderr)
    assert r.returncode == 0 and r.stdout.splitlines()[-1] == '== done', r.stdout[-3000:] + r.stderr[-3000:]
    purged = r.stdout[r.stdout.index('== purge'):].splitlines()[1:-1]
    left = [line for line in purged if line.startswith('/')]
    assert left == [], left
