"""What FastAPI reads from requests: paths, queries, headers, bodies, forms, files."""

from enum import Enum
from typing import List, Optional

from fastapi import Body, Cookie, FastAPI, File, Form, Header, HTTPException, Path, Query, Request, UploadFile
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

app = FastAPI(title="Requests")


class Model(str, Enum):
    small = "small"
    large = "large"


class Item(BaseModel):
    name: str
    price: float = Field(gt=0)
    tags: List[str] = []
    description: Optional[str] = None


class Teapot(Exception):
    pass


@app.exception_handler(Teapot)
async def teapot(request: Request, error: Teapot):
    return JSONResponse({"path": request.url.path}, status_code=418)


@app.get("/")
async def root():
    return {"message": "Hello World"}


@app.get("/items/{item_id}")
async def item(item_id: int = Path(ge=1), q: Optional[str] = Query(default=None, max_length=5), short: bool = False):
    return {"item_id": item_id, "q": q, "short": short}


@app.get("/models/{model}")
def model(model: Model):
    """Runs in a thread."""
    return {"model": model, "large": model is Model.large}


@app.get("/files/{path:path}")
async def path(path: str):
    return {"path": path}


@app.get("/list")
async def values(q: List[str] = Query(default=[])):
    return q


@app.get("/headers")
async def headers(user_agent: Optional[str] = Header(default=None), x_token: List[str] = Header(default=[]), ads: Optional[str] = Cookie(default=None)):
    return {"user_agent": user_agent, "x_token": x_token, "ads": ads}


@app.post("/items", status_code=201, response_model=Item)
async def create(item: Item):
    return item


@app.put("/items/{item_id}")
async def put(item_id: int, item: Item, importance: int = Body(gt=0)):
    return {"item_id": item_id, "name": item.name, "importance": importance}


@app.post("/login")
async def login(username: str = Form(), password: str = Form()):
    return {"username": username, "size": len(password)}


@app.post("/upload")
async def upload(files: List[UploadFile], note: str = Form()):
    contents = [await f.read() for f in files]
    return {"names": [f.filename for f in files], "types": [f.content_type for f in files],
            "sizes": [len(c) for c in contents], "note": note}


@app.post("/file")
def file(file: bytes = File()):
    return {"size": len(file)}


@app.post("/stream")
async def stream(request: Request):
    size = 0
    async for part in request.stream():
        size += len(part)
    return {"size": size, "client": request.client.host}


@app.get("/fails")
async def fails():
    raise HTTPException(status_code=404, detail="not here", headers={"X-Error": "yes"})


@app.get("/teapot")
async def raises():
    raise Teapot


@app.get("/broken")
async def broken():
    raise RuntimeError("broken")


@app.get("/url")
async def url(request: Request):
    return {"url": str(request.url), "for": str(request.url_for("item", item_id=3)), "base": str(request.base_url)}
