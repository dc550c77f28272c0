"""An application that sets handlers of signals, which raise. The path picks what it does."""

import logging
import os
import random
import signal
import threading
import time

TEXT = [("Content-Type", "text/plain")]
events, state = [], {"armed": False}


class Boom(Exception):
    """What a handler raises: a timeout."""


class Midst(logging.Handler):
    """Runs while the worker's own code is at work: it logs the failure of a request."""

    do = None

    def emit(self, record):
        do, self.do = self.do, None
        if do:
            do()


midst = Midst()
logging.getLogger("gunicorn.error").addHandler(midst)


def boom(number, frame):
    events.append("came")
    if state["armed"]:
        raise Boom


def alarm(number, frame):
    raise Boom


def own(number, frame):
    events.append("own")


def in_the_midst(do):
    midst.do = do
    raise ValueError("now")


def kill(number=signal.SIGUSR1):
    os.kill(os.getpid(), number)


def text(start_response, value):
    start_response("200 OK", TEXT)
    return [("%s" % (value,)).encode()]


def nothing(environ, start_response):
    start_response("204 No Content", [])
    return []


def happened(environ, start_response):
    result = text(start_response, ",".join(events))
    del events[:]
    return result


def fires(environ, start_response):
    """A timer runs while write() sends, again and again."""
    signal.signal(signal.SIGALRM, boom)
    write, lost = start_response("200 OK", TEXT), 0
    for _ in range(60):
        state["armed"] = True
        try:
            signal.setitimer(signal.ITIMER_REAL, random.uniform(5e-6, 2e-4))
            for _ in range(6):
                write(b"y" * 5000)
        except Boom:
            lost += 1
        finally:
            state["armed"] = False
    return [b"end"]


def fires_at_the_end(environ, start_response):
    signal.signal(signal.SIGALRM, boom)
    sized = [("Content-Length", "1200")] if environ["QUERY_STRING"] else []
    start_response("200 OK", TEXT + sized)
    return AtTheEnd()


class AtTheEnd:
    def __iter__(self):
        for number in range(40):
            if number == 39:
                state["armed"] = True
                signal.setitimer(signal.ITIMER_REAL, random.uniform(5e-6, 2e-4))
            yield b"y" * 30

    def close(self):
        state["armed"] = False


def shows(environ, start_response):
    """What the module signal says is what the application has set."""
    default, number = signal.default_int_handler, signal.SIGUSR1
    said = [signal.signal(number, own), signal.signal(number, default), signal.getsignal(number),
            signal.signal(number, signal.SIG_IGN), signal.signal(number, signal.SIG_DFL),
            signal.getsignal(number)]
    assert said == [signal.SIG_DFL, own, default, default, signal.SIG_IGN, signal.SIG_DFL], said
    for wrong in (None, 5000, "x"):
        try:
            signal.signal(number, wrong)
        except (TypeError, ValueError):
            events.append("refused")
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    signal.signal(signal.SIGUSR1, own)
    kill()
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    assert signal.alarm(50) == 0 and signal.alarm(0) == 50
    assert signal.setitimer(signal.ITIMER_REAL, 0) == (0, 0)
    return happened(environ, start_response)


def elsewhere():
    try:
        signal.signal(signal.SIGUSR1, own)
    except ValueError:
        events.append("refused")


def put_off(environ, start_response):
    signal.signal(signal.SIGUSR1, boom)
    state["armed"] = True
    in_the_midst(lambda: [kill() for _ in range(1000)])


def replaced(environ, start_response):
    """The handler is replaced by the default one, which would end the process."""
    def do():
        kill()
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)

    signal.signal(signal.SIGUSR1, own)
    in_the_midst(do)


def stopped(environ, start_response):
    """A timer is stopped that has just fired."""
    def do():
        kill(signal.SIGALRM)
        signal.alarm(0)

    signal.signal(signal.SIGALRM, own)
    in_the_midst(do)


def forks(environ, start_response):
    """A child has nobody who would send the signal again."""
    def do():
        child = os.fork()
        if not child:
            kill()
            os._exit(21 if events == ["own"] else 22)
        events.append(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                          if hasattr(os, "waitstatus_to_exitcode") else os.waitpid(child, 0)[1] >> 8))

    signal.signal(signal.SIGUSR1, own)
    in_the_midst(do)


def nested(environ, start_response):
    """A handler is interrupted by another one."""
    def outer(number, frame):
        kill(signal.SIGALRM)
        events.append("not reached")

    signal.signal(signal.SIGUSR1, outer)
    signal.signal(signal.SIGALRM, alarm)
    try:
        kill()
    except Boom:
        events.append("boom")
    return happened(environ, start_response)


def reads(environ, start_response):
    """A read of a body that does not come is interrupted."""
    signal.signal(signal.SIGALRM, alarm)
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    said = []
    for _ in range(2):
        try:
            environ["wsgi.input"].read(100)
        except Exception as error:
            said.append(type(error).__name__)
    return text(start_response, ",".join(said))


def waits(environ, start_response):
    """write() waits for credit, and is interrupted."""
    signal.signal(signal.SIGALRM, alarm)
    write, size = start_response("200 OK", TEXT), int(environ["QUERY_STRING"])
    if size < 30:
        write(b"begin")
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        write(b"x" * size)
    except Boom:
        events.append("boom")
    return []


def waits_in_list(environ, start_response):
    signal.signal(signal.SIGALRM, alarm)
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    start_response("200 OK", TEXT)
    return [b"x" * 5000]


def tears(environ, start_response):
    """An exception comes in the midst of sending, and the application goes on."""
    write = start_response("200 OK", TEXT)
    slot = write.__self__.slot
    send = slot._send

    def tear(frame):
        slot._send = send
        send(frame)
        raise MemoryError

    write(b"begin")
    slot._send = tear
    try:
        write(b"torn")
    except MemoryError:
        pass
    return []


def hangs(environ, start_response):
    while not os.path.exists(environ["QUERY_STRING"]):
        time.sleep(0.005)
    return text(start_response, "came")


def tiny_timers(environ, start_response):
    """Says how many of 300 timers that end at once have not come."""
    lost, came = 0, []
    signal.signal(signal.SIGALRM, lambda number, frame: came.append(number))
    for _ in range(300):
        del came[:]
        signal.setitimer(signal.ITIMER_REAL, 1e-6)
        late = time.monotonic() + 0.5
        while not came and time.monotonic() < late:
            pass
        lost += not came
        if lost > 3:
            break
    start_response("200 OK", TEXT)
    return [b"%d" % lost]


if os.environ.get("HANDLES_USR1"):  # set at the import, where the main thread is
    signal.signal(signal.SIGUSR1, alarm)


def raises_in_the_main_thread(environ, start_response):
    os.kill(os.getpid(), signal.SIGUSR1)
    start_response("200 OK", TEXT)
    return [b"fine"]


def app(environ, start_response):
    return globals()[environ["PATH_INFO"][1:]](environ, start_response)
