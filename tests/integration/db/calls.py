"""Calls every function that holds SQL: found by itself, with arguments by the names of its parameters."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

import auto_insurance
from auto_insurance.contracts.topics import TELEMATICS_EVENTS
from auto_insurance.drivers.schemas import VehicleCreate
from auto_insurance.identity.schemas import NewUser
from auto_insurance.infra.bus.deadletters import DeadLetter
from auto_insurance.infra.bus.offsets import Claim, Start
from auto_insurance.infra.bus.protocol import TopicPartition
from auto_insurance.kernel import ids
from auto_insurance.kernel.clock import to_us
from auto_insurance.portal import queries as portal
from auto_insurance.pricing.rating import RatingInputs, Telematics
from auto_insurance.pricing.repository_plans import Activation, DislocationRow, StoredPlan
from auto_insurance.pricing.schemas import Premium, PremiumKind
from auto_insurance.pricing.schemas_quotes import Quote
from auto_insurance.risk.repository_drift import DriftNight
from auto_insurance.risk.repository_due import DueScore
from auto_insurance.risk.repository_exposure import ClaimRow, CoverRow
from auto_insurance.risk.repository_models import ModelRow, ShadowRow
from auto_insurance.risk.repository_runs import BookRun
from auto_insurance.risk.schemas import RiskScore, TripScore
from auto_insurance.telematics import columns
from auto_insurance.telematics.columns import Columns
from auto_insurance.telematics.repository_imports import ImportRow
from auto_insurance.telematics.schemas import Contact
from auto_insurance.trips.repository import Since, TripRow
from auto_insurance.trips.repository_states import SHIFT, Mark, StateRow
from auto_insurance.trips.schemas import TripFilter
from tests.integration.db import (
    billing,
    calls_admin,
    calls_audit,
    calls_claims,
    calls_identity,
    calls_policies,
    calls_privacy,
    calls_webhooks,
)
from tests.integration.db.calls_claims import uuid
from tests.support.trips import Drive, kept

SOURCE = Path(auto_insurance.__file__).parent
NAMES = ("repository*.py", "queries*.py", "reads.py", "infra/bus/offsets.py", "infra/bus/handled.py", "deadletters.py")
"""Modules whose functions are the product's SQL. Elsewhere is machinery: copy, locks, partitions, the log itself."""
EXCEPT = {"telematics.repository_archives": "works on one month's table as a whole: counts, compares, drops it"}
"""Modules that are left out, and why."""
NOW = datetime.now(UTC)  # the filled rows end now
HOUR = timedelta(hours=1)
DRIVER, DEVICE = "DRV00042", "DEV00042"
TP = TopicPartition(TELEMATICS_EVENTS, 3)


def _score() -> RiskScore:
    return RiskScore(
        score_id=ids.new_uuid(), driver_id=DRIVER, calculated_at=NOW, risk_score=1.0, risk_category="low",
        confidence=0.5, exposure_miles=1.0, expected_claims_per_million_miles=1.0, relativity=1.0, model_version="m",
        features_version="f", features={}, contributions=[], trip_count=1, window_from=NOW, window_to=NOW,
        trips_until=None, basis="recent", reason="test",
    )  # fmt: skip


def _premium() -> Premium:
    inputs = RatingInputs(
        rating_date=NOW.date(), state="CA", coverage="standard", driver_age=None, licence_years=None, vehicle_age=None,
        vehicle_use=None, annual_mileage=None, prior_claims=0, telematics=Telematics(),
    )  # fmt: skip
    return Premium(
        premium_id=ids.new_uuid(), driver_id=DRIVER, version=10_000, kind="indicated", status="indicated",
        effective_date=NOW.date(), annual_premium=inputs.telematics.relativity, currency="USD", plan_version="p",
        monthly_premium=inputs.telematics.relativity, model_version=None, score_id=None, worksheet=(), inputs=inputs,
        reason="test", created_at=NOW,
    )  # fmt: skip


def _quote() -> Quote:
    inputs = _premium().inputs
    return Quote(
        quote_id="QUO-new", status="open", driver_id=None, request={}, inputs=inputs, worksheet=(),
        annual_premium=inputs.telematics.relativity, monthly_premium=inputs.telematics.relativity, currency="USD",
        plan_version="p", score_id=None, created_at=NOW, expires_at=NOW + HOUR,
    )  # fmt: skip


def _import() -> ImportRow:
    return ImportRow(
        job_id=uuid("import", 100), driver_id=DRIVER, device_id=DEVICE, format="csv", status="running", next_row=0,
        accepted=0, rejected=0, reasons={}, problems=[], detail=None, attempts=0, created_at=NOW, finished_at=None,
    )  # fmt: skip


