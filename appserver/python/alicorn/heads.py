"""Response heads: status and headers checked, marshalled, and remembered.

What leaves here is well formed: a final status of three digits, names that are RFC 9110 tokens,
values without control characters but the tab, all latin-1, at most one Content-Length.
Anything else raises Refused with a text that names the header. Hop-by-hop headers, and those
that Connection names, are left out: they describe a connection, which is the server's.
"""

import marshal
import re
from collections.abc import Mapping

from .frames import END, FRAME, HEAD, LENGTH, POSITION, PREFIX, SIZED, entry
from .handlers import interruptible

STATUS = re.compile(r"[1-9][0-9]{2}(?: [\t\x20-\x7e\x80-\xff]*)?")
TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
DIGITS = re.compile(r"[0-9]{1,18}")
HOP_BY_HOP = frozenset((
    "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection",
    "te", "trailer", "trailers", "transfer-encoding", "upgrade",
))
ORDINARY, SIZE, HOP = 0, 1, 2
MOST_NAMES = 1024  # header names remembered
MOST_STATUSES = 64
MOST_HEADS = 256  # whole heads remembered
LONGEST_HEAD = 2048  # bytes; a longer one is not remembered


class Refused(Exception):
    """The application answered what a server must not send (PEP 3333, RFC 9110)."""


class Names(dict):
    """Header names seen -> ORDINARY, SIZE or HOP; refuses bad ones on first sight."""

    def __missing__(self, name):
        if not isinstance(name, str):
            raise Refused("the header name %r is not a str" % (name,))
        if not TOKEN.fullmatch(name):
            raise Refused("the header name %r is not valid" % name)
        lower = name.lower()
        kind = ORDINARY
        if lower in HOP_BY_HOP:
            kind = HOP
        elif lower == "content-length":
            kind = SIZE
        if len(self) < MOST_NAMES:
            self[str.__str__(name)] = kind
        return kind


class Statuses(dict):
    """Statuses seen -> whether they forbid a body; refuses bad ones on first sight."""

    def __missing__(self, status):
        if not isinstance(status, str):
            raise Refused("the status %r is not a str" % (status,))
        if not STATUS.fullmatch(status):
            raise Refused("the status %r is not three digits and a reason" % status)
        status = str.__str__(status)
        if status[0] == "1":
            raise Refused("the status %r is not one of a final response, 200 to 999" % status)
        bodyless = status[:3] in ("204", "304")
        if len(self) < MOST_STATUSES:
            self[status] = bodyless
        return bodyless


