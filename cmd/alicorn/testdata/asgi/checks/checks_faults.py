"""Checks of what a server does with an application's faults: send raises, and the client
gets 500, or a response that is cut off; never a malformed one."""

CHECKS = {}


class Deliberate(Exception):
    """What an application raises that fails."""


def check(function):
    CHECKS[function.__name__] = function
    return function


async def recover(c):
    """Answers after a message that was refused, or fails: both are right."""
    await deliberately(c.answer())


async def refused_start(c, start, what):
    """Notes a fault if send takes a wrong start, and then its body: a server may look at
    both together."""
    try:
        await c.send(start)
    except Exception:
        return await recover(c)
    await deliberately(c.send(BODY))
    c.fault(f"send takes {what}")


async def deliberately(sending):
    try:
        await sending
    except Exception as error:
        raise Deliberate("the server takes no other message") from error


START = {"type": "http.response.start", "status": 200, "headers": []}
BODY = {"type": "http.response.body", "body": b"ok"}


@check
async def body_before_start(c):
    await c.refused(BODY, "a body before the start")
    await recover(c)


@check
async def start_twice(c):
    await c.send(START)
    await c.refused(START, "a second start")
    await deliberately(c.send(BODY))


@check
async def unknown_type(c):
    await c.refused({"type": "http.response.none"}, "a message of an unknown type")
    await recover(c)


@check
async def message_without_type(c):
    await c.refused({"status": 200}, "a message without type")
    await recover(c)


@check
async def message_is_no_dict(c):
    await c.refused("http.response.start", "a string")
    await recover(c)


@check
async def websocket_message(c):
    await c.refused({"type": "websocket.accept"}, "websocket.accept of an http request")
    await recover(c)


@check
async def body_after_the_end(c):
    await c.answer()
    await c.refused(BODY, "a body after the end")


@check
async def start_after_the_end(c):
    await c.answer()
    await c.refused(START, "a start after the end")


@check
async def start_without_status(c):
    await refused_start(c, {"type": "http.response.start", "headers": []}, "a start without status")


@check
async def status_is_no_number(c):
    await refused_start(c, {**START, "status": "200"}, "a status that is a string")


@check
async def status_is_out_of_range(c):
    await refused_start(c, {**START, "status": 42}, "status 42")


@check
async def header_is_a_string(c):
    await refused_start(c, {**START, "headers": [("x-a", "1")]}, "headers that are strings")


@check
async def header_value_is_a_number(c):
    await refused_start(c, {**START, "headers": [(b"x-a", 1)]}, "a header's value that is a number")


@check
async def header_splits_the_response(c):
    await refused_start(c, {**START, "headers": [(b"x-a", b"1\r\nx-b: 2")]}, "a header's value with a line feed")


@check
async def header_name_is_invalid(c):
    await refused_start(c, {**START, "headers": [(b"x a", b"1")]}, "a header's name with a space")


@check
async def headers_are_no_pairs(c):
    await refused_start(c, {**START, "headers": [(b"x-a",)]}, "a header of one item")


@check
async def length_is_no_number(c):
    await refused_start(c, {**START, "headers": [(b"content-length", b"two")]}, "a Content-Length that is no number")


@check
async def body_is_a_string(c):
    await c.send({**START, "headers": [(b"content-length", b"2")]})
    await c.refused({"type": "http.response.body", "body": "ok"}, "a body that is a string")
    await deliberately(c.send(BODY))


@check
async def body_longer_than_its_length(c):
    await c.send({**START, "headers": [(b"content-length", b"2")]})
    await c.refused({"type": "http.response.body", "body": b"more than that"}, "more than Content-Length")


@check
async def body_shorter_than_its_length(c):
    await c.send({**START, "headers": [(b"content-length", b"20")]})
    await c.refused(BODY, "less than Content-Length")


@check
async def body_of_204(c):
    await deliberately(c.answer(b"not to be sent", status=204))


@check
async def body_of_304(c):
    await deliberately(c.answer(b"not to be sent", status=304))


@check
async def extension_that_is_not_offered(c):
    await c.refused({"type": "http.response.push", "path": "/a", "headers": []}, "a push that it does not offer")
    await recover(c)


@check
async def raises_before_start(c):
    raise Deliberate("before the start")


@check
async def raises_after_start(c):
    await c.send(START)
    await c.part(b"begun")
    raise Deliberate("after the start")


@check
async def raises_after_the_end(c):
    await c.answer()
    raise Deliberate("after the end")


@check
async def returns_without_response(c):
    pass


@check
async def returns_after_start(c):
    await c.send(START)


@check
async def returns_within_the_body(c):
    await c.send(START)
    await c.part(b"begun")


@check
async def returns_a_value(c):
    await c.answer()
    return "value"
