"""Answers with the worker's pid; /sleep holds the worker for two seconds, /wait?N for N ms."""

import os
import time


def app(environ, start_response):
    if environ["PATH_INFO"] == "/sleep":
        time.sleep(2)
    elif environ["PATH_INFO"] == "/wait":
        time.sleep(int(environ["QUERY_STRING"]) / 1000)
    body = b"pid %d\n" % os.getpid()
    start_response(
        "200 OK",
        [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))],
    )
    return [body]
