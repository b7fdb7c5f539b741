"""Differential tests: one configuration, many requests, nginx and weir side by side.

    table = Table('location = /a { return 200 "$uri"; }', ...)
    table.case('exact match', get('/a'), 200)
    test_location = table.tests()

The first test of a table that runs starts nginx, sends it the requests of all selected cases, one after the other, stops
it, and does the same with the server under test; each test then compares its own case: every answer, what happened to
the connection, what the back ends received, and the access log. One more test, "clean", is the judgement over how the
server under test stopped. Cases of one table run in one worker of xdist.
"""
import difflib
import inspect
import os

import pytest

from . import observe
from .client import BadResponse, Client
from .server import NGINX, WEIR
from .site import Site

LOG = 'request=$request|status=$status|body_bytes_sent=$body_bytes_sent|upstream_status=$upstream_status'

# A case that hangs is a failure; a server that always hangs must not hold up everything.
HANG = 5.0
HANGS = 3

OWN_LOG = 'own'
ANY = 'any'    # as a case's status: whatever nginx answers, weir must answer


class Case:
    def __init__(self, name, data, status, answer, sees, pieces, delay, weir, why, half_close, log, timeout, lingers, tls, tls_name):
        self.name, self.data = name, data
        self.statuses = [] if status is None else list(status) if isinstance(status, (list, tuple)) else [status]
        self.answer, self.sees, self.pieces, self.delay = answer, sees, pieces, delay
        self.weir, self.why, self.half_close, self.lingers = weir, why, half_close, lingers
        self.log, self.timeout = log, timeout
        self.tls, self.tls_name = tls, tls_name

    def wanted(self):
        if self.weir is None:
            return self.statuses
        return list(self.weir) if isinstance(self.weir, (list, tuple)) else [self.weir]


class Outcome:
    """What was seen of one case at one server."""

    def __init__(self):
        self.responses, self.ended, self.requests, self.rest = [], None, [], b''
        self.port, self.error, self.lines = None, None, []

    def statuses(self):
        return [r.status for r in self.responses]


class Table:
    def __init__(self, conf, log=LOG, http='', main='', connection=False, files=None, setup=None, answer=None, workers=1,
                 alerts=()):
        """http, main: more directives for these blocks. connection: compare "Connection: close" to back ends. files:
        {path: content} below @root@. setup(site): more preparation. answer: of all back ends unless a case says
        otherwise. log: the format of the compared log; None where the configuration has access_log itself; OWN_LOG where that
        writes @dir@/cases.log, in a format that begins with '$realip_remote_port '."""
        self.conf, self.log, self.http, self.main = conf, log, http, main
        self.connection, self.files, self.setup, self.answer = connection, files or {}, setup, answer
        self.workers, self.alerts = workers, alerts
        self.cases, self.names = [], set()
        caller = inspect.stack()[1]
        self.name = f'{os.path.basename(caller.filename)}:{caller.lineno}'
        self.ran = None

    def case(self, name, data, status=200, answer=None, sees=None, pieces=None, delay=0.0, weir=None, why=None,
             half_close=False, lingers=False, log=True, timeout=HANG, tls=None, tls_name='example.com'):
        """data: bytes to send, or a function of the Client that sends. status: what nginx answers, a list for several
        answers, None for a connection closed without one, ANY for one answer of any status. answer: of the back ends, in this case. sees: "METHOD target"
        of what the back ends receive, in order. pieces: offsets to cut data at, with delay between. weir: the status
        where weir differs on purpose (why: the reason); nginx is not asked then. half_close: the client sends FIN.
        tls: makes the context of a client that
        speaks TLS and asks for tls_name. lingers: the server may wait for more of the request before it closes, so the close is not waited for.
        log=False: the access log is not compared."""
        assert name not in self.names, f'two cases are called {name}'
        self.names.add(name)
        self.cases.append(Case(name, data, status, answer, sees, pieces, delay, weir, why, half_close, log, timeout,
                               lingers, tls, tls_name))

    def tests(self):
        params = [pytest.param(c, id=c.name, marks=[pytest.mark.weir_only(c.why)] if c.weir is not None else [])
                  for c in self.cases]

        @pytest.mark.xdist_group(self.name)
        @pytest.mark.parametrize('case', [*params, pytest.param(None, id='clean')])
        def test(case, request):
            if self.ran is None:
                self.ran = _Run(self, self.selected(request))
            self.ran.judge(case)
        return test

    def selected(self, request):
        chosen = {item.callspec.params['case'].name for item in request.session.items
                  if getattr(item, 'callspec', None) and isinstance(item.callspec.params.get('case'), Case)
                  and item.parent is request.node.parent and item.originalname == request.node.originalname
                  and not any(m.name == 'skip' for m in item.iter_markers())}
        return [c for c in self.cases if c.name in chosen]


