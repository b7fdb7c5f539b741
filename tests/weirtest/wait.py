"""Waiting for a condition instead of sleeping."""
import time

# Sanitizer builds and busy machines are slow: a time-out is a failure of the test, so it is generous.
PATIENCE = 15.0


def until(condition, what='condition', timeout=PATIENCE):
    """Returns the first true value of condition(); fails when there is none in time."""
    deadline = time.monotonic() + timeout
    pause = 0.001
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f'timed out after {timeout:g} s waiting for {what}')
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)
