"""What can go wrong when risk is scored."""

from __future__ import annotations

from auto_insurance.kernel.errors import AppError, ErrorKind


class InvalidFeatures(AppError):
    """A feature vector that no model may see; ``errors`` name the features."""

    kind = ErrorKind.INVALID
    code = "invalid_features"


class InvalidArtefact(AppError):
    """A model's data file that breaks a rule; the detail names file and place."""

    kind = ErrorKind.UNAVAILABLE
    code = "invalid_model_artefact"


class RunUnderWay(AppError):
    """Another process scores the book."""

    kind = ErrorKind.CONFLICT
    code = "book_scoring_under_way"

    def __init__(self) -> None:
        super().__init__("Another process is scoring the book; wait for it, or look at its log.")
