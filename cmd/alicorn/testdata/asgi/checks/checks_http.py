"""Checks of http scopes, of what receive returns, and of right responses."""

import asyncio
import contextvars

CHECKS = {}


def check(function):
    CHECKS[function.__name__] = function
    return function


# The scope.


@check
async def scope_is_a_dict(c):
    c.same(type(c.scope), dict, "type of the scope")
    c.same(c.scope["type"], "http", "type")
    await c.answer()


@check
async def scope_has_all_keys(c):
    required = {"type", "asgi", "http_version", "method", "scheme", "path", "raw_path", "query_string",
                "root_path", "headers", "client", "server"}
    c.same(sorted(required - c.scope.keys()), [], "list of missing keys")
    c.same(sorted(c.scope.keys() - required - {"state", "extensions"}), [], "list of unknown keys")
    await c.answer()


@check
async def asgi_version(c):
    c.same(c.scope["asgi"]["version"], "3.0", "version")
    await c.answer()


@check
async def asgi_spec_version(c):
    c.same(c.scope["asgi"].get("spec_version"), "2.3", "spec_version")
    await c.answer()


@check
async def http_version(c):
    c.same(c.scope["http_version"], "1.1", "http_version")
    await c.answer()


@check
async def http_version_1_0(c):
    c.same(c.scope["http_version"], "1.0", "http_version")
    await c.start()
    await c.part(b"o")
    await c.part(b"k", more=False)


@check
async def method(c):
    c.same(c.scope["method"], c.value(b"x-method").decode(), "method")
    await c.answer()


@check
async def scheme(c):
    c.same(c.scope["scheme"], "http", "scheme")
    await c.answer()


@check
async def path_is_decoded(c):
    c.same(c.scope["path"], "/path_is_decoded/a b/c/\u00e9?", "path")
    c.same(c.scope["raw_path"], b"/path_is_decoded/a%20b%2Fc/%C3%A9%3F", "raw_path")
    await c.answer()


@check
async def path_of_other_bytes(c):
    c.same(c.scope["path"], "/path_of_other_bytes/\ufffd", "path")
    c.same(c.scope["raw_path"], b"/path_of_other_bytes/%FF", "raw_path")
    await c.answer()


@check
async def path_keeps_its_slashes(c):
    c.same(c.scope["path"], "/path_keeps_its_slashes//a/", "path")
    c.same(c.scope["raw_path"], b"/path_keeps_its_slashes//a/", "raw_path")
    await c.answer()


@check
async def path_keeps_plus_and_semicolon(c):
    c.same(c.scope["path"], "/path_keeps_plus_and_semicolon/a+b;c=1", "path")
    await c.answer()


@check
async def raw_path_has_no_query(c):
    c.same(c.scope["raw_path"], b"/raw_path_has_no_query", "raw_path")
    c.same(c.scope["query_string"], b"a=%20&b=?", "query_string")
    await c.answer()


@check
async def query_is_empty(c):
    c.same(c.scope["query_string"], b"", "query_string")
    await c.answer()


@check
async def absolute_form(c):
    c.same(c.scope["path"], "/absolute_form", "path")
    c.same(c.scope["query_string"], b"a=1", "query_string")
    await c.answer()


@check
async def root_path_is_empty(c):
    c.same(c.scope["root_path"], "", "root_path")
    await c.answer()


@check
async def headers_are_pairs_of_bytes(c):
    for pair in c.scope["headers"]:
        c.same(len(pair), 2, "length of a header")
        c.same([type(v) for v in pair], [bytes, bytes], "list of types of a header")
    await c.answer()


@check
async def header_names_are_lower_case(c):
    c.same([n for n, _ in c.headers if n != n.lower()], [], "list of names with capitals")
    c.same(c.value(b"x-mixed-case"), b"Value", "value")
    await c.answer()


@check
async def headers_are_in_order(c):
    c.same([v for n, v in c.headers if n == b"x-a" or n == b"x-b"], [b"1", b"2", b"3"], "list of values")
    await c.answer()


@check
async def header_values_are_trimmed(c):
    c.same(c.value(b"x-a"), b"a  b", "value")
    c.true((b"x-empty", b"") in c.headers, "x-empty is missing")
    await c.answer()


@check
async def header_values_are_any_bytes(c):
    c.same(c.value(b"x-a"), b"\xe9\xff", "value")
    await c.answer()


@check
async def header_host(c):
    c.same([v for n, v in c.headers if n == b"host"], [b"checks.test:81"], "list of hosts")
    await c.answer()


@check
async def header_cookie(c):
    c.same([v for n, v in c.headers if n == b"cookie"], [b"a=1; b=2"], "list of cookies")
    await c.answer()


@check
async def header_content_type(c):
    c.same(c.value(b"content-type"), b"text/x", "content-type")
    c.same(c.value(b"content-length"), b"4", "content-length")
    c.same(await c.body(), [b"body"], "body")
    await c.answer()


@check
async def client(c):
    host, port = c.scope["client"]
    c.same(host, "127.0.0.1", "host of the client")
    c.same(port, int(c.value(b"x-client-port")), "port of the client")
    await c.answer()


