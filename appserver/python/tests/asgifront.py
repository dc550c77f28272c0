"""The front of an ASGI worker, for tests: Front with the stream channel."""

import select
import socket
import struct
import time

from front import DEADLINE, HEADER, HERE, Answer, Frame, Front

STREAMS, INDEX_BITS = 10, 6
SCOPE = {
    "=type": "http", "=scheme": "http", "=http_version": "1.1", "=server_port": "80",
    "=server": "localhost", "=method": "GET",
}
WINDOW = 1 << 18


def scope(path="/", query="", client=("192.0.2.1", "4711"), fields=(), fixed=SCOPE, **values):
    """Returns a scope as the front encodes it."""
    shape = [key + ":" + value for key, value in fixed.items()]
    names = ["=raw_path", "=query_string", "=client_host", "=client_port"]
    names += ["=" + key for key in values] + [name for name, _ in fields]
    given = [path, query, *client, *values.values(), *(value for _, value in fields)]
    shape = "\0".join(shape + names).encode("latin-1")
    return struct.pack("<I", len(shape)) + shape + "\0".join(given).encode("latin-1")


class AsgiFront(Front):
    """One ASGI worker; use as a context manager."""

    def __init__(self, app="asgiapplications:app", directory=HERE, window=WINDOW, **settings):
        settings = dict({"streams": STREAMS, "index_bits": INDEX_BITS, "loop": "asyncio",
                         "lifespan": "auto", "graceful": 5000, "heartbeat": 0,
                         "stripped": False}, **settings)
        super().__init__(app, directory, window=window, kind="asgi", **settings)
        self.told = []  # frames of the stream channel that were not returned yet
        self.heard = [self.channel, self.bells[0]]  # until the latter has ended

    @staticmethod
    def pairs(threads):
        return [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)]

    def ask(self, path="/", body=b"", stream=None, spooled=None, fixed=SCOPE, **more):
        """Sends a request; returns its id."""
        self.last += 1
        encoded = scope(path, fixed=fixed, **more)
        flags, descriptors = 0, []
        if stream is not None:
            flags, descriptors = 8, [stream.fileno()]
        if spooled is not None:
            flags, descriptors = 1, [spooled.fileno()]
        frame = HEADER.pack(ord("R"), flags, 0, self.last)
        frame += struct.pack("<I", len(encoded)) + encoded + body
        if self.lane and not flags and len(frame) + 4 <= self.lane.entry:
            self.lane.ids = [id for id in self.lane.ids
                             if not (self.answers[id].complete or self.answers[id].aborted)]
            self.lane.put(frame, self.last)
            self.nudge()
        else:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", descriptor))
                      for descriptor in descriptors]
            self.channel.sendmsg([frame], rights)
        self.answers[self.last] = Answer()
        return self.last

    def socket(self, path="/", **more):
        """Asks for a WebSocket; returns its id."""
        fixed = {key: value for key, value in SCOPE.items() if key != "=method"}
        return self.ask(path, fixed=dict(fixed, **{"=type": "websocket", "=scheme": "ws"}), **more)

    def say(self, *frames):
        """Sends frames, (kind, flags, id, payload) each, in one message."""
        data = b""
        for kind, flags, id, payload in frames:
            frame = HEADER.pack(ord(kind), flags, id & (1 << INDEX_BITS) - 1, id) + payload
            data += struct.pack("<I", len(frame)) + frame
        self.bells[0].send(data)

    def _next(self):
        deadline = time.monotonic() + DEADLINE
        while True:
            if self.told:
                return self.told.pop(0)
            data = self.lane.receive() if self.lane else None
            if data:
                return Frame(data)
            if self.lane:
                self.asleep(1)
                data = self.lane.receive()
            ready = [] if data else select.select(self.heard, [], [], 0.02)[0]
            if self.lane:
                self.asleep(0)
            if data:
                return Frame(data)
            if self.bells[0] in ready:
                self._hear()
            elif self.channel in ready:
                frame = self._receive()
                if frame is None or frame.kind != "W":
                    return frame
            elif self.exited() and not select.select([self.channel], [], [], 0)[0]:
                return None
            assert time.monotonic() < deadline, "no frame; stderr: " + self.errors()

    def _hear(self):
        data, ancillary, _, _ = self.bells[0].recvmsg(1 << 17, socket.CMSG_SPACE(16))
        assert len(data) <= 65536
        if not data:
            self.heard = [self.channel]
        held = [struct.unpack("i", rights)[0] for _, _, rights in ancillary]
        start = 0
        while start < len(data):
            size, = struct.unpack_from("<I", data, start)
            frame = Frame(data[start + 4:start + 4 + size], held)
            assert frame.slot == frame.id & (1 << INDEX_BITS) - 1
            self.told.append(frame)
            start += 4 + size

    def next(self, kinds):
        """Returns the next frame of one of these kinds; others are filed."""
        while True:
            frame = self.receive()
            assert frame is not None, "the worker died; stderr: " + self.errors()
            if frame.kind in kinds:
                return frame
            self._file(frame)

    def fetch(self, path="/", **more):
        """Returns the Answer to a request."""
        return self.answer(self.ask(path, **more))


