"""``python -m benchmarks.trivial PORT``: a FastAPI application with one route that does nothing.

On the product's own HTTP server: what it answers per second is what the framework leaves to any route.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Literal

import uvicorn
import uvloop
from fastapi import FastAPI

app = FastAPI(openapi_url=None)


@app.get("/ping")
async def ping() -> dict[str, bool]:
    """Answer."""
    return {"ok": True}


def main() -> None:
    """Serve until told to end: PORT, then a name of ``SERVERS``; by default with the settings of the product's API."""
    SERVERS[sys.argv[2] if len(sys.argv) > 2 else PRODUCT](int(sys.argv[1]))


def _uvicorn(loop: Literal["uvloop", "asyncio"], http: Literal["httptools", "h11"], port: int) -> None:
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        loop=loop,
        http=http,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=2048,
    )


def _granian(port: int) -> None:
    embed = import_module("granian.server.embed")
    server = embed.Server(app, address="127.0.0.1", port=port, interface="asginl", log_enabled=False)
    uvloop.run(server.serve())


PRODUCT = "uvicorn, uvloop, httptools"
SERVERS: dict[str, Callable[[int], None]] = {
    PRODUCT: partial(_uvicorn, "uvloop", "httptools"),
    "uvicorn, asyncio, httptools": partial(_uvicorn, "asyncio", "httptools"),
    "uvicorn, uvloop, h11": partial(_uvicorn, "uvloop", "h11"),
    "granian, uvloop": _granian,
}


if __name__ == "__main__":
    main()
