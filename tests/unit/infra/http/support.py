"""A small application with one route for each thing that may happen."""

from __future__ import annotations

from typing import Annotated

import httpx
from fastapi import APIRouter, Body, FastAPI, Path, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from auto_insurance.infra.http.app import AppOptions, create_app
from auto_insurance.infra.http.bodies import BodyLimits
from auto_insurance.infra.http.errors import problems
from auto_insurance.infra.http.pagination import Page, PageParams
from auto_insurance.kernel.errors import AppError, ErrorKind, FieldError, InvalidInput

things = APIRouter(prefix="/things", tags=["things"])


class Thing(BaseModel):
    name: str = Field(max_length=5)
    size: int = 0


class KindError(AppError):
    code = "of_a_kind"


@things.post("", responses=problems(409))
async def create(thing: Thing) -> Thing:
    return thing


@things.get("/page")
async def listing(params: PageParams) -> Page[int]:
    numbers = list(range(45))
    return Page.of(numbers[params.offset : params.offset + params.limit], len(numbers), params)


@things.get("/kind/{kind}")
async def fail(kind: ErrorKind) -> None:
    error = KindError("No, thank you.", retry_after_s=7 if kind is ErrorKind.RATE_LIMITED else None)
    error.kind = kind
    raise error


@things.get("/field")
async def field() -> None:
    raise InvalidInput("Wrong.", errors=[FieldError("a.b", "too_big", "Too big")])


@things.get("/crash")
async def crash() -> None:
    raise RuntimeError("postgresql://user:hunter2@host")


@things.get("/away")
async def away() -> None:
    raise ConnectionRefusedError


@things.get("/broken-stream")
async def broken_stream() -> StreamingResponse:
    async def parts() -> object:
        yield b"begun"
        raise RuntimeError("middle")

    return StreamingResponse(parts())  # type: ignore[arg-type]


@things.post("/size")
async def size(request: Request) -> int:
    return len(await request.body())


@things.post("/big")
async def big(data: Annotated[list[str], Body()]) -> int:
    return len(data)


@things.get("/{thing_id}")
async def one(thing_id: Annotated[int, Path(ge=1)], request: Request) -> dict[str, object]:
    return {"id": thing_id, "request_id": request.state.request_id}


def make_app() -> FastAPI:
    limits = BodyLimits(default=2000, paths={"/api/v1/things/big": 20_000})
    return create_app(AppOptions(version="1.2.3", limits=limits), [things])


def client_of(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test")
