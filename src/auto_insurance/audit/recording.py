"""What an act leaves in the log: its row and what the row's seals hide. In the transaction of the act itself."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from auto_insurance.audit import repository
from auto_insurance.audit.chain import SIZE, Opened, canonical, seal
from auto_insurance.audit.exempt import EXEMPT
from auto_insurance.audit.repository import NewRow
from auto_insurance.infra.acting import Act, Actor, Place
from auto_insurance.infra.db.uow import Note, UnitOfWork
from auto_insurance.kernel import clock, ids

PERSONS = frozenset({"driver", "user"})
"""Kinds of subjects whose ids stand behind a seal."""
ME = "me"
MAX_DETAILS = 8192
"""Characters; more is replaced by the names of the details."""
MAX_PRIVATE = 8192
MAX_ALSO = 100
"""Further subjects that are named; the rest is counted."""


async def record(uow: UnitOfWork, act: Act) -> None:
    """Write the row of this transaction if it has written anything. Called before the commit, by the unit of work."""
    place = act.place()
    if place.action in EXEMPT:
        return
    row, opened = compose(act, place, uow.notes)
    await repository.add_if_written(uow, row, opened)


def compose(act: Act, place: Place, notes: list[Note]) -> tuple[NewRow, list[tuple[bytes, Opened]]]:
    """Return the row of an act and what its seals stand for."""
    named = [*((note.kind, note.ident) for note in notes), *_of_path(place, act.actor)]
    person = next(((kind, ident) for kind, ident in named if kind in PERSONS), None)
    thing = next(((kind, ident) for kind, ident in named if kind not in PERSONS), None)
    private = _bounded({name: value for note in notes for name, value in note.private.items()}, MAX_PRIVATE)
    about = None if person is None else Opened(person[0], person[1], None, None, private, os.urandom(SIZE))
    who = None
    if act.actor.kind != "anonymous":
        rest = private if about is None else None
        who = Opened(act.actor.kind, act.actor.ident, act.actor.label, act.address, rest, os.urandom(SIZE))
    kind, ident = thing or ((person[0], None) if person else (None, None))
    row = NewRow(
        id=ids.new_uuid(),
        at=clock.now(),
        actor_kind=act.actor.kind,
        actor=None if who is None else seal(who),
        action=place.action,
        subject_kind=kind,
        subject_id=ident,
        subject=None if about is None else seal(about),
        request_id=act.request_id,
        details=_details(notes, [pair for pair in named if pair not in (person, thing)]),
    )
    return row, [(value, one) for value, one in ((row.actor, who), (row.subject, about)) if value and one]


def _of_path(place: Place, actor: Actor) -> Iterator[tuple[str, str]]:
    """Yield kind and id of what a path names, the most special first."""
    segments = place.action.split("/")
    for name, value in reversed(list(place.parameters.items())):
        text = value.replace("\x00", "")
        kind = name.removesuffix("_id")
        if kind == name and f"{{{name}}}" in segments:
            # ``/plans/{version}`` is a plan.
            kind = segments[segments.index(f"{{{name}}}") - 1].removesuffix("s")
        if kind == "driver" and text == ME:
            text = actor.driver_id or ME
        yield kind, text


def _details(notes: list[Note], others: list[tuple[str, str]]) -> str:
    details: dict[str, Any] = {name: value for note in notes for name, value in note.details.items()}
    further = list(dict.fromkeys(f"{kind} {ident}" for kind, ident in others if kind not in PERSONS))
    people = len({pair for pair in others if pair[0] in PERSONS})
    if further:
        details["also"] = further[:MAX_ALSO]
    if len(further) > MAX_ALSO:
        details["also_more"] = len(further) - MAX_ALSO
    if people:
        details["also_people"] = people
    return _bounded(details, MAX_DETAILS) or "{}"


def _bounded(values: Mapping[str, Any], most: int) -> str | None:
    if not values:
        return None
    whole = canonical(values)
    return whole if len(whole) <= most else canonical({"too_long": sorted(values)[:MAX_ALSO]})
