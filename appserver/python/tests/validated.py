"""An application that does all that PEP 3333 allows, under wsgiref's validator."""

import io
import sys
from wsgiref.validate import validator

TEXT = [("Content-Type", "text/plain; charset=utf-8")]


def listed(environ, start_response):
    start_response("200 OK", TEXT + [("Content-Length", "4")])
    return [b"list"]


def parts(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"pa", b"", b"rts"]


def generated(environ, start_response):
    start_response("200 OK", TEXT)
    yield b""
    yield b"gene"
    yield b"rated"


def written(environ, start_response):
    write = start_response("200 OK", TEXT)
    write(b"wri")
    return [b"tten"]


def replaced(environ, start_response):
    start_response("200 OK", TEXT)
    try:
        raise ValueError
    except ValueError:
        start_response("503 Service Unavailable", TEXT, sys.exc_info())
    return [b"replaced"]


def empty(environ, start_response):
    start_response("204 No Content", [])
    return []


def unchanged(environ, start_response):
    start_response("304 Not Modified", [("ETag", '"a"')])
    return []


def wrapped(environ, start_response):
    start_response("200 OK", TEXT)
    return environ["wsgi.file_wrapper"](io.BytesIO(b"wrapped"))


def read(environ, start_response):
    body = environ["wsgi.input"]
    lines = [body.read(2), body.readline(), body.readline(3)] + body.readlines() + list(body)
    environ["wsgi.errors"].writelines([])
    environ["wsgi.errors"].flush()
    start_response("200 OK", TEXT)
    return [b"|".join(lines)]


@validator
def app(environ, start_response):
    return globals()[environ["PATH_INFO"].split("/")[1]](environ, start_response)
