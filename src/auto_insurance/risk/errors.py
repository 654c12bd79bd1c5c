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


class ModelNotFound(AppError):
    """No such model."""

    kind = ErrorKind.NOT_FOUND
    code = "risk_model_not_found"

    def __init__(self, version: str, because: str | None = None) -> None:
        super().__init__(f"Risk model {version} {because}." if because else f"There is no risk model {version}.")


class ModelVersionTaken(AppError):
    """A model is never overwritten."""

    kind = ErrorKind.CONFLICT
    code = "risk_model_version_taken"

    def __init__(self, version: str) -> None:
        super().__init__(f"There is a risk model {version} already; a changed model needs a version of its own.")


class ModelStatusConflict(AppError):
    """A model cannot become what was asked for."""

    kind = ErrorKind.CONFLICT
    code = "risk_model_status_conflict"


class UnusableModel(AppError):
    """An uploaded model could not score."""

    kind = ErrorKind.INVALID
    code = "unusable_risk_model"


class NothingToLearnFrom(AppError):
    """There is no cover, driving or claim to make a data set of."""

    kind = ErrorKind.INVALID
    code = "nothing_to_learn_from"


class SimulatedModel(AppError):
    """A model that rests on simulated or assumed claims would be what production prices with."""

    kind = ErrorKind.CONFLICT
    code = "simulated_risk_model"

    def __init__(self, version: str) -> None:
        super().__init__(
            f"{version} rests on simulated or assumed claims. In production such a model may score and run in the "
            "shadow, but not price; ALLOW_SIMULATED_MODELS=true allows it."
        )
