"""Microseconds of a hello request by stage: ``python3 bench_stages.py [SHARE]``.

SHARE is of the usual number of requests, 1 unless it is said.

The stages run in this process on a lane of its own; `served` is all of them, with the
system calls; the last lines are a worker process's CPU time, by lane and by channel.
"""

import os
import resource
import socket
import sys
import tempfile
import timeit
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from alicorn import channel, frames, wsgi  # noqa: E402
from applications import hello  # noqa: E402
from front import ENVIRON, Front, Lane, encode  # noqa: E402

BROWSER = dict(ENVIRON, PATH_INFO="/hello", REQUEST_METHOD="GET", REQUEST_URI="/hello",
               RAW_URI="/hello", REMOTE_PORT="51234", HTTP_ACCEPT="*/*", HTTP_ACCEPT_LANGUAGE="en",
               HTTP_ACCEPT_ENCODING="gzip, br", HTTP_CONNECTION="keep-alive",
               HTTP_USER_AGENT="Mozilla/5.0 (X11; Linux x86_64)")
ROOM = 256  # requests served at a time
SHARE = float(sys.argv[1]) if __name__ == "__main__" and sys.argv[1:] else 1
SETTINGS = {"kind": "wsgi", "threads": 1, "window": 1 << 60, "environ": {"SERVER_SOFTWARE": "alicorn"},
            "request_key": "00" * 16,
            "lane": {"requests": ROOM, "responses": ROOM, "entry": 16384, "blocks": 8}}


def varied(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-N", str(next(COUNT)))])
    return [b"hello"]


def uploaded(environ, start_response):
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % len(body)]


COUNT = iter(range(1 << 40))


def stage(name, call, number=100000, each=1):
    number = max(int(number * SHARE), 1)
    best = min(timeit.repeat(call, number=number, repeat=5)) / number / each * 1e6
    print("%-28s %6.2f us" % (name, best))


def bench_slot(lane):
    """Returns a slot of this process on the lane; its channel is at its end."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.shutdown(socket.SHUT_WR)
    status = os.memfd_create("status")
    os.ftruncate(status, 4096)
    descriptors = [theirs.detach(), status, ours.detach(), os.memfd_create("log"),
                   os.memfd_create("bell"), lane.file]
    for target, number in enumerate(descriptors, 100):
        os.dup2(number, target)
    frames.ZIP_FD = 100
    (frames.CHANNEL_FD, frames.STATUS_FD, frames.DIAGNOSTICS_FD, frames.LOG_FD,
     frames.BELL_FD) = range(100, 105)
    end = channel.Channel()
    end.prepare(SETTINGS)
    return end.slots(1, SETTINGS["window"])[0]


def stages():
    environ = encode(BROWSER)
    frame = frames.SIZED.pack(frames.REQUEST, 0, 0, 1, len(environ)) + environ
    lane = Lane(**SETTINGS["lane"])
    slot = bench_slot(lane)
    for index in range(lane.requests):
        start = 4096 + index * lane.entry
        lane.page[start:start + 4 + len(frame)] = len(frame).to_bytes(4, "little") + frame

    def fill():
        lane.write(Lane.READ, lane.word(Lane.ANSWERED))
        lane.write(Lane.PUT, lane.word(Lane.PUT) + ROOM)

    def received():
        fill()
        for _ in range(ROOM):
            slot.take()[1]

    def served():
        fill()
        server.run()

    stage("environ", lambda: slot.channel.shapes.environ(environ))
    stage("receive", received, 200, ROOM)
    for name, application in (("hello", hello), ("varied heads", varied)):
        stage("application, " + name, lambda: application(BROWSER, lambda status, headers: None))
        server = wsgi.Server(application, slot, SETTINGS)
        stage("served, " + name, served, 200, ROOM)
        before = resource.getrusage(resource.RUSAGE_SELF)
        rounds = max(int(1000 * SHARE), 1)
        for _ in range(rounds):
            served()
        after = resource.getrusage(resource.RUSAGE_SELF)
        for mode in "utime", "stime":
            used = getattr(after, "ru_" + mode) - getattr(before, "ru_" + mode)
            print("%-28s %6.2f us" % ("  " + mode, used * 1e6 / rounds / ROOM))


def process(by, depth=8, rounds=5000, path="/hello", app="hello", **more):
    """Measures a worker process's CPU time by request, with `depth` queued ahead."""
    lane = Lane(16, 16) if by == "lane" else None
    rounds = max(int(rounds * SHARE), 1)
    with Front("bench_stages:" + app, HERE, window=1 << 40, lane=lane, by=by) as front:
        front.ready()
        before = cpu(front.pid)
        for _ in range(rounds):
            left = {front.request(path, **more) for _ in range(depth)}
            while left:
                frame = front.receive()
                if frame.flags & 1:
                    left.discard(frame.id)
        used = cpu(front.pid)
        for name, start, end in zip(("user", "system"), before, used):
            print("%-28s %6.2f us" % ("%s by %s, %s" % (app, by, name),
                                      (end - start) / (rounds * depth)))


def cpu(pid):
    """Returns user and system time in microseconds."""
    with open("/proc/%d/stat" % pid) as file:
        fields = file.read().rpartition(")")[2].split()
    return [int(ticks) * 1e6 / os.sysconf("SC_CLK_TCK") for ticks in fields[11:13]]


def main():
    stages()
    process("lane")
    process("channel")
    process("channel", 4, 1000, app="uploaded", method="POST", body=b"x" * 65536, spooled=True)


if __name__ == "__main__":
    main()
