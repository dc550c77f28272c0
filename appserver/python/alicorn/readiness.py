"""Loads what a framework would load with its first request, so that it fails at boot.

Django imports the URL configuration, and with it the views, when a request comes: a mistake
in there would make a worker ready that answers every request with 500.
"""

import logging

from . import callables, failure
from .loader import LoadError

CHECKED = "manage.py check finds: "
MOST = 10  # findings that are told


def complete(application):
    """Returns what an operator should be told; raises LoadError where no request can succeed."""
    settings = callables.django_settings()
    if settings is None or callables.framework(application, "wsgi") != "Django":
        return []
    from django.apps import apps

    if not apps.ready or not getattr(settings, "ROOT_URLCONF", None):
        return []  # the application uses parts of Django only
    _resolve(settings.ROOT_URLCONF)
    _explain_hosts(settings)
    return _checks()


def _resolve(name):
    """Imports the URL configuration."""
    from django.urls import get_resolver

    try:
        resolver = get_resolver()
        resolver.url_patterns
        resolver.reverse_dict  # looks at every pattern, as a request does
    except Exception as error:
        raise _broken("the URL configuration %s" % name, error) from None


class _Once(logging.Filter):
    """Lets a text pass once, and only so many texts: clients choose them."""

    def __init__(self):
        super().__init__()
        self.told = set()

    def filter(self, record):
        text = record.getMessage()
        if text in self.told or len(self.told) >= MOST:
            return False
        self.told.add(text)
        return True


def _explain_hosts(settings):
    """Has a request for a host that ALLOWED_HOSTS lacks print why it is answered 400.

    Django's own configuration of logging only mails it to the admins, unless DEBUG is on.
    """
    logger = logging.getLogger("django.security.DisallowedHost")
    if settings.DEBUG or settings.LOGGING or logger.handlers:
        return
    handler = logging.StreamHandler()
    handler.addFilter(_Once())
    logger.addHandler(handler)


def _checks():
    """Runs Django's checks but for those of databases."""
    from django.core import checks

    try:
        found = checks.run_checks()
    except (ImportError, SyntaxError) as error:
        raise _broken("what Django's checks import", error) from None
    except Exception as error:  # a check that fails by itself says nothing about the site
        return ["Django's checks cannot run: " + _said(error)]
    grave = [message for message in found
             if message.level >= checks.ERROR and not message.is_silenced()]
    urls = [message for message in grave if (message.id or "").startswith("urls.")]
    if urls:
        raise LoadError("the URL configuration is broken: " + _text(urls[0]))
    return [CHECKED + _text(message) for message in grave[:MOST]]


def _broken(what, error):
    return LoadError("cannot load %s: %s" % (what, _said(error)), failure.text(error))


def _said(error):
    text = str(error).strip()
    return "%s: %s" % (type(error).__name__, text.splitlines()[0] if text else "no message")


def _text(message):
    where = "%s: " % (message.obj,) if message.obj is not None else ""
    return " ".join(("%s%s (%s)" % (where, message.msg, message.id)).split())
