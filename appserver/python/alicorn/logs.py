"""The loggers that applications find under gunicorn: gunicorn.error and gunicorn.access.

Applications take over their handlers and level, as in
``app.logger.handlers = logging.getLogger("gunicorn.error").handlers``, or give them handlers
of their own. What gunicorn.error says goes to the error log, line by line, as it is; so does
what is written to wsgi.errors, which PEP 3333 and gunicorn take for the server's error log.
"""

import io
import logging
import os
import sys

from . import frames

ERROR_FORMAT = "%(asctime)s [%(process)d] [%(levelname)s] %(message)s"
ACCESS_FORMAT = "%(message)s"
DATE_FORMAT = "[%Y-%m-%d %H:%M:%S %z]"


class Handler(logging.StreamHandler):
    """Writes to a stream, or, where the application has broken that, to descriptor 2."""

    def handleError(self, record):
        """Writes the record that the stream has not taken."""
        try:
            text = self.format(record) + "\n"
        except Exception:
            super().handleError(record)
            return
        print_raw(text)


def install(level):
    """Gives both loggers the handlers, the format and the level that gunicorn gives them."""
    _install("gunicorn.error", stream(), ERROR_FORMAT, getattr(logging, level.upper()))
    _install("gunicorn.access", sys.stdout, ACCESS_FORMAT, logging.INFO)


def install_uvicorn(level):
    """Gives the loggers that applications find under uvicorn the same."""
    _install("uvicorn", stream(), ERROR_FORMAT, getattr(logging, level.upper()))
    for name in ("uvicorn.error", "uvicorn.asgi"):
        logging.getLogger(name).setLevel(logging.NOTSET)
    _install("uvicorn.access", sys.stdout, ACCESS_FORMAT, logging.INFO)


def stream():
    """Returns a stream to the error log, which gets each line as it is."""
    raw = io.FileIO(frames.LOG_FD, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=True)


def _install(name, stream, form, level):
    logger = logging.getLogger(name)
    logger.propagate = False
    logger.setLevel(level)
    handler = Handler(stream)
    handler.setFormatter(logging.Formatter(form, DATE_FORMAT))
    logger.addHandler(handler)


def report(message, error, described, name):
    """Logs an exception that the application let out, described as text. Returns False
    where the logger of that name has no handler, is disabled, or fails."""
    logger = logging.getLogger(name)
    if logger.disabled or not logger.hasHandlers():
        return False
    if not logger.isEnabledFor(logging.ERROR):
        return True  # as its level says
    try:
        last = trace = _own(error.__traceback__)
        while last and last.tb_next:
            last = last.tb_next
        code = last.tb_frame.f_code if last else report.__code__
        record = logger.makeRecord(
            logger.name, logging.ERROR, code.co_filename, last.tb_lineno if last else 0,
            "%s", (message,), (type(error), error, trace), code.co_name)
        record.exc_text = described.rstrip("\n")
        logger.handle(record)
    except Exception:
        return False
    return True


def _own(trace):
    """Returns the traceback from the application's first frame on."""
    ours = __file__.rpartition("/")[0] + "/"
    while trace and trace.tb_frame.f_code.co_filename.startswith(ours):
        trace = trace.tb_next
    return trace


def print_raw(text):
    """Writes text to descriptor 2, whatever has become of sys.stderr."""
    try:
        os.write(2, text.encode("utf-8", "backslashreplace"))
    except OSError:
        pass  # an application that closes it has nowhere to hear of it
