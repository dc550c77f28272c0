"""Responses that an exception has torn: it came in the midst of sending, wherever from."""

from .handlers import Handler, is_own


class Torn(BaseException):
    """Nobody knows what was sent of a response."""


class NoSlot:
    """In the place of a torn response's slot."""

    def __init__(self, error):
        self.error = error

    def __getattr__(self, name):
        raise Torn("the answer to this request was interrupted while it was sent")


def last_own(trace):
    """Returns the code of the worker's last function in a traceback; below it may be the
    application's handler of a signal."""
    last = None
    while trace is not None:
        code = trace.tb_frame.f_code
        if is_own(code) and code is not Handler.__call__.__code__:
            last = code
        trace = trace.tb_next
    return last


def codes(kind, *without):
    """Returns the code of a class's functions."""
    return {function.__code__ for name, function in vars(kind).items()
            if hasattr(function, "__code__") and name not in without}
