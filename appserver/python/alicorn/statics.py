"""The static folders of a Django or Flask application, and who may answer for their files.

A front may serve a file without asking only where the application could not answer otherwise:
``PLAIN``. Where it could, but answers 404 to what it leaves to a front, it is asked first:
``ASKED``. Where it serves its files itself, and something of it could come between, nothing is
reported, and every request is the application's.
"""

import os

from . import callables, flaskfiles

COLLECT = "run manage.py collectstatic"
PLAIN, ASKED = "plain", "asked"

# Django's own middleware that leaves a GET of a path without a view a 404, but for the settings
# in TELLING.
SILENT = frozenset("django." + name for name in (
    "middleware.security.SecurityMiddleware", "middleware.common.CommonMiddleware",
    "middleware.csrf.CsrfViewMiddleware", "middleware.clickjacking.XFrameOptionsMiddleware",
    "middleware.gzip.GZipMiddleware", "middleware.http.ConditionalGetMiddleware",
    "contrib.sessions.middleware.SessionMiddleware",
    "contrib.auth.middleware.AuthenticationMiddleware",
    "contrib.messages.middleware.MessageMiddleware"))
TELLING = ("SECURE_SSL_REDIRECT", "PREPEND_WWW", "DISALLOWED_USER_AGENTS",
           "SESSION_SAVE_EVERY_REQUEST")
PROBES = ("a", "a.css", "a/b/c.css")
MOST = 200  # files that are looked up


def report(application):
    """Returns ([[url, directory, how], ...], [note, ...]), in the order of precedence.

    url begins with a slash; a directory exists. Nothing that fails here costs the boot.
    """
    try:
        if callables.is_from(application, "flask"):
            return _flask(application), []
        settings = callables.django_settings()
        if settings is not None:
            return _django(application, settings)
    except Exception as error:
        return [], ["cannot tell the static folders: %s: %s" % (type(error).__name__, error)]
    return [], []


def _flask(application):
    url, folder = application.static_url_path, application.static_folder
    if not _local(url) or not folder or not os.path.isdir(folder):
        return []
    if not flaskfiles.is_plain(application, str(url)):
        return []
    return [[str(url), os.path.abspath(folder), PLAIN]]


def _django(application, settings):
    url, root = settings.STATIC_URL, settings.STATIC_ROOT
    installed = "django.contrib.staticfiles" in settings.INSTALLED_APPS
    if not _local(url):
        return [], []
    url = str(url)
    served, notes = [], []
    if settings.DEBUG and installed:
        served += _finders(url)
    root = os.path.abspath(root) if root else None
    if root and os.path.isdir(root) and os.listdir(root):
        served.append([url, root])
    elif root and not settings.DEBUG:
        notes.append("STATIC_ROOT %s %s: %s" % (
            root, "is empty" if os.path.isdir(root) else "does not exist", COLLECT))
    elif installed and not settings.DEBUG:
        notes.append("STATIC_ROOT is not set: set it and " + COLLECT)
    view = _view_below(url, served)
    if view is not None:
        module = getattr(view, "__module__", "")
        if served and not module.startswith("django."):
            notes.append("static files are the application's: its view %s.%s answers below %s; "
                         "\"--static %s=%s\" has this server answer for them" % (
                             module, getattr(view, "__qualname__", view), url, url,
                             root or served[0][1]))
        return [], notes
    how = PLAIN if _is_silent(application, settings) else ASKED
    return [entry + [how] for entry in served], notes


def _view_below(url, served):
    """Returns the view that a path below the URL leads to, or None."""
    from django.urls import Resolver404, resolve

    for name in list(PROBES) + _names(url, served):
        try:
            return resolve(url.rstrip("/") + "/" + name).func
        except Resolver404:
            pass
    return None


def _names(url, served):
    """Returns the names below the URL of some of the files."""
    names = []
    for prefix, directory in served:
        for folder, _, files in os.walk(directory):
            below = os.path.relpath(folder, directory)
            for file in files:
                path = prefix.rstrip("/") + "/" + os.path.normpath(os.path.join(below, file))
                names.append(path[len(url.rstrip("/")) + 1:])
            if len(names) >= MOST:
                return names[:MOST]
    return names


def _is_silent(application, settings):
    """Whether every request for what has no view ends in a 404, whoever asks."""
    from django.core.handlers.wsgi import WSGIHandler

    return (type(application) is WSGIHandler
            and all(name in SILENT for name in settings.MIDDLEWARE)
            and not any(getattr(settings, name, None) for name in TELLING))


def _finders(url):
    from django.contrib.staticfiles import finders

    served = []
    for finder in finders.get_finders():
        for storage in getattr(finder, "storages", {}).values():
            location = getattr(storage, "location", None)
            if location and os.path.isdir(location):
                prefix = getattr(storage, "prefix", None)
                served.append([url + prefix + "/" if prefix else url, os.path.abspath(location)])
    return served


def _local(url):
    """Whether the URL is a path of this server's that leaves room for the application."""
    url = str(url or "")
    return url.startswith("/") and not url.startswith("//") and url.strip("/") != ""
