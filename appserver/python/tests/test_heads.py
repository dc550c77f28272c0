"""What a response head may hold, and what is refused with the header's name."""

import pytest

from front import HERE, Front


def answers(front, expression, **more):
    return front.get("/answers", QUERY_STRING=expression, **more)


@pytest.mark.parametrize("headers, named", [
    ("[('X-A', 'a\\r\\nSet-Cookie: b')]", "'X-A'"),
    ("[('X-A', 'a\\nb')]", "'X-A'"),
    ("[('X-A', 'a\\rb')]", "'X-A'"),
    ("[('X-A', 'a\\x00b')]", "'X-A'"),
    ("[('X-A', 'a\\x7f')]", "'X-A'"),
    ("[('X-A', '\\u20ac')]", "'X-A'"),
    ("[('X A', 'b')]", "'X A'"),
    ("[('X-A\\r\\nB', 'b')]", "'X-A\\r\\nB'"),
    ("[('X:A', 'b')]", "'X:A'"),
    ("[('', 'b')]", "''"),
    ("[('X-\\xe9', 'b')]", "'X-é'"),
    ("[(b'X-A', 'b')]", "b'X-A'"),
    ("[('X-A', b'b')]", "'X-A'"),
    ("[('X-A', 5)]", "'X-A'"),
    ("[('X-A', None)]", "'X-A'"),
    ("[('X-A',)]", "('X-A',)"),
    ("['X-A']", "'X-A'"),
    ("{'X-A': 'b'}", "dict"),
    ("None", "NoneType"),
    ("[('Connection', 'a\\r\\nb')]", "'Connection'"),
    ("[('Upgrade', 5)]", "'Upgrade'"),
    ("[('Content-Length', '-1')]", "'Content-Length'"),
    ("[('Content-Length', '1, 1')]", "'Content-Length'"),
    ("[('Content-Length', '\\u0661')]", "'Content-Length'"),
    ("[('Content-Length', '1'), ('content-length', '2')]", "'Content-Length'"),
    ("[('X-Long', 'x' * 70000)]", "head takes"),
])
def test_bad_header_is_refused_by_name(shared, headers, named):
    for _ in range(2):  # what is refused must not be remembered as valid
        answer = answers(shared, "('200 OK', %s, [b'a'])" % headers)
        assert (answer.status, answer.body) == ("500 Internal Server Error",
                                                b"Internal Server Error\n")
        assert len(answer.logs) == 1 and named in answer.logs[0]


@pytest.mark.parametrize("status", [
    "100 Continue", "101 Switching Protocols", "103 Early Hints", "103",
])
@pytest.mark.parametrize("parts", ["[b'a']", "[]", "iter([b'a'])"])
def test_status_that_is_not_final_is_refused(shared, status, parts):
    for _ in range(2):
        answer = answers(shared, "(%r, [], %s)" % (status, parts))
        assert answer.status == "500 Internal Server Error"
        assert len(answer.logs) == 1 and repr(status) in answer.logs[0]


@pytest.mark.parametrize("headers", [
    "iter([('X-A', 'b')])", "(h for h in [('X-A', 'b')])", "{'X-A': 'b'}.items()",
    "map(tuple, ['Ab'])", "{('X-A', 'b')}", "(('X-A', 'b'),)",
])
@pytest.mark.parametrize("parts", [
    "[b'a']", "iter([b'a'])", "environ['wsgi.file_wrapper'](open(os.devnull, 'rb'))",
])
def test_headers_may_be_anything_that_is_iterated(shared, headers, parts):
    for _ in range(3):  # as it is checked, as it is remembered, and as a whole head
        answer = answers(shared, "('200 OK', %s, %s)" % (headers, parts))
        assert answer.status == "200 OK" and not answer.logs
        assert answer.headers[0] in (("X-A", "b"), ("A", "b"))


