"""SCRIPT_NAME in the environment: the application lies below a path, as under gunicorn.

Requests for that path, or below it, reach the application with SCRIPT_NAME and with what is
left as PATH_INFO. Others are none of its requests: they are answered 404.
"""

import os

from .handlers import interruptible

BODY = b"Not Found\n"
HEADERS = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(BODY)))]


def mounted(application, prefix):
    """Returns the application below prefix; itself, where prefix is empty or "/"."""
    prefix = os.fsencode(prefix).decode("latin-1").strip("/")
    if not prefix:
        return application
    prefix = "/" + prefix
    below = prefix + "/"

    @interruptible
    def mount(environ, start_response):
        path = environ.get("PATH_INFO", "")
        if path != prefix and not path.startswith(below):
            start_response("404 Not Found", list(HEADERS))
            return [BODY]
        environ["SCRIPT_NAME"] = prefix
        environ["PATH_INFO"] = path[len(prefix):]
        return application(environ, start_response)

    return mount
