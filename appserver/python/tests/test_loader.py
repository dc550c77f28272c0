"""How an application's name is read, and the sentence for each way to fail."""

import sys

import pytest

WSGI = "def %s(environ, start_response):\n    start_response('200 OK', [])\n    return [b'%s']\n"


@pytest.fixture
def tree(tmp_path):
    """Writes {path: source} below tmp_path and returns it."""
    def write(files):
        for name, source in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)
        return tmp_path
    return write


FACTORY = ("def make(*names, **keywords):\n"
           "    def app(environ, start_response):\n"
           "        start_response('200 OK', [])\n"
           "        return [repr((names, keywords)).encode()]\n"
           "    return app\n")


@pytest.mark.parametrize("files, app, resolved, body", [
    ({"mod.py": WSGI % ("run", "run")}, "mod:run", "mod:run", b"run"),
    ({"pkg/__init__.py": "", "pkg/mod.py": WSGI % ("run", "p")}, "pkg.mod:run", "pkg.mod:run", b"p"),
    ({"mod.py": WSGI % ("app", "app") + WSGI % ("application", "application")},
     "mod", "mod:application", b"application"),
    ({"mod.py": WSGI % ("app", "app")}, "mod", "mod:app", b"app"),
    ({"mod.py": WSGI % ("only", "only")}, "mod", "mod:only", b"only"),
    ({"mod.py": "class Site:\n    def __call__(self, environ, start_response):\n"
                "        start_response('200 OK', [])\n        return [b'site']\n"
                "site = Site()\nsame = site\n"}, "mod", "mod:same", b"site"),
    ({"mod.py": "class holder: pass\n" + WSGI % ("run", "deep") + "holder.inner = holder\n"
                "holder.inner.run = staticmethod(run)\n"},
     "mod:holder.inner.run", "mod:holder.inner.run", b"deep"),
    ({"mod.py": FACTORY}, "mod:make()", "mod:make()", b"((), {})"),
    ({"mod.py": FACTORY}, "mod:make('a', 2, k=[None])", "mod:make('a', 2, k=[None])",
     b"(('a', 2), {'k': [None]})"),
    ({"mod.py": WSGI % ("run", "made") + "def create_app(config=None, testing=False): return run\n"
                + "del run.__module__\nrun.__module__ = 'x'\n"},
     "mod", "mod:create_app()", b"made"),
    ({"mod.py": "def create_app(config=None, testing=False):\n    " +
                (WSGI % ("run", "made")).replace("\n", "\n    ") + "\n    return run\n"},
     "mod:create_app", "mod:create_app()", b"made"),
    ({"mod.py": "def build():\n    " + (WSGI % ("run", "built")).replace("\n", "\n    ")
                + "\n    return run\n"}, "mod:build", "mod:build()", b"built"),
    ({"mod.py": "class Proxy:\n    def fail(self, *a, **k): raise RuntimeError('outside')\n"
                "    __class__ = property(fail)\n    __getattr__ = __call__ = fail\n"
                "class Odd:\n    def __getattr__(self, name): raise RuntimeError(name)\n"
                "    def __call__(self, *a): raise RuntimeError('called')\n"
                "app = request = Proxy()\nodd = Odd()\ndef create_app():\n    "
                + (WSGI % ("run", "made")).replace("\n", "\n    ") + "\n    return run\n"},
     "mod", "mod:create_app()", b"made"),
    ({"shop/__init__.py": "", "shop/wsgi.py": WSGI % ("application", "a module called wsgi")},
     "shop.wsgi:application", "shop.wsgi:application", b"a module called wsgi"),
    ({"site.wsgi": WSGI % ("application", "wsgi file")}, "site.wsgi", "_wsgi_site:application",
     b"wsgi file"),
    ({"my-app.py": WSGI % ("app", "dashed")}, "my-app.py", "my_app:app", b"dashed"),
    ({"src/mod.py": WSGI % ("app", "src")}, "src/mod.py:app", "mod:app", b"src"),
    ({"src/mod.py": WSGI % ("app", "src")}, "src/mod.py", "mod:app", b"src"),
    ({"src/pkg/__init__.py": "", "src/pkg/mod.py": WSGI % ("app", "in src")},
     "src/pkg.mod:app", "pkg.mod:app", b"in src"),
    ({"pkg/__init__.py": "", "pkg/mod.py": "from . import other\n" + WSGI % ("app", "rel"),
      "pkg/other.py": ""}, "pkg/mod.py", "pkg.mod:app", b"rel"),
    ({"pkg/__init__.py": WSGI % ("app", "init")}, "pkg/__init__.py:app", "pkg:app", b"init"),
    ({"alicorn/__init__.py": "", "alicorn/heads.py": WSGI % ("app", "theirs")},
     "alicorn.heads:app", "alicorn.heads:app", b"theirs"),
    ({"mod.py": "class App:\n    def __init__(self, environ, start_response):\n"
                "        start_response('200 OK', [])\n"
                "    def __iter__(self):\n        yield b'class'\n"}, "mod:App", "mod:App", b"class"),
    ({"mod.py": "def wrap(f):\n    def inner(*args, **kw): return f(*args, **kw)\n"
                "    return inner\n@wrap\n" + WSGI % ("app", "wrapped")}, "mod", "mod:app",
     b"wrapped"),
])
def test_name_resolves(own, tree, files, app, resolved, body):
    front = own(app, tree(files))
    assert front.ready()["app"] == resolved
    assert front.answer(front.request()).body == body


