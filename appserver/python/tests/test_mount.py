"""SCRIPT_NAME in a worker's environment."""

import pytest

from alicorn import mount


def called(prefix, path):
    """Returns (SCRIPT_NAME, PATH_INFO) as an application below prefix sees them, or a status."""
    seen = []
    statuses = []

    def application(environ, start_response):
        seen.append((environ["SCRIPT_NAME"], environ["PATH_INFO"]))
        return []

    environ = {"SCRIPT_NAME": "", "PATH_INFO": path}
    mount.mounted(application, prefix)(environ, lambda status, headers: statuses.append(status))
    return seen[0] if seen else statuses[0]


@pytest.mark.parametrize("prefix, path, expected", [
    ("", "/cart", ("", "/cart")),
    ("/", "/cart", ("", "/cart")),
    ("/shop", "/shop/cart", ("/shop", "/cart")),
    ("/shop", "/shop/", ("/shop", "/")),
    ("/shop", "/shop", ("/shop", "")),
    ("/shop/", "/shop/cart", ("/shop", "/cart")),
    ("shop", "/shop/cart", ("/shop", "/cart")),
    ("/a/b", "/a/b/a/b", ("/a/b", "/a/b")),
    ("/caf\xe9", "/caf\xc3\xa9/x", ("/caf\xc3\xa9", "/x")),
    ("/shop", "/shopping", "404 Not Found"),
    ("/shop", "/x/shop/cart", "404 Not Found"),
    ("/shop", "/", "404 Not Found"),
    ("/shop", "*", "404 Not Found"),
])
def test_paths_below_and_beside(prefix, path, expected):
    assert called(prefix, path) == expected
