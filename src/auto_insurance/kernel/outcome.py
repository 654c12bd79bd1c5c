"""The closed set of results that a processing step may have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ok(Generic[T]):
    """The step went through; ``value`` goes to the next one."""

    value: T


@dataclass(frozen=True, slots=True)
class Drop:
    """Nothing to do: a duplicate of what is stored already. The only silent end after the 202."""

    reason: str = "duplicate"


@dataclass(frozen=True, slots=True)
class Dead:
    """Can never succeed; becomes a dead-letter row. ``reason`` comes from a closed set."""

    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Retry:
    """A passing fault; the batch is read again after a pause."""

    reason: str


Outcome = Ok[T] | Drop | Dead | Retry
