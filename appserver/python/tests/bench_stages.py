"""Microseconds of a hello request by stage: ``python3 bench_stages.py`` (no system calls in `handle`)."""

import io
import marshal
import os
import sys
import timeit
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from alicorn import channel, frames, heads, wsgi  # noqa: E402
from applications import hello  # noqa: E402
from front import ENVIRON, Front  # noqa: E402

BROWSER = dict(ENVIRON, PATH_INFO="/hello", REQUEST_METHOD="GET", REQUEST_URI="/hello",
               RAW_URI="/hello", REMOTE_PORT="51234", HTTP_ACCEPT="*/*", HTTP_ACCEPT_LANGUAGE="en",
               HTTP_ACCEPT_ENCODING="gzip, br", HTTP_CONNECTION="keep-alive",
               HTTP_USER_AGENT="Mozilla/5.0 (X11; Linux x86_64)")


class Loopback:
    """A channel whose socket is memory."""

    def __init__(self, frame):
        self.socket = self
        self.frame = frame

    def recvmsg_into(self, buffers, *_):
        buffers[0][:len(self.frame)] = self.frame
        return len(self.frame), (), 0, None

    def send(self, frame):
        pass


def varied(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-N", str(next(COUNT)))])
    return [b"hello"]


COUNT = iter(range(1 << 40))


def stage(name, call, number=100000):
    best = min(timeit.repeat(call, number=number, repeat=5)) / number * 1e6
    print("%-28s %6.2f us" % (name, best))


def main():
    environ = marshal.dumps(BROWSER, 2)
    frame = frames.SIZED.pack(frames.REQUEST, 0, 0, 1, len(environ)) + environ
    slot = channel.Slot(Loopback(frame), 0, memoryview(bytearray(64)).cast("I"), 1 << 60)
    settings = {"threads": 1, "environ": {"SERVER_SOFTWARE": "alicorn"}}
    for name, application in (("hello", hello), ("varied heads", varied)):
        server = wsgi.Server(application, slot, heads.Heads(), settings)
        stage("handle, " + name, lambda: server.handle(1, dict(BROWSER), io.BytesIO()))
    stage("dict(BROWSER)", lambda: dict(BROWSER))
    stage("receive", slot.receive)
    process(8)


def process(depth, rounds=10000):
    """Measures a worker process's CPU time by request, with `depth` queued ahead."""
    with Front("applications:hello", HERE, window=1 << 40) as front:
        front.ready()
        before = cpu(front.pid)
        for _ in range(rounds):
            for _ in range(depth):
                front.request("/hello")
            for _ in range(depth):
                front.channel.recv(65536)
        used = cpu(front.pid)
        for name, start, end in zip(("user", "system"), before, used):
            print("%-28s %6.2f us" % ("process, " + name, (end - start) / (rounds * depth)))


def cpu(pid):
    """Returns user and system time in microseconds."""
    with open("/proc/%d/stat" % pid) as file:
        fields = file.read().rpartition(")")[2].split()
    return [int(ticks) * 1e6 / os.sysconf("SC_CLK_TCK") for ticks in fields[11:13]]


if __name__ == "__main__":
    main()
