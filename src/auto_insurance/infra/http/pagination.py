"""Pages of lists: ``?page=1&page_size=20``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel, Field

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


PageParams = Annotated[PageRequest, Depends(page_request)]
