"""Finds and imports the application that a name such as FLASK_APP's stands for.

``pkg.mod:name``, ``mod:object.attribute``, ``mod:factory('a', k=1)`` (literal arguments),
``mod`` alone, ``file.py`` and ``file.wsgi`` with or without ``:name``, each with a leading
directory. Every way to fail is one LoadError with one sentence.
"""

import ast
import difflib
import errno
import importlib
import importlib.machinery
import importlib.util
import os
import pwd
import socket
import sys
from collections import namedtuple

from . import callables, failure

NAMES = ("application", "app")
FACTORIES = ("create_app", "make_app")

Found = namedtuple("Found", "application name framework kind")
"""application: the callable. name: "module:expression" as resolved. framework: whose
application it is, such as "Flask", or "WSGI" or "ASGI". kind: "wsgi" or "asgi"."""


UNREACHABLE = (ConnectionError, TimeoutError, socket.timeout, socket.gaierror)
INSTALL = ("install it for that interpreter, or name the environment that has it with "
           "\"virtualenv\"")

DEMO = "alicorn.demo:app"  # the name of the application in demo.py


class LoadError(Exception):
    """One sentence on why there is no application; traceback is empty or the import's."""

    def __init__(self, message, traceback=""):
        super().__init__(" ".join(message.splitlines()))
        self.traceback = traceback


def load(settings):
    """Enters the application's directory and returns what settings["app"] names as Found.

    Changes the working directory, sys.path and sys.argv. Raises LoadError.
    """
    if settings["app"] == DEMO:
        return _demo()
    _enter(settings)
    target, _, expression = settings["app"].partition(":")
    module = _import_target(target, settings)
    name, application = _pick(module, expression.strip(), settings)
    kind, problem = callables.examine(application, settings["kind"])
    if problem:
        raise LoadError("%s:%s %s" % (module.__name__, name, problem))
    return Found(application, "%s:%s" % (module.__name__, name),
                 callables.framework(application, kind), kind)


def _demo():
    """The application that comes with this package; it needs no directory."""
    from . import demo

    return Found(demo.app, DEMO, callables.framework(demo.app, "wsgi"), "wsgi")


def _enter(settings):
    directory = settings.get("directory") or os.getcwd()
    try:
        os.chdir(directory)
    except OSError as error:
        raise LoadError("cannot enter the application's directory %s: %s"
                        % (directory, error.strerror)) from None
    sys.argv[:] = ["alicorn"]
    sys.path[0] = os.getcwd()  # was the zip with this code
    before = settings.get("pythonpath", ())
    sys.path[:os.getcwd() in before] = before
    sys.path.extend(settings.get("pythonpath_last", ()))
    # An application may have a package of our name; ours is all imported by now.
    for name in [name for name in sys.modules if name.partition(".")[0] == __package__]:
        del sys.modules[name]


def _import_target(target, settings):
    if not target:
        raise LoadError("%r names no module" % settings["app"])
    directory, _, rest = target.rpartition("/")
    if target.startswith("/") and not directory:
        directory = "/"
    directory = os.path.join(os.getcwd(), directory) if directory else os.getcwd()
    # "shop.wsgi" is a module of a Django project unless there is such a file.
    path = os.path.join(directory, rest)
    if rest.endswith(".py") or rest.endswith(".wsgi") and (rest != target or os.path.isfile(path)):
        return _import_file(os.path.normpath(os.path.join(directory, rest)), settings)
    if directory != os.getcwd():
        if not os.path.isdir(directory):
            raise LoadError("cannot import %s: there is no directory %s" % (target, directory))
        sys.path.insert(0, os.path.normpath(directory))
    return _import_module(rest, settings)


