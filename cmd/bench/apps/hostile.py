"""An application that does what no application should. Each path is one way; all
of them end by themselves, and none touches a process but its own siblings."""

import fcntl
import os
import signal
import sys
import time


def crash():
    os.abort()


def leave():
    os._exit(0)


def hang():
    time.sleep(60)


def spin():
    end = time.monotonic() + 30
    while time.monotonic() < end:
        pass


def deaf():
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))
    time.sleep(60)


def stop():
    os.kill(os.getpid(), signal.SIGSTOP)


def talk():
    for _ in range(2000):
        print("x" * 500)
        print("\x1b[31m" + "y" * 500, file=sys.stderr)


def one_line():
    os.write(2, b"z" * (1 << 20))


def grow():
    kept = []
    for _ in range(32):
        kept.append(bytearray(8 << 20))
    time.sleep(1)


def fork():
    if os.fork() == 0:
        try:
            time.sleep(3)
        finally:
            os._exit(0)
    os._exit(1)


def siblings():
    """Kills the other workers, which the kernel allows among equal users."""
    me, parent = os.getpid(), os.getppid()
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == me:
            continue
        try:
            with open(f"/proc/{name}/stat") as file:
                of = int(file.read().rpartition(")")[2].split()[1])
            with open(f"/proc/{name}/cmdline", "rb") as file:
                python = b"python" in file.read()
            if of == parent and python:
                os.kill(int(name), signal.SIGKILL)
        except OSError:
            continue


def sockets():
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink("/proc/self/fd/" + name).startswith("socket:"):
                yield int(name)
        except OSError:
            continue


def lie():
    """Writes noise into every socket: frames that mean nothing."""
    for fd in sockets():
        for size in (1, 13, 4096):
            try:
                os.write(fd, os.urandom(size))
            except OSError:
                continue
    time.sleep(0.1)


def block():
    """Makes every socket's description, which the server shares, block."""
    for fd in sockets():
        flags = fcntl.fcntl(fd, fcntl.F_GETFL)
        fcntl.fcntl(fd, fcntl.F_SETFL, flags & ~os.O_NONBLOCK)
    time.sleep(0.1)


def scribble():
    """Writes noise into all memory that is shared and writable."""
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb+", 0) as memory:
        for line in maps:
            span, mode = line.split()[:2]
            if mode.startswith("rw") and mode.endswith("s"):
                start, end = (int(x, 16) for x in span.split("-"))
                memory.seek(start)
                memory.write(os.urandom(min(end - start, 1 << 20)))
    time.sleep(0.1)


def open_all():
    kept = []
    try:
        while len(kept) < 100_000:
            kept.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    time.sleep(0.5)
    os._exit(1)


def many_headers(start_response):
    start_response("200 OK", [(f"X-{i}", "v") for i in range(20000)])
    return [b""]


def endless(start_response):
    start_response("200 OK", [])
    end = time.monotonic() + 30
    while time.monotonic() < end:
        yield b"x" * 65536


WAYS = {
    way.__name__: way
    for way in (
        crash, leave, hang, spin, deaf, stop, talk, one_line, grow, fork,
        siblings, lie, block, scribble, open_all,
    )
}


def app(environ, start_response):
    way = environ["PATH_INFO"].strip("/")
    if way == "many_headers":
        return many_headers(start_response)
    if way == "endless":
        return endless(start_response)
    if way in WAYS:
        WAYS[way]()
    start_response("200 OK", [("Content-Length", "5")])
    return [b"done\n"]
