"""Certificates for tests, made once in each test process by the openssl command. @certs@ in a configuration is their directory.

    ca.pem            an authority, and ca.key; ca2.pem, another of another name
    server.pem        EC: example.com, *.example.com, localhost, 127.0.0.1; server.key
    rsa.pem           RSA of the same names; rsa.key
    other.pem         EC: other.test; other.key
    client.pem        EC of a client, by ca; client.key.  revoked.pem: one that crl.pem revokes
    stranger.pem      EC of a client, signed by itself; stranger.key
    encrypted.key     server.key under the second pass phrase of passwords
"""
import atexit
import os
import shutil
import ssl
import subprocess
import tempfile
import time

_directory = None


def _run(*arguments, text=None):
    subprocess.run(['openssl', *arguments], cwd=_directory, check=True, capture_output=True, input=text, text=True)


def _write(name, text):
    with open(os.path.join(_directory, name), 'w', encoding='ascii') as f:
        f.write(text)


def _key(name, rsa=False):
    how = ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'] if rsa else ['-algorithm', 'EC', '-pkeyopt',
                                                                                 'ec_paramgen_curve:P-256']
    _run('genpkey', *how, '-out', f'{name}.key')


def _authority(name, subject):
    _key(name)
    _run('req', '-x509', '-new', '-key', f'{name}.key', '-subj', subject, '-days', '30', '-out', f'{name}.pem',
         '-addext', 'keyUsage=critical,keyCertSign,cRLSign')


def _signed(name, subject, names='', ca='ca', rsa=False, extensions='basicConstraints=CA:FALSE'):
    _key(name, rsa)
    _run('req', '-new', '-key', f'{name}.key', '-subj', subject, '-out', f'{name}.csr')
    _write(f'{name}.ext', f'subjectAltName={names}\n' if names else extensions + '\n')
    _run('x509', '-req', '-in', f'{name}.csr', '-CA', f'{ca}.pem', '-CAkey', f'{ca}.key', '-CAcreateserial', '-days', '20',
         '-extfile', f'{name}.ext', '-out', f'{name}.pem')


def _revocations():
    _write('index', '')
    _write('crlnumber', '01\n')
    _write('ca.cnf', '[ca]\ndefault_ca=a\n[a]\ndatabase=index\ncrlnumber=crlnumber\ndefault_md=sha256\n'
                     'default_crl_days=10\ncertificate=ca.pem\nprivate_key=ca.key\n')
    for name in ('server', 'client'):
        _run('ca', '-config', 'ca.cnf', '-valid', f'{name}.pem')
    _run('ca', '-config', 'ca.cnf', '-revoke', 'revoked.pem')
    _run('ca', '-config', 'ca.cnf', '-gencrl', '-out', 'crl.pem')


def directory():
    """The directory, made at the first call."""
    global _directory
    if _directory:
        return _directory
    _directory = tempfile.mkdtemp(prefix='weirtest-certs-')
    os.chmod(_directory, 0o755)
    atexit.register(shutil.rmtree, _directory, True)
    names = 'DNS:example.com,DNS:*.example.com,DNS:localhost,IP:127.0.0.1'
    _authority('ca', '/C=XX/O=Weir Tests/CN=Test CA')
    _authority('ca2', '/CN=Other CA')
    _signed('server', '/CN=example.com', names)
    _signed('rsa', '/CN=example.com', names, rsa=True)
    _signed('other', '/CN=other.test', 'DNS:other.test')
    _signed('client', '/C=XX/O=Weir Tests/OU=a, "b"/CN=client')
    _signed('revoked', '/CN=revoked')
    _key('stranger')
    _run('req', '-x509', '-new', '-key', 'stranger.key', '-subj', '/CN=stranger', '-days', '30', '-out', 'stranger.pem')
    _revocations()
    _run('pkey', '-in', 'server.key', '-aes128', '-passout', 'pass:second phrase', '-out', 'encrypted.key')
    _write('passwords', 'first phrase\nsecond phrase\n')
    for name in os.listdir(_directory):
        os.chmod(os.path.join(_directory, name), 0o644)
    time.sleep(1.1)    # whole days are left from now on, for whoever counts them
    return _directory