def _import_file(path, settings):
    if not os.path.isfile(path):
        raise LoadError("cannot import the application: there is no file %s" % path)
    folder, file = os.path.split(path)
    stem, extension = os.path.splitext(file)
    names = [stem]
    while os.path.isfile(os.path.join(folder, "__init__.py")):
        folder, parent = os.path.split(folder)
        names.insert(0, parent)
    if names[-1] == "__init__" and len(names) > 1:
        del names[-1]
    if folder not in sys.path:
        sys.path.insert(0, folder)
    if extension == ".wsgi" or not all(name.isidentifier() for name in names):
        return _import_path(path, stem, settings)
    module = _import_module(".".join(names), settings)
    loaded = getattr(module, "__file__", None)
    if not loaded or not os.path.samefile(loaded, path):
        raise LoadError("%s cannot be imported: its name %r belongs to a module of Python, %s"
                        % (path, module.__name__, loaded or "built in"))
    return module


def _import_path(path, stem, settings):
    name = "".join(letter if letter.isalnum() else "_" for letter in stem)
    if name in sys.modules:
        name = "_wsgi_" + name
    source = importlib.machinery.SourceFileLoader(name, path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, source))
    sys.modules[name] = module
    try:
        source.exec_module(module)
    except BaseException as error:
        raise _import_error(path, error, settings) from None
    return module


def _import_module(name, settings):
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name
        if missing and (name + ".").startswith(missing + "."):
            raise _missing(name, missing, settings) from None
        raise LoadError("cannot import %s: no module named %r for %s; %s"
                        % (name, missing, _python(settings), INSTALL), failure.text(error)) from None
    except ImportError as error:
        raise LoadError("cannot import %s: %s, with %s" % (name, error, _python(settings)),
                        failure.text(error)) from None
    except BaseException as error:
        raise _import_error(name, error, settings) from None


def _import_error(name, error, settings):
    if isinstance(error, SystemExit):
        message = "importing %s called sys.exit(%s): guard it with if __name__ == '__main__'" % (
            name, "" if error.code is None else ascii(error.code))
    elif isinstance(error, SyntaxError):
        message = "cannot import %s: %s in %s, line %s" % (
            name, error.msg, error.filename, error.lineno)
    elif isinstance(error, ImportError):
        message = "cannot import %s: %s, with %s" % (name, error, _python(settings))
    else:
        message = "cannot import %s: %s%s" % (name, _said(error), _remedy(error))
    return LoadError(message, failure.text(error))


def _remedy(error):
    """Returns what helps against a failure whose cause is outside of the code, "" for nothing."""
    seen = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, UNREACHABLE) or type(error).__name__ == "OperationalError":
            return ("; a server that the application needs at start, such as its database, cannot "
                    "be used: start it, and the application is tried again by itself")
        if isinstance(error, PermissionError):
            return "; the application runs as user %r, who needs that permission" % _user()
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return "; make room there, and the application is tried again by itself"
        error = error.__cause__ or error.__context__
    return ""


def _user():
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _missing(name, missing, settings):
    message = "no module named %r in %s, with %s" % (missing, os.getcwd(), _python(settings))
    near = _meant(name, missing)
    if near:
        message += "; did you mean %s?" % near
    return LoadError("cannot import %s: %s" % (name, message))


def _meant(name, missing):
    """Returns what there is in place of a module that is missing, "" for nothing."""
    parent, _, last = missing.rpartition(".")
    if parent:
        has = hasattr(sys.modules.get(parent), last)
        return repr("%s:%s" % (parent, last)) if has and name == missing else ""
    here = os.getcwd()
    inner = name[len(missing) + 1:].split(".")
    if missing == os.path.basename(here) and os.path.isfile(os.path.join(here, *inner) + ".py"):
        return "the directory %s" % os.path.dirname(here)
    near = difflib.get_close_matches(missing, _modules_here(), 1)
    return repr(near[0]) if near else ""


def _modules_here():
    try:
        with os.scandir() as entries:
            return [entry.name[:-3] if entry.name.endswith(".py") else entry.name
                    for entry in entries
                    if entry.name.endswith(".py") or entry.name.isidentifier() and entry.is_dir()]
    except OSError:
        return []


