"""Environs as the front encodes them, and what is remembered of them."""

import pytest

from alicorn import shapes
from front import encode

ASKED = {"REQUEST_METHOD": "GET", "PATH_INFO": "/a\n:=\xe9", "HTTP_HOST": "shop", "HTTPS": "on"}


@pytest.mark.parametrize("fixed", [set(), {"HTTPS"}, {"REQUEST_METHOD", "HTTP_HOST", "HTTPS"}])
def test_an_environ_has_the_request_and_the_constants(fixed):
    known = shapes.Shapes({"wsgi.version": (1, 0)})
    for _ in range(2):
        environ = known.environ(encode(ASKED, fixed))
        assert environ == dict(ASKED, **{"wsgi.version": (1, 0)})
    assert len(known) == 1


def test_each_environ_is_its_own():
    known = shapes.Shapes({})
    first = known.environ(encode(ASKED, {"HTTPS"}))
    first["HTTPS"] = first["PATH_INFO"] = "changed"
    first["more"] = 1
    assert known.environ(encode(ASKED, {"HTTPS"})) == ASKED


def test_requests_of_one_shape_have_their_own_values():
    known = shapes.Shapes({})
    for host in ("a", "b", ""):
        asked = dict(ASKED, HTTP_HOST=host)
        assert known.environ(encode(asked)) == asked
    assert len(known) == 1


def test_a_client_cannot_have_more_remembered_than_the_bound():
    known = shapes.Shapes({})
    for number in range(3 * shapes.MOST):
        asked = dict(ASKED, **{"HTTP_X_%d" % number: "1"})
        assert known.environ(encode(asked)) == asked
        assert len(known) <= shapes.MOST
    long = dict(ASKED, **{"HTTP_" + "X" * shapes.LONGEST: "1"})
    before = len(known)
    assert known.environ(encode(long)) == long
    assert len(known) == before
