"""What is written of all tasks when requests are past their time."""

import asyncio
import time

from alicorn import asgi, frames


class Waiting:
    """A request that waits in a task."""

    more = None

    def __init__(self, number, loop):
        self.id, self.began = number, time.monotonic()
        self.task = loop.create_task(asyncio.sleep(3600))

    def line(self):
        return "GET /%d" % self.id


class Listed(list):
    """A list in which nothing is looked for: that would cost as many steps as it is long."""

    def __contains__(self, wanted):
        raise AssertionError("a request is looked for in a list")


def test_many_tasks_are_written_in_one_pass_and_the_late_ones_first(monkeypatch):
    written = []
    monkeypatch.setattr(asgi.os, "write", lambda number, text: written.append((number, text)))
    loop = asyncio.new_event_loop()
    try:
        server = asgi.Server.__new__(asgi.Server)
        server.loop, server.key = loop, "00"
        server.running = {n: Waiting(n, loop) for n in range(3000)}
        server._dump(Listed(server.running[n] for n in range(2990, 3000)))
        (number, text), = written
        assert number == frames.DIAGNOSTICS_FD
        assert text.count(b"past timeout") == 10
        assert 0.9 * asgi.MOST_STACKS < len(text) <= asgi.MOST_STACKS
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
