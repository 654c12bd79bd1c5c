"""What happens to an invoice that is not paid: one table of states. Pure."""

from __future__ import annotations

from datetime import date, timedelta
from enum import StrEnum

import msgspec


class Stage(StrEnum):
    """How far the reminding has gone. An invoice that is paid stays at the stage where it was."""

    ISSUED = "issued"
    REMINDED = "reminded"
    FINAL_NOTICE = "final_notice"
    LAPSED = "lapsed"


class DunningDays(msgspec.Struct, frozen=True):
    """Days after the due date. The policy is in force until the lapse: that is the grace period."""

    reminder: int = 7
    final_notice: int = 14
    lapse: int = 30

    def __post_init__(self) -> None:
        if not 0 < self.reminder < self.final_notice < self.lapse:
            raise ValueError("the reminder comes first, then the final notice, then the lapse")


class Step(msgspec.Struct, frozen=True):
    """What comes next for an unpaid invoice, and how many days after the due date."""

    stage: Stage
    after_days: int


def table(days: DunningDays) -> dict[Stage, Step | None]:
    """Return the transitions; None where nothing more happens."""
    return {
        Stage.ISSUED: Step(Stage.REMINDED, days.reminder),
        Stage.REMINDED: Step(Stage.FINAL_NOTICE, days.final_notice),
        Stage.FINAL_NOTICE: Step(Stage.LAPSED, days.lapse),
        Stage.LAPSED: None,
    }


def next_stage(stage: Stage, due_on: date, stage_since: date, today: date, days: DunningDays) -> Stage | None:
    """Return the stage that an unpaid invoice enters today, None if it stays.

    One step a day at most, and never two notices closer together than the table has them: whoever was not reminded
    for an outage of ours still has the whole time between the notices.
    """
    step = table(days)[stage]
    if step is None or today < due_on + timedelta(days=step.after_days):
        return None
    if today < stage_since + timedelta(days=days_apart(stage, days)):
        return None
    return step.stage


def days_apart(stage: Stage, days: DunningDays) -> int:
    """Return the days that must lie between entering a stage and the next one."""
    return {
        Stage.ISSUED: 0,
        Stage.REMINDED: days.final_notice - days.reminder,
        Stage.FINAL_NOTICE: days.lapse - days.final_notice,
        Stage.LAPSED: 0,
    }[stage]
