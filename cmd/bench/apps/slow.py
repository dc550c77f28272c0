"""Answers with the worker's pid; /sleep holds the worker for two seconds, /wait?N for N ms;
/big?N answers with N bytes."""

import os
import time


def app(environ, start_response):
    if environ["PATH_INFO"] == "/sleep":
        time.sleep(2)
    elif environ["PATH_INFO"] == "/wait":
        time.sleep(int(environ["QUERY_STRING"]) / 1000)
    body = b"pid %d\n" % os.getpid()
    if environ["PATH_INFO"] == "/big":
        body = b"x" * int(environ["QUERY_STRING"])
    start_response(
        "200 OK",
        [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))],
    )
    return [body]
