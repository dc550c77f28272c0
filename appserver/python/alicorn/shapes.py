"""The environ of a request, as the front encodes it.

It is a shape, and values. A shape has the names that a request's environ has, in the order of
the values, and values that are the same for many requests: requests of one kind have one shape,
for which an environ is kept ready, to be copied and given the values.

    u32 LENGTH   of the shape
    shape        NAME, or NAME:VALUE, with a NUL between any two; latin-1
    values       with a NUL between any two; latin-1
"""

import sys

from .frames import LENGTH

MOST = 256  # shapes remembered
LONGEST = 2048  # bytes of a shape that is remembered


class Shapes(dict):
    """Shapes seen -> (the environ but for the values, the names of these)."""

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
        """Returns the environ that data, which is bytes, encodes: a dict of its own."""
        length, = LENGTH.unpack_from(data)
        end = LENGTH.size + length
        ready, names = self[data[LENGTH.size:end]]
        environ = ready.copy()
        environ.update(zip(names, data[end:].decode("latin-1").split("\0")))
        return environ
