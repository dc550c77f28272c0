"""Applications that the tests of ASGI workers run."""

import asyncio
import contextvars
import marshal
import os
import random
import signal
import subprocess
import sys
import threading
import time
from array import array

from applications import use_up_descriptors

who = contextvars.ContextVar("who", default="nobody")
events = []  # of the lifespan


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
    elif scope["type"] == "websocket":
        await SOCKETS.get(scope["path"], echo)(scope, receive, send)
    else:
        await ROUTES.get(scope["path"], hello)(scope, receive, send)


async def lifespan(scope, receive, send):
    while True:
        message = await receive()
        kind = message["type"]
        events.append(kind)
        scope["state"]["started"] = True
        await send({"type": kind + ".complete"})
        if kind == "lifespan.shutdown":
            print("shut down")
            return


async def answer(send, body, status=200, headers=()):
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


async def hello(scope, receive, send):
    await answer(send, b"hello", headers=[(b"content-type", b"text/plain")])


async def shows_scope(scope, receive, send):
    await answer(send, repr(scope).encode())


async def body(scope, receive, send):
    parts, message = [], await receive()
    while message["type"] == "http.request":
        parts.append(message["body"])
        if not message["more_body"]:
            break
        message = await receive()
    await answer(send, b"%s %d %d" % (message["type"].encode(), len(parts), len(b"".join(parts))))


async def parts(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    for _ in range(20):
        await send({"type": "http.response.body", "body": b"x" * 50000, "more_body": True})
    await send({"type": "http.response.body", "body": b"end"})


async def waits(scope, receive, send):
    await receive()
    print("heard", (await receive())["type"])


async def hangs(scope, receive, send):
    try:
        await asyncio.sleep(1000)
    finally:
        print("cancelled")


async def fails(scope, receive, send):
    raise ValueError("deliberately")


async def fails_full(scope, receive, send):
    use_up_descriptors()
    raise ValueError("deliberately")


async def fails_late(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"part", "more_body": True})
    raise ValueError("deliberately")


async def silent(scope, receive, send):
    pass


async def exits(scope, receive, send):
    sys.exit(7)


async def lists(scope, receive, send):
    await answer(send, b"lists", headers=[[b"x-a", b"1"], [b"x-a", b"2"]])


async def longer(scope, receive, send):
    await answer(send, b"longer", headers=[(b"content-length", b"2")])


async def file(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.pathsend", "path": os.path.abspath(__file__)})


async def fields(scope, receive, send):
    await send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]})
    await send({"type": "http.response.start", "status": 200, "trailers": True})
    await send({"type": "http.response.body", "body": b"body"})
    await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]})


async def after(scope, receive, send):
    await answer(send, b"answered")
    await asyncio.sleep(0.05)
    print("worked on")


async def echo(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept", "subprotocol": (scope["subprotocols"] or [None])[0]})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            print("left with", message["code"])
            return
        if message.get("text") == "close":
            await send({"type": "websocket.close", "code": 4000, "reason": "asked"})
            continue
        await send({"type": "websocket.send", "text": message.get("text"),
                    "bytes": message.get("bytes")})


async def refuses(scope, receive, send):
    await receive()
    await send({"type": "websocket.close"})


async def denies(scope, receive, send):
    await receive()
    await send({"type": "websocket.http.response.start", "status": 401, "headers": []})
    for more in (True, False):
        await send({"type": "websocket.http.response.body", "body": b"no", "more_body": more})


async def breaks(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    raise ValueError("deliberately")


async def names(scope, receive, send):
    who.set("somebody")
    await body(scope, receive, send)


async def whose(scope, receive, send):
    await answer(send, who.get().encode())


async def hint_splits(scope, receive, send):
    await send({"type": "http.response.early_hint", "links": [b"a\r\nX-Evil: 1"]})


async def hint_long(scope, receive, send):
    await send({"type": "http.response.early_hint", "links": [b"x" * 70000]})


async def head_long(scope, receive, send):
    without = len(marshal.dumps(("200 OK", [("x", "")], None), 2))
    headers = [(b"x", b"y" * (65522 - without))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": True})


async def trailing(send, *messages):
    await send({"type": "http.response.start", "status": 200, "trailers": True})
    await send({"type": "http.response.body", "body": b"body"})
    for number, pair in enumerate(messages, 1):
        await send({"type": "http.response.trailers", "headers": [pair],
                    "more_trailers": number < len(messages)})


async def trailers_split(scope, receive, send):
    await trailing(send, (b"x", b"a\r\nX-Evil: 1"))


async def trailers_long(scope, receive, send):
    await trailing(send, (b"x", b"y" * 70000))


async def trailers_frame(scope, receive, send):
    await trailing(send, (b"content-length", b"4"))


async def trailers_twice(scope, receive, send):
    await trailing(send, (b"x-a", b"1"), (b"x-b", b"2"))


async def hinted(scope, receive, send):
    await send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]})
    await answer(send, b"hinted")