def _python(settings):
    tried = settings.get("tried")
    text = "%s (Python %d.%d.%d)" % ((sys.executable,) + sys.version_info[:3])
    return "%s; %s" % (text, tried) if tried else text


def _pick(module, expression, settings):
    """Returns (expression, application) for what is named, or for the module's only one."""
    if expression:
        return _evaluate(module, expression)
    candidates = [(name, getattr(module, name, None)) for name in NAMES]
    candidates = [(name, value) for name, value in candidates
                  if callable(value) and not callables.is_proxy(value)]
    if candidates:
        return _made(module, *candidates[0])
    found = callables.instances(module)
    if len(found) > 1:
        raise LoadError("%s has several applications, %s: name one as %s:%s" % (
            module.__name__, ", ".join(sorted(found)), module.__name__, sorted(found)[0]))
    if found:
        return next(iter(found.items()))
    for name in FACTORIES:
        if callable(getattr(module, name, None)):
            return name + "()", _called(module, name, getattr(module, name), (), {})
    raise LoadError("%s (%s) has no application: none of %s, and no other WSGI application" % (
        module.__name__, getattr(module, "__file__", "built in"), ", ".join(NAMES + FACTORIES)))


def _evaluate(module, expression):
    try:
        tree = ast.parse(expression, mode="eval").body
    except (SyntaxError, ValueError):
        raise LoadError("%r is not a name or a call of a factory" % expression) from None
    if not isinstance(tree, ast.Call):
        return _made(module, expression, _attribute(module, tree, expression))
    try:
        arguments = [ast.literal_eval(argument) for argument in tree.args]
        keywords = {keyword.arg: ast.literal_eval(keyword.value) for keyword in tree.keywords}
        if None in keywords:
            raise ValueError
    except (ValueError, TypeError, SyntaxError):
        raise LoadError("the arguments in %r are not literals" % expression) from None
    factory = _attribute(module, tree.func, expression)
    return expression, _called(module, expression, factory, arguments, keywords)


def _attribute(module, tree, expression):
    """Returns the object that a dotted name stands for in the module."""
    if isinstance(tree, ast.Attribute):
        holder, name = _attribute(module, tree.value, expression), tree.attr
    elif isinstance(tree, ast.Name):
        holder, name = module, tree.id
    else:
        raise LoadError("%r is not a name or a call of a factory" % expression)
    try:
        return getattr(holder, name)
    except AttributeError:
        pass
    if holder is module:
        where = "%s (%s)" % (module.__name__, getattr(module, "__file__", "built in"))
    else:
        where = "%s:%s" % (module.__name__, ast.unparse(tree.value) if hasattr(ast, "unparse")
                           else expression.rpartition(".")[0])
    near = difflib.get_close_matches(name, dir(holder), 1)
    if not near and holder is module:
        near = [usual for usual in NAMES if callable(getattr(module, usual, None))]
        near = near or sorted(callables.instances(module))
    raise LoadError("%s has no attribute %r%s" % (
        where, name, "; did you mean %r?" % near[0] if near else ""))


def _made(module, name, value):
    """Returns (name, value), or what value makes where it is a factory."""
    if callables.is_factory(value, name.rpartition(".")[2] in FACTORIES):
        return name + "()", _called(module, name, value, (), {})
    return name, value


def _called(module, name, factory, arguments, keywords):
    where = "%s:%s" % (module.__name__, name)
    if not callable(factory):
        raise LoadError("%s calls a %s, which is not callable" % (where, type(factory).__name__))
    problem = callables.mismatch(factory, arguments, keywords)
    if problem:
        raise LoadError("%s cannot be called as a factory: %s" % (where, problem))
    try:
        return factory(*arguments, **keywords)
    except BaseException as error:
        raise LoadError("the factory %s failed: %s%s" % (where, _said(error), _remedy(error)),
                        failure.text(error)) from None


def _said(error):
    """Returns an exception's type and the first line of its text."""
    text = str(error).strip()
    return "%s: %s" % (type(error).__name__, text.splitlines()[0] if text else "no message")
