"""Arguments for the functions that hold the SQL of staff's lists and figures."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from auto_insurance.admin.queries_drivers import CardFilter
from auto_insurance.admin.queries_events import EventFilter
from auto_insurance.admin.queries_resources import NO_ID, BookTripFilter, ThingFilter
from auto_insurance.infra.bus.repository_deadletters import LetterFilter
from auto_insurance.kernel import ids
from auto_insurance.telematics.repository_month_jobs import MonthJobRow

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
DRIVER, DEVICE, VEHICLE = "DRV00042", "DEV00042", "VEH42"
_PAGE: Mapping[str, Any] = {"limit": 20, "offset": 40, "descending": True}
_NEWEST: Mapping[str, Any] = {"limit": 20, "offset": 0, "descending": True}


def _job() -> MonthJobRow:
    return MonthJobRow(
        job_id=UUID(int=1), action="archive", month=date(2020, 1, 1), force=False, status="running", step=None, done=0,
        total=0, result=None, detail=None, attempts=1, requested_by=UUID(int=2), created_at=NOW, finished_at=None,
    )  # fmt: skip


def _cards(**wanted: Any) -> Mapping[str, Any]:
    sort = {"sort": wanted.pop("sort", "driver_id")}
    return {"wanted": CardFilter(**wanted), **_NEWEST, **sort}


_ALL, _ONES, _FOUND = ThingFilter(), ThingFilter(driver_id=DRIVER), ThingFilter(search="DEV0004")
_TRIPS = BookTripFilter()
_OF_DRIVER = EventFilter(NOW - 10 * DAY, NOW, driver_id=DRIVER)
_DASHBOARD: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "estimates": ({},),
    "totals": ({},),
    "count_trips": ({},),
    "recent": ({"month": NOW - 30 * DAY, "week": NOW - 7 * DAY, "day": NOW - DAY},),
    "in_service": ({},),
    "score_bands": ({"edges": (40.0, 70.0)},),
    "trips_by_day": ({"start": NOW - 2 * DAY, "end": NOW, "time_zone": "America/Chicago"},),
    "safety_events": ({"start": NOW - 2 * DAY, "end": NOW},),
    "policy_types": ({"at": NOW},),
    "earned_premium": ({"since": NOW.date() - 30 * DAY, "until": NOW.date() - DAY},),  # all was booked today
}
_DRIVERS: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "cards": (
        _cards(),
        {**_cards(sort="full_name"), "descending": False},
        _cards(sort="enrolled_at"),
        _cards(driver_id=DRIVER),
        _cards(search="DRV0004"),
    ),
    "cards_after": ({"wanted": CardFilter(), "after": DRIVER, "limit": 100},),
    "count_cards": ({"wanted": CardFilter(search="smith jo")}, {"wanted": CardFilter()}),
}
_RESOURCES: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "list_vehicles": (
        {"wanted": _ALL, **_PAGE},
        {"wanted": _ONES, **_NEWEST},
        {"wanted": ThingFilter("VEH4"), **_PAGE},
    ),
    "vehicles_after": ({"wanted": _ALL, "after": VEHICLE, "limit": 100},),
    "count_vehicles": ({"wanted": _ONES}, {"wanted": _ALL}),
    "is_insured": ({"driver_id": DRIVER, "vehicle_id": VEHICLE},),
    "list_devices": ({"wanted": _ALL, **_PAGE}, {"wanted": _ONES, **_NEWEST}, {"wanted": _FOUND, **_NEWEST}),
    "devices_after": ({"wanted": _ALL, "after": DEVICE, "limit": 100},),
    "get_device": ({"device_id": DEVICE},),
    "count_devices": ({"wanted": _ONES}, {"wanted": _ALL}),
    "list_book_trips": (
        {"wanted": _TRIPS, **_PAGE},
        {"wanted": BookTripFilter(driver_id=DRIVER), **_NEWEST},
        {"wanted": BookTripFilter(device_id=DEVICE, risk_level="low"), **_NEWEST},
        {"wanted": BookTripFilter(since=NOW - DAY), **_NEWEST},
        {"wanted": BookTripFilter(search="0a1b2c3d"), **_NEWEST},
    ),
    "book_trips_after": ({"wanted": _TRIPS, "after": NO_ID, "limit": 100},),
    "get_book_trip": ({"trip_id": UUID(int=1)},),
    "count_book_trips": ({"wanted": BookTripFilter(driver_id=DRIVER)}, {"wanted": _TRIPS}),
    "policies_after": ({"wanted": _ALL, "after": "POL-000042", "limit": 100},),
    "policies_of": ({"driver_id": DRIVER, "limit": 10},),
    "with_policies": ({"driver_ids": [DRIVER, "DRV00043"]},),
    "exist": ({"driver_ids": [DRIVER, "DRV00043"]},),
}
_EVENTS: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "list_events": (
        {"wanted": _OF_DRIVER, "before": None, "limit": 100},
        {"wanted": _OF_DRIVER, "before": (NOW - DAY, DEVICE, "e1"), "limit": 100},
        {"wanted": EventFilter(NOW - DAY, NOW, device_id=DEVICE), "before": None, "limit": 100},
        {"wanted": EventFilter(NOW - DAY, NOW, event_type="harsh_brake"), "before": None, "limit": 100},
        {"wanted": EventFilter(NOW - DAY, NOW), "before": None, "limit": 100},
    ),
    "event_counts": ({"wanted": EventFilter(NOW - DAY, NOW)}, {"wanted": _OF_DRIVER}),
}
_PERIOD: Mapping[str, Any] = {"since": NOW.date() - 30 * DAY, "until": NOW.date()}
_ANALYTICS: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "fleet": ({"start": NOW - 2 * DAY, "end": NOW},),
    "savings": ({"at": NOW},),
    "exposure": (_PERIOD,),
}
_LETTERS: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "page": ({"wanted": LetterFilter(), "limit": 20, "offset": 0},),
    "after": ({"wanted": LetterFilter(state="waiting"), "after": 42, "limit": 100},),
    "get": ({"letter_id": 42, "max_bytes": 100},),
    "states": ({"letter_ids": [1, 2]},),
    "take_ids": ({"letter_ids": [1, 2], "max_bytes": 100},),
    "take_by": ({"wanted": LetterFilter(reason="malformed"), "max_bytes": 100, "limit": 10},),
    "decide": ({"letter_ids": [1, 2], "state": "dropped", "at": NOW, "by": "ada", "note": "old"},),
}
_DESK: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "deactivate": ({"driver_ids": [DRIVER], "at": NOW},),
    "get_vehicle": ({"vehicle_id": VEHICLE}, {"vehicle_id": VEHICLE, "lock": True}),
    "vin_taken": ({"vin": "VIN42", "vehicle_id": "VEH43"},),
    "update_vehicle": ({"vehicle_id": VEHICLE, "values": {"make": "M"}},),
    "had_device": ({"driver_id": DRIVER, "vehicle_id": VEHICLE},),
    "delete_vehicle": ({"vehicle_id": VEHICLE},),
    "lock_devices": ({"device_ids": [DEVICE]},),
    "retire_devices": ({"device_ids": [DEVICE]},),
}
_JOBS: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "add_job": (
        {
            "job_id": ids.new_uuid(), "action": "archive", "month": date(2019, 1, 1), "force": False,
            "requested_by": UUID(int=2),
        },
    ),
    "get_job": ({"job_id": UUID(int=1)},),
    "list_jobs": ({"limit": 20, "offset": 0},),
    "claim_job": ({"lease": DAY},),
    "note_step": ({"job": _job(), "step": "s", "done": 1, "total": 2, "lease": DAY},),
    "release_job": ({"job": _job()},),
    "finish_job": ({"job": _job(), "result": "done", "detail": None},),
}  # fmt: skip
OF_FUNCTION: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    f"{module}.{name}": arguments
    for module, functions in (
        ("admin.queries_dashboard", _DASHBOARD),
        ("admin.queries_drivers", _DRIVERS),
        ("admin.queries_resources", _RESOURCES),
        ("admin.queries_events", _EVENTS),
        ("admin.queries_analytics", _ANALYTICS),
        ("admin.queries_search", {"search": ({"q": "DRV0004", "limit": 5}, {"q": "0a1b2c3d", "limit": 5})}),
        ("infra.bus.repository_deadletters", _LETTERS),
        ("drivers.repository_desk", _DESK),
        ("telematics.repository_month_jobs", _JOBS),
    )
    for name, arguments in functions.items()
}
"""Calls of these functions."""
_BOOK = "SELECT (SELECT count("
WHOLE_BY_NATURE: dict[str, tuple[str, str]] = {
    "admin.queries_dashboard.totals": (_BOOK, "counts people and things for the dashboard"),
    "admin.queries_dashboard.count_trips": (_BOOK, "counts trips from a small index, up to two million"),
    "admin.queries_dashboard.in_service": (_BOOK, "counts drivers in service and open claims"),
    "admin.queries_dashboard.recent": (_BOOK, "all of the test's drivers are new"),
    "admin.queries_dashboard.score_bands": ("SELECT count(*)", "looks at each driver's newest score"),
    "admin.queries_dashboard.policy_types": ("SELECT policies.product", "adds up the book for staff"),
    "admin.queries_analytics.savings": (" WITH running", "adds up the book for staff"),
    "admin.queries_analytics.exposure": (" SELECT count(DISTINCT s.policy_id)", "adds up the book for staff"),
    "admin.queries_drivers.count_cards": ("SELECT count(", "how many drivers staff see"),
    "admin.queries_resources.count_vehicles": ("SELECT count(", "how many vehicles staff see"),
    "admin.queries_resources.count_devices": ("SELECT count(", "how many devices staff see"),
    "admin.queries_resources.count_book_trips": ("SELECT count(", "how many trips staff see, from a small index"),
    "infra.bus.repository_deadletters.page": ("SELECT count(", "counts them all; there are few"),
}
"""Functions that may read a whole table: how the statement begins that does, and why."""
