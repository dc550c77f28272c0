"""Tracebacks of the application's failures, without the worker's own frames."""

import importlib
import sys
import traceback
from codecs import unicode_escape_encode  # str.encode would import it once it is needed

from . import logs

OURS = __file__.rpartition("/")[0] + "/"
IMPORT = ("<frozen importlib", importlib.__file__)


def text(error):
    """Returns the traceback as Python prints it, from the application's first frame on."""
    report = traceback.TracebackException.from_exception(error)
    _trim(report, set())
    return "".join(report.format())


def write(error, environ, request_id, logger="gunicorn.error"):
    """Logs a request's failure by that logger, in one piece, or writes it to the
    application's stderr, or to the process's where the application has broken both.
    request_id makes the request's id, unless the environ has it."""
    tell("error in %s" % where(environ, request_id), error, logger)


def tell(message, error, logger="gunicorn.error"):
    """Logs an exception of the application's under that message, as write() does."""
    described = _described(error)
    if logs.report(message, error, described, logger):
        return
    report = "%s\n%s" % (message, described)
    try:
        sys.stderr.write(report)
        sys.stderr.flush()
    except Exception:
        logs.print_raw(report)


def where(environ, request_id):
    """Returns which request failed; the application may have changed its environ."""
    try:
        where = "%s %s%s" % tuple(
            environ.get(key, "") for key in ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO"))
        where += " (request %s)" % (environ.get("REQUEST_ID") or request_id())
        return unicode_escape_encode(where)[0].decode("ascii")
    except Exception:
        return "a request whose environ cannot be shown (request %s)" % request_id()


def _described(error):
    """Returns the error's traceback, or its type where it cannot be shown."""
    try:
        return text(error)
    except Exception as reason:
        return "%s (its traceback cannot be shown: %s)\n" % (
            type(error).__name__, type(reason).__name__)


def _trim(report, seen):
    if report is None or id(report) in seen:
        return
    seen.add(id(report))
    report.stack[:] = [frame for frame in report.stack
                       if not frame.filename.startswith((OURS,) + IMPORT)]
    _trim(report.__cause__, seen)
    _trim(report.__context__, seen)
    for part in getattr(report, "exceptions", None) or ():
        _trim(part, seen)