async def together(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    await asyncio.gather(*(send({"type": "http.response.body", "body": letter * 400000,
                                 "more_body": True}) for letter in (b"a", b"b")))
    await send({"type": "http.response.body"})


async def endless(scope, receive, send):
    left = []

    async def listens():
        while (await receive())["type"] != "http.disconnect":
            pass
        left.append(True)

    listener = asyncio.ensure_future(listens())
    await send({"type": "http.response.start", "status": 200})
    while not left:
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
    await listener
    print("left")


async def sends_on(scope, receive, send):
    send.__func__.__globals__["PATIENCE"] = 0.05
    await send({"type": "http.response.start", "status": 200})
    try:
        while True:
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
            await asyncio.sleep(0.01)
    finally:
        print("told")


class Boom(Exception):
    """What the handler of a signal raises: a timeout."""


armed = []


def boom(number, frame):
    if armed:
        raise Boom


async def fires(scope, receive, send):
    """A timer runs while send() works, again and again."""
    signal.signal(signal.SIGALRM, boom)
    lost = 0
    armed.append(1)
    signal.setitimer(signal.ITIMER_REAL, random.uniform(5e-6, 2e-4))
    try:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"y", "more_body": True})
        for _ in range(40):
            armed.append(1)
            try:
                signal.setitimer(signal.ITIMER_REAL, random.uniform(5e-6, 2e-4))
                for _ in range(10):
                    await send({"type": "http.response.body", "body": b"y" * 50, "more_body": True})
            except Boom:
                lost += 1
            finally:
                armed.clear()
        armed.append(1)
        signal.setitimer(signal.ITIMER_REAL, random.uniform(5e-6, 2e-4))
        await send({"type": "http.response.body", "body": b"y"})
    finally:
        armed.clear()


def fail_the_loop(number, frame):
    raise Boom


async def ends_the_loop(scope, receive, send):
    """A handler raises in the event loop itself."""
    signal.signal(signal.SIGALRM, fail_the_loop)
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    await asyncio.sleep(0.1)
    await hello(scope, receive, send)


async def answers_late(scope, receive, send):
    await receive()
    await receive()
    await send({"type": "http.response.start", "status": 200})
    for _ in range(100):
        await send({"type": "http.response.body", "body": b"late", "more_body": True})
    await send({"type": "http.response.body"})
    await answer(send, b"again")
    print("worked on")