def _trip() -> TripRow:
    (content,) = kept(Drive().go(12.0, 100).samples)
    return TripRow(
        trip_id=uuid("trip"), vehicle_id=None, status="completed", revision=2, content_hash=b"", content=content
    )


def _state() -> StateRow:
    return StateRow(
        device_id=DEVICE, topic=TP.topic, partition=TP.partition, version=1, state=b"", last_event_us=0,
        last_arrival=NOW, silence_deadline=NOW, units_suspect=None,
    )  # fmt: skip


def _events() -> Columns:
    """Return events of the last hours, of a device of the book."""
    return columns.of_samples(Drive(device_id=DEVICE, t_us=to_us(NOW - 3 * HOUR)).go(12.0, 60).samples)


def _model() -> ModelRow:
    return ModelRow(
        version="new", kind="scorecard", status="candidate", shipped=True, simulated=False, trained_on="", sha256="",
        metrics={}, card="", created_at=NOW, created_by="", changed_at=NOW,
    )  # fmt: skip


def _shadow() -> ShadowRow:
    return ShadowRow(
        driver_id=DRIVER, calculated_at=NOW, champion_version="a", challenger_version="b", champion_score=1.0,
        challenger_score=1.0, champion_frequency=1.0, challenger_frequency=1.0,
    )  # fmt: skip


def _night() -> DriftNight:
    return DriftNight(
        run_id=ids.new_uuid(), measured_at=NOW, model_version="m", drivers=1, score_drift=None, feature_drift={},
        insured_years=0.0, actual_claims=0, expected_claims=0.0,
    )  # fmt: skip


def _cover() -> CoverRow:
    return CoverRow(
        policy_id="POL-1", term=1, driver_id=DRIVER, revision=2, term_start=NOW, term_end=NOW, in_force=(),
    )  # fmt: skip


def _claim() -> ClaimRow:
    return ClaimRow(
        claim_id="CLM-1", driver_id=DRIVER, policy_id=None, revision=2, coverage="collision", occurred_at=NOW,
        reported_at=NOW, counts=True,
    )  # fmt: skip


def _dislocation() -> DislocationRow:
    return DislocationRow(
        dislocation_id=ids.new_uuid(), old_version="a", new_version="b", old_fingerprint="", new_fingerprint="",
        source="book", book_date=NOW.date(), book_fingerprint="", policies=0, report={}, created_at=NOW, created_by="",
    )  # fmt: skip


def _activation() -> Activation:
    return Activation(
        activation_id=ids.new_uuid(), version="b", effective_from=NOW.date(), activated_at=NOW, activated_by="",
        reason="", dislocation_id=ids.new_uuid(),
    )  # fmt: skip


