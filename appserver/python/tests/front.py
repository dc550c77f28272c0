"""A front that is just large enough to drive a worker process by its protocol."""

import fcntl
import io
import marshal
import mmap
import os
import select
import signal
import socket
import struct
import sys
import threading
import time
import zipfile
from array import array
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parent
HEADER = struct.Struct("<BBHI")
DEADLINE = 60  # seconds that anything may take
ENVIRON = {
    "SCRIPT_NAME": "", "QUERY_STRING": "", "SERVER_NAME": "localhost", "SERVER_PORT": "80",
    "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1", "wsgi.url_scheme": "http",
    "HTTP_HOST": "localhost",
}


class Frame:
    def __init__(self, data, descriptors=()):
        self.kind, self.flags, self.slot, self.id = HEADER.unpack_from(data)
        self.kind = chr(self.kind)
        self.payload = data[HEADER.size:]
        self.descriptors = descriptors
        self.size = len(data)

    @property
    def value(self):
        return marshal.loads(self.payload)

    def __repr__(self):
        return "%s flags=%d slot=%d id=%d %r" % (
            self.kind, self.flags, self.slot, self.id, self.payload[:80])


class Answer:
    """What a client would have got, put together from the frames of one request."""

    def __init__(self):
        self.frames, self.logs = [], []
        self.status = self.headers = self.file_length = self.aborted = None
        self.body = b""
        self.complete = False

    def add(self, frame):
        self.frames.append(frame)
        if frame.kind == "L":
            self.logs.append(frame.value[1])
            return
        data = frame.payload
        if frame.kind == "X":
            self.aborted = frame.value
        elif frame.kind == "H":
            assert self.status is None, "two heads"
            length, = struct.unpack_from("<I", data)
            self.status, self.headers, self.file_length = marshal.loads(data[4:4 + length])
            data = data[4 + length:]
            if frame.flags & 2:
                position, = struct.unpack("<Q", data)
                data = self.file(frame, position)
        if frame.kind in "HD":
            self.body += data
            self.complete = bool(frame.flags & 1)

    def file(self, frame, position):
        descriptor, = frame.descriptors
        data = b""
        while len(data) < self.file_length:
            part = os.pread(descriptor, self.file_length - len(data), position + len(data))
            assert part, "the file is shorter than announced"
            data += part
        os.close(descriptor)
        return data

    @property
    def kinds(self):
        return "".join(frame.kind for frame in self.frames)

    def header(self, name):
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return values[0] if values else None


