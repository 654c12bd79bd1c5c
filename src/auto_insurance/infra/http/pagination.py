"""Pages of lists: ``?page=1&page_size=20``; of lists without end also ``?cursor=``, from where the last page ended.

A cursor is the sort key of the last item, not a number of items: reading on costs the same however far one is, and what
comes in meanwhile moves nothing. It is checked for its form alone, since a list shows only what its caller may see.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from fastapi import Depends, Query
from pydantic import BaseModel, Field

from auto_insurance.kernel.errors import AppError, ErrorKind, FieldError

T = TypeVar("T")
MAX_PAGE_SIZE = 100
MAX_PAGE = 100_000
"""Further than anybody reads; keeps OFFSET within what PostgreSQL takes."""


class Page(BaseModel, Generic[T]):
    """One page of a list."""

    items: list[T]
    total: int = Field(ge=0, description="Items in the whole list.")
    page: int = Field(ge=1, description="This page's number, from 1.")
    page_size: int = Field(ge=1, le=MAX_PAGE_SIZE, description="Items per page at most.")

    @classmethod
    def of(cls, items: Sequence[T], total: int, params: PageRequest) -> Page[T]:
        """Make a page from what a service returned."""
        return cls(items=list(items), total=total, page=params.page, page_size=params.page_size)


class Feed(Page[T], Generic[T]):
    """One page of a list without end."""

    next_cursor: str | None = Field(
        default=None, description="Send it as `cursor` for the items after these; null where the list ends."
    )

    @classmethod
    def after(
        cls, items: Sequence[T], total: int, params: PageRequest, key: Callable[[T], tuple[Any, ...]], kind: str
    ) -> Feed[T]:
        """Make a page that may be followed. ``key`` is an item's sort key; ``kind`` names the list."""
        more = len(items) == params.page_size
        cursor = encode_cursor(kind, *key(items[-1])) if more else None
        return cls(items=list(items), total=total, page=params.page, page_size=params.page_size, next_cursor=cursor)


class InvalidCursor(AppError):
    """The cursor is not one that this list gave."""

    kind = ErrorKind.INVALID
    code = "invalid_cursor"


def encode_cursor(kind: str, *key: Any) -> str:
    """Return a sort key as an opaque word; ``kind`` names the list that it belongs to."""
    return urlsafe_b64encode(msgspec.msgpack.encode((kind, *key))).rstrip(b"=").decode()


def decode_cursor(kind: str, cursor: str, form: Any) -> Any:
    """Return the sort key in a cursor; ``form`` is a tuple type, such as ``tuple[datetime, UUID]``.

    Raises ``InvalidCursor`` for what this list did not give.
    """
    try:
        raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        found, *key = msgspec.msgpack.decode(raw, type=list[Any])
        if found != kind:
            raise ValueError(kind)
        return msgspec.convert(key, form)
    except (msgspec.MsgspecError, ValueError, UnicodeDecodeError):
        detail = "This is not a cursor of this list."
        raise InvalidCursor(detail, errors=[FieldError("query.cursor", "invalid_cursor", detail)]) from None


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page a caller wants."""

    page: int = 1
    page_size: int = 20

    @property
    def offset(self) -> int:
        """Items before this page."""
        return (self.page - 1) * self.page_size

    @property
    def limit(self) -> int:
        """Items on this page at most."""
        return self.page_size


async def page_request(
    page: Annotated[int, Query(ge=1, le=MAX_PAGE, description="Page number, from 1.")] = 1,
    page_size: Annotated[int, Query(ge=1, le=MAX_PAGE_SIZE, description="Items per page.")] = 20,
) -> PageRequest:
    """Read the page's parameters from the query."""
    return PageRequest(page, page_size)


Cursor = Annotated[
    str | None,
    Query(
        max_length=256,
        pattern=r"^[A-Za-z0-9_-]+$",
        description="`next_cursor` of the page before; `page` does not count then.",
    ),
]
PageParams = Annotated[PageRequest, Depends(page_request)]
