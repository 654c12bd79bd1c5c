"""Faults while a fleet drives, on both engines: nothing lost, nothing twice, trips and premiums as if all went well.

`make check` runs the smoke part, `make faults` all of it (FAULTS_REPEAT times) and writes docs/reliability.md.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict

import pytest

from tests.pipeline.conftest import Stage
from tests.pipeline.faults import ALL, DEAD, OUTSIDE, SETTINGS, SMOKE, Scene
from tests.pipeline.fleet import Fleet
from tests.support.system import QUICK_TAKE_OVER

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
REPEAT = int(os.environ.get("FAULTS_REPEAT", "1"))
DEVICES = 8


def _cases() -> list[object]:
    return [
        pytest.param(name, engine, number, id=f"{name}-{engine}-{number}", marks=() if _smoke(name, number) else LONG)
        for name in ALL
        for engine in ("postgres", "kafka")
        if not (name == "broker_restart" and engine == "postgres")  # there it is the database: see postgres_restart
        for number in range(REPEAT)
    ]


def _smoke(name: str, number: int) -> bool:
    return name in SMOKE and number == 0


LONG = (pytest.mark.faults,)


@pytest.mark.parametrize(("name", "engine", "number"), _cases())
def test_fault(name: str, engine: str, number: int, stage: Stage) -> None:
    system = stage.system(engine, own_server=name == "postgres_restart", **QUICK_TAKE_OVER, **SETTINGS.get(name, {}))
    fleet = Fleet(system, DEVICES, seed=number + 1)
    scene = Scene(system, fleet, stage.broker, stage.server)
    ALL[name](scene)
    counts = fleet.check(DEAD.get(name, 0))
    seconds = max(0.0, time.monotonic() - scene.over_at)
    row = {"fault": name, "what": ALL[name].__doc__, "engine": engine, "recovery_s": seconds, **asdict(counts)}
    with OUTSIDE.open("a") as out:
        out.write(json.dumps(row) + "\n")
