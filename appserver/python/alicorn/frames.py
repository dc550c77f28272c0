"""The vocabulary of the worker protocol: frame types, flags, layouts, descriptors.

A frame is one SEQPACKET message of at most FRAME bytes: ``type flags slot id`` (HEADER),
little-endian, then a payload. Requests and response heads add the length of a part
(SIZED): a request's environ, or a marshalled head. Body bytes follow it.
"""

import marshal
import struct

try:  # hashlib brings OpenSSL; these are CPython's own
    from _sha2 import sha256
except ImportError:
    try:
        from _sha256 import sha256
    except ImportError:
        from hashlib import sha256

# The lane's descriptors follow the bells.
ZIP_FD, SETTINGS_FD, CHANNEL_FD, STATUS_FD, DIAGNOSTICS_FD, LOG_FD, BELL_FD = range(3, 10)

FRAME = 65536  # bytes; the largest frame
HEADER = struct.Struct("<BBHI")
SIZED = struct.Struct("<BBHII")
BLOCK = FRAME + 64  # bytes of a block of the lane: the largest frame, and its length before it
PLACE = struct.Struct("<II")  # of a body in the memory that bodies share
PREFIX = struct.Struct("<IBBH")  # of an entry in the lane: the frame's length, its type, flags, slot
POSITION = struct.Struct("<Q")  # in a file, of the first byte of a body
LENGTH = struct.Struct("<I")
MARK_STRIDE = 16  # 32-bit words from one slot's line of the status page to the next
GRANTED, CANCELLED = 8, 9  # words of a line, of the front; the first is the slot's started mark
HEARTBEAT = 2  # word of the first line

REQUEST, WAKE = ord("R"), ord("W")
READY, FAILED, HEAD, DATA = ord("K"), ord("F"), ord("H"), ord("D")
ABORTED, LEAVING, LOG, NOTED = ord("X"), ord("B"), ord("L"), ord("N")
# Those of the stream channel alone:
HINT, ACCEPT, MESSAGE, CLOSE, CREDIT, CANCEL = ord("I"), ord("A"), ord("M"), ord("Q"), ord("G"), ord("C")

BODY_FD, ENVIRON_FD, BODY_SHARED, BODY_STREAM = 1, 2, 4, 8  # flags of REQUEST
END, FILE = 1, 2  # flags of HEAD and DATA
TEXT_PART, TRAILERS = 2, 4  # flags of MESSAGE and of DATA
GONE, LATE, ENDS = range(3)  # reasons of CANCEL: the client has gone, past timeout, the worker ends
LAG = 3  # word of the first line: how late the loop was, in milliseconds
ONCE = 1  # flag of LOG

TEXT = 15000  # characters; the longest text that a report carries (any UTF-8 of it fits a frame)
SENTENCE = 1000  # characters; the longest message beside such a text


def entry(head, body):
    """Returns what writes an answer to the lane, with a head and a body of so many bytes."""
    return struct.Struct("<%dsI%ds%ds" % (PREFIX.size, head, body)).pack_into


class ProtocolError(Exception):
    """The front sent what the protocol does not allow."""


def control(kind, slot, id, value, flags=0):
    """Returns a frame whose payload is the marshalled value."""
    return HEADER.pack(kind, flags, slot, id) + marshal.dumps(value, 2)


def request_id(key, id):
    """Returns the front's $request_id of a request that has none. It imports nothing: an
    application that has used up its descriptors fails, and its worker has to say for whom."""
    return sha256(bytes.fromhex(key) + id.to_bytes(4, "little")).hexdigest()[:32]


def plain(text, most=TEXT):
    """Returns text as an exact str that UTF-8 can carry, its middle cut to most characters."""
    text = str.__str__(text).encode("utf-8", "backslashreplace").decode("utf-8")
    if len(text) <= most:
        return text
    half = most // 2
    return text[:half] + "\n[... %d characters left out ...]\n" % (len(text) - 2 * half) + text[-half:]
