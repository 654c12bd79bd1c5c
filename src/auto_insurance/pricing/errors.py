"""What can go wrong when a premium is rated."""

from __future__ import annotations

from auto_insurance.kernel.errors import AppError, ErrorKind, FieldError


class InvalidPlan(AppError):
    """A rating plan that breaks a rule; the detail names file and place."""

    kind = ErrorKind.UNAVAILABLE
    code = "invalid_rating_plan"


class InvalidWorksheet(AppError):
    """A worksheet that does not lead from its first line to its last."""

    kind = ErrorKind.CONFLICT
    code = "invalid_worksheet"


class InvalidRatingInputs(AppError):
    """Facts that the plan cannot rate; ``errors`` name the fields."""

    kind = ErrorKind.INVALID
    code = "invalid_rating_inputs"

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}.", errors=[FieldError(field, "not_rated", reason)])


class UnusablePlan(AppError):
    """A rating plan of the operator that breaks a rule; the detail names every place."""

    kind = ErrorKind.INVALID
    code = "unusable_rating_plan"


class PlanNotFound(AppError):
    """No such rating plan."""

    kind = ErrorKind.NOT_FOUND
    code = "rating_plan_not_found"

    def __init__(self, version: str) -> None:
        super().__init__(f"There is no rating plan {version}.")


class PlanVersionTaken(AppError):
    """A rating plan is never overwritten."""

    kind = ErrorKind.CONFLICT
    code = "rating_plan_version_taken"

    def __init__(self, version: str) -> None:
        super().__init__(f"There is another rating plan {version} already; a changed plan needs a version of its own.")


class InvalidActivation(AppError):
    """A plan cannot be put in force like that; ``errors`` name the field."""

    kind = ErrorKind.INVALID
    code = "invalid_plan_activation"

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}.", errors=[FieldError(field, "not_possible", reason)])


class DislocationMissing(AppError):
    """Nobody has looked at who would move by how much."""

    kind = ErrorKind.CONFLICT
    code = "dislocation_report_missing"

    def __init__(self, old: str, new: str, because: str) -> None:
        super().__init__(
            f"A fresh dislocation report from {old} to {new} is needed: {because}. "
            f"Run: auto-insurance plan dislocation {old} {new}"
        )


class DislocationNotFound(AppError):
    """No such dislocation report."""

    kind = ErrorKind.NOT_FOUND
    code = "dislocation_report_not_found"

    def __init__(self, version: str) -> None:
        super().__init__(f"There is no such dislocation report on the rating plan {version}.")


class PremiumNotFound(AppError):
    """No such premium."""

    kind = ErrorKind.NOT_FOUND
    code = "premium_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such premium.")


class QuoteNotFound(AppError):
    """No such quote, or not one for the caller's eyes: the answer is the same."""

    kind = ErrorKind.NOT_FOUND
    code = "quote_not_found"

    def __init__(self) -> None:
        super().__init__("There is no such quote.")


class QuoteExpired(AppError):
    """The quote's time is over; a new one may have another price."""

    kind = ErrorKind.CONFLICT
    code = "quote_expired"

    def __init__(self) -> None:
        super().__init__("The quote has expired. Ask for a new one.")


class QuoteBound(AppError):
    """A policy came of the quote already."""

    kind = ErrorKind.CONFLICT
    code = "quote_already_bound"

    def __init__(self) -> None:
        super().__init__("The quote was bound already; a quote leads to one policy.")


class InvalidQuote(AppError):
    """Facts without which nothing can be quoted; ``errors`` name the fields."""

    kind = ErrorKind.INVALID
    code = "invalid_quote"


class TooManyQuotes(AppError):
    """Somebody asks for more quotes than a person reads."""

    kind = ErrorKind.RATE_LIMITED
    code = "too_many_quotes"


class UnusableInputs(AppError):
    """A file of rating inputs that cannot be read; the detail names the place."""

    kind = ErrorKind.INVALID
    code = "unusable_rating_inputs"
