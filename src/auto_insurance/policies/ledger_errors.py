"""What can go wrong with money."""

from __future__ import annotations

from auto_insurance.kernel.errors import AppError, ErrorKind


class LedgerMismatch(AppError):
    """A booking that contradicts its own segments, or a ledger in two currencies."""

    kind = ErrorKind.CONFLICT
    code = "ledger_mismatch"


class NoLedger(AppError):
    """A policy for which nothing is booked."""

    kind = ErrorKind.NOT_FOUND
    code = "no_ledger"


class InvalidAmount(AppError):
    """An amount that can't be booked or paid."""

    kind = ErrorKind.INVALID
    code = "invalid_amount"


class NothingDue(AppError):
    """A payment where nothing is owed, or of more than is owed."""

    kind = ErrorKind.CONFLICT
    code = "nothing_due"


class PaymentNotFound(AppError):
    """No such payment."""

    kind = ErrorKind.NOT_FOUND
    code = "payment_not_found"


class PaymentSettled(AppError):
    """A callback that contradicts how the payment ended."""

    kind = ErrorKind.CONFLICT
    code = "payment_settled"


class InvalidSignature(AppError):
    """A callback that the provider has not signed."""

    kind = ErrorKind.UNAUTHENTICATED
    code = "invalid_signature"


class InvoiceNotFound(AppError):
    """No such invoice of the policy."""

    kind = ErrorKind.NOT_FOUND
    code = "invoice_not_found"
