"""Loads what a framework would load with its first request, so that it fails at boot.

Django imports the URL configuration, and with it the views, when a request comes: a mistake
in there would make a worker ready that answers every request with 500.
"""

from . import callables, failure
from .loader import LoadError

CHECKED = "manage.py check finds: "
MOST = 10  # findings that are told


def complete(application):
    """Returns what an operator should be told; raises LoadError where no request can succeed."""
    settings = callables.django_settings()
    if settings is None or callables.framework(application) != "Django":
        return []
    from django.apps import apps

    if not apps.ready or not getattr(settings, "ROOT_URLCONF", None):
        return []  # the application uses parts of Django only
    _resolve(settings.ROOT_URLCONF)
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
