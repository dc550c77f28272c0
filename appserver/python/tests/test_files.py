"""wsgi.file_wrapper: what the front is given to send, and what is iterated."""

import gzip
import os

import pytest


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"".join(b"line %d\n" % number for number in range(1000)))
    return path


def file(front, expression, headers="[]", **more):
    return front.get("/file", QUERY_STRING=expression, HTTP_X_HEADERS=headers, **more)


def passed_on(answer):
    return answer.frames[0].flags == 3 and len(answer.frames) == 1


@pytest.mark.parametrize("mode", ["'rb'", "'rb', 0", "'r+b'"])
@pytest.mark.parametrize("lines", [0, 1, 7])
def test_a_real_file_is_passed_on_from_its_position(shared, path, mode, lines):
    answer = file(shared, "open(%r, %s)" % (str(path), mode), HTTP_X_READ=str(lines))
    assert passed_on(answer)
    assert answer.body == path.read_bytes()[7 * lines:]
    assert answer.header("Content-Length") == str(answer.file_length) == str(len(answer.body))
    assert shared.get("/file_closed").body == b"True"


def test_a_length_ends_it(shared, path):
    answer = file(shared, "open(%r, 'rb')" % str(path), "[('Content-Length', '10')]", HTTP_X_READ="1")
    assert passed_on(answer) and answer.body == b"line 1\nlin" and not answer.logs


@pytest.mark.parametrize("lines", [0, 1])
def test_a_length_beyond_its_end_aborts(shared, path, lines):
    answer = file(shared, "open(%r, 'rb')" % str(path), "[('Content-Length', '10000')]",
                  HTTP_X_READ=str(lines))
    assert answer.aborted and not answer.complete and answer.body == path.read_bytes()[7 * lines:]


def test_temporary_files_are_passed_on(shared):
    assert passed_on(file(shared, "tempfile.NamedTemporaryFile()")) is False  # empty: no file needed
    answer = file(shared, "tempfile.TemporaryFile()")
    assert (answer.kinds, answer.body, answer.header("Content-Length")) == ("H", b"", "0")


@pytest.mark.parametrize("expression, body", [
    ("io.BytesIO(b'x' * 2500)", b"x" * 2500),
    ("__import__('gzip').open(PATH)", b"packed" * 10),
])
def test_what_is_not_a_real_file_is_iterated(shared, tmp_path, expression, body):
    packed = tmp_path / "packed.gz"
    with gzip.open(str(packed), "wb") as held:
        held.write(b"packed" * 10)
    answer = file(shared, expression.replace("PATH", repr(str(packed))))
    assert answer.body == body and answer.file_length is None
    assert shared.get("/file_closed").body == b"True"


def test_a_pipe_is_iterated(shared):
    expression = "__import__('subprocess').Popen(['echo', 'piped'], stdout=-1).stdout"
    answer = file(shared, expression)
    assert (answer.body, answer.file_length) == (b"piped\n", None)


def test_a_text_file_is_an_error(shared, path):
    assert file(shared, "open(%r)" % str(path)).status[:3] == "500"


def test_head_has_the_length_of_the_file(shared, path):
    answer = file(shared, "open(%r, 'rb')" % str(path), method="HEAD")
    assert (answer.kinds, answer.body) == ("H", b"")
    assert answer.header("Content-Length") == str(os.path.getsize(path))
    assert shared.get("/file_closed").body == b"True"