@check
async def server(c):
    host, port = c.scope["server"]
    c.same(type(host), str, "type of the server's host")
    c.same(port, int(c.value(b"x-server-port")), "port of the server")
    await c.answer()


@check
async def scope_is_its_own(c):
    """Two requests run it: the second sees nothing of what the first has changed."""
    c.true("own" not in c.scope, "the scope has a key of an earlier request")
    c.true((b"x-own", b"1") not in c.scope["headers"], "headers have one of an earlier request")
    c.true("own" not in c.scope["asgi"] and "own" not in c.scope.get("extensions", {}), "a part of the scope has a key of an earlier request")
    c.scope["own"] = c.scope["asgi"]["own"] = 1
    if "extensions" in c.scope:
        c.scope["extensions"]["own"] = {}
    c.scope["headers"].append((b"x-own", b"1"))
    await c.answer()


@check
async def scope_has_no_tls(c):
    c.true("tls" not in c.scope.get("extensions", {}), "a request without TLS has the extension tls")
    await c.answer()


OWN = contextvars.ContextVar("own", default=0)


@check
async def context_is_its_own(c):
    c.same(OWN.get(), 0, "context variable")
    OWN.set(1)
    await c.answer()


# What receive returns.


@check
async def body_of_get(c):
    event = await c.receive()
    c.same(event["type"], "http.request", "type")
    c.same(event.get("body", b""), b"", "body")
    c.same(event.get("more_body", False), False, "more_body")
    await c.answer()


@check
async def body_is_whole(c):
    c.same(b"".join(await c.body()), b"a=1&b=2", "body")
    await c.answer()


@check
async def body_of_a_mebibyte(c):
    parts = await c.body()
    c.same(sum(map(len, parts)), 1 << 20, "size of the body")
    c.true(b"".join(parts) == b"0123456789abcdef" * (1 << 16), "the body is another one")
    c.same([p for p in parts[:-1] if not p], [], "list of empty parts")
    await c.answer()


@check
async def body_in_chunks(c):
    c.same(b"".join(await c.body()), b"one two", "body")
    c.same([v for n, v in c.headers if n == b"transfer-encoding" and v != b"chunked"], [], "list of transfer encodings")
    await c.answer()


@check
async def body_streams(c):
    """The client sends the second chunk when it has the first part of the answer."""
    event = await c.receive()
    c.same(event["body"], b"one", "first part")
    c.same(event["more_body"], True, "more_body")
    await c.start()
    await c.part(event["body"])
    await c.part(b"".join(await c.body()), more=False)


@check
async def body_after_continue(c):
    c.same(b"".join(await c.body()), b"body", "body")
    await c.answer()


@check
async def body_is_not_received(c):
    await c.answer()


@check
async def receive_waits_after_the_body(c):
    await c.body()
    later = asyncio.ensure_future(c.receive())
    await asyncio.sleep(0.01)
    c.true(not later.done(), "receive does not wait for the client to leave")
    await c.answer()
    c.same(dict(await later), {"type": "http.disconnect"}, "event after the response")


@check
async def receive_after_the_response(c):
    await c.answer()
    for _ in range(3):
        event = await c.receive()
        if event["type"] == "http.disconnect":
            break
    c.same(event["type"], "http.disconnect", "type")
    c.same((await c.receive())["type"], "http.disconnect", "type of the event after it")


@check
async def client_leaves(c):
    await c.body()
    await c.start()
    await c.part(b"begun")
    c.same((await c.receive())["type"], "http.disconnect", "type")
    c.same((await c.receive())["type"], "http.disconnect", "type of the event after it")


@check
async def client_leaves_before_the_response(c):
    await c.body()
    c.begin()
    c.same((await c.receive())["type"], "http.disconnect", "type")


@check
async def client_resets_before_the_response(c):
    await client_leaves_before_the_response(c)


@check
async def client_leaves_in_its_body(c):
    c.same((await c.receive())["body"], b"part", "body")
    c.begin()
    c.same((await c.receive())["type"], "http.disconnect", "type")


@check
async def send_after_the_client_left(c):
    await c.body()
    await c.start()
    await c.part(b"begun")
    await c.receive()
    try:
        for _ in range(100):
            await c.part(b"x" * 65536)
        await c.part(b"", more=False)
    except OSError:
        pass


@check
async def task_goes_on_without_the_client(c):
    await c.body()
    await c.start()
    await c.part(b"begun")
    await c.receive()
    for _ in range(10):
        await asyncio.sleep(0.001)


# Responses.


@check
async def response_without_headers(c):
    await c.send({"type": "http.response.start", "status": 200})
    await c.send({"type": "http.response.body", "body": b"ok"})


@check
async def response_without_body(c):
    await c.start()
    await c.send({"type": "http.response.body"})


@check
async def response_headers_are_any_iterable(c):
    await c.send({"type": "http.response.start", "status": 200, "headers": ((n, b"1") for n in (b"x-a", b"x-b"))})
    await c.send({"type": "http.response.body", "body": b"ok"})


