"""What a failed batch means."""

from __future__ import annotations

import asyncpg
import pytest
from sqlalchemy import exc as sa

from auto_insurance.infra.bus.errors import LogUnavailable
from auto_insurance.infra.bus.faults import Fault, RetryLater, classify, describe
from auto_insurance.infra.db.faults import is_transient


def wrapped(cause: BaseException) -> sa.DBAPIError:
    error = sa.DBAPIError("SELECT secret", {}, cause)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (ValueError("x"), Fault.OWN),
        (asyncpg.exceptions.UniqueViolationError("x"), Fault.OWN),
        (wrapped(asyncpg.exceptions.CheckViolationError("x")), Fault.OWN),
        (wrapped(asyncpg.exceptions._base.DataError("does not fit")), Fault.OWN),
        (wrapped(asyncpg.exceptions.QueryCanceledError("x")), Fault.SLOW),
        (asyncpg.exceptions.LockNotAvailableError("x"), Fault.SLOW),
        (wrapped(asyncpg.exceptions.AdminShutdownError("x")), Fault.PASSING),
        (asyncpg.exceptions.DeadlockDetectedError("x"), Fault.PASSING),
        (asyncpg.exceptions.TooManyConnectionsError("x"), Fault.PASSING),
        (ConnectionRefusedError(), Fault.PASSING),
        (LogUnavailable("x"), Fault.PASSING),
        (RetryLater("x"), Fault.PASSING),
        (TimeoutError(), Fault.PASSING),
    ],
)
def test_faults_are_told_apart(error: Exception, fault: Fault) -> None:
    assert classify(error) is fault


def test_a_value_that_never_fits_is_no_passing_fault() -> None:
    assert not is_transient(asyncpg.exceptions._base.DataError("value out of int32 range"))
    assert is_transient(asyncpg.InterfaceError("connection is closed"))


def test_the_description_tells_the_place_and_not_the_data() -> None:
    with pytest.raises(KeyError) as caught:
        raise KeyError("51.5, -0.1")
    assert describe(caught.value).startswith("KeyError at bus/test_faults.py:")
    assert describe(KeyError("51.5")) == "KeyError"