ASYNC = "async def app(scope, receive, send): pass\n"


def test_the_folder_inside_a_project_names_the_one_around_it(own, tree):
    project = tree({"shop/wsgi.py": WSGI % ("app", "")})
    kind, value = own("shop.wsgi", project / "shop").boot()
    assert kind == "F"
    assert "did you mean the directory %s?" % project in value["message"]


@pytest.mark.parametrize("files, app, message", [
    ({}, "mod:app", "cannot import mod: no module named 'mod' in DIRECTORY, with PYTHON"),
    ({"model.py": ""}, "modell:app", "did you mean 'model'?"),
    ({"pkg/__init__.py": ""}, "pkg.mod:app", "cannot import pkg.mod: no module named 'pkg.mod' in"),
    ({"mod.py": "import absent_module\n"}, "mod:app",
     "cannot import mod: no module named 'absent_module' for PYTHON"),
    ({"mod.py": "import absent_module\n"}, "mod:app",
     "; install it for that interpreter, or name the environment that has it with \"virtualenv\""),
    ({"mod.py": "raise ConnectionRefusedError(111, 'refused')\n"}, "mod:app",
     "cannot import mod: ConnectionRefusedError: [Errno 111] refused; a server that the "
     "application needs at start, such as its database, cannot be used: start it, and"),
    ({"mod.py": "class OperationalError(Exception): pass\n"
                "try: raise OperationalError('no')\nexcept Exception as e: raise ValueError(1) from e\n"},
     "mod:app", "cannot import mod: ValueError: 1; a server that the application needs at start"),
    ({"mod.py": "raise PermissionError(13, 'Permission denied', '/var/log/shop.log')\n"}, "mod:app",
     "'/var/log/shop.log'; the application runs as user '"),
    ({"mod.py": "raise OSError(28, 'No space left on device')\n"}, "mod:app",
     "No space left on device; make room there, and the application is tried again by itself"),
    ({"mod.py": "from os import absent\n"}, "mod:app",
     "cannot import mod: cannot import name 'absent' from 'os'"),
    ({"mod.py": "1 / 0\n"}, "mod:app", "cannot import mod: ZeroDivisionError: division by zero"),
    ({"mod.py": "def broken(:\n"}, "mod:app", "cannot import mod: invalid syntax in "),
    ({"mod.py": "import sys\nsys.exit('no settings')\n"}, "mod:app",
     "importing mod called sys.exit('no settings')"),
    ({"mod.py": "appp = print\n"}, "mod:app", "mod (DIRECTORY/mod.py) has no attribute 'app'; "
                                              "did you mean 'appp'?"),
    ({"mod.py": WSGI % ("application", "")}, "mod:app",
     "has no attribute 'app'; did you mean 'application'?"),
    ({"mod.py": WSGI % ("app", "")}, "mod:wsgi_main",
     "has no attribute 'wsgi_main'; did you mean 'app'?"),
    ({"pkg/__init__.py": "", "pkg/mod.py": WSGI % ("application", "")}, "pkg.mod.application",
     "; did you mean 'pkg.mod:application'?"),
    ({"mod.py": "class a: inner = 1\n"}, "mod:a.iner",
     "mod:a has no attribute 'iner'; did you mean 'inner'?"),
    ({"mod.py": ""}, "mod", "mod (DIRECTORY/mod.py) has no application: none of application, app, "
                            "create_app, make_app, and no other WSGI application"),
    ({"mod.py": WSGI % ("one", "") + WSGI % ("two", "")}, "mod",
     "mod has several applications, one, two: name one as mod:one"),
    ({"mod.py": "app = 5\n"}, "mod:app", "mod:app is a int, which is not callable"),
    ({"mod.py": "def app(environ): pass\n"}, "mod:app",
     "mod:app is not a WSGI application: it does not take (environ, start_response)"),
    ({"mod.py": ASYNC}, "mod:app",
     "mod:app is an ASGI application; name it with \"asgi\" in place of \"wsgi\""),
    ({"mod.py": ASYNC}, "mod",
     "mod:app is an ASGI application; name it with \"asgi\" in place of \"wsgi\""),
    ({"mod.py": "class A:\n    async def __call__(self, scope, receive, send): pass\nsite = A()\n"},
     "mod", "mod:site is an ASGI application; name it with \"asgi\" in place of \"wsgi\""),
    ({"mod.py": "async def app(): pass\n"}, "mod:app", "mod:app is a coroutine function"),
    ({"mod.py": "def create_app(config): pass\n"}, "mod",
     "mod:create_app cannot be called as a factory: missing a required argument: 'config'"),
    ({"mod.py": "def make(): return 5\n"}, "mod:make()", "mod:make() is a int, which is not callable"),
    ({"mod.py": "def make(): raise KeyError('DB')\n"}, "mod:make()",
     "the factory mod:make() failed: KeyError: 'DB'"),
    ({"mod.py": FACTORY}, "mod:make(os.getcwd())", "are not literals"),
    ({"mod.py": FACTORY}, "mod:make(", "'make(' is not a name or a call of a factory"),
    ({"mod.py": FACTORY}, "mod:make()()", "is not a name or a call of a factory"),
    ({}, "sub/site.wsgi", "cannot import the application: there is no file DIRECTORY/sub/site.wsgi"),
    ({}, "src/mod:app", "cannot import src/mod: there is no directory DIRECTORY/src"),
    ({"signal.py": WSGI % ("app", "")}, "signal.py",
     "DIRECTORY/signal.py cannot be imported: its name 'signal' belongs to a module of Python"),
    ({}, ":app", "':app' names no module"),
])
def test_failure_is_one_sentence(own, tree, files, app, message):
    directory = tree(files)
    front = own(app, directory, tried="tried .venv, venv")
    kind, value = front.boot()
    assert kind == "F"
    message = message.replace("DIRECTORY", str(directory)).replace("PYTHON", sys.executable)
    assert message in value["message"]
    assert value["message"].count("\n") == 0
    assert front.wait() == 3


