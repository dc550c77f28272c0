"""The application of the Go tests: each path is one behaviour."""

import itertools
import os
import signal
import sys
import time


def text(start_response, body, status="200 OK", headers=()):
    start_response(status, [("Content-Type", "text/plain")] + list(headers))
    return [body if isinstance(body, bytes) else body.encode("latin-1")]


def stuck_here(seconds):
    time.sleep(seconds)


def leave_child():
    """Starts a process that goes on printing once this one has died."""
    worker = os.getpid()
    if os.fork():
        return
    while os.getppid() == worker:
        time.sleep(0.001)
    for number in range(2000):
        os.write(1, b"printed by the child\n")
        time.sleep(0.005)
    os._exit(0)


def events():
    while True:
        yield b"data: tick\n\n"
        time.sleep(0.02)


class Closing:
    def __init__(self, parts):
        self.parts = iter(parts)

    def __iter__(self):
        return self.parts

    def close(self):
        if hasattr(self.parts, "close"):
            self.parts.close()
        print("closed the response")


def app(environ, start_response):
    path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
    if path == "/pid":
        return text(start_response, str(os.getpid()))
    if path == "/sleep":
        stuck_here(float(query))
        return text(start_response, "slept")
    if path == "/held":  # until the file is there
        while not os.path.exists(query):
            time.sleep(0.002)
        return text(start_response, "released")
    if path == "/environ":
        return text(start_response, "\n".join("%s=%s" % (k, ascii(v)) for k, v in sorted(environ.items())))
    if path == "/env":
        return text(start_response, os.environ.get(query, "-"))
    if path == "/echo":
        body = environ["wsgi.input"].read()
        return text(start_response, body, headers=[("X-Length", environ.get("CONTENT_LENGTH", "-")),
                                                   ("X-Type", type(environ["wsgi.input"]).__name__)])
    if path == "/to":
        environ["wsgi.input"].read(10)
        return text(start_response, "dropped", headers=[("X-Accel-Redirect", query)])
    if path == "/size":
        return text(start_response, str(len(environ["wsgi.input"].read())))
    if path == "/big":
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        block = bytes(range(256)) * 256
        return (block for _ in range(int(query)))
    if path == "/whole":
        return text(start_response, b"w" * int(query))
    if path == "/file":
        file = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "app.py"), "rb")
        file.seek(3)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return environ["wsgi.file_wrapper"](file)
    if path == "/missing":
        start_response("404 Gone Fishing", [("Content-Type", "text/plain"), ("X-Mine", "yes")])
        if query == "file":
            return environ["wsgi.file_wrapper"](open(__file__, "rb"))
        return (b"m" * 50000 for _ in range(100)) if query == "stream" else [b"missing here"]
    if path == "/die":
        os.kill(os.getpid(), signal.SIGKILL)
    if path == "/die-once":
        if not os.path.exists(query):
            open(query, "w").close()
            os.kill(os.getpid(), signal.SIGKILL)
        return text(start_response, "alive")
    if path == "/die-later":
        start_response("200 OK", [("Content-Type", "text/plain")])

        def parts():
            yield b"begun"
            time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGKILL)
        return parts()
    if path == "/die-with-a-child":
        leave_child()
        os.kill(os.getpid(), signal.SIGKILL)
    if path == "/exit":
        sys.exit(7)
    if path == "/raise":
        raise ValueError("on purpose")
    if path == "/print":
        print("x" * 5000)
        print("to stdout")
        print("to stderr", file=sys.stderr)
        os.write(5, b"nonsense") if query == "frame" else None
        return text(start_response, "printed")
    if path == "/generate":
        start_response("200 OK", [("Content-Type", "text/plain")])

        def parts():
            for i in range(3):
                yield b"%d," % i
                time.sleep(0.05)
        return Closing(parts())
    if path == "/events":
        while query and not os.path.exists(query):
            time.sleep(0.002)
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return Closing(events())
    if path == "/quiet":  # a head and a part, a part once the file is there, and no more
        start_response("200 OK", [("Content-Type", "text/plain")])

        def two():
            for part in (b"first", b"second"):
                yield part
                while part == b"second" or not os.path.exists(query):
                    time.sleep(0.002)
        return Closing(two())
    if path == "/late":  # no head before the file is there
        while not os.path.exists(query):
            time.sleep(0.002)
        start_response("200 OK", [("Content-Type", "text/plain")])

        def pauses():
            yield b"first, "
            time.sleep(0.8)
            yield b"second"
        return Closing(pauses())
    if path == "/flood":
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        return Closing(itertools.repeat(bytes(65536)))
    if path == "/gate":
        print("at the gate")
        while not os.path.exists(query):
            time.sleep(0.002)
        return text(start_response, "through the gate")
    if path == "/parts":  # what there is of the body, as soon as it is there
        start_response("200 OK", [("Content-Type", "text/plain")])
        return iter(lambda: environ["wsgi.input"].read1(1000), b"")
    if path == "/slurp":  # the size of the body, of which nothing is read before the file is there
        print("at the gate")
        while not os.path.exists(query):
            time.sleep(0.002)
        size = sum(map(len, iter(lambda: environ["wsgi.input"].read(65536), b"")))
        return text(start_response, str(size))
    if path == "/read-on":  # tells what it reads of the body, and what that raises
        print("read %r" % environ["wsgi.input"].read(3))
        try:
            rest = environ["wsgi.input"].read()
        except OSError as error:
            print("raised", type(error).__mro__[1].__name__)
            raise
        return text(start_response, "read %d" % (3 + len(rest)))
    if path == "/none":
        start_response("204 No Content", [])
        return []
    if path == "/length":
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", query)])
        return [b"12345"]
    return text(start_response, "hello")