BY_NAME: Mapping[str, Any] = {
    "after": "DRV00100",
    "assignment_id": 42,
    "at": NOW,
    "at_us": to_us(NOW),
    "batch": [Contact(DEVICE, to_us(NOW), 1, 0, to_us(NOW), 5)],
    "before": NOW - timedelta(days=108),
    "by": "ada",
    "caught_up": {3: NOW, 4: NOW},
    "challenger": "b",
    "champion": "a",
    "claims": {TP: Claim(42, 0)},
    "content": b"",
    "demo_domain": "@demo.test",
    "devices": [DEVICE, "DEV00043"],
    "device_id": DEVICE,
    "device_ids": [DEVICE, "DEV00043"],
    "driver_id": DRIVER,
    "due_at": NOW,
    "driver_ids": [DRIVER, "DRV00043"],
    "email": "user42@example.test",
    "email_ending": "@demo.test",
    "end": NOW - 20 * HOUR,
    "end_us": to_us(NOW - 20 * HOUR),
    "events": _events(),
    "event_ids": [uuid("event", 1), uuid("event", 99_999)],
    "expires_at": NOW + HOUR,
    "failed": None,
    "format": "csv",
    "from_us": to_us(NOW - 24 * HOUR),
    "gap_us": 3_600_000_000,
    "group": "group-0",
    "horizon": 0,
    "job": _import(),
    "job_id": uuid("import"),
    "key_hash": hashlib.sha256(b"key42").digest(),
    "key_id": ids.new_uuid(),
    "keys": [(DEVICE, to_us(NOW - HOUR), "e1")],
    "kind": "obd",
    "last_driver_id": DRIVER,
    "lease": HOUR,
    "letters": [DeadLetter(TP.topic, 3, 1, None, DEVICE, "malformed", "", b"")],
    "limit": 100,
    "model_version": "scorecard-1",
    "moves": {TP: 43},
    "new": NewUser(username="nobody", email="nobody@example.test"),
    "next_row": 1,
    "accepted": 1,
    "note": None,
    "number": 99_999,
    "offset": 0,
    "old": "",
    "oldest": NOW - HOUR,
    "places": np.arange(len(_events())),
    "on": date(2026, 1, 1),
    "page": 1,
    "page_size": 20,
    "password_hash": "",
    "positions": {TP: Start("two", 0)},
    "premium": _premium(),
    "premium_id": uuid("premium"),
    "policy_id": "POL-000042",
    "quote": _quote(),
    "quote_id": "QUO-a1d0c6e83f027327d8461063f4ac58a6",
    "problems": [],
    "quality": 4,
    "reason": "logout",
    "reasons": {},
    "rejected": 0,
    "requested_by": uuid("user"),
    "resolution": HOUR,
    "roles": ["driver"],
    "run": BookRun(
        run_id=uuid("run"), model_version="m", reason="nightly", started_at=NOW, last_driver_id="", scored=0, told=0,
        finished_at=None,
    ),
    "run_id": uuid("run"),
    "scopes": ["ingest"],
    "scored": 1,
    "score_id": uuid("score"),
    "score": TripScore(
        trip_id=uuid("trip"), driver_id=DRIVER, trip_score=1.0, risk_level="low", relativity=1.0, contributions=[],
        model_version="m", revision=2, scored_at=NOW,
    ),
    "scores": [_score()],
    "session_id": uuid("session"),
    "session_ids": [uuid("session"), uuid("session", 43)],
    "since": NOW - timedelta(days=30),
    "start": NOW - 24 * HOUR,
    "start_us": to_us(NOW - 24 * HOUR),
    "starts": {TP: Start("one", 0)},
    "t_us": to_us(NOW - 24 * HOUR),
    "time_zone": "America/Chicago",
    "to_us": to_us(NOW - 20 * HOUR),
    "token_hash": hashlib.sha256(b"token42").digest(),
    "told": 1,
    "topic": TP.topic,
    "topic_id": "one",
    "trip_id": uuid("trip"),
    "trip_ids": [uuid("trip"), uuid("trip", 43)],
    "until": NOW,
    "user_id": uuid("user"),
    "username": "user42",
    "valid_from": NOW,
    "values": {"state": "IL"},
    "vehicle_id": "VEH42",
    "version": "scorecard-1",
    "active": True,
    "activation": _activation(),
    "below": "DRV00100",
    "dislocation_id": uuid("dislocation"),
}  # fmt: skip
"""An argument for each name of a parameter, wherever it occurs."""

