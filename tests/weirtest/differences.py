"""Cases where weir is known to differ from nginx: tests/differences.txt, each line a reason for a pattern of test ids.

Such a case must fail (xfail, strict): when weir begins to do as nginx does, its line has to go."""
import fnmatch
import os
import re

import pytest

from .server import is_nginx

_FILE = os.path.join(os.path.dirname(os.path.dirname(__file__)), 'differences.txt')


def _rows():
    with open(_FILE, encoding='utf-8') as f:
        for line in f:
            line = line.rstrip('\n')
            if line and not line.startswith('#'):
                pattern, _, reason = line.partition(' :: ')
                yield pattern, reason


def mark(items, binary):
    """Marks the known cases, unless the server under test is nginx itself."""
    if is_nginx(binary):
        return
    exact, patterns = {}, []
    for pattern, reason in _rows():
        if '*' in pattern:
            patterns.append((pattern.replace('[', '[[]'), reason))
        else:
            exact[pattern] = reason
    for item in items:
        name = item.nodeid.split('@')[0] if re.search(r'@\w+\.py:\d+$', item.nodeid) else item.nodeid
        reason = exact.get(name) or next((r for p, r in patterns if fnmatch.fnmatchcase(name, p)), None)
        if reason:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
