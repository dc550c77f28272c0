"""Applications that the tests run: the path's first segment picks one."""

import io
import logging
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import UserDict

TEXT = [("Content-Type", "text/plain")]
seen = {}
events = []


class SafeString(str):
    """A str subclass, as Django's."""


class Closing:
    """An iterable that records its close()."""

    def __init__(self, parts, name="closed"):
        self.parts = iter(parts)
        self.name = name

    def __iter__(self):
        return self

    def __next__(self):
        part = next(self.parts)
        if isinstance(part, BaseException):
            raise part
        return part

    def close(self):
        events.append(self.name)


def text(start_response, body, *headers, status="200 OK"):
    start_response(status, TEXT + list(headers))
    return [body if isinstance(body, bytes) else repr(body).encode()]


def hello(environ, start_response):
    start_response("200 OK", TEXT + [("Content-Length", "5")])
    return [b"hello"]


def nothing(environ, start_response):
    start_response("204 No Content", [])
    return []


def happened(environ, start_response):
    """Answers what earlier requests recorded."""
    body = text(start_response, ",".join(events).encode())
    del events[:]
    return body


def shows_environ(environ, start_response):
    shown = {key: value if isinstance(value, (str, tuple, bool)) else type(value).__name__
             for key, value in environ.items()}
    return text(start_response, shown)


def body(environ, start_response):
    """Reads the body as QUERY_STRING says, an expression over `i`."""
    result = eval(environ["QUERY_STRING"], {"i": environ["wsgi.input"]})
    return text(start_response, repr(result).encode())


def reads_parts(environ, start_response):
    """Answers with what is there of the body as soon as it is there."""
    start_response("200 OK", TEXT)
    return iter(lambda: environ["wsgi.input"].read1(1000), b"")


def reads_again(environ, start_response):
    """Answers with what two reads raise."""
    raised = []
    for _ in range(2):
        try:
            environ["wsgi.input"].read()
        except OSError as error:
            raised.append(type(error).__mro__[1].__name__)
    return text(start_response, ", ".join(raised).encode())


def keep_input(environ, start_response):
    previous = seen.get("input")
    seen["input"] = environ["wsgi.input"]
    return text(start_response, previous is not None and previous.closed)


def keep_buffer(environ, start_response):
    seen["buffer"] = environ["wsgi.input"].getbuffer()
    return text(start_response, b"kept")


def kept_buffer(environ, start_response):
    return text(start_response, bytes(seen.pop("buffer")))


def writes_late(environ, start_response):
    """Calls what the request before was given, after its answer was complete."""
    late = seen.pop("late", None)
    if late is None:
        seen["late"] = start_response, start_response("200 OK", TEXT + [("Content-Length", "4")])
        return [b"kept"]
    start, write = late
    write(b"late")
    try:
        start("500 Late", [])
    except AssertionError:
        return text(start_response, b"refused")
    return text(start_response, b"accepted")


def answers(environ, start_response):
    """Answers status, headers and parts as the test wrote them."""
    scope = {"SafeString": SafeString, "Closing": Closing, "environ": environ, "io": io,
             "tempfile": tempfile, "sys": sys, "UserDict": UserDict, "os": os}
    status, headers, parts = eval(environ["QUERY_STRING"], scope)
    start_response(status, headers)
    return parts


def closes(environ, start_response):
    """Closes the worker's descriptors, from the number in the query on."""
    os.closerange(int(environ["QUERY_STRING"]), 64)
    start_response("200 OK", TEXT)
    return iter([b"a", b"b"])


class Shy(Exception):
    """Shows nothing of itself."""

    def __getattribute__(self, name):
        raise ValueError(name)


class Nameless:
    """Has no text."""

    def __str__(self):
        raise ValueError("no text")


def fails_unseen(environ, start_response):
    """Fails where the failure is hard to write down."""
    how = environ["QUERY_STRING"]
    if how == "shy":
        raise Shy
    if how == "environ":
        environ["PATH_INFO"] = Nameless()
    elif how == "closed":
        sys.stderr.close()
    elif how == "gone":
        sys.stderr = None
    raise KeyError(how)


def use_up_descriptors():
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    try:
        while True:
            os.dup(0)
    except OSError:
        pass


def fails_full(environ, start_response):
    """Fails when it has used up its descriptors."""
    use_up_descriptors()
    raise ValueError("full")


def awaits(flag):
    while not os.path.exists(flag):
        time.sleep(0.002)


