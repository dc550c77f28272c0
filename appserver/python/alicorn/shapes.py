"""The environ of a request, as the front encodes it.

It consists of a shape and values. The shape has the names of the environ, in the order of the
values, and those values that are the same for many requests. Requests of one kind have one
shape. For each shape an environ is kept ready: a request gets a copy of it, with its own values.

    u32 LENGTH   of the shape
    shape        NAME, or NAME:VALUE, with a NUL between any two; latin-1
    values       with a NUL between any two; latin-1
"""

import sys

from .frames import LENGTH

MOST = 256  # shapes remembered
LONGEST = 2048  # bytes of a shape that is remembered


class Shapes(dict):
    """Shape -> (the environ without the values, the names of the values)."""

    def __init__(self, constants):
        super().__init__()
        self.constants = constants  # what each environ has besides

    def __missing__(self, shape):
        names, fixed = [], {}
        for item in shape.decode("latin-1").split("\0"):
            name, given, value = item.partition(":")
            if given:
                fixed[sys.intern(name)] = value
            else:
                names.append(sys.intern(name))
        known = {**dict.fromkeys(names), **fixed, **self.constants}, names
        if len(shape) <= LONGEST:
            if len(self) >= MOST:
                self.clear()
            self[shape] = known
        return known

    def environ(self, data):
        """Returns a new dict with the environ that data, which is bytes, encodes."""
        length, = LENGTH.unpack_from(data)
        end = LENGTH.size + length
        ready, names = self[data[LENGTH.size:end]]
        environ = ready.copy()
        environ.update(zip(names, data[end:].decode("latin-1").split("\0")))
        return environ
