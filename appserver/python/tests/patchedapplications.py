"""An application that replaces the threads of the standard library at its import, by the library
that the environment variable GREEN names."""

import os

if os.environ["GREEN"] == "gevent":
    from gevent import monkey
    monkey.patch_all()
else:
    import eventlet
    eventlet.monkey_patch()

import threading  # noqa: E402 (after the patch, as an application's other imports)
import time  # noqa: E402

TEXT = [("Content-Type", "text/plain")]
lock = threading.Lock()


def waits(flag):
    while not os.path.exists(flag):
        time.sleep(0.01)
    return [b"came"]


def comes(flag):
    with open(flag, "w"):
        return [b"comes"]


def locks(_):
    with lock:
        time.sleep(0.01)
    worker = threading.Thread(target=time.sleep, args=(0.01,))
    worker.start()
    worker.join()
    return [b"locked"]


def crowd(_):
    for number in range(1000):
        yield b"%03d" % number
    time.sleep(0.01)
    yield b"end"


def app(environ, start_response):
    start_response("200 OK", TEXT)
    return globals()[environ["PATH_INFO"][1:]](environ["QUERY_STRING"])