def writes_until_told(environ, start_response):
    write = start_response("200 OK", TEXT)
    awaits(environ["QUERY_STRING"])
    try:
        while True:
            write(b"x")
    except BrokenPipeError:
        events.append("told")
        raise
    finally:
        events.append("closed")


def writes_on(environ, start_response):
    write = start_response("200 OK", TEXT)
    awaits(environ["QUERY_STRING"])
    for _ in range(2):
        try:
            write(b"x")
        except OSError:
            events.append("told")
    return []


def stops_by_itself(environ, start_response):
    write = start_response("200 OK", TEXT)
    awaits(environ["QUERY_STRING"])
    try:
        write(b"x")
    except OSError:
        events.append("told")
    return [b"late"]


def writes_all(environ, start_response):
    try:
        start_response("200 OK", [("Content-Length", "100")])(b"x" * 100)
    except OSError:
        events.append("told")
    return []


def generator(environ, start_response):
    start_response("200 OK", TEXT)
    yield b""
    for part in environ["QUERY_STRING"].split(","):
        yield part.encode()


def paced(environ, start_response):
    """Yields, then waits until a file appears: the first part must have arrived by then."""
    start_response("200 OK", TEXT)
    yield b"first"
    while not os.path.exists(environ["QUERY_STRING"]):
        time.sleep(0.01)
    yield b"second"


def lazy_start(environ, start_response):
    yield b""
    start_response("200 OK", TEXT)
    yield b"late"


def writes(environ, start_response):
    write = start_response("200 OK", TEXT)
    write(b"one,")
    write(b"two,")
    return [b"three"]


def writes_nothing(environ, start_response):
    write = start_response("200 OK", TEXT)
    write(b"")
    seen["opened"] = True
    return []


def writes_too_many(environ, start_response):
    write = start_response("200 OK", [("Content-Length", "3")])
    write(b"12345")
    write(b"6")
    return []


def twice(environ, start_response):
    start_response("200 OK", TEXT)
    start_response("201 Created", TEXT)
    return [b"unreachable"]


def replaced(environ, start_response):
    start_response("200 OK", TEXT)
    try:
        raise KeyError("early")
    except KeyError:
        start_response("503 Busy", TEXT, sys.exc_info())
    return [b"replaced"]


def too_late(environ, start_response):
    start_response("200 OK", TEXT)
    yield b"begun"
    try:
        raise KeyError("late mistake")
    except KeyError:
        start_response("500 Oops", TEXT, sys.exc_info())
    events.append("start_response returned")


def raises(environ, start_response):
    raise ValueError("no\nanswer")


def raises_base(environ, start_response):
    class Timeout(BaseException):
        pass
    raise Timeout("as gevent's")


def raises_late(environ, start_response):
    start_response("200 OK", TEXT)
    return Closing([b"some", ValueError("halfway")])


def raises_in_close(environ, start_response):
    start_response("200 OK", TEXT)

    class Failing(Closing):
        def close(self):
            raise ValueError("close failed")
    return Failing([b"all"])


def forgets_start(environ, start_response):
    return [b"headless"]


def returns_none(environ, start_response):
    start_response("200 OK", TEXT)


def returns_str(environ, start_response):
    start_response("200 OK", TEXT)
    return "text"


def exits(environ, start_response):
    sys.exit(int(environ["QUERY_STRING"] or 7))


def exits_late(environ, start_response):
    start_response("200 OK", TEXT)
    return Closing([b"some", SystemExit(9)], "exit closed")


def interrupted(environ, start_response):
    raise KeyboardInterrupt


def file(environ, start_response):
    """QUERY_STRING: an expression that opens a file; headers in HTTP_X_HEADERS."""
    opened = eval(environ["QUERY_STRING"], {"tempfile": tempfile, "io": io, "open": open})
    headers = eval(environ.get("HTTP_X_HEADERS", "[]"))
    for read in range(int(environ.get("HTTP_X_READ", "0"))):
        opened.readline()
    start_response("200 OK", headers)
    seen["file"] = opened
    return environ["wsgi.file_wrapper"](opened, 1000)


def file_closed(environ, start_response):
    return text(start_response, seen["file"].closed)


def prints(environ, start_response):
    print("on stdout")
    os.write(1, b"H\x00\x00\x00 raw bytes\n")
    environ["wsgi.errors"].write("on wsgi.errors\n")
    return text(start_response, b"quiet")


