import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
pytest.register_assert_rewrite("front", "asgifront")  # their failures show values, too

from asgifront import AsgiFront  # noqa: E402
from front import Front, Lane  # noqa: E402


@pytest.fixture(scope="module", params=[None, "lane", "mixed"], ids=["channel", "lane", "mixed"])
def shared(request):
    """A worker for tests that leave it as they found it, with each way there is to it."""
    lane = Lane(8, 4) if request.param else None
    with Front("applications:app", HERE, lane=lane, by=request.param) as front:
        front.ready()
        yield front


@pytest.fixture(params=[None, "lane"], ids=["channel", "lane"])
def own(request):
    """Starts workers of the test's own; own(app=..., directory=..., **settings)."""
    fronts = []

    def start(app="applications:app", directory=HERE, **settings):
        if request.param and "lane" not in settings:
            settings.update(lane=Lane(8, 4), by=request.param)
        fronts.append(Front(app, directory, **settings))
        return fronts[-1]

    yield start
    for front in fronts:
        front.__exit__()


@pytest.fixture(params=[None, "lane"], ids=["channel", "lane"])
def asgi(request):
    """Starts workers; asgi(app=..., **settings)."""
    fronts = []

    def start(*args, ready=True, **settings):
        if request.param:
            settings.setdefault("lane", Lane(8, 4))
        fronts.append(AsgiFront(*args, **settings))
        if ready:
            fronts[-1].ready()
        return fronts[-1]

    yield start
    for front in fronts:
        front.__exit__()