_ALL_DRIVERS, _SEARCH = portal.TripFilter(since=NOW - timedelta(days=30)), portal.TripFilter(search="DEV0004")
OF_FUNCTION: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    **billing.CALLS,
    **calls_audit.OF_FUNCTION,
    **calls_claims.OF_FUNCTION,
    **calls_privacy.OF_FUNCTION,
    **calls_webhooks.OF_FUNCTION,
    **calls_admin.OF_FUNCTION,
    "drivers.repository.get_driver": ({}, {"lock": True}),
    "drivers.repository.insert_driver": (
        {"driver_id": "DRV99999", "values": {"state": "IL", "time_zone": "UTC", "coverage": "standard"}},
    ),
    "drivers.repository.insert_vehicle": ({"new": VehicleCreate(make="M", model="M", year=2020)},),
    "drivers.repository_devices.insert_assignment": ({"device_id": "DEV99999"},),
    **calls_identity.OF_FUNCTION,
    "infra.bus.deadletters.count_dead_letters": ({}, {"reason": "malformed"}),
    "infra.bus.deadletters.list_dead_letters": ({}, {"reason": "malformed"}),
    "infra.bus.offsets.verify": ({"claims": {TopicPartition(TP.topic, 5): Claim(50, 0)}},),
    "infra.bus.offsets.advance": ({"claims": {TP: Claim(30, 0)}},),
    "portal.queries.list_trips": (
        {"wanted": portal.TripFilter(driver_id=DRIVER)},
        {"wanted": portal.TripFilter(driver_id=DRIVER, risk_level="low", search="DEV")},
        {"wanted": portal.TripFilter(driver_id=DRIVER, since=NOW - timedelta(days=30), until=NOW)},
        {"wanted": portal.TripFilter(driver_id=DRIVER), "after": (NOW - timedelta(days=30), uuid("trip"))},
        {"wanted": _ALL_DRIVERS},
        {"wanted": _SEARCH},
        {"wanted": portal.TripFilter()},
        {"wanted": portal.TripFilter()},
    ),
    "portal.queries.active_drivers": ({"since": NOW - timedelta(days=30), "limit": 100},),
    "portal.queries.trip_totals_many": ({}, {"since": NOW - timedelta(days=30), "until": NOW}),
    "portal.queries.trip_totals": ({}, {"since": NOW - timedelta(days=30), "until": NOW}),
    "pricing.repository.charged_before": ({"version": 30},),
    "pricing.repository.get_version": ({"version": 3},),
    "pricing.repository_quotes.get_quote": ({}, {"lock": True}),
    **calls_policies.OF_FUNCTION,
    "pricing.repository.latest": ({"kind": PremiumKind.CHARGED}, {"kind": PremiumKind.INDICATED}),
    "pricing.repository.latest_many": ({"kind": PremiumKind.CHARGED}, {"kind": PremiumKind.INDICATED}),
    "pricing.repository_plans.add_dislocation": ({"row": _dislocation()},),
    "pricing.repository_plans.keep_plan": (
        {"plan": StoredPlan(version="p", document="", fingerprint="", shipped=False, created_at=NOW, created_by="")},
    ),
    "pricing.repository_plans.newest_inputs": ({}, {"below": None}),
    "risk.repository.copy_scores": ({"rows": []},),
    "risk.repository_drift.add_night": ({"night": _night()},),
    "risk.repository_due.note": ({"reasons": {DRIVER: "trip.completed"}},),
    "risk.repository_due.put_back": ({"one": DueScore(DRIVER, "trip.completed", 1)},),
    "risk.repository_exposure.claims": ({"reported_before": NOW},),
    "risk.repository_exposure.put_claim": ({"row": _claim()},),
    "risk.repository_exposure.put_cover": ({"row": _cover()},),
    "risk.repository_models.add_model": ({"row": _model()},),
    "risk.repository_models.put_shadow": ({"rows": [_shadow()]},),
    "risk.repository_models.set_status": ({"before": "candidate", "after": "shadow"},),
    "risk.repository_models.statuses": ({"wanted": ["champion", "shadow"]},),
    "telematics.repository_store.insert_missing": ({"wanted": np.ones(len(_events()), np.bool_)},),
    "telematics.repository_contacts.contact_summary": ({}, {"device_id": "DEV04000"}),
    "telematics.repository_imports.add_import": ({"job_id": ids.new_uuid()},),
    "trips.reads.list_trips": (
        {"filters": TripFilter()},
        {"filters": TripFilter(since=NOW - timedelta(days=30), device_id=DEVICE)},
        {"driver_ids": None, "filters": TripFilter(since=NOW - timedelta(days=3))},
    ),
    "trips.reads.seen": ({"spans": {DRIVER: (NOW - timedelta(days=365), NOW)}},),
    "trips.reads.totals_within": ({"spans": {DRIVER: (NOW - timedelta(days=365), NOW)}},),
    "trips.repository.trips_since": ({"wanted": [Since(DEVICE, to_us(NOW - 24 * HOUR), 0)]},),
    "trips.repository.upsert_trips": ({"rows": [_trip()]},),
    "trips.repository_states.put_marks": ({"marks": [Mark(DEVICE, 1, b"")], "keep_us": 1},),
    "trips.repository_states.save_states": ({"rows": [_state()], "older": SHIFT, "apart_us": 1},),
}
"""Calls of one function: arguments that differ from those by name, or that have a default."""


def functions() -> dict[str, Any]:
    """Return the functions that hold SQL, by module and name without the package's."""
    found: dict[str, Any] = {}
    for pattern in NAMES:
        for path in SOURCE.rglob(Path(pattern).name):
            if "/" in pattern and path != SOURCE / pattern:
                continue
            name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
            if name in EXCEPT:
                continue
            module = import_module(f"auto_insurance.{name}")
            found |= {f"{name}.{key}": value for key, value in vars(module).items() if _is_query(value, module)}
    return found


def _is_query(value: Any, module: Any) -> bool:
    if not inspect.iscoroutinefunction(value) or value.__module__ != module.__name__:
        return False
    return not value.__name__.startswith("_") and next(iter(inspect.signature(value).parameters), "") == "uow"


def calls() -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """Yield (name, function, arguments) of all calls whose arguments are known; see :func:`unknown`."""
    for name, function in sorted(functions().items()):
        for special in OF_FUNCTION.get(name, ({},)):
            needed = _needed(function) - special.keys()
            if needed <= BY_NAME.keys():
                yield name, function, {**{key: BY_NAME[key] for key in needed}, **special}


def unknown() -> list[str]:
    """Return what to do so that every function is called."""
    return [
        f"{name}: give {key} a value in {__name__}.BY_NAME or OF_FUNCTION"
        for name, function in sorted(functions().items())
        for special in OF_FUNCTION.get(name, ({},))
        for key in sorted(_needed(function) - special.keys() - BY_NAME.keys())
    ]


def _needed(function: Any) -> set[str]:
    parameters = list(inspect.signature(function).parameters.values())[1:]
    return {parameter.name for parameter in parameters if parameter.default is parameter.empty}
