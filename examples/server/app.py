"""A map behind HTTP: `BRENIER_MAP=effect.brenier uvicorn examples.server.app:app`.

`POST /transform` and `POST /inverse` take `{"points": [[...], ...]}` and answer with as many points; an inverse has
`converged` and `residual` for each. `GET /map` says what the map is. One process serves many clients: a request runs in
a thread of its own, compiled code does not hold Python's lock, and batches are padded to a power of two, so that
requests of any size share a few compiled programs, made before the first request.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

import brenier

MOST_ROWS = 8192
"""Rows of one request: larger inputs belong to `brenier transform`."""


class Points(BaseModel):
    """Points to move, one a row."""

    points: Annotated[list[list[float]], Field(min_length=1, max_length=MOST_ROWS)]


class Moved(BaseModel):
    """Moved points."""

    points: list[list[float]]


class Found(Moved):
    """Preimages, whether each was found to tolerance, and its error in units of the target."""

    converged: list[bool]
    residual: list[float]


@asynccontextmanager
async def compiled(app: FastAPI) -> AsyncIterator[None]:
    """Load the map, and compile what requests of up to `MOST_ROWS` rows need."""
    map_ = app.state.map = brenier.TransportMap.load(os.environ["BRENIER_MAP"])
    rows = 1
    while rows <= MOST_ROWS:
        some = np.repeat(map_.geometry.leave_x(np.zeros((1, map_.dim))), rows, axis=0)
        map_.inverse_with_status(map_.forward(some))
        rows *= 2
    yield


app = FastAPI(title="brenier", lifespan=compiled)


@app.exception_handler(brenier.InputError)
async def refused(_: Request, error: brenier.InputError) -> JSONResponse:
    """Points that cannot be used are the client's to mend; the message says how."""
    return JSONResponse({"detail": str(error)}, status_code=422)


@app.get("/map")
def describe(request: Request) -> dict[str, Any]:
    """What the map is."""
    map_ = request.app.state.map
    return {"dim": map_.dim, "columns": map_.columns, "cost": str(map_.cost), "gaussian": map_.info.get("gaussian")}


@app.post("/transform")
def transform(given: Points, request: Request) -> Moved:
    """Images of source points."""
    return Moved(points=np.asarray(request.app.state.map.forward(given.points)).tolist())


@app.post("/inverse")
def inverse(given: Points, request: Request) -> Found:
    """Preimages of target points."""
    found = request.app.state.map.inverse_with_status(given.points)
    return Found(points=found.points.tolist(), converged=found.converged.tolist(), residual=found.residual.tolist())
