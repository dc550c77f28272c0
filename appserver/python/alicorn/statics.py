"""The static folders that a Django or Flask application would have a front serve."""

import os

from . import callables

COLLECT = "run manage.py collectstatic"


def report(application):
    """Returns ([[url, directory], ...], [note, ...]), in the order of precedence.

    url begins with a slash; a directory exists. Nothing that fails here costs the boot.
    """
    try:
        if callables.is_from(application, "flask"):
            return _flask(application), []
        settings = callables.django_settings()
        if settings is not None:
            return _django(settings)
    except Exception as error:
        return [], ["cannot tell the static folders: %s: %s" % (type(error).__name__, error)]
    return [], []


def _flask(application):
    url, folder = application.static_url_path, application.static_folder
    if not _local(url) or not folder or not os.path.isdir(folder):
        return []
    return [[str(url), os.path.abspath(folder)]]


def _django(settings):
    url, root = settings.STATIC_URL, settings.STATIC_ROOT
    installed = "django.contrib.staticfiles" in settings.INSTALLED_APPS
    if not _local(url):
        return [], []
    served, notes = [], []
    if settings.DEBUG and installed:
        served += _finders(str(url))
    root = os.path.abspath(root) if root else None
    if root and os.path.isdir(root) and os.listdir(root):
        served.append([str(url), root])
    elif root and not settings.DEBUG:
        notes.append("STATIC_ROOT %s %s: %s" % (
            root, "is empty" if os.path.isdir(root) else "does not exist", COLLECT))
    elif installed and not settings.DEBUG:
        notes.append("STATIC_ROOT is not set: set it and " + COLLECT)
    return served, notes


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
