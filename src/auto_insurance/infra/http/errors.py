"""Errors become ``application/problem+json`` (RFC 9457): one shape for all, no internals, no echo of input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from auto_insurance.infra.db import faults
from auto_insurance.kernel.errors import AppError, ErrorKind, FieldError

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
"""Told to callers when what failed gives no better number."""
MAX_FIELD_ERRORS = 100

STATUS_OF_KIND: Mapping[ErrorKind, int] = {
    ErrorKind.INVALID: 422,
    ErrorKind.UNAUTHENTICATED: 401,
    ErrorKind.FORBIDDEN: 403,
    ErrorKind.NOT_FOUND: 404,
    ErrorKind.CONFLICT: 409,
    ErrorKind.TOO_LARGE: 413,
    ErrorKind.RATE_LIMITED: 429,
    ErrorKind.UNAVAILABLE: 503,
}
_UNREADABLE = "There was an error parsing the body"
"""What FastAPI says of bytes that are no text; of text that is no JSON it tells in another way."""
_RETRIED = frozenset({429, 503})


class ProblemField(BaseModel):
    """One wrong field."""

    field: str = Field(description="Dotted path, such as `body.events.3.latitude`.", examples=["body.latitude"])
    code: str = Field(examples=["less_than_equal"])
    message: str = Field(examples=["Input should be less than or equal to 90"])


class Problem(BaseModel):
    """An error, RFC 9457."""

    type: str = Field(default="about:blank", description="A URI of the kind of problem.")
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(description="A sentence for people.")
    code: str = Field(description="A stable word for programs.", examples=["driver_not_found"])
    errors: list[ProblemField] = Field(default=[], description="The wrong fields, if fields were wrong.")
    request_id: str | None = Field(default=None, description="Also in `X-Request-ID`; name it when you ask for help.")


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the ``responses=`` of a route for the errors that it may answer.

    401, 403, 404... by number. 413, 422 and 503 are common: name them where a caller should expect them.
    """
    return {status: {"model": Problem, "description": HTTPStatus(status).phrase} for status in statuses}


def problem_response(
    status: int,
    detail: str,
    code: str,
    *,
    request_id: str | None,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return an answer in the problem form."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "errors": [asdict(error) for error in errors[:MAX_FIELD_ERRORS]],
        "request_id": request_id,
    }
    return Response(msgspec.json.encode(body), status_code=status, media_type=MEDIA_TYPE, headers=dict(headers or {}))


def request_id_of(request: Request) -> str | None:
    """Return the id that the middleware gave the request."""
    state: dict[str, Any] = request.scope.get("state", {})
    value = state.get("request_id")
    return value if isinstance(value, str) else None


class HttpProblem(HTTPException):
    """An error of the HTTP layer itself, raised where FastAPI lets only its own kind of exception through."""

    def __init__(self, status: int, detail: str, code: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status_code=status, detail=detail, headers=headers)
        self.code = code


async def app_error_handler(request: Request, error: Exception) -> Response:
    """Answer an expected error by its kind."""
    assert isinstance(error, AppError)  # noqa: S101 - registered for this class only
    status = STATUS_OF_KIND[error.kind]
    headers: dict[str, str] = {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status in _RETRIED:
        headers["Retry-After"] = str(max(1, error.retry_after_s or RETRY_AFTER_S))
    return problem_response(
        status, error.detail, error.code, request_id=request_id_of(request), errors=error.errors, headers=headers
    )


async def http_error_handler(request: Request, error: Exception) -> Response:
    """Answer an unknown route, a wrong method and what the HTTP layer refuses."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    status = error.status_code
    headers = dict(error.headers or {})
    if error.detail == _UNREADABLE:
        return problem_response(
            400, "The body is not JSON in UTF-8.", "malformed_json", request_id=request_id_of(request)
        )
    if status in {204, 304}:
        return Response(status_code=status, headers=headers)
    if status in _RETRIED:
        headers.setdefault("Retry-After", str(RETRY_AFTER_S))
    phrase = HTTPStatus(status).phrase
    code = error.code if isinstance(error, HttpProblem) else phrase.lower().replace(" ", "_").replace("-", "_")
    detail = {404: "There is nothing at this address.", 405: "This address does not take that method."}.get(status)
    if detail is None or error.detail != phrase:
        detail = str(error.detail)
    return problem_response(status, detail, code, request_id=request_id_of(request), headers=headers)


async def validation_error_handler(request: Request, error: Exception) -> Response:
    """Name the wrong fields; what was sent is not repeated, since it may be a secret."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class only
    found = error.errors()
    if any(item["type"] == "json_invalid" for item in found):
        position = next(item["loc"][-1] for item in found if item["type"] == "json_invalid")
        return problem_response(
            400, f"The body is not JSON (character {position}).", "malformed_json", request_id=request_id_of(request)
        )
    errors = [FieldError(_path(item["loc"]), str(item["type"]), str(item["msg"])) for item in found[:MAX_FIELD_ERRORS]]
    fields = "field is" if len(found) == 1 else "fields are"
    return problem_response(
        422, f"{len(found)} {fields} wrong.", "invalid_input", request_id=request_id_of(request), errors=errors
    )


def _path(loc: Sequence[int | str]) -> str:
    # A part may be a key that the caller made up: cut it.
    return ".".join(str(part)[:64] for part in loc[:12])


def unexpected_response(error: Exception, request_id: str | None) -> Response:
    """Answer what nobody caught: 503 if it passes by itself, else 500 without internals."""
    if faults.is_transient(error):
        log.warning("request_failed_transiently", error=type(error).__name__)
        return problem_response(
            503,
            "A service that this needs is away for the moment.",
            "unavailable",
            request_id=request_id,
            headers={"Retry-After": str(RETRY_AFTER_S)},
        )
    log.error("request_failed", error=type(error).__name__, exc_info=error)
    return problem_response(500, "Something went wrong on our side.", "internal_error", request_id=request_id)


def install_error_handlers(app: FastAPI) -> None:
    """Answer all expected errors of ``app`` as problems; the request middleware answers the others."""
    app.add_exception_handler(AppError, app_error_handler)
    app.add_exception_handler(RequestValidationError, validation_error_handler)
    app.add_exception_handler(HTTPException, http_error_handler)
