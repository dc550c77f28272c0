"""An origin that speaks uwsgi, scgi or fastcgi: gateway.py PROTOCOL PORT [FULL-PORT].

It listens on 127.0.0.1:PORT, and on the unix socket "other", where every answer is a 503.
Nobody accepts connections to FULL-PORT. What it does depends on the path.
"""
import os, socket, struct, sys, threading, time

protocol = sys.argv[1]


def exactly(f, n):
    data = f.read(n)
    if len(data) < n:
        raise EOFError
    return data


def pairs_of_uwsgi(text):
    words = []
    while text:
        n = struct.unpack("<H", text[:2])[0]
        words.append(text[2:2 + n].decode("latin-1"))
        text = text[2 + n:]
    return dict(zip(words[::2], words[1::2]))


def pairs_of_fastcgi(text):
    found, at = {}, 0

    def length():
        nonlocal at
        n = text[at]
        at += 1
        if n >= 128:
            n = struct.unpack(">I", bytes([n & 127]) + text[at:at + 3])[0]
            at += 3
        return n

    while at < len(text):
        n, v = length(), length()
        found[text[at:at + n].decode()] = text[at + n:at + n + v].decode("latin-1")
        at += n + v
    return found


class Request:
    """One request; its parameters are there, its body is not read yet."""

    def __init__(self, f):
        self.f, self.ended = f, False
        if protocol == "uwsgi":
            one, size, two = struct.unpack("<BHB", exactly(f, 4))
            self.modifiers = "%d-%d" % (one, two)
            self.params = pairs_of_uwsgi(exactly(f, size))
        elif protocol == "scgi":
            size = b""
            while not size.endswith(b":"):
                size += exactly(f, 1)
            words = exactly(f, int(size[:-1]) + 1)[:-2].decode("latin-1").split("\0")
            self.params = dict(zip(words[::2], words[1::2]))
        else:
            text = b""
            while True:
                kind, content = self.record()
                if kind == 1:
                    self.keep = content[2]
                elif not content:
                    break
                else:
                    text += content
            self.params = pairs_of_fastcgi(text)

    def record(self):
        _, kind, _, n, padding, _ = struct.unpack(">BBHHBB", exactly(self.f, 8))
        return kind, exactly(self.f, n + padding)[:n]

    def some(self):
        """Some bytes of the body; none at the end."""
        if protocol == "fastcgi":
            return self.record()[1]
        return self.f.read1(4096) if self.params.get("CONTENT_LENGTH") else b""

    def body(self):
        if protocol != "fastcgi":
            return self.f.read(int(self.params.get("CONTENT_LENGTH") or 0) if self.params.get("PASSED") != "no" else 0)
        text = b""
        while True:
            part = self.record()[1]
            if not part:
                return text
            text += part


def framed(data, kind=6):
    if protocol != "fastcgi":
        return data
    out = b""
    while data:
        part, data = data[:60000], data[60000:]
        out += struct.pack(">BBHHBB", 1, kind, 1, len(part), 0, 0) + part
    return out


END = struct.pack(">BBHHBB", 1, 3, 1, 8, 0, 0) + bytes(8) if protocol == "fastcgi" else b""


def note(name):
    with open(name, "w") as f:
        f.write(name)


def stream(c, name):
    """24 MB, for clients that take nothing: what becomes of it is told by files."""
    c.sendall(framed(b"Content-Length: 24000000\r\nX: " + b"x" * 200 + b"\r\n\r\n"))
    c.settimeout(1)
    data = framed(b"x" * 24000000) + END
    sent = 0
    while sent < len(data):
        try:
            sent += c.send(data[sent:sent + 100000])
        except socket.timeout:
            note("blocked-" + name)
            c.settimeout(60)
    note("done-" + name)


def answer(c, r, number):
    p = r.params
    path = p["PATH"]
    if path.startswith("/stuck"):
        time.sleep(60)
    if path.startswith("/stream/"):
        r.body()
        return stream(c, path.split("/")[2])
    if path.startswith("/left"):
        time.sleep(0.1)  # the client has left by now, most often
    if path.startswith("/part"):
        text = b"read " + r.some()
    elif path.startswith("/stderr"):
        r.body()
        c.sendall(framed(b"PHP message: " + path.encode() + b"\n", 7))
        text = b"after a complaint"
    else:
        body = r.body()
        words = [p.get("METHOD", "none"), "[%s]" % p.get("HTTP_X_A", ""), "[%s]" % p.get("OWN", ""), "empty" if "EMPTY" in p else "full",
                 "[%s]" % p.get("SCRIPT", ""), "[%s]" % p.get("INFO", ""), "request %d" % number, getattr(r, "modifiers", ""), "%d bytes" % len(body)]
        text = " ".join(words).encode()
    text += b"\n"
    status = b"503 Busy" if path.startswith("/busy") else b"200 OK"
    if path.startswith("/accel"):
        status += b"\r\nX-Accel-Redirect: /none"
    head = b"Status: %s\r\nX-Secret: one\r\nX-Accel-Expires: 5\r\nContent-Length: %d\r\n\r\n" % (status, len(text))
    if protocol == "uwsgi":
        head = b"HTTP/1.1 " + status + b"\r\n" + head
    c.sendall(framed(head + text) + END)


def serve(c, other):
    f = c.makefile("rb")
    number = 0
    try:
        while True:
            r = Request(f)
            number += 1
            if other:
                r.params["PATH"] = "/busy"
            answer(c, r, number)
            if not getattr(r, "keep", 0):
                break
    except (EOFError, OSError):
        pass
    f.close()
    c.close()


def accept(l, other):
    while True:
        threading.Thread(target=serve, args=(l.accept()[0], other), daemon=True).start()


l = socket.socket()
l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
l.bind(("127.0.0.1", int(sys.argv[2])))
l.listen(10)
o = socket.socket(socket.AF_UNIX)
o.bind("other")
os.chmod("other", 0o666)
o.listen(10)
if len(sys.argv) > 3:
    full = socket.socket()
    full.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    full.bind(("127.0.0.1", int(sys.argv[3])))
    full.listen(0)
    held = []
    for _ in range(3):  # nobody accepts them, so that no more are let in
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(full.getsockname())
        held.append(s)
note("ready")
threading.Thread(target=accept, args=(o, True), daemon=True).start()
accept(l, False)
