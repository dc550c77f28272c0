"""The FastAPI application of the benchmarks."""

from fastapi import FastAPI

app = FastAPI()


@app.get("/json")
async def json():
    return {"message": "Hello, World!"}
