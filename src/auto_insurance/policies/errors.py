"""What can go wrong with policies. Errors of the ledger are re-exported: this is the domain's door."""

from __future__ import annotations

from collections.abc import Sequence

from auto_insurance.kernel.errors import AppError, ErrorKind, FieldError


class IllegalTransition(AppError):
    """Something that can't happen to a policy where it stands."""

    kind = ErrorKind.CONFLICT
    code = "illegal_policy_transition"

    def __init__(self, status: str, action: str, possible: Sequence[str]) -> None:
        rest = f"possible are {', '.join(possible)}" if possible else "nothing can happen to it any more"
        super().__init__(f"A policy term that is {status} can't {action}; {rest}.")


class PolicyNotFound(AppError):
    """No such policy, or somebody else's: nobody learns which."""

    kind = ErrorKind.NOT_FOUND
    code = "policy_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such policy.")


class DocumentNotFound(AppError):
    """The policy has no document of that name."""

    kind = ErrorKind.NOT_FOUND
    code = "policy_document_not_found"

    def __init__(self) -> None:
        super().__init__("The policy has no such document.")


class PolicyChangedMeanwhile(AppError):
    """Somebody changed the policy since the caller looked at it."""

    kind = ErrorKind.CONFLICT
    code = "policy_changed"

    def __init__(self, revision: int) -> None:
        super().__init__(f"The policy has changed meanwhile; it is at revision {revision} now. Look at it again.")


class QuoteNotBindable(AppError):
    """A quote that has expired, is of nobody, or does not fit."""

    kind = ErrorKind.CONFLICT
    code = "quote_not_bindable"


class AlreadyInsured(AppError):
    """The driver has a policy for the time already."""

    kind = ErrorKind.CONFLICT
    code = "already_insured"

    def __init__(self, policy_id: str) -> None:
        super().__init__(f"The driver has a policy for this time already: {policy_id}.")


class InvalidChange(AppError):
    """A change with a date or content that can't be; ``errors`` name the field."""

    kind = ErrorKind.INVALID
    code = "invalid_policy_change"

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}.", errors=[FieldError(f"body.{field}", "not_possible", reason)])


class NotReinstated(AppError):
    """A policy that can't be reinstated without a gap."""

    kind = ErrorKind.CONFLICT
    code = "not_reinstated"


class NoMidTermChange(AppError):
    """The jurisdiction fixes the rates of a term until it ends."""

    kind = ErrorKind.CONFLICT
    code = "no_mid_term_change"

    def __init__(self, state: str) -> None:
        super().__init__(f"In {state} a running term keeps its rates; the new score counts from the renewal on.")


class NotYourChange(AppError):
    """A change that only staff may make."""

    kind = ErrorKind.FORBIDDEN
    code = "staff_only_change"
