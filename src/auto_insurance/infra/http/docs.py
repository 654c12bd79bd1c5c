"""The API's documentation pages, from files in the installation: they work without the internet."""

from __future__ import annotations

from pathlib import Path

import fastapi_offline
from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html, get_swagger_ui_oauth2_redirect_html
from fastapi.params import Depends as DependsParameter
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

STATIC_URL = "/docs-static"
_OAUTH_URL = "/docs/oauth2-redirect"


def add_docs(app: FastAPI, public: list[DependsParameter]) -> None:
    """Add ``/docs`` (Swagger UI) and ``/redoc``; the application must be made without its own."""
    static = Path(fastapi_offline.__file__).parent / "static"
    app.mount(STATIC_URL, StaticFiles(directory=static), name="docs-static")

    @app.get("/docs", include_in_schema=False, dependencies=public)
    def swagger(request: Request) -> HTMLResponse:
        """Show the interactive documentation."""
        root = request.scope.get("root_path", "")
        return get_swagger_ui_html(
            openapi_url=f"{root}{app.openapi_url}",
            title=f"{app.title}: API",
            oauth2_redirect_url=f"{root}{_OAUTH_URL}",
            swagger_js_url=f"{root}{STATIC_URL}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{STATIC_URL}/swagger-ui.css",
            swagger_favicon_url=f"{root}{STATIC_URL}/favicon.png",
        )

    @app.get(_OAUTH_URL, include_in_schema=False, dependencies=public)
    def swagger_redirect() -> HTMLResponse:
        """End a sign-in that began on the documentation page."""
        return get_swagger_ui_oauth2_redirect_html()

    @app.get("/redoc", include_in_schema=False, dependencies=public)
    def redoc(request: Request) -> HTMLResponse:
        """Show the documentation for reading."""
        root = request.scope.get("root_path", "")
        return get_redoc_html(
            openapi_url=f"{root}{app.openapi_url}",
            title=f"{app.title}: API",
            redoc_js_url=f"{root}{STATIC_URL}/redoc.standalone.js",
            redoc_favicon_url=f"{root}{STATIC_URL}/favicon.png",
            with_google_fonts=False,
        )
