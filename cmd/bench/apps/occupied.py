"""Records for how long one request holds a worker.

The record of the last request is a file, because the request that asks for it
may be given to another worker.
"""

import json
import os
import time

RECORD = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "records", "occupied.json")
BLOCK = b"x" * 65536


def record(kind, started, size):
    entry = {"kind": kind, "seconds": time.monotonic() - started, "bytes": size}
    with open(RECORD + ".new", "w") as file:
        json.dump(entry, file)
    os.rename(RECORD + ".new", RECORD)


def upload(environ, start_response):
    started, size = time.monotonic(), 0
    while True:
        block = environ["wsgi.input"].read(len(BLOCK))
        if not block:
            break
        size += len(block)
    record("upload", started, size)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


class Download:
    """Yields size bytes; close() tells that the server has taken them all."""

    def __init__(self, size):
        self.size, self.sent, self.started = size, 0, time.monotonic()

    def __iter__(self):
        while self.sent < self.size:
            block = BLOCK[: self.size - self.sent]
            self.sent += len(block)
            yield block

    def close(self):
        record("download", self.started, self.sent)


def download(environ, start_response):
    size = int(environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Length", str(size))])
    return Download(size)


def last(environ, start_response):
    try:
        with open(RECORD, "rb") as file:
            body = file.read()
    except FileNotFoundError:
        body = b"{}"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def hello(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]


ROUTES = {"/": hello, "/upload": upload, "/download": download, "/last": last}


def app(environ, start_response):
    return ROUTES[environ["PATH_INFO"]](environ, start_response)
