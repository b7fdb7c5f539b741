"""The harness of the functional tests: real servers, real sockets, scripted back ends.

The server under test is $WEIR (build/weir by default). With WEIR=/usr/sbin/nginx all tests but those marked weir_only
run against nginx itself: that is how a test is proved before weir is asked. The reference of the differential tests is
$NGINX (/usr/sbin/nginx).

    client.py    raw bytes out, strictly parsed HTTP/1 in       site.py     a temporary place with ports and back ends
    backend.py   scripted back ends over TCP and Unix sockets   server.py   starts, watches and stops weir or nginx
    cgi.py       the same for FastCGI, SCGI, uwsgi and memcached
    conf.py      fragments of configurations made whole         table.py    the same bytes to nginx and weir, compared
    ports.py     ports that no other test process has           observe.py  what is compared, and the allowed differences
    both.py      what both servers say, compared: -t, error log
    certs.py     certificates and TLS contexts
    proc.py      process trees, memory, descriptors             guide.py    the guide's files, ports and paths mapped
    h2.py        exact frames out, strictly read frames in
    rfc9113.py   the driver of what walks RFC 9113              clock.py    a wall clock that a test sets, for one server
    plain.py     a server started by hand, without root
"""
from . import proc
from .backend import (Backend, Close, Drip, Echo, Pause, ReadRequest, Reset, ShutdownWrite, UntilClosed, Wait, chunked,
                      response)
from .both import Verdicts, errors_of_both
from .cgi import Raw, Stderr, record, value
from .client import Client, Response, exchange, get, parse_responses, post, request
from .conf import complete
from .guide import guide
from .server import NGINX, WEIR, Server, is_nginx, run
from .site import Site
from .table import ANY, Table
from .wait import until

__all__ = ['ANY', 'Backend', 'Client', 'Close', 'Drip', 'Echo', 'NGINX', 'Pause', 'Raw', 'ReadRequest', 'Reset',
           'Response', 'Server', 'ShutdownWrite', 'Site', 'Stderr', 'Table', 'UntilClosed', 'Verdicts', 'WEIR', 'Wait',
           'chunked', 'complete', 'errors_of_both', 'exchange', 'get', 'guide', 'is_nginx',
           'parse_responses', 'post', 'proc', 'record', 'request', 'response', 'run', 'until', 'value']
