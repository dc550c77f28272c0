"""Answers with what it has seen: the environ's texts and the body."""

import hashlib
import json


def seen(environ, body):
    texts = {name: value for name, value in environ.items() if isinstance(value, str)}
    return json.dumps({"environ": texts, "bytes": len(body), "sha": hashlib.sha256(body).hexdigest()}, sort_keys=True).encode()


def app(environ, start_response):
    text = seen(environ, environ["wsgi.input"].read())
    status = {"teapot": "418 Short And Stout", "created": "201 CREATED", "odd": "299 Odd", "gone": "410 Gone"}.get(environ["QUERY_STRING"], "200 OK")
    head = [("Content-Type", "application/json"), ("X-App", "plain"), ("X-Twice", "1"), ("X-Twice", "2")]
    if environ["QUERY_STRING"] == "nothing":
        start_response("204 No Content", head[1:])
        return []
    if environ["QUERY_STRING"] == "stream":
        start_response(status, head)
        return (text[i:i + 100] for i in range(0, len(text), 100))
    start_response(status, head + [("Content-Length", str(len(text)))])
    return [text]
