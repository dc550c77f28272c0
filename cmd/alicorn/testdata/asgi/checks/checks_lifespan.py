"""The lifespan of the checks, and checks of it."""

import os

CHECKS = {}
SEEN = []  # the scope and the first event of each lifespan


def check(function):
    CHECKS[function.__name__] = function
    return function


async def lifespan(scope, receive, send):
    """Starts up, shares state, and notes the shutdown in the file that CHECKS_SHUTDOWN names."""
    event = await receive()
    SEEN.append((dict(scope), dict(event)))
    if "state" in scope:
        scope["state"]["list"] = []
        scope["state"]["number"] = 1
    await send({"type": "lifespan.startup.complete"})
    event = await receive()
    with open(os.environ["CHECKS_SHUTDOWN"], "a") as file:
        file.write(event["type"] + "\n")
    await send({"type": "lifespan.shutdown.complete"})


@check
async def lifespan_runs_once(c):
    c.same(len(SEEN), 1, "number of lifespans")
    await c.answer()


@check
async def lifespan_scope(c):
    scope = SEEN[0][0]
    c.same(scope["type"], "lifespan", "type")
    c.same(scope["asgi"]["version"], "3.0", "version")
    c.same(scope["asgi"].get("spec_version"), "2.0", "spec_version")
    c.same(sorted(scope.keys() - {"type", "asgi", "state"}), [], "list of unknown keys")
    await c.answer()


@check
async def lifespan_startup(c):
    c.same(SEEN[0][1], {"type": "lifespan.startup"}, "event")
    await c.answer()


@check
async def lifespan_state(c):
    c.true("state" in SEEN[0][0], "the lifespan's scope has no state")
    c.same(c.scope.get("state", {}).get("number"), 1, "number of the state")
    await c.answer()


@check
async def state_is_a_copy(c):
    """Two requests run it: the second has the objects of the lifespan, and no keys of the first."""
    state = c.scope.get("state")
    if state is None:
        c.fault("the scope has no state")
    else:
        c.true("own" not in state, "the state has a key of an earlier request")
        state["own"] = 1
        state["list"].append(1)
        c.same(len(state["list"]), int(c.scope["query_string"]), "length of the shared list")
    await c.answer()


@check
async def worker_is_still_the_first(c):
    """The last check: no check has ended the worker."""
    c.same(c.has_run("scope_is_a_dict"), True, "whether the first check ran in this worker")
    await c.answer()
