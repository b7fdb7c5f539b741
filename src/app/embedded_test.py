"""weir without a configuration, and weir proxy: what somebody tries first."""
import os
import signal
import subprocess

import pytest

from weirtest import WEIR, exchange, get, proc, response, until

pytestmark = pytest.mark.weir_only('commands that nginx does not have')
root_only = pytest.mark.root
NAMESPACE = ['unshare', '-n', 'sh', '-c', 'ip link set lo up; exec "$@"', 'sh']


def in_namespace(script):
    """Runs a shell script where all ports are free. @weir@ is the binary."""
    return subprocess.run([*NAMESPACE, 'bash', '-c', script.replace('@weir@', WEIR)], capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, cwd='/')


UP = '@weir@ 2>/tmp/err.$$ >/tmp/out.$$ & S=$!; for i in $(seq 100); do curl -sf http://127.0.0.1:8080/hello >/dev/null && break; sleep 0.1; done; '
DOWN = 'kill -INT $S; wait $S; echo "code $?"; cat /tmp/err.$$ /tmp/out.$$; rm -f /tmp/err.$$ /tmp/out.$$'


@root_only
def test_demo():
    r = in_namespace(UP + 'curl -s http://127.0.0.1:8080/any/path?x=1; ' + DOWN)
    assert 'This is the demo back end' in r.stdout and 'GET /any/path?x=1' in r.stdout
    assert 'X-Forwarded-For: 127.0.0.1' in r.stdout and 'Host: 127.0.0.1:8080' in r.stdout
    assert 'code 0' in r.stdout and 'weir is listening on port 8080' in r.stdout and 'Ctrl-C ends it' in r.stdout
    assert '127.0.0.1 "GET /any/path?x=1 HTTP/1.1" 200' in r.stdout
    assert 'emerg' not in r.stdout and 'alert' not in r.stdout


@root_only
def test_demo_leaves_nothing(site):
    place = site.directory_for('tmp')
    r = in_namespace(f'export TMPDIR={place}; ' + UP + f'ls {place}; ' + DOWN)
    assert 'weir-' in r.stdout and os.listdir(place) == []


@root_only
def test_demo_without_privileges():
    r = in_namespace('exec setpriv --reuid 65534 --regid 65534 --clear-groups bash -c \'' +
                     UP.replace('/tmp/', '/var/tmp/') + 'ps -o uid= -p $S; ' + DOWN.replace('/tmp/', '/var/tmp/') + "'")
    assert '65534' in r.stdout and 'code 0' in r.stdout and 'emerg' not in r.stdout, r.stdout + r.stderr


@root_only
def test_demo_port_in_use():
    r = in_namespace(UP + '@weir@; echo "second $?"; ' + DOWN)
    assert 'second 1' in r.stdout
    assert 'bind() to 0.0.0.0:8080 failed (98: Address already in use)' in r.stderr and 'weir proxy :PORT' in r.stderr


@root_only
def test_demo_takes_signals():
    """HUP and USR1 do no harm: the text is the program's own."""
    r = in_namespace(UP + 'kill -HUP $S; sleep 0.3; kill -USR1 $S; sleep 0.2; curl -s http://127.0.0.1:8080/hello; ' + DOWN)
    assert r.stdout.count('hello from weir itself') == 1 and 'code 0' in r.stdout


def proxy(port, backend):
    return subprocess.Popen([WEIR, 'proxy', port, backend], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                            stdin=subprocess.DEVNULL, start_new_session=True)


@pytest.mark.parametrize('listen', [':{}', '127.0.0.1:{}', '{}'])
@pytest.mark.parametrize('backend', ['127.0.0.1:{}', 'http://127.0.0.1:{}', ':{}', '{}'])
def test_proxy(site, listen, backend):
    port, back = site.port(), site.backend('app', answer=lambda q: response(q.target))
    p = proxy(listen.format(port), backend.format(back.address.rpartition(':')[2]))
    try:
        def there():
            try:
                return exchange(port, get('/a?b'))[0].text == '/a?b'
            except OSError:
                assert p.poll() is None, p.communicate()
                return False
        until(there, 'the proxy')
        assert back.requests[0].header('X-Forwarded-For') == '127.0.0.1'
    finally:
        os.kill(p.pid, signal.SIGINT)
        out, err = p.communicate(timeout=20)
    assert p.returncode == 0 and 'weir proxies' in err and '"GET /a?b HTTP/1.1" 200' in out
    until(lambda: not proc.in_session(p.pid), 'all to be gone')


@pytest.mark.parametrize('arguments', [[], [':8080'], [':8080', 'a b'], [';', '3000'], [':8080', '{']])
def test_proxy_usage(arguments):
    r = subprocess.run([WEIR, 'proxy', *arguments], capture_output=True, text=True, timeout=20)
    assert r.returncode == 1 and 'usage: weir proxy LISTEN BACKEND' in r.stderr


def test_stdout_that_cannot_be_opened(site):
    """A socket has no name that can be opened: a service's standard output is one."""
    import socket
    ours, theirs = socket.socketpair()
    port, back = site.port(), site.backend('app')
    p = subprocess.Popen([WEIR, 'proxy', f':{port}', back.address], stdout=theirs, stderr=subprocess.PIPE, text=True)
    theirs.close()
    try:
        def there():
            try:
                return exchange(port, get('/x'))[0].status == 200
            except OSError:
                assert p.poll() is None, p.communicate()
                return False
        until(there, 'the proxy')
        ours.settimeout(15)
        assert b'"GET /x HTTP/1.1" 200' in ours.recv(4096)
    finally:
        p.terminate()
        p.communicate(timeout=20)
        ours.close()
