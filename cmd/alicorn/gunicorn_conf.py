"""Evaluates a gunicorn.conf.py, or a module, and writes to descriptor 3 what it has set.

Arguments: the file's absolute path, or "python:MODULE"; the names of gunicorn's settings,
separated by commas; the command line. What is written is JSON. Names and values of the
environment are their bytes as Latin-1, since they need not be UTF-8.
"""

import ast
import importlib
import json
import os
import sys
import types

RESULT_FD = 3
MOST_BITS = 53  # of an integer that every reader of JSON can hold


def evaluate(location, words):
    """Returns the module that the file or the name has made."""
    sys.argv[:] = ["gunicorn"] + words
    if location.startswith("python:"):
        return importlib.import_module(location[len("python:"):])
    module = types.ModuleType("__config__")
    module.__file__ = location
    sys.modules["__config__"] = module
    with open(location, "rb") as file:
        exec(compile(file.read(), location, "exec"), vars(module))
    return module


def value(given):
    """Returns [kind, value] for a setting's value; kind says what it was in Python."""
    if given is None:
        return ["none", None]
    if isinstance(given, bool):
        return ["boolean", bool(given)]
    if isinstance(given, int):
        if given.bit_length() > MOST_BITS:
            return ["other", "an integer of %d bits" % given.bit_length()]
        return ["number", int(given)]
    if isinstance(given, (str, bytes)):
        return ["text", given.decode("latin-1") if isinstance(given, bytes) else str(given)]
    if isinstance(given, (list, tuple)):
        return ["list", [value(item)[1] if isinstance(item, (str, bytes, int)) else str(item)
                         for item in given]]
    if isinstance(given, dict):
        return ["dict", {str(name): str(item) for name, item in given.items()}]
    if isinstance(given, type):
        return ["text", "%s.%s" % (given.__module__, given.__qualname__)]
    if callable(given):
        return ["function", ""]
    if isinstance(given, os.PathLike):
        return ["text", os.fspath(given)]
    return ["other", str(given)]


def unread(module):
    """Returns {name: line} of what the source sets at its top level and never reads."""
    try:
        with open(module.__file__, "rb") as file:
            tree = ast.parse(file.read())
    except (OSError, SyntaxError, TypeError, AttributeError):
        return {}
    names, read = {}, set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store):
            read.add(node.id)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            read.add(node.target.id)
    for node in top_level(tree.body):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            names[node.name] = node.lineno
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                for name in ast.walk(target):
                    if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store):
                        names[name.id] = name.lineno
    return {name: line for name, line in names.items() if name not in read}


def top_level(body):
    """Yields the statements that run in the module's own scope."""
    for node in body:
        yield node
        for field in ("body", "orelse", "finalbody", "handlers"):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                for inner in top_level(getattr(node, field, ())):
                    yield inner


def added(before, after):
    """Returns (first, last): the folders new in sys.path, by their side of the standard library."""
    new = [item for item in after if isinstance(item, str) and item not in before]
    library = next((after.index(item) for item in before[1:] if item in after), len(after))
    first = [item for item in new if after.index(item) < library]
    return first, [item for item in new if item not in first]


def latin(raw):
    return raw.decode("latin-1")


def main():
    location, known, words = sys.argv[1], sys.argv[2].split(","), sys.argv[3:]
    os.set_inheritable(RESULT_FD, False)
    sys.path[:sys.path[:1] == [""]] = [os.getcwd()]
    environ, path = dict(os.environb), list(sys.path)
    module = evaluate(location, words)
    names, after = vars(module), dict(os.environb)
    first, last = added(path, sys.path)
    with os.fdopen(RESULT_FD, "w") as result:
        json.dump({
            "values": {name: value(names[name]) for name in known if name in names},
            "unread": {name: line for name, line in unread(module).items() if name not in known},
            "environ": {latin(name): latin(item) for name, item in after.items()
                        if environ.get(name) != item},
            "removed": sorted(latin(name) for name in environ if name not in after),
            "first": first,
            "last": last,
        }, result)


main()