class Heads:
    """Builds a slot's heads.

    A head is (payload, length, bodyless): the marshalled (status, headers, file_length), the
    Content-Length or None, and whether the status forbids a body (204, 304).
    """

    def __init__(self, slot, frame=FRAME):
        self._slot = slot
        self._largest = frame - SIZED.size - POSITION.size  # bytes of a head
        self._names = Names()
        self._statuses = Statuses()
        self._known = {}
        # (status, size, *headers) -> what Slot.answer() takes, of heads seen twice whose
        # bodies of size bytes end in the same frame. Its write() is made for their lengths.
        self.whole = {}

    def head(self, status, headers, size):
        """Returns the head for what start_response was given.

        size is the body's length where it is known, which adds the Content-Length that
        the application left out; else None. Neither argument is changed.
        """
        try:
            key = (status, size, *headers)
            known = self._known.get(key)
            if known is not None:
                self._learn(key, *known)
                return known
        except TypeError:
            key = None  # not hashable: the checks below say what is wrong, if anything is
        checked, length, bodyless = self._check(status, headers, size)
        payload = self._payload(status, checked, None)
        head = payload, length, bodyless
        if key is not None and len(payload) <= LONGEST_HEAD:
            if len(self._known) >= MOST_HEADS:
                self._known.clear()
            self._known[key] = head
        return head

    def file_head(self, status, headers, size):
        """Returns the head of an answer whose body is size bytes of a file.

        Its payload tells the front to send length bytes of the descriptor beside it;
        length exceeds size when the application declared more than the file has.
        """
        checked, length, bodyless = self._check(status, headers, size)
        return self._payload(status, checked, length), length, bodyless

    def checked(self, headers):
        """Returns headers that are none of a head: early hints, trailers, those of a WebSocket."""
        checked, length, _ = self._check("200 OK", headers, None)
        if length is not None:
            raise Refused("the header 'Content-Length' belongs to a head with a body")
        return checked

    def _learn(self, key, payload, length, bodyless):
        size = key[1]
        if size is None or size != length or bodyless or key in self.whole:
            return
        framed = SIZED.size + len(payload) + size
        if framed > self._slot.room:
            return
        if len(self.whole) >= MOST_HEADS:
            self.whole.clear()
        head = LENGTH.pack(len(payload)) + payload
        write = entry(len(head), size)
        self.whole[key] = write, PREFIX.pack(framed, HEAD, END, self._slot.index), head

    def _payload(self, status, headers, file_length):
        payload = marshal.dumps((str.__str__(status), headers, file_length), 2)
        if len(payload) > self._largest:
            raise Refused("the response's head takes %d bytes; at most %d are allowed"
                          % (len(payload), self._largest))
        return payload

    def _check(self, status, headers, size):
        try:
            bodyless = self._statuses[status]
        except TypeError:
            raise Refused("the status %r is not a str" % (status,)) from None
        if not isinstance(headers, (list, tuple)):
            raise Refused("the headers are a %s, not a list" % type(headers).__name__)
        checked, left_out, length, names = [], [], None, self._names
        for pair in headers:
            try:
                name, value = pair
            except (TypeError, ValueError):
                raise Refused("the header %r is not a (name, value) tuple" % (pair,)) from None
            if not (type(name) is type(value) is str and value.isascii() and value.isprintable()):
                name, value = checked_pair(name, value)
            kind = names[name]
            if kind == HOP:
                left_out.append((name, value))
                continue
            if kind == SIZE:
                if length is not None and length == value or bodyless and status[:3] != "304":
                    continue
                length = checked_length(length, value)
            checked.append((name, value))
        if left_out:
            checked = self._without(checked, left_out)
        if length is not None:
            return checked, int(length), bodyless
        if size is not None and not bodyless:
            checked.append(("Content-Length", str(size)))
            length = size
        return checked, length, bodyless

    def _without(self, headers, left_out):
        """Returns headers without those that Connection names; logs what the client never sees.

        Content-Length stays: it frames the body, whatever Connection says.
        """
        options = {option.strip().lower() for name, value in left_out
                   if name.lower() == "connection" for option in value.split(",")}
        options -= {"", "close", "content-length"}
        for name, _ in left_out:
            self._slot.channel.remark("the header %r is hop-by-hop and belongs to the server: "
                              "it is left out of the response" % name)
        if not options:
            return headers
        for name, _ in headers:
            if name.lower() in options:
                self._slot.channel.remark("the header %r is left out of the response: "
                                  "a Connection header names it" % name)
        return [pair for pair in headers if pair[0].lower() not in options]


@interruptible
def listed(headers):
    """Returns the headers of an iterator, a view or a set as a list; anything else as it is.

    PEP 3333 wants a list, gunicorn takes what it can iterate. An iterator can be read only once.
    """
    if isinstance(headers, (tuple, str, bytes, Mapping)) or not hasattr(type(headers), "__iter__"):
        return headers
    return list(headers)


def checked_pair(name, value):
    """Returns name and value as exact str, which marshal insists on; checks the value."""
    if not isinstance(name, str):
        raise Refused("the header name %r is not a str" % (name,))
    if not isinstance(value, str):
        raise Refused("the header %r has a value of type %s, not str"
                      % (name, type(value).__name__))
    # subclasses are common: Django's SafeString, enumerations
    name, value = str.__str__(name), str.__str__(value)
    if not VALUE.fullmatch(value):
        raise Refused("the header %r has a value with characters that are not allowed: %r"
                      % (name, value[:200]))
    return name, value


def checked_length(known, value):
    """Returns a Content-Length's value; known is an earlier header's, or None."""
    if known is not None:
        raise Refused("the header 'Content-Length' has two values, %r and %r" % (known, value))
    if not DIGITS.fullmatch(value):
        raise Refused("the header 'Content-Length' has the value %r" % value)
    return value
