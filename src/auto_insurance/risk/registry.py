"""Which model scores: candidates, a challenger in the shadow, one champion, and the way back.

Every process holds the champion in memory and looks every few seconds whether it is still the one. A model that can't
be loaded is refused with the reason, and the one before keeps scoring.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

import structlog

from auto_insurance.infra import metrics
from auto_insurance.infra.db.locks import lock
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock
from auto_insurance.risk import artefacts, repository_drift, repository_models
from auto_insurance.risk.artefacts import ScoringModel
from auto_insurance.risk.errors import (
    InvalidArtefact,
    ModelNotFound,
    ModelStatusConflict,
    ModelVersionTaken,
    SimulatedModel,
    UnusableModel,
)
from auto_insurance.risk.features import FEATURES_VERSION
from auto_insurance.risk.repository_models import ModelChange, ModelRow, ShadowRow
from auto_insurance.risk.schemas import ModelStatus, ScoreBasis
from auto_insurance.risk.scoring import load_model
from auto_insurance.risk.shadow import Comparison, compare, side_by_side

log = structlog.get_logger(__name__)
COMPARED_AT_ONCE = 5_000
ACTIVE = (ModelStatus.CHAMPION.value, ModelStatus.SHADOW.value)


class DriverIds(Protocol):
    """What comparing on the book needs of the drivers service."""

    async def driver_ids(self, uow: UnitOfWork, *, after: str = "", limit: int = 1000) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class RegistryOptions:
    """``look_every_s``: how old what a process knows of the champion may be.

    ``simulated_may_price``: False in production, unless a setting says otherwise.
    """

    look_every_s: float = 5.0
    default: str = artefacts.DEFAULT_MODEL
    simulated_may_price: bool = True


class ModelRegistry:
    """The models in use by this process, and the use cases that change which they are."""

    def __init__(self, options: RegistryOptions | None = None) -> None:
        self._options = options or RegistryOptions()
        self._default = _first(self._options.default)
        self._champion = self._default
        self._challenger: ScoringModel | None = None
        self._refused: set[str] = set()
        self._looked_at = float("-inf")

    @property
    def champion(self) -> ScoringModel:
        """The model that scores."""
        return self._champion

    @property
    def challenger(self) -> ScoringModel | None:
        """The model that scores in the shadow, if there is one."""
        return self._challenger

    async def refresh(self, uow: UnitOfWork) -> None:
        """Look whether champion and challenger are still the ones, unless that was done just now."""
        now = time.monotonic()
        if now - self._looked_at < self._options.look_every_s:
            return
        active = await repository_models.statuses(uow, ACTIVE)
        self._looked_at = now
        champion = active.get(ModelStatus.CHAMPION, self._options.default)
        if champion != self._champion.model.info.version:
            loaded = await self._load(uow, champion)
            if loaded is not None:
                self._champion = loaded
                log.info("risk_champion_changed", version=champion)
        shadow = active.get(ModelStatus.SHADOW)
        if shadow is None:
            self._challenger = None
        elif self._challenger is None or shadow != self._challenger.model.info.version:
            self._challenger = await self._load(uow, shadow)

    async def version(self, uow: UnitOfWork, version: str) -> ScoringModel:
        """Return a model of any status, as scores of before were made with it. Raises ``InvalidArtefact``."""
        in_memory = next((m for m in (self._champion, self._default) if m.model.info.version == version), None)
        return in_memory or await self._loaded(uow, version)

    def may_price(self, *, simulated: bool) -> bool:
        """Return whether premiums may follow from a score, by what stood behind its model."""
        return self._options.simulated_may_price or not simulated

    def forget(self) -> None:
        """Look again at the next chance: somebody changed a model."""
        self._looked_at = float("-inf")

    # --- use cases ---

    async def list_models(self, uow: UnitOfWork) -> list[ModelRow]:
        """Return all models that may score, those that ship with the program among them."""
        rows = await repository_models.models(uow)
        known = {row.version for row in rows}
        champion = any(row.status == ModelStatus.CHAMPION for row in rows)
        shipped = [self._shipped(version, champion) for version in artefacts.shipped() if version not in known]
        return [*rows, *shipped]

    async def get(self, uow: UnitOfWork, version: str) -> ModelRow:
        """Return one model. Raises ``ModelNotFound``."""
        found = next((row for row in await self.list_models(uow) if row.version == version), None)
        if found is None:
            raise ModelNotFound(version)
        return found

    async def comparison(self, uow: UnitOfWork, version: str) -> Comparison:
        """Compare a challenger with the champion over the drivers that both scored. Raises ``ModelNotFound``."""
        await self.get(uow, version)
        await self.refresh(uow)
        champion = self._champion.model.info.version
        return compare(champion, version, await repository_models.shadows(uow, version, champion))

    async def compare_on_book(self, uow: UnitOfWork, drivers: DriverIds, first: str, second: str) -> Comparison:
        """Compare two models of any status on the newest features of all drivers, whoever scored them.

        Drivers without recent driving are left out, and scores of other features than this program's. Raises
        ``ModelNotFound``, and ``InvalidArtefact`` for a model that can't be loaded.
        """
        models = []
        for version in (first, second):
            await self.get(uow, version)
            models.append(await self.version(uow, version))
        rows: list[ShadowRow] = []
        after = ""
        while ids := await drivers.driver_ids(uow, after=after, limit=COMPARED_AT_ONCE):
            driven = [
                one
                for one in await repository_drift.latest_driving(uow, ids)
                if one.basis == ScoreBasis.RECENT and one.miles > 0 and one.features_version == FEATURES_VERSION
            ]
            rows += side_by_side(models[0], models[1], driven)
            after = ids[-1]
        return compare(first, second, rows)

    async def card(self, uow: UnitOfWork, version: str) -> str:
        """Return a model's card, Markdown. Raises ``ModelNotFound``, also for one without a card."""
        row = await self.get(uow, version)
        card = artefacts.shipped_card(version) if row.shipped else row.card
        if not card:
            raise ModelNotFound(version, "has no card")
        return card

    async def changes(self, uow: UnitOfWork) -> list[ModelChange]:
        """Return who changed what, newest first, at most 100."""
        return await repository_models.changes(uow)

    async def add(self, uow: UnitOfWork, version: str, package: bytes, by: str) -> ModelRow:
        """Register an uploaded model as a candidate.

        Raises ``UnusableModel`` if it could not score, ``ModelVersionTaken``.
        """
        from auto_insurance.risk.packages import read_package  # noqa: PLC0415 - loads what only trained models need

        try:
            content = read_package(version, package)
        except InvalidArtefact as error:
            raise UnusableModel(error.detail) from error
        about = content.about
        row = ModelRow(
            version=version,
            kind=about.kind,
            status=ModelStatus.CANDIDATE.value,
            shipped=False,
            simulated=about.simulated,
            trained_on=content.scoring.model.info.trained_on,
            sha256=sha256(package).hexdigest(),
            metrics=about.metrics,
            card=content.card,
            created_at=clock.now(),
            created_by=by,
            changed_at=clock.now(),
        )
        if version in artefacts.shipped() or not await repository_models.add_model(uow, row, package):
            raise ModelVersionTaken(version)
        await repository_models.set_status(uow, version, None, row.status, by, None)
        uow.note("model", version, added=row.kind, sha256=row.sha256, simulated=row.simulated)
        return row

    async def activate(
        self,
        uow: UnitOfWork,
        version: str,
        to: ModelStatus,
        by: str,
        note: str | None = None,
        *,
        even_unpriced: bool = False,
    ) -> ModelRow:
        """Give a model a status: there is one champion and at most one in the shadow, and the one before retires.

        Raises ``ModelNotFound``, ``ModelStatusConflict``, ``UnusableModel`` for one that can't be loaded, and
        ``SimulatedModel`` for a champion that may not price here, unless ``even_unpriced``.
        """
        await lock(uow, "risk_models")
        row = await self.get(uow, version)
        if to is ModelStatus.CHAMPION and not even_unpriced and not self.may_price(simulated=row.simulated):
            raise SimulatedModel(version)
        if row.status == to and not (row.shipped and await repository_models.model(uow, version) is None):
            raise ModelStatusConflict(f"{version} is {to.value} already.")
        if to in ACTIVE:
            try:
                await self._loaded(uow, version)
            except InvalidArtefact as error:
                raise UnusableModel(error.detail) from error
        if row.shipped:
            await repository_models.add_model(uow, _replaced(row, ModelStatus.CANDIDATE), None)
        if row.status == ModelStatus.CHAMPION and to is not ModelStatus.CHAMPION:
            raise ModelStatusConflict(f"{version} is the champion: make another one the champion instead.")
        for status, other in (await repository_models.statuses(uow, [to.value] if to in ACTIVE else [])).items():
            await repository_models.set_status(uow, other, status, ModelStatus.RETIRED.value, by, note)
        await repository_models.set_status(uow, version, row.status, to.value, by, note)
        said = {} if note is None else {"note": note}
        uow.note("model", version, private=said, status=[row.status, to.value], simulated=row.simulated)

        async def look_again() -> None:
            self.forget()

        uow.after_commit(look_again)
        log.info("risk_model_status_changed", version=version, to=to.value)
        return _replaced(row, to)

    async def roll_back(self, uow: UnitOfWork, by: str, note: str | None = None) -> ModelRow:
        """Make the champion before this one the champion again. Raises ``ModelStatusConflict`` if there was none."""
        crowned = [c for c in await self.changes(uow) if c.to_status == ModelStatus.CHAMPION]
        if not crowned:
            raise ModelStatusConflict("There was no other champion.")
        current = crowned[0].version
        before = next((c.version for c in crowned if c.version != current), self._options.default)
        # Never refused for what the model rests on: prices then stand still, which is better than a bad model's.
        why = note or f"rolled back from {current}"
        return await self.activate(uow, before, ModelStatus.CHAMPION, by, why, even_unpriced=True)

    def _shipped(self, version: str, champion: bool) -> ModelRow:
        loaded = self._default if version == self._options.default else load_model(version)
        info = loaded.model.info
        in_use = version == self._options.default and not champion
        return ModelRow(
            version=version,
            kind=info.kind,
            status=(ModelStatus.CHAMPION if in_use else ModelStatus.CANDIDATE).value,
            shipped=True,
            simulated=info.assumption_based,
            trained_on=info.trained_on,
            sha256="",
            metrics={},
            card="",
            created_at=clock.EPOCH,
            created_by="the program",
            changed_at=clock.EPOCH,
        )

    async def _load(self, uow: UnitOfWork, version: str) -> ScoringModel | None:
        """Load a model; one that is refused is named once and the one before keeps scoring."""
        try:
            loaded = await self._loaded(uow, version)
        except InvalidArtefact as error:
            if version not in self._refused:
                self._refused.add(version)
                log.error("risk_model_refused", version=version, reason=error.detail)
            return None
        self._refused.discard(version)
        return loaded

    async def _loaded(self, uow: UnitOfWork, version: str) -> ScoringModel:
        if version in artefacts.shipped():
            return load_model(version)
        package = await repository_models.artefact(uow, version)
        if package is None:
            raise InvalidArtefact(f"{version} has no files")
        from auto_insurance.risk.packages import read_package  # noqa: PLC0415 - as above

        started = time.perf_counter()
        loaded = read_package(version, package).scoring
        metrics.ML_MODEL_LOAD_SECONDS.set(time.perf_counter() - started)
        return loaded


def _first(version: str) -> ScoringModel:
    """Load the champion of an installation that has chosen none; if that can't be, say so and take the scorecard."""
    try:
        return load_model(version)
    except InvalidArtefact as error:
        log.error("risk_model_refused", version=version, reason=error.detail)
        return load_model(artefacts.SCORECARD)


def _replaced(row: ModelRow, status: ModelStatus) -> ModelRow:
    return ModelRow(
        **{
            **{name: getattr(row, name) for name in ModelRow.__struct_fields__},
            "status": status.value,
            "changed_at": clock.now(),
        }
    )