class _Run:
    """Both servers, all chosen cases."""

    def __init__(self, table, cases):
        self.table, self.outcomes, self.complaint, self.ports = table, {}, None, set()
        self.site = Site()
        for path, content in table.files.items():
            self.site.file(path, content)
        if table.setup:
            table.setup(self.site)
        try:
            common = [c for c in cases if c.weir is None]
            self.serve('nginx', NGINX, common)
            self.serve('tested', WEIR, cases)
        except AssertionError as e:
            self.complaint = self.complaint or str(e)
        finally:
            self.site.abandon()

    def serve(self, label, binary, cases):
        table = self.table
        http = table.http
        if table.log not in (None, OWN_LOG):
            http += (f"\nlog_format weirtest '$realip_remote_port {table.log}';\n"
                     'access_log @dir@/cases.log weirtest;\n')
        server = self.site.server(table.conf, binary, label, http, table.main, table.workers)
        server.alerts += table.alerts
        hangs = 0
        for case in cases:
            if not server.alive() or hangs >= HANGS:
                outcome = Outcome()
                outcome.error = 'not asked: the server ' + ('hangs' if server.alive() else 'ended before')
            else:
                outcome = self.ask(server, case)
                hangs += outcome.ended == 'timeout'
            self.outcomes[label, case.name] = outcome
        try:
            server.stop()
        except AssertionError as e:
            if label == 'nginx':
                raise AssertionError(f'the reference did not stop well: {e}') from None
            self.complaint = str(e)
        self.describe(server, label, cases)

    def ask(self, server, case):
        outcome = Outcome()
        before = {name: len(b.requests) for name, b in self.site.backends.items()}
        for backend in self.site.backends.values():
            backend.answer = case.answer or self.table.answer or backend.default
        try:
            with self.connect(server, case) as client:
                outcome.port = client.port
                self.talk(server, client, case, outcome)
            for name, backend in self.site.backends.items():
                backend.settle(case.timeout)
        except (AssertionError, OSError) as e:
            outcome.error = f'{type(e).__name__}: {e}'
        for name, backend in sorted(self.site.backends.items()):
            outcome.requests += backend.requests[before.get(name, 0):]
        return outcome

    def connect(self, server, case):
        """A connection from a port that no case had before: lines of the access log are told apart by it."""
        while True:
            client = Client(server.port, timeout=case.timeout, tls=case.tls and case.tls(), name=case.tls_name)
            if (server, client.port) not in self.ports:
                self.ports.add((server, client.port))
                return client
            client.close()

    def talk(self, server, client, case, outcome):
        if callable(case.data):
            case.data(client)
        else:
            data = case.data.replace(b'@port@', str(server.port).encode())
            client.send(data, case.pieces, case.delay)
        if case.half_close:
            client.shutdown_write()
        wanted = len(case.wanted())
        try:
            if wanted:
                outcome.responses = client.responses(wanted)
            if not wanted or not outcome.responses or outcome.responses[-1].closes() and not case.lingers:
                outcome.rest = client.read_to_end()
        except BadResponse as e:
            outcome.error = f'{e}; received {bytes(client.received)!r}'
        outcome.ended = client.ended

    def describe(self, server, label, cases):
        logged = {}
        if self.table.log is not None:
            for line in server.lines('cases.log'):
                port, _, rest = line.partition(' ')
                logged.setdefault(int(port), []).append(rest)
        for case in cases:
            outcome = self.outcomes[label, case.name]
            mask = observe.Mask(server.names, outcome.port)
            lines = []
            for r in outcome.responses:
                lines += ['-- answer', *observe.response_lines(r, mask)]
            lines.append(f'-- connection: {outcome.ended or "kept"}')
            if outcome.rest:
                lines += ['-- more bytes'] + observe.show(mask(outcome.rest))
            if outcome.error:
                lines += ['-- error', mask(outcome.error)]
            lines += observe.backend_lines(outcome.requests, mask, self.table.connection)
            if case.log:
                lines += observe.log_lines(logged.get(outcome.port, []), outcome.responses, mask)
            outcome.lines = lines

    def judge(self, case):
        if case is None:
            if self.complaint:
                pytest.fail(self.complaint, pytrace=False)
            return
        if ('tested', case.name) not in self.outcomes:
            pytest.fail('not run: ' + (self.complaint or '')[:600], pytrace=False)
        tested = self.outcomes['tested', case.name]
        sent = f'sent:\n{case.data!r}\n' if not callable(case.data) else ''
        if tested.error:
            pytest.fail(f'{tested.error}\n{sent}' + '\n'.join(tested.lines), pytrace=False)
        if case.weir is None:
            reference = self.outcomes['nginx', case.name]
            if reference.error:
                pytest.fail(f'nginx: {reference.error}\n{sent}' + '\n'.join(reference.lines), pytrace=False)
            self.expected(case, reference, f'the test is wrong about nginx\n{sent}')
            if not observe.same(reference.lines, tested.lines):
                diff = '\n'.join(difflib.unified_diff(reference.lines, tested.lines, 'nginx', 'tested', lineterm='', n=50))
                pytest.fail(f'{sent}{diff}', pytrace=False)
        self.expected(case, tested, sent)

    def expected(self, case, outcome, sent):
        seen = '\n'.join(outcome.lines)
        got = outcome.statuses()
        if len(got) != len(case.wanted()) or any(w not in (g, ANY) for g, w in zip(got, case.wanted())):
            pytest.fail(f'{sent}wanted {case.wanted()}, got {outcome.statuses()}\n{seen}', pytrace=False)
        if case.sees is not None:
            want = [case.sees] if isinstance(case.sees, str) else list(case.sees)
            got = [f'{q.method} {q.target}' for q in outcome.requests]
            if got != want:
                pytest.fail(f'{sent}the back end should see {want}, saw {got}\n{seen}', pytrace=False)
