"""What a device is told of its upload, as bytes: the same for each way in, and cheap when all is well."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from auto_insurance.identity.schemas import DevicePrincipal
from auto_insurance.telematics.ingest import IngestService, Receipt
from auto_insurance.telematics.limits import Reason

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Taking:
    """Who sends, and how the upload is to be taken."""

    sender: DevicePrincipal
    any_age: bool = False
    request_id: str | None = None
    verbose: bool = False


async def answer_batch(ingest: IngestService, body: bytes, taking: Taking) -> bytes:
    """Take an upload and return ``views.BatchAnswer`` as JSON. Raises what :meth:`IngestService.batch` raises."""
    receipt = await ingest.batch(body, taking.sender, any_age=taking.any_age, request_id=taking.request_id)
    if not receipt.refused and not taking.verbose:
        return b'{"accepted":%d,"rejected":0,"results":[]}' % receipt.total
    return _encode(
        {
            "accepted": receipt.accepted,
            "rejected": len(receipt.refused),
            "results": _results(receipt, verbose=taking.verbose),
        }
    )


async def answer_event(ingest: IngestService, body: bytes, taking: Taking) -> bytes:
    """Take one event and return ``views.EventAnswer`` as JSON. Raises what :meth:`IngestService.one` raises."""
    event_id = await ingest.one(body, taking.sender, any_age=taking.any_age, request_id=taking.request_id)
    return _encode({"event_id": event_id, "status": "accepted"})


def _results(receipt: Receipt, *, verbose: bool) -> list[dict[str, object]]:
    if not verbose:
        return [_refused(place, receipt.given_id(place), reasons) for place, reasons in receipt.refused.items()]
    ids = receipt.accepted_ids()
    return [
        _refused(place, receipt.given_id(place), receipt.refused[place])
        if place in receipt.refused
        else {"index": place, "event_id": ids[place], "status": "accepted", "reasons": []}
        for place in range(receipt.total)
    ]


def _refused(place: int, event_id: str | None, reasons: list[Reason]) -> dict[str, object]:
    return {"index": place, "event_id": event_id, "status": "rejected", "reasons": reasons}
