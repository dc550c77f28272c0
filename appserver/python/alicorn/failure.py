"""Tracebacks of the application's failures, without the worker's own frames."""

import importlib
import sys
import traceback

OURS = __file__.rpartition("/")[0] + "/"
IMPORT = ("<frozen importlib", importlib.__file__)


def text(error):
    """Returns the traceback as Python prints it, from the application's first frame on."""
    report = traceback.TracebackException.from_exception(error)
    _trim(report, set())
    return "".join(report.format())


def write(error, environ):
    """Writes a request's failure to the application's stderr, in one piece."""
    where = "%s %s%s" % tuple(
        environ.get(key, "") for key in ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO"))
    request = environ.get("REQUEST_ID")
    if request:
        where += " (request %s)" % request
    try:
        sys.stderr.write("error in %s\n%s" % (
            where.encode("unicode_escape").decode("ascii"), text(error)))
        sys.stderr.flush()
    except Exception:
        pass  # an application that breaks its stderr has nowhere to hear of it


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
