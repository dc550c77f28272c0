"""Answers with the worker's pid; /sleep holds the worker for two seconds."""

import os
import time


def app(environ, start_response):
    if environ["PATH_INFO"] == "/sleep":
        time.sleep(2)
    body = b"pid %d\n" % os.getpid()
    start_response(
        "200 OK",
        [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))],
    )
    return [body]
