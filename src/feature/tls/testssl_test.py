"""What testssl.sh finds wrong with a server of default settings: nothing of medium severity or above."""
import json
import os
import shutil
import subprocess

import pytest

from weirtest import certs

BAD = ('MEDIUM', 'HIGH', 'CRITICAL', 'FATAL')
# What is no matter of the server: the age of the tool, the certificate that tests make for themselves, what a site says in its fields.
NOT_OURS = ('cert_', 'security_headers', 'scanTime', 'engine_problem', 'old_openssl')


@pytest.mark.skipif(not shutil.which('testssl'), reason='testssl.sh is not installed')
def test_testssl(site):
    server = site.server('server { listen 127.0.0.1:@port@ ssl; server_name localhost; ssl_certificate @certs@/server.pem;'
                         'ssl_certificate_key @certs@/server.key; ssl_certificate @certs@/rsa.pem; ssl_certificate_key @certs@/rsa.key;'
                         'add_header Strict-Transport-Security "max-age=31536000"; return 200 ok; }')
    out = os.path.join(site.directory, 'testssl.json')
    done = subprocess.run(['testssl', '--quiet', '--color', '0', '--warnings', 'off', '--nodns', 'none', '--ip', '127.0.0.1', '--add-ca',
                           certs.path('ca.pem'), '--openssl', '/usr/bin/openssl', '--jsonfile', out, f'localhost:{server.port}'],
                          capture_output=True, text=True, timeout=1200, check=False, stdin=subprocess.DEVNULL)
    with open(out, encoding='utf-8') as f:
        findings = json.load(f)
    assert len(findings) > 100, done.stdout
    seen = {f['id'] for f in findings}
    assert {'TLS1_3', 'heartbleed', 'ROBOT', 'LUCKY13', 'secure_renego'} <= seen, 'the tool looked at everything'
    bad = [f for f in findings if f['severity'] in BAD and not f['id'].startswith(NOT_OURS)]
    assert not bad
