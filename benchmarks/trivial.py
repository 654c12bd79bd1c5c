"""``python -m benchmarks.trivial PORT``: a FastAPI application with one route that does nothing.

On the product's own HTTP server: what it answers per second is what the framework leaves to any route.
"""

from __future__ import annotations

import sys

import uvicorn
from fastapi import FastAPI

app = FastAPI(openapi_url=None)


@app.get("/ping")
async def ping() -> dict[str, bool]:
    """Answer."""
    return {"ok": True}


def main() -> None:
    """Serve until told to end, with the settings of the product's API."""
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=2048,
    )


if __name__ == "__main__":
    main()
