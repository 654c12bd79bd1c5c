"""Forms in which HTTP clients see what a driver agreed to."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class _Input(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class ConsentView(BaseModel):
    """What a driver decided for one purpose, and the text that it is about."""

    purpose: str
    title: str
    text: str
    version: int = Field(description="Of the text now; a new version does not undo what was decided on an older one.")
    basis: str = Field(description="`contract`, `legitimate_interest` or `consent`: what the processing rests on.")
    granted: bool
    granted_version: int | None = Field(description="The text that was decided on; null where the default holds.")
    decided_at: datetime | None
    source: str | None = Field(description="`enrolment`, `driver`, `staff` or `erasure`; null where the default holds.")
    without: str = Field(description="What is not done without it.")


class Consents(BaseModel):
    """All purposes of a driver."""

    driver_id: str
    consents: list[ConsentView]


class ConsentChange(_Input):
    """A decision. To grant, name the version of the text that was read; to withdraw, none is needed."""

    purpose: Annotated[str, Field(max_length=64)]
    granted: bool
    version: Annotated[int, Field(ge=1, le=10_000)] | None = None


class ConsentsChange(_Input):
    """Decisions; a purpose that is absent stays as it is."""

    consents: Annotated[list[ConsentChange], Field(min_length=1, max_length=50)]
