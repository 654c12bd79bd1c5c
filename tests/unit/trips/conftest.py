"""The rules of trips as the Python that they are written in."""

from __future__ import annotations

import pytest

from auto_insurance.trips import fold


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the compiled rules out again for one test."""
    fold.warm()
    monkeypatch.setattr(fold, "_native", None)
