"""An ordinary application: pages of a few milliseconds, and what attackers ask
of it."""

import time

PAGE = b"page" + b"x" * 2044
BLOCK = b"x" * 65536


def page(environ, start_response):
    time.sleep(0.005)
    start_response("200 OK", [("Content-Length", str(len(PAGE)))])
    return [PAGE]


def stream(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    for _ in range(600):
        yield b"data: x\n\n"
        time.sleep(0.1)


def big(environ, start_response):
    start_response("200 OK", [("Content-Length", str(64 * len(BLOCK)))])
    for _ in range(64):
        yield BLOCK


def crumbs(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    for _ in range(20000):
        yield b"x"


def upload(environ, start_response):
    size = 0
    while block := environ["wsgi.input"].read(len(BLOCK)):
        size += len(block)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


ROUTES = {"/stream": stream, "/big": big, "/crumbs": crumbs, "/upload": upload}


def app(environ, start_response):
    return ROUTES.get(environ["PATH_INFO"], page)(environ, start_response)
