"""The application: put your own here, and what it needs into pyproject.toml."""


def app(environ, start_response):
    body = b"Served from a container.\n"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
