"""Tells the front which files the application has loaded and which it writes itself.

A reload leaves an application alone whose files are as they were. That takes the files as
they were when they were read, so each is looked at just before: an audit hook hears of every
file that Python opens. What other code opens is not heard of, and counts as changed.
"""

import importlib.util
import os
import sys
import tempfile
import time
from time import sleep

LOADED, READ, MADE, WRITTEN, DOUBT = "loaded", "read", "made", "written", "doubt"

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CODE = (".py", ".pyc", ".so")
SYSTEM = ("/proc/", "/sys/", "/dev/")
RACY = 20_000_000  # nanoseconds: a file that is younger may change and show the same time
MOST = 20_000  # entries of a worker
CHUNK = 40_000  # characters of a frame


class Journal:
    """Notes files from start() on. Before announce() they are kept, then told at once."""

    def __init__(self, channel, directory):
        self.channel = channel
        self.directory = os.path.join(os.path.realpath(directory), "")
        self.temporary = os.path.join(tempfile.gettempdir(), "")  # which opens a file, once
        self.began = time.time_ns()
        self.seen = set()
        self.kept = []
        self.booting = True

    def start(self):
        handlers = {
            "open": self._opened, "import": self._imported, "sqlite3.connect": self._connected,
            "os.rename": self._moved, "os.link": self._moved, "os.symlink": self._moved,
            "os.remove": self._removed,
        }

        def hear(event, arguments, handlers=handlers):  # a local one is found faster
            if event in handlers and self.channel is not None:
                try:
                    handlers[event](*arguments)
                except Exception:
                    pass  # the application opens what it opens

        sys.addaudithook(hear)

    def announce(self):
        """Tells what was noted, and all modules; to be called once the application is ready."""
        for module in list(sys.modules.values()):
            path = getattr(module, "__file__", None)
            if isinstance(path, str) and path.startswith("/"):
                self._loaded(path, self.began)
        self._loaded(sys.executable, self.began)
        self._loaded(os.path.join(sys.prefix, "pyvenv.cfg"), self.began)
        for path in sys.path:
            if path.startswith("/") and not self._is_below(os.path.realpath(path)):
                self._loaded(path, self.began)  # a new package may be imported next time
        self.booting = False
        kept, self.kept = self.kept, []
        chunk, size = [], 0
        for entry in kept:
            chunk.append(entry)
            size += len(entry[1]) + 80
            if size > CHUNK:
                self._send(chunk)
                chunk, size = [], 0
        if chunk:
            self._send(chunk)

    def _opened(self, path, mode, flags):
        if isinstance(path, int):
            return
        path = os.path.abspath(os.fsdecode(path))
        if flags & WRITES:
            self._written(path)
        elif path.endswith(CODE):
            self._loaded(path)
        elif self.booting and not path.startswith(SYSTEM):
            real = os.path.realpath(path)
            if not self._is_below(real) and os.path.isfile(real):
                self._note(READ, real, _stamp(real))

    def _imported(self, name, path, *rest):
        if path:  # of a module that is not Python
            self._loaded(os.fsdecode(path))

    def _connected(self, path):
        path = os.fsdecode(path)
        if path.startswith("file:"):
            path = path[5:].partition("?")[0]
        if path and path != ":memory:":
            path = os.path.abspath(path)
            self._written(path)
            for suffix in ("-journal", "-wal", "-shm"):
                self._written(path + suffix, MADE)

    def _moved(self, source, target, *rest):
        for path in (source, target):
            self._removed(path)

    def _removed(self, path, *rest):
        if any(number not in (-1, None) for number in rest):
            return  # relative to a descriptor
        if isinstance(path, (str, bytes, os.PathLike)):
            self._written(os.path.abspath(os.fsdecode(path)), MADE)

    def _written(self, path, kind=None):
        if path.startswith(SYSTEM) or (kind or WRITTEN, path) in self.seen:
            return
        if "__pycache__" in path:
            return
        if kind is None:
            kind = WRITTEN if os.path.lexists(path) else MADE
        folder, name = os.path.split(path)
        real = os.path.join(os.path.realpath(folder), name)
        if self._is_below(real) or not real.startswith(self.temporary):
            self._note(kind, real, "", path)

    def _loaded(self, path, since=None):
        """Notes code. What was read since a time is only known as it is now: it counts when
        it is older."""
        if path.endswith(".pyc"):
            try:
                path = importlib.util.source_from_cache(path)
            except ValueError:
                pass  # it stands alone
        if path.startswith(SYSTEM) or (LOADED, path) in self.seen:
            return  # the former: this package
        file = path
        while not os.path.exists(file) and os.path.dirname(file) != file:
            file = os.path.dirname(file)  # a module in a zip
            if os.path.isdir(file):
                file = path
                break
        self._note(LOADED, file, _stamp(file, since), path)

    def _is_below(self, real):
        return os.path.join(real, "").startswith(self.directory)

    def _note(self, kind, path, stamp, key=None):
        key = kind, key or path
        if key in self.seen:
            return
        if len(self.seen) >= MOST:
            if (DOUBT, "") in self.seen:
                return
            key = DOUBT, ""
            kind, path = DOUBT, "it opens more than %d files" % MOST
        self.seen.add(key)
        try:
            path.encode()
        except UnicodeEncodeError:
            kind, path = DOUBT, "it opens files whose names are no text"
        if self.booting:
            self.kept.append((kind, path, stamp))
        else:
            self._send([(kind, path, stamp)])

    def _send(self, entries):
        if self.channel.abandoned:
            self.channel = None  # this is a fork
            return
        self.channel.note(entries)


def _stamp(path, since=None):
    """Returns what a file is known by: it changes when the file does. "" stands for no file,
    "?" for one that may have changed unseen."""
    try:
        st = os.stat(path)
        if since is None and 0 <= time.time_ns() - st.st_ctime_ns < RACY:
            sleep(RACY / 1e9)
            st = os.stat(path)
    except OSError:
        return ""
    if since is not None and st.st_ctime_ns > since - RACY:
        return "?"
    return "%x.%x.%x.%x.%x" % (st.st_dev, st.st_ino, st.st_size, st.st_mtime_ns, st.st_ctime_ns)
