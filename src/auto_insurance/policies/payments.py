"""Payment providers: what one must do, and the local one that ships.

A provider knows cards and accounts; here is only its opaque token of a payment method. Every call carries an id of
ours: a provider that sees it again answers as before, so that a payment that was sent twice is made once.
"""

from __future__ import annotations

import hmac
from decimal import Decimal
from enum import StrEnum
from hashlib import blake2b, sha256
from typing import Protocol
from uuid import UUID

import msgspec

from auto_insurance.policies.ledger_errors import InvalidSignature

LOCAL = "local"
DECLINED = "tok_declined"
"""Test token: the provider refuses."""
INSUFFICIENT = "tok_insufficient_funds"
"""Test token: the provider refuses for want of money."""
PENDING = "tok_pending"
"""Test token: the provider decides later and calls back."""
_REFUSALS = {DECLINED: "declined", INSUFFICIENT: "insufficient_funds"}


class PaymentStatus(StrEnum):
    """How a payment stands."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Outcome(msgspec.Struct, frozen=True):
    """What a provider made of a payment. ``reason`` is a word such as ``declined``, empty on success."""

    status: PaymentStatus
    reference: str
    reason: str = ""


class Callback(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a provider tells us later about a payment."""

    payment_id: UUID
    status: PaymentStatus
    reason: str = ""


class PaymentProvider(Protocol):
    """Moves money. Errors of the network are raised as an ``Unavailable``: the payment is tried again then."""

    @property
    def name(self) -> str:
        """Stored with each payment."""
        ...

    async def charge(self, payment_id: UUID, method: str, amount: Decimal, currency: str) -> Outcome:
        """Take an amount."""
        ...

    async def refund(self, payment_id: UUID, method: str, amount: Decimal, currency: str) -> Outcome:
        """Give an amount back."""
        ...

    def read_callback(self, body: bytes, signature: str) -> Callback:
        """Return what the provider tells. Raises ``InvalidSignature``."""
        ...


class LocalProvider:
    """Moves no money: every token succeeds but those for tests. Deterministic, and without a network.

    Callbacks are signed with HMAC-SHA256 over the body, in hex; without a secret none is taken.
    """

    def __init__(self, secret: str | None) -> None:
        self._secret = None if secret is None else secret.encode()

    @property
    def name(self) -> str:
        """Stored with each payment."""
        return LOCAL

    async def charge(self, payment_id: UUID, method: str, amount: Decimal, currency: str) -> Outcome:
        """Succeed, fail or leave open by the token alone."""
        reference = _reference("ch", payment_id, amount, currency)
        if method in _REFUSALS:
            return Outcome(PaymentStatus.FAILED, reference, _REFUSALS[method])
        status = PaymentStatus.PENDING if method == PENDING else PaymentStatus.SUCCEEDED
        return Outcome(status, reference)

    async def refund(self, payment_id: UUID, method: str, amount: Decimal, currency: str) -> Outcome:
        """Succeed, but for tokens that are refused."""
        reference = _reference("re", payment_id, amount, currency)
        if method in _REFUSALS:
            return Outcome(PaymentStatus.FAILED, reference, _REFUSALS[method])
        return Outcome(PaymentStatus.SUCCEEDED, reference)

    def sign(self, body: bytes) -> str:
        """Return the signature of a callback. Raises ``InvalidSignature`` without a secret."""
        if self._secret is None:
            raise InvalidSignature("Callbacks are not taken: no secret is set for them.")
        return hmac.new(self._secret, body, sha256).hexdigest()

    def read_callback(self, body: bytes, signature: str) -> Callback:
        """Return what the provider tells. Raises ``InvalidSignature``, also for a signed body of another form."""
        if not hmac.compare_digest(self.sign(body), signature.lower()):
            raise InvalidSignature("The callback is not signed by the payment provider.")
        try:
            return msgspec.json.decode(body, type=Callback)
        except msgspec.MsgspecError as error:
            raise InvalidSignature("The callback is not of the form that the payment provider sends.") from error


def _reference(kind: str, payment_id: UUID, amount: Decimal, currency: str) -> str:
    """Return what a provider would call the payment: the same for the same call."""
    digest = blake2b(f"{payment_id}:{amount}:{currency}".encode(), digest_size=9).hexdigest()
    return f"{kind}_{digest}"
