"""The doctor's look at the risk model: which one scores, what it rests on, and whether it may price here."""

from __future__ import annotations

import asyncio

from sqlalchemy.exc import SQLAlchemyError

from auto_insurance.entrypoints.cli.checks import Finding, Patient, Verdict
from auto_insurance.infra.config import Settings
from auto_insurance.infra.db.engine import EngineOptions, create_engine
from auto_insurance.infra.db.uow import Database
from auto_insurance.kernel.errors import AppError
from auto_insurance.risk.registry import ModelRegistry

NAME = "Risk model"


def check(patient: Patient) -> Finding:
    """Does a model score, and may premiums follow from it?"""
    given = patient.settings.database.url
    url = given.get_secret_value() if given else patient.running.database_url if patient.running else None
    try:
        version, wanted, simulated = asyncio.run(_in_use(url))
    except (OSError, ValueError, SQLAlchemyError, AppError) as error:
        return Finding(NAME, Verdict.WARN, f"not looked at: {type(error).__name__}", "auto-insurance migrate")
    if version != wanted:
        found = f"{wanted} is the champion but cannot be loaded; {version} scores instead"
        return Finding(NAME, Verdict.BAD, found, "The log has the reason. auto-insurance risk models roll-back")
    return verdict(patient.settings, version, simulated=simulated)


def verdict(settings: Settings, version: str, *, simulated: bool) -> Finding:
    """Judge the model in use."""
    if not simulated:
        return Finding(NAME, Verdict.OK, f"{version}, fitted on observed claims")
    if settings.is_production and not settings.ml.allow_simulated:
        found = f"{version} rests on simulated or assumed claims: it scores, but no premium follows from it"
        remedy = "Train on own claims ('risk dataset', 'risk train'), or accept it with ALLOW_SIMULATED_MODELS=true."
        return Finding(NAME, Verdict.WARN, found, remedy)
    if settings.is_production:
        return Finding(NAME, Verdict.WARN, f"{version} prices on simulated or assumed claims (ALLOW_SIMULATED_MODELS)")
    return Finding(NAME, Verdict.OK, f"{version}, on simulated or assumed claims; every score says so")


async def _in_use(url: str | None) -> tuple[str, str, bool]:
    """Return the model that scores, the one that should, and whether the first rests on simulated claims."""
    registry = ModelRegistry()
    wanted = registry.champion.model.info.version
    if url is not None:
        database = Database(create_engine(EngineOptions(url, pool_size=1, application_name="doctor")))
        try:
            async with database.read() as uow:
                await registry.refresh(uow)
                listed = await registry.list_models(uow)
                wanted = next((row.version for row in listed if row.status == "champion"), wanted)
        finally:
            await database.dispose()
    info = registry.champion.model.info
    return info.version, wanted, info.assumption_based
