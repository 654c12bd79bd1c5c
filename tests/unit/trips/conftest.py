"""The rules of trips as the Python that they are written in."""

from __future__ import annotations

import pytest

from auto_insurance.trips import aggregate, calendar, detect, fold, segment, track


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the compiled rules out again for one test."""
    fold.warm()
    for module in (calendar, track, detect, aggregate, segment):
        for name, value in list(vars(module).items()):
            if hasattr(value, "py_func"):
                monkeypatch.setattr(module, name, value.py_func)
