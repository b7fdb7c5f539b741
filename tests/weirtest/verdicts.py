"""What -t says of a configuration: nginx's words and weir's, side by side.

    verdicts = Verdicts('events {} http { @here@ server { } }')
    verdicts.case('access_log a nofmt;')
    test_verdicts = verdicts.tests()

Of both the first [emerg] (or, where the text is accepted, all warnings) is compared, with file and line."""
import os
import re
import tempfile

import pytest

from .server import NGINX, WEIR, run


class Verdicts:
    def __init__(self, template='events {} http { @here@ server { access_log off; listen unix:@dir@/s; } }'):
        self.template, self.cases = template, []

    def case(self, text, weir=None, why=None):
        """weir: the whole line where weir says something else on purpose (why: the reason); nginx is not asked then."""
        self.cases.append((text, weir, why))

    def tests(self):
        params = [pytest.param(text, weir, id=re.sub(r'[^\x21-\x7e]+', ' ', text),
                               marks=[pytest.mark.weir_only(why)] if weir is not None else []) for text, weir, why in self.cases]

        @pytest.mark.parametrize('text, weir', params)
        def test(text, weir):
            with tempfile.TemporaryDirectory(prefix='weirtest-') as directory:
                wanted = [weir] if weir is not None else self.verdict(NGINX, text, directory)
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