def logs(environ, start_response):
    """QUERY_STRING: what becomes of gunicorn.error before it is used, and the request fails."""
    logger = logging.getLogger("gunicorn.error")
    how = environ["QUERY_STRING"]
    if how == "disabled":
        logger.disabled = True
    elif how == "bare":
        logger.handlers = []
    elif how == "own":
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("OWN %(levelname)s %(message)s"))
        logger.handlers = [handler]
    elif how == "closed":
        os.closerange(8, 9)
    elif how == "quiet":
        logger.setLevel(logging.CRITICAL)
    logger.info("order %d\nplaced", 42)
    logger.debug("unheard")
    logging.getLogger("gunicorn.access").info("GET /logs")
    if how == "broken":
        logger.handlers[0].emit = None
    raise ValueError("no answer")


def loggers(environ, start_response):
    """Answers what a program that takes over gunicorn's loggers finds."""
    found = []
    for name in ("gunicorn.error", "gunicorn.access"):
        logger = logging.getLogger(name)
        found.append((name, logging.getLevelName(logger.level), logger.propagate, [
            (isinstance(h, logging.StreamHandler), h.formatter._fmt, h.formatter.datefmt)
            for h in logger.handlers]))
    return text(start_response, repr(found).encode())


def waits(environ, start_response):
    """Sleeps until the file named by QUERY_STRING exists."""
    while not os.path.exists(environ["QUERY_STRING"]):
        time.sleep(0.01)
    return text(start_response, threading.current_thread().name.encode())


def descriptors(environ, start_response):
    """Lists what a child of the application inherits."""
    command = [sys.executable, "-c", "import os; print(sorted(map(int, os.listdir('/proc/self/fd'))))"]
    listed = subprocess.run(command, close_fds=False, stdout=subprocess.PIPE, check=True)
    return text(start_response, listed.stdout)


def forks(environ, start_response):
    """The child returns into the worker as if it were the worker."""
    pid = os.fork()
    if pid == 0:
        return text(start_response, b"the child answers")
    _, status = os.waitpid(pid, 0)
    return text(start_response, os.WEXITSTATUS(status))


def forks_exit(environ, start_response):
    pid = os.fork()
    if pid == 0:
        sys.exit(21)
    _, status = os.waitpid(pid, 0)
    return text(start_response, os.WEXITSTATUS(status))


def forks_twice(environ, start_response):
    """As who starts a process that is nobody's child."""
    pid = os.fork()
    if pid == 0:
        second = os.fork()
        if second == 0:
            os._exit(22)
        os._exit(os.WEXITSTATUS(os.waitpid(second, 0)[1]))
    _, status = os.waitpid(pid, 0)
    return text(start_response, os.WEXITSTATUS(status))


def exhausts(environ, start_response):
    """Uses up the open files, or gives them back."""
    if environ["QUERY_STRING"] == "release":
        seen.pop("held").clear()
        return text(start_response, b"released")
    held = seen["held"] = []
    try:
        while True:
            held.append(open(os.devnull))
    except OSError:
        return text(start_response, b"exhausted")


def terminates(environ, start_response):
    os.kill(os.getpid(), signal.SIGTERM)
    return text(start_response, b"still here")


def interrupts(environ, start_response):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.01)
    return text(start_response, b"not interrupted")


def big(environ, start_response):
    size, parts = map(int, environ["QUERY_STRING"].split(","))
    start_response("200 OK", TEXT)
    return [bytes([65 + index]) * size for index in range(parts)]


def faults(environ, start_response):
    """The page faults of holding 64 large blocks at once, after that was done before."""
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        blocks = [b"x" * 65536 for _ in range(64)]
        taken = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
        del blocks
    return text(start_response, b"%d" % taken)


def crowd(environ, start_response):
    """A thousand blocks, and a last one once the file exists that the query names."""
    flag = environ["QUERY_STRING"]
    start_response("200 OK", TEXT)
    for number in range(1000):
        yield b"%03d" % number
    if flag == "fails":
        raise ValueError("after a crowd")
    while flag and not os.path.exists(flag):
        time.sleep(0.01)
    yield b"end"


def crowd_forks(environ, start_response):
    """A crowd, a child that wants to send one too, and the child's exit code."""
    start_response("200 OK", TEXT)
    for _ in range(1000):
        yield b"x"
    child = os.fork()
    if not child:
        for _ in range(1000):
            yield b"y"
    yield b"%d" % (os.waitpid(child, 0)[1] if child else 9)


def app(environ, start_response):
    name = environ["PATH_INFO"].split("/")[1] or "hello"
    return globals()[name](environ, start_response)
