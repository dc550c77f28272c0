"""Whether Flask answers a request for a static file with that file, whatever else it is."""

import re

HOOKS = ("before_request_funcs", "after_request_funcs", "teardown_request_funcs",
         "url_value_preprocessors")
SIGNALS = ("request_started", "request_finished", "request_tearing_down", "got_request_exception",
           "appcontext_pushed")
# A placeholder of a rule: <name>, <converter:name>, <converter(arguments):name>.
PLACEHOLDER = re.compile(r"<(?:(\w+)(?:\(.*?\))?:)?\w+>")
SEGMENT = ("default", "string", "int", "float", "uuid")  # converters that take no slash


def is_plain(application, url):
    """Whether no hook, no other rule, no subclass and no setting comes between the URL and the
    files below it. In doubt it is not."""
    import flask

    return (_is_unhooked(application, flask)
            and _is_flasks_own(application, flask)
            and _is_usual(application)
            and _is_alone(application, url.rstrip("/"), flask))


def _is_unhooked(application, flask):
    if any(getattr(application, name, {}).get(None) for name in HOOKS):
        return False
    if getattr(application, "before_first_request_funcs", None):
        return False
    signals = [getattr(flask.signals, name, None) for name in SIGNALS]
    return not any(getattr(signal, "receivers", None) for signal in signals)


def _is_flasks_own(application, flask):
    """Whether neither the object nor its class replaces anything that Flask's class does."""
    from flask.sessions import SecureCookieSessionInterface

    kinds = type(application).__mro__
    layers = [vars(kind) for kind in kinds[:kinds.index(flask.Flask)]] + [vars(application)]
    for layer in layers:
        for name in layer:
            replaces = callable(getattr(flask.Flask, name, None))
            if replaces and (not name.startswith("__") or name == "__call__"):
                return False
    return type(application.session_interface) is SecureCookieSessionInterface


def _is_usual(application):
    config = application.config
    return (not config.get("SERVER_NAME") and not config.get("USE_X_SENDFILE")
            and config.get("SEND_FILE_MAX_AGE_DEFAULT") is None
            and not application.url_map.host_matching)


def _is_alone(application, url, flask):
    """Whether the URL leads to Flask's own view, and no other rule could match below it."""
    rules = list(application.url_map.iter_rules())
    own = [rule for rule in rules if rule.endpoint == "static"]
    if len(own) != 1 or own[0].rule != url + "/<path:filename>" or own[0].subdomain:
        return False
    code = getattr(application.view_functions["static"], "__code__", None)
    folder = flask.__file__.rpartition("/")[0] + "/"
    if code is None or not code.co_filename.startswith(folder):
        return False
    converters = application.url_map.converters
    usual = type(application.url_map).default_converters
    slashless = {name for name in SEGMENT if converters.get(name) is usual.get(name)}
    return not any(_reaches(rule.rule, url, slashless) for rule in rules if rule is not own[0])


def _reaches(rule, url, slashless):
    """Whether the rule could match a path below the URL."""
    above = url.strip("/").split("/")
    segments = rule.strip("/").split("/")
    for index, segment in enumerate(segments):
        found = PLACEHOLDER.findall(segment)
        if "<" in segment and (len(found) != segment.count("<")
                               or any((name or "default") not in slashless for name in found)):
            return True  # it may take the rest
        if index >= len(above):
            return True
        if "<" not in segment and segment != above[index]:
            return False
    return False