@check
async def response_headers_are_lists(c):
    await c.start(headers=[[b"x-a", b"1"], [b"x-b", b"2"]])
    await c.part(b"ok", more=False)


@check
async def response_headers_repeat(c):
    await c.answer(headers=[(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")])


@check
async def response_headers_have_any_bytes(c):
    await c.answer(headers=[(b"x-a", b"\xe9")])


@check
async def response_headers_have_capitals(c):
    await c.answer(headers=[(b"X-Capital", b"1"), (b"Content-Length", b"2")])


@check
async def response_status(c):
    await c.answer(status=int(c.scope["query_string"]))


@check
async def response_length(c):
    await c.answer(headers=[(b"content-length", b"2")])


@check
async def response_in_parts(c):
    await c.start()
    for part in (b"one ", b"two ", b"three"):
        await c.part(part)
    await c.part(b"", more=False)


@check
async def response_in_parts_of_a_length(c):
    await c.start(headers=[(b"content-length", b"13")])
    for part in (b"one ", b"two ", b"three"):
        await c.part(part)
    await c.part(b"", more=False)


@check
async def response_with_empty_parts(c):
    await c.start()
    for part in (b"", b"o", b"", b"k"):
        await c.part(part)
    await c.part(b"", more=False)


@check
async def response_is_flushed(c):
    """The client opens the gate when it has the first part."""
    await c.start()
    await c.part(b"one")
    await c.gate()
    await c.part(b"two", more=False)


@check
async def response_of_five_mebibytes(c):
    await c.answer(b"0123456789abcdef" * (5 << 16), headers=[(b"content-length", b"%d" % (5 << 20))])


@check
async def response_to_head(c):
    await c.answer(headers=[(b"content-length", b"2")])


@check
async def response_to_head_in_parts(c):
    await c.start()
    await c.part(b"o")
    await c.part(b"k", more=False)


@check
async def response_204(c):
    await c.answer(b"", status=204)


@check
async def response_304(c):
    await c.answer(b"", status=304, headers=[(b"etag", b'"a"')])


@check
async def response_has_one_date(c):
    await c.answer(headers=[(b"date", b"Mon, 01 Jan 2024 00:00:00 GMT")])


@check
async def response_has_one_server(c):
    await c.answer(headers=[(b"server", b"own")])


@check
async def response_waits_for_the_client(c):
    """The client reads nothing until a send waits."""
    part, sent, waited = b"x" * (1 << 18), 0, False
    await c.start()
    while sent < 256 << 20:
        sending = asyncio.ensure_future(c.part(part))
        sent += len(part)
        done, _ = await asyncio.wait([sending], timeout=0.5)
        if not done:
            waited = True
            c.begin()
        await sending
        if waited:
            break
    c.true(waited, "send never waits")
    c.begin()
    await c.part(b"end", more=False)


@check
async def response_before_a_task_ends(c):
    """What an application does after its response goes on."""
    await c.answer()
    await c.gate()


@check
async def requests_run_together(c):
    """Two requests run it, each of which waits for the other."""
    waiting = c.gates.setdefault("together", [])
    waiting.append(asyncio.Event())
    for event in waiting[:2] if len(waiting) == 2 else ():
        event.set()
    await asyncio.wait_for(waiting[-1].wait(), 20)
    await c.answer()


@check
async def connection_is_kept(c):
    await c.answer()


@check
async def connection_pipelines(c):
    await c.answer(c.scope["query_string"])


# Extensions.


@check
async def extension_pathsend(c):
    c.true("http.response.pathsend" in c.scope.get("extensions", {}), "there is no extension http.response.pathsend")
    if c.faults:
        return await c.answer()
    await c.start(headers=[(b"content-length", b"26")])
    await c.send({"type": "http.response.pathsend", "path": c.value(b"x-file").decode()})


@check
async def extension_zerocopysend(c):
    c.true("http.response.zerocopysend" in c.scope.get("extensions", {}), "there is no extension http.response.zerocopysend")
    if c.faults:
        return await c.answer()
    await c.start(headers=[(b"content-length", b"7")])
    await c.part(b"<")
    with open(c.value(b"x-file"), "rb") as file:
        await c.send({"type": "http.response.zerocopysend", "file": file.fileno(), "offset": 2, "count": 5, "more_body": True})
    await c.part(b">", more=False)


@check
async def extension_trailers(c):
    c.true("http.response.trailers" in c.scope.get("extensions", {}), "there is no extension http.response.trailers")
    if c.faults:
        return await c.answer()
    await c.send({"type": "http.response.start", "status": 200, "headers": [(b"trailer", b"x-sum")], "trailers": True})
    await c.part(b"ok", more=False)
    await c.send({"type": "http.response.trailers", "headers": [(b"x-sum", b"42")], "more_trailers": False})


@check
async def extension_early_hint(c):
    c.true("http.response.early_hint" in c.scope.get("extensions", {}), "there is no extension http.response.early_hint")
    if c.faults:
        return await c.answer()
    await c.send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload; as=style", b"</b.js>; rel=preload"]})
    await c.answer()
