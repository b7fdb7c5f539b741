"""Fixtures and marks for pytest."""
import os

import pytest

from . import differences
from .server import WEIR, is_nginx
from .site import Site


def pytest_configure(config):
    if not os.access(WEIR, os.X_OK):
        raise pytest.UsageError(f'{WEIR} does not exist: build it, or set WEIR to the server to test')


def pytest_collection_modifyitems(items):
    differences.mark(items, WEIR)
    # WEIRTEST_ALL=1 runs the tests of deliberate differences against nginx too: they must fail there.
    if is_nginx(WEIR) and not os.environ.get('WEIRTEST_ALL'):
        for item in items:
            mark = item.get_closest_marker('weir_only')
            if mark:
                item.add_marker(pytest.mark.skip(reason=mark.args[0] if mark.args else 'weir differs here on purpose'))
    if os.getuid() != 0:
        for item in items:
            if item.get_closest_marker('root'):
                item.add_marker(pytest.mark.skip(reason='needs root'))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    setattr(item, 'report_' + outcome.get_result().when, outcome.get_result())


@pytest.fixture
def site(request):
    """A Site for one test. Servers are stopped and checked when the test ends; a failed test is not judged twice."""
    place = Site()
    yield place
    report = getattr(request.node, 'report_call', None)
    if report is not None and report.passed:
        place.close()
    else:
        for server in place.servers:
            print(f'--- {server.directory}\n{server.said()}')
        place.abandon()
