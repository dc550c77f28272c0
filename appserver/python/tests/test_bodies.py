"""Bodies in the memory that the front and the workers of a pool share."""

import hashlib
import os

import pytest

from front import HERE, Front, Lane
from test_validate import INTERPRETERS

SIZE = 1 << 20
WAYS = [None, "lane", "mixed"]


@pytest.fixture
def sharing():
    fronts = []

    def start(by=None, **settings):
        fronts.append(Front("applications:app", HERE, lane=Lane(8, 4) if by else None, by=by,
                            bodies=SIZE, **settings))
        fronts[-1].ready()
        return fronts[-1]

    yield start
    for front in fronts:
        front.__exit__()


@pytest.mark.parametrize("by", WAYS)
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("long", [False, True], ids=["environ", "environ in a descriptor"])
def test_a_body_is_read_from_its_place(sharing, by, threads, long):
    front = sharing(by, threads=threads)
    for place, size in (0, 1), (0, SIZE), (12345, 65536), (SIZE - 1, 1), (SIZE, 0), (0, 0):
        body = os.urandom(size)
        answer = front.get("/body", method="POST", body=body, place=place, long=long,
                           QUERY_STRING="__import__('hashlib').sha1(i.read()).hexdigest()")
        assert answer.body.decode() == repr(hashlib.sha1(body).hexdigest())
    assert front.get("/body", QUERY_STRING="i.read()").body == b"b''"
    assert front.retire() == 0


@pytest.mark.parametrize("by", WAYS)
def test_a_body_outlives_its_place(sharing, by, tmp_path):
    """The place is another request's once a request has ended; views of the first stay."""
    front = sharing(by)
    assert front.get("/keep_buffer", method="POST", body=b"first", place=0).body == b"kept"
    front.get("/body", method="POST", body=b"other", place=0, QUERY_STRING="i.read()")
    kept = front.get("/kept_buffer")
    assert kept.body == b"first"


@pytest.mark.parametrize("by", WAYS)
@pytest.mark.parametrize("place", [SIZE - 3, SIZE + 1, (1 << 32) - 2])
def test_a_place_outside_the_memory_ends_the_worker(sharing, by, place):
    front = sharing(by)
    if by == "mixed":
        front.request("/hello")
    front.request("/body", method="POST", body=b"body", place=place)
    assert front.wait() == 1
    assert "ProtocolError" in front.errors()


def test_children_inherit_no_descriptor_of_the_bodies(sharing):
    front = sharing("lane", threads=2)
    front.get("/body", method="POST", body=b"body", place=0, QUERY_STRING="i.read()")
    inherited = eval(front.get("/descriptors").body.decode())
    # 3 is what lists them; above 11 may be what the tests themselves were given
    assert [number for number in inherited if number < 12] == [0, 1, 2, 3]


@pytest.mark.parametrize("python", INTERPRETERS)
def test_shared_bodies_work_on(sharing, python):
    front = sharing("mixed", python=python, threads=2)
    for round in range(20):
        body = b"%d" % round * 5000
        assert front.get("/body", method="POST", body=body, place=round * 10000,
                         QUERY_STRING="len(i.read())").body == b"%d" % len(body)
    assert front.retire() == 0 and front.errors() == ""
