"""FastAPI's larger parts: lifespan, dependencies, background tasks, middleware, responses,
WebSockets, mounted applications and static files."""

import asyncio
import os

from fastapi import BackgroundTasks, Depends, FastAPI, Header, HTTPException, Response, WebSocket, WebSocketDisconnect
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse, HTMLResponse, PlainTextResponse, RedirectResponse, StreamingResponse
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from fastapi.staticfiles import StaticFiles

HERE = os.path.dirname(os.path.abspath(__file__))
app = FastAPI()
app.add_middleware(CORSMiddleware, allow_origins=["http://good.test"], allow_credentials=True, allow_methods=["*"], allow_headers=["*"])
words = {}
notes = []


@app.on_event("startup")
async def startup():
    words["state"] = "started"


@app.middleware("http")
async def name(request, call_next):
    response = await call_next(request)
    response.headers["X-Middleware"] = "seen"
    return response


async def paging(skip: int = 0, limit: int = 10):
    return {"skip": skip, "limit": limit}


async def resource():
    notes.append("opened")
    try:
        yield "resource"
    finally:
        notes.append("closed")


async def token(x_token: str = Header()):
    if x_token != "secret":
        raise HTTPException(status_code=400, detail="wrong token")


@app.get("/started")
async def started():
    return words


@app.get("/paging")
async def pages(page: dict = Depends(paging)):
    return page


@app.get("/resource")
async def resources(name: str = Depends(resource)):
    return name


@app.get("/secret", dependencies=[Depends(token)])
async def secret():
    return "told"


@app.get("/basic")
def basic(credentials: HTTPBasicCredentials = Depends(HTTPBasic())):
    return {"username": credentials.username, "password": credentials.password}


async def note(text):
    await asyncio.sleep(0.01)
    notes.append(text)


@app.post("/notify/{text}", status_code=202)
async def notify(text: str, tasks: BackgroundTasks):
    tasks.add_task(note, text)
    return {"sent": text}


@app.get("/notes/{text}")
async def noted(text: str):
    """Waits until a background task has noted the text."""
    for _ in range(2000):
        if text in notes:
            return notes
        await asyncio.sleep(0.01)
    return []


@app.get("/html", response_class=HTMLResponse)
async def html():
    return "<p>\u00e9</p>"


@app.get("/redirect")
async def redirect():
    return RedirectResponse("/html?a=b c")


@app.get("/nothing", status_code=204)
async def nothing():
    return Response(status_code=204)


@app.get("/cookie")
async def cookie(response: Response):
    response.set_cookie("a", "1", httponly=True)
    response.set_cookie("b", "2", path="/x")
    return "set"


@app.get("/stream")
async def stream():
    async def parts():
        for n in range(10):
            yield b"part %d\n" % n
            await asyncio.sleep(0)

    return StreamingResponse(parts(), media_type="text/plain")


@app.get("/threaded")
async def threaded():
    return StreamingResponse(("%d " % n for n in range(5)), media_type="text/plain")


@app.get("/file")
async def file():
    return FileResponse(os.path.join(HERE, "file.txt"), filename="letters.txt")


@app.head("/head")
async def head():
    return PlainTextResponse("hello")


@app.websocket("/ws/{name}")
async def socket(websocket: WebSocket, name: str, q: str = "none"):
    await websocket.accept()
    try:
        while True:
            text = await websocket.receive_text()
            if text == "close":
                await websocket.close(code=4001, reason="asked")
                return
            if text == "json":
                await websocket.send_json({"name": name, "q": q})
            else:
                await websocket.send_text(f"{name} said {text}")
    except WebSocketDisconnect as left:
        notes.append(f"{name} left with {left.code}")


@app.websocket("/guarded")
async def guarded(websocket: WebSocket):
    await websocket.close(code=1008)


sub = FastAPI(root_path="")


@sub.get("/who")
async def who():
    return {"message": "from the sub-application"}


app.mount("/sub", sub)
app.mount("/static", StaticFiles(directory=os.path.join(HERE, "static")), name="static")
