"""The guide's configurations, verbatim but for ports, host names and paths."""
import os
import re

_DIRECTORY = os.environ.get('WEIR_GUIDE') or os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'guide')


def guide(name, ports=None, paths=None):
    """The text of a guide file. ports: {the guide's port of a back end on 127.0.0.1: address of ours}; paths: {the guide's
    path: ours}. "listen 80" becomes "listen @port@"."""
    with open(os.path.join(_DIRECTORY, name)) as f:
        text = f.read()
    for old, new in (paths or {}).items():
        assert old in text, f'{name} does not mention {old}'
        text = text.replace(old, new)
    for old, new in (ports or {}).items():
        text, count = re.subn(rf'\b127\.0\.0\.1:{old}\b', new, text)
        assert count, f'{name} does not mention port {old}'
    return re.sub(r'\blisten 80;', 'listen @port@;', text)