class Lane:
    """The front's side of the lane, which refuses to break its rules."""

    ASLEEP, PUT, WAITING, ANSWERED, READ, TAKEN = range(0, 384, 64)

    BLOCK = 65536 + 64

    def __init__(self, requests, responses, entry=16384, blocks=2):
        self.settings = {"requests": requests, "responses": responses, "entry": entry,
                         "blocks": blocks}
        self.requests, self.responses, self.entry = requests, responses, entry
        self.blocks, self.first = blocks, 4096 + (requests + responses) * entry
        self.named = []  # blocks that answers have named
        size = self.first + blocks * self.BLOCK
        self.file = os.memfd_create("lane")
        os.ftruncate(self.file, size)
        self.page = mmap.mmap(self.file, size)
        self.words = memoryview(self.page)[:4096].cast("I")  # each is read and written at once
        self.barrier = threading.Lock()
        self.nudge = None  # the Front's
        self.ids = []  # of the requests put, oldest first

    def word(self, offset):
        return self.words[offset // 4]

    def write(self, offset, value):
        self.words[offset // 4] = value & 0xffffffff

    def put(self, frame, id):
        assert len(self.ids) < self.requests, "no room for another request"
        put = self.word(self.PUT)
        start = 4096 + put % self.requests * self.entry
        assert len(frame) + 4 <= self.entry
        self.page[start:start + 4 + len(frame)] = struct.pack("<I", len(frame)) + frame
        self.write(self.PUT, put + 1)
        self.ids.append(id)
        self.fence()

    def fence(self):
        """Keeps loads behind the store before it."""
        with self.barrier:
            pass

    def take_back(self):
        """Takes the newest request back; returns its id, None when the worker has them all."""
        put = self.word(self.PUT)
        if put == self.word(self.TAKEN):
            return None
        self.write(self.PUT, put - 1)
        self.fence()
        if not 0 < put - self.word(self.TAKEN) & 0xffffffff <= self.requests:
            self.write(self.PUT, put)  # the worker is taking it, or has looked meanwhile
            self.fence()
            self.nudge()
            return None
        return self.ids.pop()

    def receive(self):
        """Returns the oldest response that was not read, or None."""
        read = self.word(self.READ)
        if read == self.word(self.ANSWERED):
            return None
        start = 4096 + (self.requests + read % self.responses) * self.entry
        length, block = struct.unpack_from("<II", self.page, start)
        if length + 4 > self.entry:
            assert length <= 65536 and block < self.blocks
            self.named.append(block)
            start = self.first + block * self.BLOCK
        frame = self.page[start + 4:start + 4 + length]
        self.write(self.READ, read + 1)
        return frame


FIXED = {"SERVER_PROTOCOL", "SERVER_PORT", "wsgi.url_scheme"}


def encode(environ, fixed=FIXED):
    """Returns an environ as the front encodes it, with those names in its shape's values."""
    shape = [name + ":" + value if name in fixed else name for name, value in environ.items()]
    shape = "\0".join(shape).encode("latin-1")
    values = "\0".join(value for name, value in environ.items() if name not in fixed)
    return struct.pack("<I", len(shape)) + shape + values.encode("latin-1")


class Front:
    """One worker process; use as a context manager.

    With a lane requests go `by` it, by the "channel", or "mixed", in turn.
    """

    def __init__(self, app, directory, threads=1, window=1 << 20, python=sys.executable,
                 environ=None, lane=None, by="lane", bodies=0, **settings):
        self.lane, self.by = lane, by
        if lane:
            lane.nudge = self.nudge
        self.bodies = os.memfd_create("bodies")  # of that many bytes, where bodies are shared
        os.ftruncate(self.bodies, bodies)
        self.threads, self.window = threads, window
        self.settings = dict({
            "app": app, "kind": "wsgi", "directory": str(directory), "pythonpath": [],
            "threads": threads, "window": window, "dump_signal": int(signal.SIGUSR2), "log_level": "info",
            "request_key": "00112233445566778899aabbccddeeff",
            "environ": {"SERVER_SOFTWARE": "front"}, "report_static": False, "tried": "",
            "lane": lane.settings if lane else None,
            "bodies": {"size": bodies} if bodies else None,
        }, **settings)
        self.last = 0
        self.noted = []  # files: (kind, path, stamp)
        self.early = []  # frames that came before the worker was ready
        self.answers, self.left_reason, self.code = {}, None, None
        self.woken = self.sent = 0  # W frames either way
        self.way = []  # "lane" or "channel", of each response frame
        self.channel, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel.settimeout(DEADLINE)
        self.status = os.memfd_create("status")
        os.ftruncate(self.status, 4096)
        self.page = memoryview(mmap.mmap(self.status, 4096)).cast("I")
        self.diagnostics, diagnostics = os.pipe()
        bells = self.pairs(threads)
        self.bells = [ours for ours, _ in bells]
        self.granted = [0] * threads
        self.stdout, self.stderr = os.memfd_create("stdout"), os.memfd_create("stderr")
        self.log = os.memfd_create("log")
        settings = memory(marshal.dumps(self.settings, 2))
        with open(os.devnull) as null:
            self.pid = self._spawn(python, environ, [
                null.fileno(), self.stdout, self.stderr, package(), settings,
                self.theirs.fileno(), self.status, diagnostics, self.log]
                + [theirs.fileno() for _, theirs in bells]
                + ([lane.file] if lane else []) + ([self.bodies] if bodies else []))
        os.close(diagnostics)
        os.close(settings)
        for _, theirs in bells:
            theirs.close()

    @staticmethod
    def pairs(threads):
        """Returns the sockets from descriptor 9 on, the front's end and the worker's of each."""
        return [socket.socketpair() for _ in range(threads)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()
        self.channel.close()
        self.theirs.close()
        for descriptor in (self.status, self.diagnostics, self.log, self.stdout, self.stderr,
                           self.bodies):
            os.close(descriptor)
        for bell in self.bells:
            bell.close()
        if self.lane:
            os.close(self.lane.file)

    @staticmethod
    def _spawn(python, environ, descriptors):
        # above all targets, so that none overwrites another's source
        high = [fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 200) for number in descriptors]
        actions = [(os.POSIX_SPAWN_DUP2, number, target) for target, number in enumerate(high)]
        actions += [(os.POSIX_SPAWN_CLOSE, number) for number in high]
        environ = dict(os.environ, PYTHONUNBUFFERED="1", **(environ or {}))
        try:
            return os.posix_spawn(str(python), [str(python), "/proc/self/fd/3", "worker", "web-1"],
                                  environ, file_actions=actions)
        finally:
            for number in high:
                os.close(number)

    def boot(self):
        """Returns what the worker announces: ready or failed, asserted by the caller. What it
        has to say before goes to early."""
        while True:
            frame = self.receive()
            assert frame is not None, "no frame; stderr: " + self.errors()
            if frame.kind in "KF":
                return frame.kind, frame.value
            self.early.append(frame)

    def ready(self):
        kind, value = self.boot()
        assert kind == "K", value
        return value

    def request(self, path="/", method="GET", body=b"", spooled=False, long=False, place=None,
                stream=None, **environ):
        """Sends a request; returns its id. Its body may lie at a place in the bodies' memory, or
        arrive by the worker's end of a stream."""
        self.last += 1
        environ = dict(ENVIRON, PATH_INFO=path, REQUEST_METHOD=method, **environ)
        if body or method == "POST" and stream is None:
            environ.setdefault("CONTENT_LENGTH", str(len(body)))
        encoded = encode(environ)
        flags, descriptors = 0, []
        if long:
            flags, descriptors = flags | 2, descriptors + [memory(encoded)]
            encoded = b""
        if spooled:
            flags, descriptors, body = flags | 1, descriptors + [memory(body)], b""
        if place is not None:
            os.pwrite(self.bodies, body, place)
            flags, body = flags | 4, struct.pack("<II", place, len(body))
        if stream is not None:
            flags, descriptors = flags | 8, descriptors + [os.dup(stream.fileno())]
        frame = HEADER.pack(ord("R"), flags, 0, self.last)
        frame += struct.pack("<I", len(encoded)) + encoded + body
        if self._takes_lane(frame, descriptors):
            self.lane.put(frame, self.last)
            self.nudge()
            return self.last
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))]
        self.channel.sendmsg([frame], rights if descriptors else [])
        for descriptor in descriptors:
            os.close(descriptor)
        return self.last

    def _takes_lane(self, frame, descriptors):
        if not self.lane or descriptors or len(frame) + 4 > self.lane.entry:
            return False
        return self.by == "lane" or self.by == "mixed" and self.last % 2 == 1

    def nudge(self):
        """Wakes a thread that waits, or is about to; to be called after each put()."""
        if self.lane.word(Lane.WAITING):
            self.sent += 1
            self.channel.send(HEADER.pack(ord("W"), 0, 0, 0))

    def asleep(self, value):
        self.lane.write(Lane.ASLEEP, value)

    def receive(self):
        """Returns the next frame but for those about files, which go to noted; None when the
        worker has died."""
        frame = self._next()
        while frame is not None and frame.kind == "N":
            self.noted += frame.value
            frame = self._next()
        return frame

    def _next(self):
        while self.lane:
            data = self.lane.receive()
            if data:
                return self._passed(Frame(data), "lane")
            self.asleep(1)
            data = self.lane.receive()  # put before the worker could see that
            frame = Frame(data) if data else self._receive()
            self.asleep(0)
            if data:
                return self._passed(frame, "lane")
            if frame is None or frame.kind != "W":
                return self._passed(frame, "channel")
            self.woken += 1
        return self._receive()

    def _passed(self, frame, way):
        if frame is not None and frame.id:
            self.way.append(way)
            if frame.kind in "HDX" and (frame.flags & 1 or frame.kind == "X"):
                self.lane.ids = [id for id in self.lane.ids if id != frame.id]
        return frame

    def _receive(self):
        deadline = time.monotonic() + DEADLINE
        while not select.select([self.channel], [], [], 0.02)[0]:
            if self.exited() and not select.select([self.channel], [], [], 0)[0]:
                return None
            assert time.monotonic() < deadline, "no frame; stderr: " + self.errors()
        data, ancillary, flags, _ = self.channel.recvmsg(1 << 17, socket.CMSG_SPACE(16))
        assert not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC)
        assert len(data) <= 65536
        held = array("i")
        for _, _, rights in ancillary:
            held.frombytes(rights)
        return Frame(data, held) if data else None

    def step(self):
        """Receives one frame and files it; returns it."""
        return self._file(self.receive())

    def _file(self, frame):
        if frame is None or frame.kind == "W":
            return frame
        if frame.kind == "B":
            self.left_reason = frame.value
        else:
            self.answers.setdefault(frame.id, Answer()).add(frame)
        return frame

    def answer(self, id):
        """Returns the Answer to the request once it is complete or aborted."""
        answer = self.answers.setdefault(id, Answer())
        while not (answer.complete or answer.aborted):
            assert self.step() is not None, "the worker died; stderr: " + self.errors()
        return answer

    def get(self, path="/", **more):
        """Sends a request, then a second that flushes out what comes after the answer."""
        answer = self.answer(self.request(path, **more))
        self.answer(self.request("/nothing"))
        while select.select([self.channel], [], [], 0)[0]:
            self._file(self._receive())  # the lane's answers overtake the channel's
        return answer

    def grant(self, slot, size):
        self.granted[slot] = self.granted[slot] + size & 0xffffffff
        self.page[16 * slot + 8] = self.granted[slot]
        self.bells[slot].send(b"!")

    def cancel(self, slot, id):
        self.page[16 * slot + 9] = id
        self.bells[slot].send(b"!")

    def mark(self, slot):
        return self.page[16 * slot]

    def heartbeat(self):
        return self.page[2]

    def retire(self):
        """Shuts the channel down for writing and returns the exit code."""
        self.channel.shutdown(socket.SHUT_WR)
        while self.step() is not None:
            pass
        return self.wait()

    def die(self):
        """Closes what a front's death closes."""
        for end in [self.channel, self.theirs] + self.bells:
            end.close()

    def exited(self):
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = exit_code(status)
        return self.code is not None

    def wait(self):
        deadline = time.monotonic() + DEADLINE
        while not self.exited():
            assert time.monotonic() < deadline, "the worker does not end: " + self.errors()
            time.sleep(0.005)
        return self.code

    def errors(self):
        """Returns what standard error has, then what gunicorn.error has said."""
        return contents(self.stderr) + self.logged()

    def logged(self):
        return contents(self.log)

    def output(self):
        return contents(self.stdout)

    def dumps(self, text):
        """Waits until the diagnostics pipe has brought the text; asserted by the caller."""
        held = ""
        while text not in held and select.select([self.diagnostics], [], [], DEADLINE)[0]:
            held += os.read(self.diagnostics, 65536).decode()
        return text in held


def package():
    """Returns a descriptor of the zip that the binary would embed."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.write(str(PACKAGE / "__main__.py"), "__main__.py")
        for path in sorted((PACKAGE / "alicorn").glob("*.py")):
            archive.write(str(path), "alicorn/" + path.name)
    return memory(held.getvalue())


def memory(data):
    descriptor = os.memfd_create("data")
    with open(os.dup(descriptor), "wb") as file:
        file.write(data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def contents(descriptor):
    return os.pread(descriptor, 1 << 22, 0).decode("utf-8", "replace")


def exit_code(status):
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
