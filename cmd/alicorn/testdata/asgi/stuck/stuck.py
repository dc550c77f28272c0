"""Requests that never end, each in another way, and event streams beside them."""

import asyncio
import os
import threading
import time


async def stuck_in_await():
    await asyncio.Event().wait()


async def stuck_in_sleep():
    time.sleep(600)


async def stuck_in_loop():
    while True:
        pass


async def stuck_in_lock():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


async def stuck_for_a_lock():
    lock = asyncio.Lock()
    await lock.acquire()
    await lock.acquire()


async def stuck_for_good():
    """Swallows its cancellation, once."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await asyncio.Event().wait()


STUCK = {f.__name__: f for f in (stuck_in_await, stuck_in_sleep, stuck_in_loop, stuck_in_lock,
                                 stuck_for_a_lock, stuck_for_good)}


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise RuntimeError("there is no lifespan here")
    name = scope["path"][1:]
    if name in STUCK:
        await STUCK[name]()
    await send({"type": "http.response.start", "status": 200})
    while True:
        await send({"type": "http.response.body", "body": b"pid %d\n" % os.getpid(), "more_body": True})
        await asyncio.sleep(0.02)
