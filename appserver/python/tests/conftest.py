import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from front import Front  # noqa: E402


@pytest.fixture(scope="module")
def shared():
    """A worker for tests that leave it as they found it."""
    with Front("applications:app", HERE) as front:
        front.ready()
        yield front


@pytest.fixture
def own():
    """Starts workers of the test's own; own(app=..., directory=..., **settings)."""
    fronts = []

    def start(app="applications:app", directory=HERE, **settings):
        fronts.append(Front(app, directory, **settings))
        return fronts[-1]

    yield start
    for front in fronts:
        front.__exit__()