def make(name, extensions, ca='ca', known='valid', chain=()):
    """A further certificate by ca, which its responder knows as 'valid' or 'revoke'd. chain: names whose certificates follow in the file."""
    directory()
    _signed(name, f'/CN={name}', ca=ca, extensions=extensions)
    if not os.path.exists(path(f'index.{ca}')):
        _write(f'index.{ca}', '')
    _write(f'{ca}.cnf', f'[ca]\ndefault_ca=a\n[a]\ndatabase=index.{ca}\nunique_subject=no\ncrlnumber=crlnumber\ndefault_md=sha256\n'
                        f'default_crl_days=10\ncertificate={ca}.pem\nprivate_key={ca}.key\n')
    _run('ca', '-config', f'{ca}.cnf', f'-{known}', f'{name}.pem')
    for other in chain:
        with open(path(f'{other}.pem'), encoding='ascii') as more, open(path(f'{name}.pem'), 'a', encoding='ascii') as to:
            to.write(more.read())
    for end in ('pem', 'key'):
        os.chmod(path(f'{name}.{end}'), 0o644)


class Responder:
    """An OCSP responder of ca; index: of whom it knows ('index.ca': of make()); signer: who signs what it says."""

    def __init__(self, port, ca='ca', index='index', signer=None):
        signer = signer or ca
        self.process = subprocess.Popen(['openssl', 'ocsp', '-index', index, '-port', str(port), '-rsigner', f'{signer}.pem', '-rkey', f'{signer}.key',
                                         '-CA', f'{ca}.pem', '-ndays', '1'], cwd=directory(), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:    # its last line before it answers; what it says later fits the pipe
            if 'waiting' in line:
                break

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.process.stderr.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def ocsp_response(name):
    """The DER of a response about a certificate, as a file's path."""
    # It ends with 1, as nobody told it whom to trust; the response is written nevertheless.
    subprocess.run(['openssl', 'ocsp', '-issuer', 'ca.pem', '-cert', f'{name}.pem', '-no_nonce', '-index', 'index', '-CA', 'ca.pem',
                    '-rsigner', 'ca.pem', '-rkey', 'ca.key', '-ndays', '1', '-respout', f'{name}.ocsp'], cwd=directory(),
                   check=False, capture_output=True)
    os.chmod(path(f'{name}.ocsp'), 0o644)
    return path(f'{name}.ocsp')


def path(name):
    return os.path.join(directory(), name)


def client(cert=None, versions=None, alpn=None, ciphers=None, verify=True):
    """A context for clients that trust ca. cert: 'client', 'stranger'... versions: '1.2' or '1.3' alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if verify:
        context.load_verify_locations(path('ca.pem'))
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert:
        context.load_cert_chain(path(f'{cert}.pem'), path(f'{cert}.key'))
    if versions:
        context.minimum_version = context.maximum_version = {'1.2': ssl.TLSVersion.TLSv1_2, '1.3': ssl.TLSVersion.TLSv1_3}[versions]
    if alpn:
        context.set_alpn_protocols(alpn)
    if ciphers:
        context.set_ciphers(ciphers)
    return context


def server(cert='server', ca=None, versions=None, optional=False):
    """A context for back ends. ca: clients must (optional: may) show a certificate by it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path(f'{cert}.pem'), path(f'{cert}.key'))
    context.sni_callback = lambda sock, name, _: setattr(sock, 'asked_name', name)
    if ca:
        context.load_verify_locations(path(f'{ca}.pem'))
        context.verify_mode = ssl.CERT_OPTIONAL if optional else ssl.CERT_REQUIRED
    if versions:
        context.minimum_version = context.maximum_version = {'1.2': ssl.TLSVersion.TLSv1_2, '1.3': ssl.TLSVersion.TLSv1_3}[versions]
    return context
