"""What can go wrong when models are trained, read or used on a table."""

from __future__ import annotations

from auto_insurance.kernel.errors import AppError, ErrorKind


class InvalidSpec(AppError):
    """A specification of a data set that breaks a rule; the detail names file and place."""

    kind = ErrorKind.INVALID
    code = "invalid_table_spec"


class InvalidTable(AppError):
    """A data set that does not fit its specification or the model; ``errors`` name the columns."""

    kind = ErrorKind.INVALID
    code = "invalid_table"


class MissingExtra(AppError):
    """A library of the extra ``training`` is not installed."""

    kind = ErrorKind.UNAVAILABLE
    code = "training_extra_missing"
