"""An application that attacks the server through what its worker shares with it.

Each attack is a function that the query string names. What it returns is answered; one
that never returns holds its thread.
"""

import ctypes
import fcntl
import os
import random
import select
import signal
import socket
import struct
import sys
import threading
import time
from array import array

CHANNEL, PAGE, DIAGNOSTICS, BELL = 5, 6, 7, 8
SO_ATTACH_FILTER, SO_PASSPIDFD, SO_PASSRIGHTS = 26, 76, 83
kept = []  # what must not be closed
HEADER = struct.Struct("<BBHI")
TAKEN, ANSWERED = 80, 48  # words of the lane's first page


def slot():
    """Returns the worker's own object for the thread that runs this."""
    caller = sys._getframe()
    while not hasattr(caller.f_locals.get("self"), "slot"):
        caller = caller.f_back
    return caller.f_locals["self"].slot


def lane():
    return slot().channel.lane


def current():
    return slot().marks[0]


def send(data, descriptors=()):
    end = socket.socket(fileno=os.dup(CHANNEL))
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))]
    end.sendmsg([data], rights if descriptors else [])
    end.close()


def frame(kind, id=0, flags=0, slot=0, rest=b""):
    send(HEADER.pack(ord(kind), flags, slot, id) + rest)


def head(id, flags=1, length=None, descriptors=(), position=struct.pack("<Q", 0)):
    from marshal import dumps
    sized = dumps(("200 OK", [], length), 2)
    send(HEADER.pack(ord("H"), flags, 0, id) + struct.pack("<I", len(sized)) + sized + (position if flags & 2 else b""), descriptors)


def for_ever(attack):
    def loop():
        try:
            while True:
                attack()
        except OSError:
            pass
    threading.Thread(target=loop, daemon=True).start()


def block(descriptor, on):
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags & ~os.O_NONBLOCK if on else flags | os.O_NONBLOCK)


def shared():
    """Returns the descriptors that the front has some end of."""
    return [number for number in range(1, 12) if os.path.exists("/proc/self/fd/%d" % number)]


# What does no harm: the worker goes on.

def flags_of_descriptors():
    for number in shared():
        block(number, True)


def fills_its_bell():
    block(BELL, False)
    try:
        while True:
            os.write(BELL, b"x" * 4096)
    except BlockingIOError:
        block(BELL, True)


def rings_are_not_heard():
    for _ in range(100):
        select.select([BELL], [], [], 0)


def wakes_for_ever():
    for_ever(lambda: frame("W"))


def logs_for_ever():
    text = struct.pack("<I", 65000) + b"x" * 65000
    entry = b"(\x02\x00\x00\x00u\x05\x00\x00\x00erroru" + text
    for _ in range(300):
        frame("L", rest=entry)


def prints_for_ever():
    for number in 1, 2, DIAGNOSTICS:
        for_ever(lambda number=number: os.write(number, b"x" * 65536))


def asks_to_leave_often():
    for _ in range(2000):
        frame("B", rest=b"u\x01\x00\x00\x00x")


def marks_other_requests():
    marks = slot().marks

    def attack():
        for id in range(1 << 11, 64 << 11, 1 << 11):
            marks[0] = id
    for_ever(attack)


# What ends the worker: it broke the protocol.

def short_frame():
    send(b"abc")


def unknown_frame():
    frame("?")


def long_frame():
    send(b"D" + bytes(70000))


def unknown_id():
    head(current() + 1)


def ends_twice():
    head(current())
    head(current())


def two_heads():
    head(current(), flags=0)
    head(current(), flags=0)


def data_of_another_slot():
    head(current(), flags=0)
    frame("D", current(), slot=1)


def data_after_the_end():
    id = current()
    head(id)
    frame("D", id, rest=b"x")


def lying_length():
    send(HEADER.pack(ord("H"), 1, 0, current()) + struct.pack("<I", 0xffffffff))


def more_than_its_credit():
    head(current(), flags=0)
    for _ in range(10):
        frame("D", current(), rest=bytes(60000))


def ready_twice():
    frame("K", rest=b"{0")


def failed_once_ready():
    frame("F", rest=b"{0")


def aborts_what_nobody_cancelled():
    frame("X", current(), rest=b"u\x01\x00\x00\x00x")


def many_descriptors():
    with open(os.devnull) as null:
        send(HEADER.pack(ord("W"), 0, 0, 0), [null.fileno()] * 253)


def lingering_descriptors():
    end = lingering()
    send(HEADER.pack(ord("W"), 0, 0, 0), [end.fileno()])
    end.close()
    wait()


def lingering():
    """Returns a socket whose close waits for a peer that reads nothing."""
    listener = socket.create_server(("127.0.0.1", 0))
    end = socket.create_connection(listener.getsockname())
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 1000))
    end.setblocking(False)
    try:
        while True:
            end.send(bytes(65536))
    except BlockingIOError:
        pass
    kept.append(listener)
    return end


