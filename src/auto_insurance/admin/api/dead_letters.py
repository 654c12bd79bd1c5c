"""Routes of operators about dead letters."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, Response

from auto_insurance.admin.api.common import CsvResponse, Files, Operator, Part, Watcher, counted, csv_file
from auto_insurance.admin.exports import Export
from auto_insurance.admin.schemas_operations import (
    MAX_SHOWN_BYTES,
    DeadLetterLine,
    DeadLetterOut,
    LetterChoice,
    LettersDecided,
    LettersDropped,
)
from auto_insurance.infra.bus.deadletters_desk import DeadLetterDesk, Decided
from auto_insurance.infra.bus.repository_deadletters import LetterFilter
from auto_insurance.infra.http.deps import ReadTx, Tx, service
from auto_insurance.infra.http.errors import problems

router = APIRouter(prefix="/admin/dead-letters", tags=["admin"])
Letters = Annotated[DeadLetterDesk, service(DeadLetterDesk)]
_LIST = problems(401, 403, 422, 503)


class LetterQuery:
    """Which letters."""

    def __init__(
        self,
        state: Annotated[
            Literal["waiting", "replayed", "dropped"] | None, Query(max_length=16, description="What was decided.")
        ] = None,
        reason: Annotated[str | None, Query(max_length=64, description="Why it died.")] = None,
        topic: Annotated[str | None, Query(max_length=64, description="Where it was.")] = None,
    ) -> None:
        self.wanted = LetterFilter(state, reason, topic)


Filters = Annotated[LetterQuery, Depends()]


@router.get("", summary="Dead letters", responses=_LIST)
async def list_letters(
    staff: Watcher, uow: ReadTx, letters: Letters, response: Response, part: Part, filters: Filters
) -> list[DeadLetterLine]:
    """List what could not be processed, the newest first, without its bytes."""
    found, total = await letters.page(uow, filters.wanted, limit=part.limit, offset=part.skip)
    counted(response, total)
    return [DeadLetterLine.of(letter) for letter in found]


@router.get("/export.csv", summary="Dead letters as a file", response_class=CsvResponse, responses=_LIST)
async def export_letters(staff: Watcher, files: Files, letters: Letters, filters: Filters) -> Response:
    """Write the letters without their bytes in the order of ids, at most 50,000."""
    export = Export(
        DeadLetterLine,
        lambda uow, after, limit: letters.after(uow, filters.wanted, after=after or 0, limit=limit),
        lambda letter: letter.id,
        DeadLetterLine.of,
    )
    return await csv_file(files, "dead-letters", export)


@router.post("/replay", summary="Process dead letters again", responses=_LIST)
async def replay_dead_letters(staff: Operator, body: LetterChoice, uow: Tx, letters: Letters) -> LettersDecided:
    """Send the original bytes to the log once more and mark the letters; those that were replayed stay as they are.

    Who has processed an event already knows it by its id; driving events are taken whatever their age. Choose by ids,
    or the oldest with a reason or on a topic, at most 500 letters and 8 MiB at once.
    """
    by = str(staff.user_id)
    if body.ids is not None:
        return _decided(await letters.replay(uow, body.ids, by))
    wanted = LetterFilter(reason=body.reason, topic=body.topic)
    return _decided(await letters.replay_by(uow, wanted, body.limit, by))


@router.post("/drop", summary="Let go of dead letters", responses=_LIST)
async def drop_dead_letters(staff: Operator, body: LettersDropped, uow: Tx, letters: Letters) -> LettersDecided:
    """Delete the bytes of letters that wait, for good; what they were, who dropped them and why stays."""
    return _decided(await letters.drop(uow, body.ids, str(staff.user_id), body.note))


@router.get("/{letter_id}", summary="A dead letter", responses=problems(401, 403, 404, 422, 503))
async def get_letter(
    staff: Watcher,
    letter_id: Annotated[int, Path(ge=1, le=2**63 - 1, description="A dead letter's id.")],
    uow: ReadTx,
    letters: Letters,
) -> DeadLetterOut:
    """Return a letter with its original bytes, as text or base64, 64 KiB at most."""
    return DeadLetterOut.shown(await letters.get(uow, letter_id, MAX_SHOWN_BYTES))


def _decided(decided: Decided) -> LettersDecided:
    return LettersDecided(done=len(decided.done), ids=decided.done, left=decided.left)