@pytest.mark.parametrize("parts", ["[b'a']", "iter([b'a'])"])
@pytest.mark.parametrize("headers, left", [
    ([("Connection", "keep-alive")], []),
    ([("connection", "close"), ("X-A", "b")], [("X-A", "b")]),
    ([("transfer-encoding", "chunked")], []),
    ([("Upgrade", "h2c"), ("Connection", "Upgrade")], []),
    ([("Keep-Alive", "timeout=5"), ("Proxy-Connection", "close")], []),
    ([("TE", "trailers"), ("Trailer", "X-Sum"), ("Trailers", "X-Sum")], []),
    ([("Proxy-Authenticate", "Basic"), ("Proxy-Authorization", "x")], []),
    ([("X-Hop", "1"), ("Connection", "close, x-hop ,,x-none"), ("X-A", "b")], [("X-A", "b")]),
    ([("Connection", "close"), ("Connection", "X-Hop"), ("X-HOP", "1")], []),
    ([("Content-Length", "1"), ("Connection", "content-length")], [("Content-Length", "1")]),
    ([("Close", "1"), ("Connection", "close")], [("Close", "1")]),
])
def test_what_belongs_to_a_connection_is_left_out(shared, parts, headers, left):
    for _ in range(3):  # as it is checked, as it is remembered, and as a whole head
        answer = answers(shared, "('200 OK', %r, %s)" % (headers, parts))
        known = [("Content-Length", "1")] if parts == "[b'a']" else []
        assert answer.status == "200 OK"
        assert answer.headers == (left if left[:1] == known else left + known)
        assert answer.body == b"a" and not answer.logs


def test_each_header_that_is_left_out_is_logged_once():
    with Front("applications:app", HERE) as front:
        front.ready()
        for number in range(3):
            answers(front, "('200 OK', [('Connection', 'X-A'), ('X-A', '%d')], [b'a'])" % number)
        logs = front.answers[0]
    assert [frame.flags for frame in logs.frames] == [1, 1]
    assert "'Connection' is hop-by-hop" in logs.logs[0]
    assert "'X-A' is left out" in logs.logs[1]


def test_an_application_that_makes_up_names_does_not_fill_the_log():
    with Front("applications:app", HERE) as front:
        front.ready()
        for number in range(100):
            answers(front, "('200 OK', [('Connection', 'X-%d'), ('X-%d', '')], [b'a'])" % (number, number))
        assert len(front.answers[0].logs) == 64


@pytest.mark.parametrize("status", ["'200 OK\\r\\nX: y'", "'200\\n'", "'20 OK'", "'OK'", "''", "200",
                                    "b'200 OK'", "'099 Low'", "'2000'", "'200OK'", "None",
                                    "'200 \\u20ac'"])
def test_bad_status_is_refused(shared, status):
    answer = answers(shared, "(%s, [], [b'a'])" % status)
    assert answer.status == "500 Internal Server Error"
    assert len(answer.logs) == 1 and ("status" in answer.logs[0] or status == "None")


@pytest.mark.parametrize("status, headers", [
    ("200 OK", [("X-Tab", "a\tb"), ("X-Latin", "caf\xe9")]),
    ("200", [("x-lower", "")]),
    ("200 ", []),
    ("404 Nicht gefunden \xfc", [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]),
    ("599 Odd", [("X!#$%&'*+-.^_`|~9", "token")]),
])
def test_valid_head_arrives_as_it_is(shared, status, headers):
    answer = answers(shared, "(%r, %r, iter([b'a']))" % (status, headers))
    assert (answer.status, answer.headers) == (status, headers)


@pytest.mark.parametrize("status, headers", [
    ("SafeString('200 OK')", "[('X-A', SafeString('b'))]"),
    ("'200 OK'", "[(SafeString('X-A'), 'b')]"),
    ("'200 OK'", "([['X-A', 'b']])"),
    ("'200 OK'", "(('X-A', 'b'),)"),
])
def test_subclasses_and_lists_are_converted(shared, status, headers):
    answer = answers(shared, "(%s, %s, [b'a'])" % (status, headers))
    assert (answer.status, answer.headers) == ("200 OK", [("X-A", "b"), ("Content-Length", "1")])


def test_equal_lengths_are_one(shared):
    answer = answers(shared, "('200 OK', [('Content-Length', '1')] * 2, [b'a'])")
    assert answer.headers == [("Content-Length", "1")] and not answer.logs


def test_many_different_heads_are_all_right(shared):
    for number in range(600):
        answer = answers(shared, "('200 OK', [('X-N%d', '%d')], [b'a'])" % (number * 2, number))
        assert answer.headers[0] == ("X-N%d" % (number * 2), str(number))