def file_without_a_position():
    with open(__file__) as file:
        head(current(), 3, 10, [file.fileno()], position=b"")


def file_at_no_position():
    with open(__file__) as file:
        head(current(), 3, 10, [file.fileno()], struct.pack("<q", -1))


def asks_for_pidfds():
    """Has the kernel add a descriptor to each frame that is received at the worker's end."""
    end = socket.socket(fileno=os.dup(CHANNEL))
    end.setsockopt(socket.SOL_SOCKET, SO_PASSPIDFD, 1)
    end.close()
    time.sleep(1)


def refuses_descriptors():
    end = socket.socket(fileno=os.dup(CHANNEL))
    end.setsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS, 0)
    end.close()
    time.sleep(1)


def drops_what_it_is_sent():
    filters(0)


def cuts_what_it_is_sent():
    filters(3)


def filters(size):
    """Has the kernel cut each frame to size bytes before it is queued at the worker's end."""
    end = socket.socket(fileno=os.dup(CHANNEL))
    code = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, size))  # ret size
    end.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HxxxxxxP", 1, ctypes.addressof(code)))
    end.close()
    time.sleep(1)


def shuts_its_end():
    end = socket.socket(fileno=os.dup(CHANNEL))
    end.shutdown(socket.SHUT_RDWR)
    wait()


def count_of_answers_leaps():
    words = lane()._words
    words[ANSWERED] = words[ANSWERED] + 1000
    wake()


def count_of_answers_goes_back():
    words = lane()._words
    # By one would undo what the front may not have seen yet.
    words[ANSWERED] = words[ANSWERED] - 500 & 0xffffffff
    wake()


def wake():
    frame("W")
    wait()


def wait():
    time.sleep(60)


# What the front finds out once it takes requests back: send it more meanwhile.

def count_of_taken_leaps():
    lane()._words[TAKEN] += 1000
    wait()


def count_of_taken_goes_back():
    words = lane()._words
    words[TAKEN] = words[TAKEN] - 500 & 0xffffffff
    wait()


def answers_what_it_has_not_taken():
    words = lane()._words
    words[TAKEN] = words[TAKEN] - 1 & 0xffffffff
    head(current())
    wait()


def denies_what_it_runs_and_dies():
    time.sleep(0.3)  # until the front has looked
    marks = slot().marks
    marks[0] = 0
    lane()._words[TAKEN] -= 1
    os._exit(1)


def writes_at_random():
    words, marks = lane()._words, slot().marks
    rng = random.Random(os.getpid())
    def attack():
        words[rng.randrange(96)] = rng.choice((0, 1, rng.getrandbits(7), rng.getrandbits(32)))
        marks[rng.randrange(16)] = rng.getrandbits(32)
    for_ever(attack)
    wait()


# What ends the worker otherwise.

def closes_everything():
    os.closerange(3, 64)


def stops_itself():
    os.kill(os.getpid(), signal.SIGSTOP)
    wait()


def takes_requests_and_keeps_them():
    for_ever(lambda: os.read(CHANNEL, 65536))
    wait()


def leaves_a_child_that_goes_on():
    """The child has the channel and the lane, and sends by both for ever."""
    kept, memory = os.dup(CHANNEL), lane()
    words, worker = memory._words, os.getpid()
    entry = struct.pack("<I", 8) + HEADER.pack(ord("W"), 0, 0, 0)
    if os.fork():
        os.kill(worker, signal.SIGKILL)
        wait()
    end = socket.socket(fileno=kept)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for start in memory._answers:
            memory._memory[start:start + len(entry)] = entry
        words[ANSWERED] = words[ANSWERED] + 1 & 0xffffffff
        try:
            end.send(HEADER.pack(ord("W"), 0, 0, 0), socket.MSG_DONTWAIT)
        except BlockingIOError:
            pass
        except OSError:
            break
    os._exit(0)


def lingering_socket_for_a_file():
    end = lingering()
    for _ in range(500):  # which keep the front from the descriptor until this one is closed
        frame("W")
    head(current(), flags=3, length=10, descriptors=[end.fileno()])
    end.close()
    wait()


def directory_for_a_file():
    descriptor = os.open("/", os.O_RDONLY)
    head(current(), flags=3, length=10, descriptors=[descriptor])
    wait()


def pipe_for_a_file():
    head(current(), flags=3, length=10, descriptors=[os.pipe()[0]])
    wait()


def short_file():
    descriptor = os.open(__file__, os.O_RDONLY)
    head(current(), flags=3, length=(1 << 62), descriptors=[descriptor])
    wait()


def file_beyond_its_end():
    descriptor = os.open(__file__, os.O_RDONLY)
    head(current(), 3, 10, [descriptor], struct.pack("<Q", (1 << 63) - 5))
    wait()


def app(environ, start_response):
    attack = environ["QUERY_STRING"]
    if attack:
        globals()[attack]()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]
