"""Typed errors. A kind says what happened in general, a code says what in particular."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class ErrorKind(StrEnum):
    """What a caller can do about an error; the web layer maps it to a status."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One wrong field: its dotted path, a stable code and a sentence for people."""

    field: str
    code: str
    message: str


class AppError(Exception):
    """Base of all expected errors.

    Subclasses fix ``kind`` and ``code``; ``detail`` is a sentence for people and never holds secrets or
    personal data. ``retry_after_s`` is given with RATE_LIMITED and UNAVAILABLE.
    """

    kind: ErrorKind = ErrorKind.INVALID
    code: str = "invalid"

    def __init__(
        self,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)
        self.retry_after_s = retry_after_s


class InvalidInput(AppError):
    """Input that breaks a rule; ``errors`` name the fields."""

    kind = ErrorKind.INVALID
    code = "invalid_input"


class Unavailable(AppError):
    """A dependency is away or full; trying again later may work."""

    kind = ErrorKind.UNAVAILABLE
    code = "unavailable"
