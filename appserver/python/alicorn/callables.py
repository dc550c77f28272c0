"""What a callable is: a WSGI application, an ASGI one, or a factory."""

import functools
import inspect
import sys

from .handlers import interruptible

FRAMEWORKS = ("flask", "django", "bottle", "falcon", "pyramid", "cherrypy", "web2py", "tornado",
              "fastapi", "starlette", "quart", "sanic", "litestar", "channels")
SPELLED = {"cherrypy": "CherryPy", "web2py": "web2py", "fastapi": "FastAPI"}


def examine(application, wanted):
    """Returns what kind of application the object is, "wsgi" or "asgi", and why it cannot be run
    as what is wanted ("any": either), or None."""
    kind = "wsgi"
    if not callable(application):
        return kind, "is a %s, which is not callable" % type(application).__name__
    if is_asgi(application) or is_asgi2(application):
        kind = "asgi"
        if wanted == "wsgi":
            return kind, ("is an ASGI application; name it with \"asgi\" in place of \"wsgi\"")
        return kind, None
    if _is_async(application):
        return kind, "is a coroutine function, and neither a WSGI nor an ASGI application"
    if wanted == "asgi":
        if _takes(application, 3) and not _takes(application, 2):
            return "asgi", None  # it may return what can be awaited
        return kind, ("is not an ASGI application: a call of it with (scope, receive, send) makes "
                      "no coroutine; a WSGI application is named with \"wsgi\"")
    if not _takes(application, 2):
        return kind, "is not a WSGI application: it does not take (environ, start_response)"
    return kind, None


def is_asgi(value):
    """Whether a call of value makes a coroutine of (scope, receive, send)."""
    return _is_async(value) and _takes(value, 3)


def is_asgi2(value):
    """Whether value is an application as ASGI 2 had them: a class, or a function, of (scope),
    whose instances are coroutine functions of (receive, send)."""
    return inspect.isclass(value) and _takes(value, 1) and _is_async_call(value)


def _is_async_call(kind):
    return inspect.iscoroutinefunction(getattr(kind, "__call__", None))


def single(application):
    """Returns an application of ASGI 2 as one of ASGI 3; others as they are."""
    if not is_asgi2(application):
        return application

    @interruptible
    async def call(scope, receive, send):
        await application(scope)(receive, send)

    return call


def is_factory(value, named):
    """Whether the function makes an application: it needs no argument, and either cannot
    take WSGI's two or is named as a factory."""
    if is_proxy(value) or not inspect.isfunction(value) or _is_async(value):
        return False
    return named or _takes(value, 0) and not _takes(value, 2)


def mismatch(factory, arguments, keywords):
    """Says why the factory does not take the arguments, or returns None."""
    signature = _signature(factory)
    if signature is None:
        return None
    try:
        signature.bind(*arguments, **keywords)
    except TypeError as error:
        return str(error)
    return None


def is_proxy(value):
    """Whether the object stands for another one, as Flask's request does: looking at it may
    fail, or make what it stands for."""
    return any("__class__" in vars(kind) for kind in type(value).__mro__[:-1])


def instances(module):
    """Returns {name: object} of the applications the module holds, one name for each."""
    found, seen = {}, set()
    values = [(name, value) for name, value in sorted(vars(module).items()) if not is_proxy(value)]
    for name, value in values:
        if name.startswith("__") or id(value) in seen or not _seems(_looks_wsgi, module, value):
            continue
        seen.add(id(value))
        found[name] = value
    if found:
        return found
    return {name: value for name, value in values
            if not inspect.isclass(value) and _seems(is_asgi, value)}


def framework(application, kind):
    """Returns the name of the framework whose application it is, or "WSGI" or "ASGI"."""
    for package in _packages(type(application)):
        if package in FRAMEWORKS:
            return SPELLED.get(package, package.capitalize())
    return "Django" if django_settings() else kind.upper()


def django_settings():
    """Returns Django's settings where the application has configured them, or None."""
    conf = sys.modules.get("django.conf")
    return conf.settings if conf is not None and conf.settings.configured else None


def is_from(application, package):
    """Whether the application's class comes from the package or derives from one there."""
    return package in _packages(type(application))


def _packages(kind):
    return [base.__module__.partition(".")[0] for base in kind.__mro__]


def _seems(question, *values):
    """Whether the question has the answer yes; an object that cannot be looked at has none."""
    try:
        return question(*values)
    except Exception:
        return False


def _looks_wsgi(module, value):
    if inspect.isclass(value) or inspect.ismodule(value) or not callable(value):
        return False
    if inspect.isfunction(value) and value.__module__ != module.__name__:
        return False
    if is_from(value, "flask") and hasattr(value, "wsgi_app"):
        return True
    signature = None if _is_async(value) else _signature(value)
    if signature is None:
        return False
    names = [name for name, parameter in signature.parameters.items()
             if parameter.default is parameter.empty]
    return len(names) == 2 and names[0].startswith("env") and "start" in names[1]


def _is_async(value):
    if is_proxy(value):
        return False
    while isinstance(value, functools.partial):
        value = value.func
    if inspect.isclass(value):
        return False
    return inspect.iscoroutinefunction(value) or inspect.iscoroutinefunction(
        getattr(type(value), "__call__", None))


def _takes(value, count):
    signature = _signature(value)
    if signature is None:
        return True  # written in C: only a call tells
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def _signature(value):
    if is_proxy(value):
        return None
    try:
        return inspect.signature(value)
    except (TypeError, ValueError):
        return None


def wants_bare_paths():
    """Whether the application's framework wants scope["path"] without root_path: Starlette before
    0.33, and FastAPI with it, as uvicorn before 0.26 gave it."""
    version = getattr(sys.modules.get("starlette"), "__version__", "1").split(".")
    try:
        return (int(version[0]), int(version[1])) < (0, 33)
    except (IndexError, ValueError):
        return False
