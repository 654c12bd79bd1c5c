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