def test_failed_import_names_interpreter_and_what_was_tried(own, tree):
    front = own("mod:app", tree({"mod.py": "import absent_module"}), tried="tried .venv, venv")
    _, value = front.boot()
    assert sys.executable in value["message"] and "tried .venv, venv" in value["message"]


def test_a_wsgi_file_that_cannot_import_names_what_was_tried(own, tree):
    front = own("site.wsgi", tree({"site.wsgi": "raise ImportError('two\\nlines')"}), tried="tried .venv")
    _, value = front.boot()
    assert "two lines, with %s" % sys.executable in value["message"]
    assert "tried .venv" in value["message"]


def test_traceback_starts_in_the_application(own, tree):
    front = own("mod:app", tree({"mod.py": "import other\n", "other.py": "def f():\n    1 / 0\nf()\n"}))
    _, value = front.boot()
    lines = value["traceback"].splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert "mod.py" in lines[1] and "ZeroDivisionError" in lines[-1]
    assert "/proc/self" not in value["traceback"] and "importlib" not in value["traceback"]


def test_long_traceback_is_cut_to_a_frame(own, tree):
    front = own("mod:app", tree({"mod.py": "raise ValueError('\u20ac' * 100000)\n"}))
    kind, value = front.boot()
    assert kind == "F" and "characters left out" in value["traceback"]


def test_missing_directory_is_told(own, tmp_path):
    kind, value = own("mod:app", tmp_path / "absent").boot()
    assert (kind, value["message"]) == (
        "F", "cannot enter the application's directory %s/absent: No such file or directory" % tmp_path)


def test_pythonpath_and_arguments(own, tree):
    directory = tree({"lib/helper.py": WSGI % ("app", "helped"), "helper.py": "",
                      "last/helper.py": "", "last/other.py": "", "mod.py":
                          "import sys\nassert sys.argv == ['alicorn'], sys.argv\n"
                          "import other\nfrom helper import app\n"})
    front = own("mod:app", directory, pythonpath=[str(directory / "lib")],
                pythonpath_last=["last"])
    front.ready()
    assert front.answer(front.request()).body == b"helped"
