"""Quart: requests, bodies, streams, background tasks, WebSockets."""

import asyncio

from quart import Quart, abort, jsonify, make_response, request, session, websocket

app = Quart(__name__)
app.secret_key = "key of a test"
state = {"tasks": 0}


@app.before_serving
async def before():
    state["served"] = True


@app.route("/")
async def index():
    return f"served {state['served']}"


@app.route("/echo", methods=["GET", "POST"])
async def echo():
    data = await request.get_data()
    return jsonify(method=request.method, path=request.path, args=request.args.to_dict(), body=data.decode(), agent=request.headers.get("User-Agent"))


@app.route("/form", methods=["POST"])
async def form():
    values = await request.form
    files = await request.files
    return jsonify(values=values.to_dict(), files={name: len(f.read()) for name, f in files.items()})


@app.route("/count", methods=["POST"])
async def count():
    size = 0
    async for part in request.body:
        size += len(part)
    return str(size)


@app.route("/task", methods=["POST"])
async def task():
    async def work():
        await asyncio.sleep(0.01)
        state["tasks"] += 1

    app.add_background_task(work)
    return "begun", 202


@app.route("/tasks")
async def tasks():
    for _ in range(2000):
        if state["tasks"]:
            break
        await asyncio.sleep(0.01)
    return jsonify(state["tasks"])


@app.route("/stream")
async def stream():
    async def parts():
        for n in range(3):
            yield f"data: {n}\n\n".encode()
            await asyncio.sleep(0)

    response = await make_response(parts(), {"Content-Type": "text/event-stream"})
    response.timeout = None
    return response


@app.route("/session")
async def sessions():
    return jsonify(session.get("name"))


@app.route("/missing")
async def missing():
    abort(404)


@app.route("/broken")
async def broken():
    raise RuntimeError("broken")


@app.websocket("/ws")
async def ws():
    await websocket.accept(headers={"X-Quart": "yes"})
    while True:
        data = await websocket.receive()
        if data == "close":
            return
        await websocket.send(f"echo {data}")


@app.websocket("/refused")
async def refused():
    abort(401)
