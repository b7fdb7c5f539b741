"""What nginx and weir say: of a configuration (-t), and in the error log while they answer.

    verdicts = Verdicts('events {} http { @here@ server { } }')
    verdicts.case('access_log a nofmt;')
    test_verdicts = verdicts.tests()

Of what -t says, the first [emerg] (or, where the text is accepted, all warnings) is compared, with file and line."""
import os
import re
import tempfile

import pytest

from .client import Client
from .server import NGINX, WEIR, run


def errors_of_both(site, conf, requests, **how):
    """Lines of the error log that belong to connections, "level: message", of nginx and of weir. requests: bytes, each on a
    connection of its own, whose answer may be any or none. One worker: the lines of two have no order."""
    said = []
    for binary in (NGINX, WEIR):
        server = site.server(conf, binary, **{'workers': 1} | how)
        for data in requests:
            with Client(server.port) as client:
                client.send(data)
                client.shutdown_write()
                client.read_to_end()
        server.stop()
        own = {str(v): f'@{k}@' for k, v in server.names.items()}
        lines = [f'{e.level}: {e.message}' for e in server.errors() if e.connection]
        for value in sorted(own, key=len, reverse=True):
            lines = [line.replace(value, own[value]) for line in lines]
        said.append(lines)
    return said


class Verdicts:
    """A table of texts; @here@ in the template is where a text stands."""

    def __init__(self, template='events {} http { @here@ server { access_log off; listen unix:@dir@/s; } }'):
        self.template, self.cases = template, []

    def case(self, text, weir=None, why=None, accepted=None):
        """weir: the whole line where weir says something else on purpose (why: the reason); nginx is not asked then. accepted: whether
        nginx takes it, where the test is to know."""
        self.cases.append((text, weir, why, accepted))

    def each(self, texts, accepted=None):
        for text in texts:
            self.case(text, accepted=accepted)

    def tests(self):
        params = [pytest.param(text, weir, accepted, id=re.sub(r'[^\x21-\x7e]+', ' ', text),
                               marks=[pytest.mark.weir_only(why)] if weir is not None else []) for text, weir, why, accepted in self.cases]

        @pytest.mark.parametrize('text, weir, accepted', params)
        def test(text, weir, accepted):
            with tempfile.TemporaryDirectory(prefix='weirtest-') as directory:
                wanted = [weir] if weir is not None else self.verdict(NGINX, text, directory)
                assert accepted is None or accepted == (not any(w.startswith('[emerg]') for w in wanted)), f'nginx says {wanted}'
                got = self.verdict(WEIR, text, directory)
                if len(got) == len(wanted):    # weir may name the line where nginx does not
                    got = [w if g.startswith(w + ' in @dir@/x.conf:') else g for g, w in zip(got, wanted)]
                assert got == wanted, f'wanted {wanted}, got {got}'
        return test

    def verdict(self, binary, text, directory):
        path = os.path.join(directory, 'x.conf')
        temporary = ''.join(f'{name}_temp_path {directory}/t;' for name in ('client_body', 'proxy')
                            + (('fastcgi', 'uwsgi', 'scgi') if binary == NGINX else ()))
        with open(path, 'w', encoding='latin-1') as f:
            f.write(f'pid {directory}/pid; ' + re.sub(r'(http \{)', rf'\1 {temporary}', self.template, count=1)
                    .replace('@here@', text).replace('@dir@', directory))
        result = run('-t', '-c', path, '-p', directory + '/', '-e', 'stderr', binary=binary)
        said = [re.sub(r'^nginx: ', '', line) for line in result.stderr.splitlines()]
        said = [re.sub(r'^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (\[\w+\]) \d+#\d+: ', r'\1 ', line) for line in said]
        emergencies = [line for line in said if line.startswith('[emerg]')]
        assert bool(emergencies) == (result.returncode != 0), result.stderr
        found = emergencies[:1] or [line for line in dict.fromkeys(said) if line.startswith('[warn]')]
        return [line.replace(directory, '@dir@') for line in found]
