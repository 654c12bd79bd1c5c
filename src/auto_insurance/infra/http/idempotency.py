"""The header ``Idempotency-Key``: a POST that moves money may be sent again and has its effect once.

A route takes ``Once`` (the key is demanded) or ``OnceIfAsked`` and gives it the work:

    async def pay(body: PaymentIn, caller: CurrentUser, once: Once, uow: Tx, ...) -> Response:
        return await once.run(caller.user_id, lambda: payments.pay(uow, body), status=201)

with ``response_model=`` and ``responses=problems(409, 422, ...)`` in the decorator. The work, its events and the stored
answer are one transaction. Only successes are stored: a request that was refused changed nothing, and may be sent
again with the same key.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import Annotated
from uuid import UUID

import msgspec
from fastapi import Depends, Header, Request
from fastapi.responses import Response
from pydantic import BaseModel

from auto_insurance.infra.db import idempotency as store
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.infra.http.deps import Tx
from auto_insurance.kernel import clock
from auto_insurance.kernel.errors import AppError, ErrorKind, FieldError

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
"""Header of an answer that was given before."""
_KEY = r"^[\x21-\x7e]{1,255}$"
_WHAT = (
    "A word that you make up for this request, such as a UUID. Sent again within 24 hours with the same body, the "
    "request has no second effect: you get the stored answer, with `Idempotency-Replayed: true`. With another body "
    "it is refused (422 `idempotency_key_reused`); while the first is still under way you may get 409 "
    "`idempotency_key_in_use`. Keys of different users don't meet."
)


class IdempotencyKeyReused(AppError):
    """The key was used for another request."""

    kind = ErrorKind.INVALID
    code = "idempotency_key_reused"


class Repeatable:
    """A request that has its effect once. Made by ``Once`` and ``OnceIfAsked``."""

    def __init__(self, uow: UnitOfWork, key: str | None, fingerprint: bytes) -> None:
        self._uow = uow
        self._key = key
        self._fingerprint = fingerprint

    @property
    def key(self) -> str | None:
        """The caller's word for the request, None if it sent none: for ids that must be the same when sent again."""
        return self._key

    async def run(self, owner: UUID | str, work: Callable[[], Awaitable[BaseModel]], *, status: int = 200) -> Response:
        """Do the work and store its answer, or give the one that was stored.

        ``owner`` is whose key it is; ``status`` is that of success. Raises ``IdempotencyKeyReused``,
        ``IdempotencyKeyInUse`` and what ``work`` raises.
        """
        if self._key is None:
            return _answer(status, await _body(work))
        uow, whose, key = self._uow, str(owner), self._key
        await store.claim(uow, whose, key)
        now = clock.now()
        before = await store.find(uow, whose, key, since=now - store.KEPT)
        if before is not None:
            return self._replay(before)
        body = await _body(work)
        await store.keep(uow, whose, key, store.Kept(self._fingerprint, status, body), now)
        return _answer(status, body)

    def _replay(self, before: store.Kept) -> Response:
        if before.fingerprint != self._fingerprint:
            detail = f"This {HEADER} was used for another request."
            raise IdempotencyKeyReused(detail, errors=[FieldError(f"header.{HEADER}", "reused", detail)])
        response = _answer(before.status, before.body)
        response.headers[REPLAYED] = "true"
        return response


async def _body(work: Callable[[], Awaitable[BaseModel]]) -> bytes:
    return (await work()).model_dump_json().encode()


def _answer(status: int, body: bytes) -> Response:
    return Response(body, status_code=status, media_type="application/json")


async def fingerprint_of(request: Request) -> bytes:
    """Return a digest of what is asked: method, address and body. The order of a JSON body's keys doesn't matter."""
    raw = await request.body()
    try:
        raw = msgspec.json.encode(msgspec.json.decode(raw), order="sorted")
    except msgspec.MsgspecError:
        # No JSON: as it came.
        raw = bytes(raw)
    digest = blake2b(digest_size=32)
    for part in (request.method.encode(), request.url.path.encode(), request.url.query.encode(), raw):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


async def _demanded(
    request: Request,
    uow: Tx,
    key: Annotated[str, Header(alias=HEADER, pattern=_KEY, description=_WHAT)],
) -> Repeatable:
    return Repeatable(uow, key, await fingerprint_of(request))


async def _if_asked(
    request: Request,
    uow: Tx,
    key: Annotated[str | None, Header(alias=HEADER, pattern=_KEY, description=_WHAT)] = None,
) -> Repeatable:
    return Repeatable(uow, key, await fingerprint_of(request))


Once = Annotated[Repeatable, Depends(_demanded, scope="function")]
"""The request must carry an ``Idempotency-Key``; it works in the transaction of the route's own ``Tx``."""
OnceIfAsked = Annotated[Repeatable, Depends(_if_asked, scope="function")]
"""The request may carry an ``Idempotency-Key``; without one every sending has its effect."""