async def changes_headers(scope, receive, send):
    headers = [[b"x-id", b"first"], (b"x-a", b"1")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    headers[0][1] = b"second"
    headers.append((b"x-b", b"2"))
    await asyncio.sleep(0)
    await send({"type": "http.response.body", "body": b"body"})


def sends_part(offset, count):
    async def sends(scope, receive, send):
        try:
            with open(os.path.abspath(__file__), "rb") as opened:
                await send({"type": "http.response.start", "status": 200})
                await send({"type": "http.response.zerocopysend", "file": opened,
                            "offset": offset, "count": count})
        finally:
            print(len(os.listdir("/proc/self/fd")))

    return sends


async def fails_oddly(scope, receive, send):
    class Odd(Exception):
        exceptions = 5

        def __str__(self):
            raise ValueError("no text")

    await receive()
    await receive()
    scope["path"] = Odd()
    raise Odd


async def head_first(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    await receive()
    await receive()


async def cancels_all(scope, receive, send):
    for task in asyncio.all_tasks():
        if task is not asyncio.current_task():
            task.cancel()
    await answer(send, b"cancelled")


async def stops_the_loop(scope, receive, send):
    asyncio.get_running_loop().stop()
    await asyncio.sleep(0)
    await answer(send, b"goes on")


async def disconnect_follows(scope, receive, send):
    class ClientDisconnect(Exception):
        pass

    try:
        await sends_on(scope, receive, send)
    except OSError:
        raise ClientDisconnect()


async def fails_then(scope, receive, send):
    try:
        await sends_on(scope, receive, send)
    except OSError:
        raise KeyError("a defect of its own")


async def swallows(scope, receive, send):
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            print("cancelled")


async def forks(scope, receive, send):
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        await answer(send, b"%d" % status)
    else:
        await answer(send, b"the child")
        await asyncio.sleep(0.01)
        await answer(send, b"still the child")


async def closes(scope, receive, send):
    os.close(int(scope["query_string"]))
    await asyncio.sleep(1000)


async def leaves(scope, receive, send):
    async def works():
        try:
            await asyncio.sleep(1000)
        finally:
            print("ended")

    scope["state"]["task"] = asyncio.ensure_future(works())
    await answer(send, b"left")


async def subtask_exits(scope, receive, send):
    async def ends():
        sys.exit(7)

    scope["state"]["task"] = asyncio.ensure_future(ends())
    await asyncio.sleep(0.05)
    await answer(send, b"goes on")


async def zerocopy(scope, receive, send):
    with open(os.path.abspath(__file__), "rb") as opened:
        opened.seek(5)
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.zerocopysend", "file": opened, "offset": 3, "count": 10})
        print("at", opened.tell())


async def receives(scope, receive, send):
    first, second = asyncio.ensure_future(receive()), asyncio.ensure_future(receive())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    print("waiting")
    await answer(send, (await second)["body"])


async def deaf(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await asyncio.sleep(1000)


async def sends_together(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await asyncio.gather(*(send({"type": "websocket.send", "text": letter * 300000})
                           for letter in "ab"))


class Looks:
    """Awaits something, and counts how often that was resumed."""

    total = 0

    def __init__(self, awaited):
        self.awaited = awaited

    def __await__(self):
        inner = self.awaited.__await__()
        while True:
            try:
                waits_for = inner.send(None)
            except StopIteration:
                return
            yield waits_for
            Looks.total += 1


async def sends_crowded(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})

    async def one(number):
        await Looks(send({"type": "websocket.send", "text": "%d" % number}))

    tasks = [asyncio.ensure_future(one(number)) for number in range(1000)]
    await asyncio.sleep(0)
    for task in tasks[500:600]:
        task.cancel()
    await asyncio.wait(tasks)
    print("resumed", Looks.total)


async def sends_wide(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "bytes": memoryview(array("H", range(40000)))})


async def accepts_long(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept", "headers": [(b"x", b"y" * 70000)]})


def closing(reason):
    async def closes(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "reason": reason})

    return closes


async def answers_who_left(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await receive()
    await receive()
    await send({"type": "websocket.send", "text": "late"})


async def thread_sends(scope, receive, send):
    def works():
        asyncio.run(answer(send, asyncio.run(receive())["type"].encode()))

    thread = threading.Thread(target=works)
    thread.start()
    while thread.is_alive():
        await asyncio.sleep(0.001)


async def receives_for_ever(scope, receive, send):
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
    while True:
        await receive()


async def sends_deeply(scope, receive, send):
    """Answers in ever deeper recursions."""
    depth = int(scope["query_string"])

    async def deeper(left):
        if left:
            await deeper(left - 1)
        else:
            await answer(send, b"deep")

    await deeper(depth)


async def walks(scope, receive, send):
    async def walk():
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await walk()

    await send({"type": "http.response.start", "status": 200})
    await walk()


async def works_on(scope, receive, send):
    await answer(send, b"answered")
    try:
        await asyncio.sleep(1000)
    except asyncio.CancelledError:
        print("cancelled")


async def fifo(scope, receive, send):
    path = os.path.join(os.environ["TMPDIR"], "fifo")
    os.mkfifo(path)
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.pathsend", "path": path})


async def starts_a_program(scope, receive, send):
    program = subprocess.Popen(["/bin/sleep", "1000"])
    program.send_signal(signal.SIGINT)
    await answer(send, b"%d" % program.wait())


class DisconnectOfAGroup(Exception):
    """Stands for an exception group, which Python has since 3.11."""

    def __init__(self, *exceptions):
        self.exceptions = exceptions


async def fails_beside(scope, receive, send):
    try:
        await sends_on(scope, receive, send)
    except OSError as error:
        raise DisconnectOfAGroup(error, ValueError("the order was not saved"))


async def closes_late(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await receive()
    await send({"type": "websocket.close"})
    print("saved")


async def mixes_types(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": b"bytes"})
    await send({"type": "websocket.send", "bytes": "text"})


async def is_told_twice(scope, receive, send):
    """Gets SIGTERM in the turn of the loop in which the front's wish to retire arrives."""
    await asyncio.sleep(0.01)  # a turn of its own
    flag = scope["query_string"]
    os.unlink(flag)
    while not os.path.exists(flag):
        time.sleep(0.01)
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGTERM)
    for _ in range(5):
        await asyncio.sleep(0)
    await answer(send, b"whole")


async def gives_up(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    try:
        await asyncio.wait_for(send({"type": "websocket.send", "text": "x" * 400000}), 0.05)
    except asyncio.TimeoutError:
        print("too slow")
    await asyncio.sleep(1000)


ROUTES = {"/told": is_told_twice, "/scope": shows_scope, "/api/scope": shows_scope, "/caf\xe9 x": shows_scope, "/body": body, "/parts": parts,
          "/waits": waits, "/hangs": hangs, "/fails": fails, "/fails_late": fails_late,
          "/silent": silent, "/exits": exits, "/lists": lists, "/longer": longer, "/file": file,
          "/fields": fields, "/after": after, "/names": names, "/whose": whose,
          "/hint_splits": hint_splits, "/hint_long": hint_long, "/head_long": head_long,
          "/trailers_split": trailers_split, "/trailers_long": trailers_long,
          "/trailers_frame": trailers_frame, "/trailers_twice": trailers_twice, "/hinted": hinted,
          "/together": together, "/fails_full": fails_full, "/endless": endless, "/sends_on": sends_on,
          "/fires": fires, "/ends_the_loop": ends_the_loop,
          "/answers_late": answers_late, "/thread_sends": thread_sends,
          "/receives_for_ever": receives_for_ever, "/sends_deeply": sends_deeply, "/walks": walks,
          "/works_on": works_on, "/fifo": fifo, "/starts_a_program": starts_a_program, "/fails_beside": fails_beside, "/changes_headers": changes_headers,
          "/offset": sends_part(-1, 5), "/count": sends_part(0, -1), "/offset_text": sends_part("0", 5),
          "/fails_oddly": fails_oddly, "/head_first": head_first, "/cancels_all": cancels_all,
          "/stops_the_loop": stops_the_loop, "/disconnect_follows": disconnect_follows, "/fails_then": fails_then,
          "/swallows": swallows, "/forks": forks, "/closes": closes, "/leaves": leaves,
          "/subtask_exits": subtask_exits, "/zerocopy": zerocopy, "/receives": receives}
SOCKETS = {"/refuses": refuses, "/denies": denies, "/breaks": breaks, "/deaf": deaf,
           "/together": sends_together, "/crowded": sends_crowded, "/wide": sends_wide, "/accepts_long": accepts_long,
           "/reason_number": closing(5), "/reason_surrogate": closing("\udc80"),
           "/reason_long": closing("\xe9" * 100), "/gives_up": gives_up, "/left": answers_who_left,
           "/receives_for_ever": receives_for_ever, "/closes_late": closes_late,
           "/mixes_types": mixes_types}


loops = []


def loop_at_import():
    loops.append(asyncio.get_event_loop())
    return same_loop


async def same_loop(scope, receive, send):
    await answer(send, b"%r" % (loops[0] is asyncio.get_running_loop()))


async def shows_path(scope, receive, send):
    await answer(send, scope["path"].encode())


def old_starlette():
    """A factory of an application whose framework is a Starlette of 0.26."""
    starlette = sys.modules["starlette"] = type(sys)("starlette")
    starlette.__version__ = "0.26.1"
    return shows_path


async def startup_fails(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})


async def startup_hangs(scope, receive, send):
    print("starting")
    await asyncio.sleep(1000)


async def lifespan_fails_early(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        raise ValueError("no database")
    await hello(scope, receive, send)


async def lifespan_fails_later(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await asyncio.sleep(0.01)
        raise ValueError("deliberately")
    await hello(scope, receive, send)


async def eager(scope, receive, send):
    if scope["type"] == "lifespan" and hasattr(asyncio, "eager_task_factory"):
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    await app(scope, receive, send)


async def without_lifespan(scope, receive, send):
    assert scope["type"] == "http"
    await hello(scope, receive, send)


class Single:
    """An application of ASGI 2."""

    def __init__(self, scope):
        self.scope = scope

    async def __call__(self, receive, send):
        await hello(self.scope, receive, send)
