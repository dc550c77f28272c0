"""The WSGI application of the benchmarks: the standard library only."""

HELLO = b"Hello, World!"
TEN_KIB = b"x" * 10240


def hello(environ, start_response):
    return answer(start_response, HELLO)


def ten(environ, start_response):
    return answer(start_response, TEN_KIB)


def upload(environ, start_response):
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    return answer(start_response, b"%d" % len(body))


def answer(start_response, body):
    start_response(
        "200 OK",
        [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))],
    )
    return [body]


ROUTES = {"/": hello, "/10k": ten, "/upload": upload}


def app(environ, start_response):
    return ROUTES[environ["PATH_INFO"]](environ, start_response)
