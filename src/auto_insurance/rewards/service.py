"""Use cases of rewards: what a driver has, and turning points into a premium credit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog

from auto_insurance.drivers.schemas import DriverFacts
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel import clock, ids
from auto_insurance.rewards import repository, rules, views
from auto_insurance.rewards.counting import Scores as TripScores
from auto_insurance.rewards.counting import TripCounter, Trips, season_bounds
from auto_insurance.rewards.credits import Ledger, Policies, PolicyCredits
from auto_insurance.rewards.errors import NoPolicyToCredit, NotEnoughPoints, RedemptionRefused
from auto_insurance.rewards.repository import EntryRow, RedemptionRow
from auto_insurance.rewards.rulebook import Rulebook, load_rulebook
from auto_insurance.rewards.rules import GoalRule, Kind, Rules
from auto_insurance.rewards.schemas import Goals, RedemptionOut, RewardSummary, Tips
from auto_insurance.risk.schemas import RiskScore

__all__ = ["CreditDesk", "RewardService", "Rulebook", "TripCounter", "compose", "load_rulebook"]
log = structlog.get_logger(__name__)


class Drivers(Protocol):
    """What is needed of the drivers service. ``facts`` raises an error of kind not_found."""

    async def facts(self, uow: UnitOfWork, driver_id: str) -> DriverFacts: ...


class Scores(Protocol):
    """What is needed of the risk service."""

    async def latest(self, uow: UnitOfWork, driver_id: str) -> RiskScore | None: ...

    async def advised(self, uow: UnitOfWork, score: RiskScore) -> RiskScore: ...


class CreditDesk(Protocol):
    """What is needed of policies. A reference has its effect once."""

    async def policy_of(self, uow: UnitOfWork, driver_id: str, at: datetime) -> str | None: ...

    async def credit(
        self, uow: UnitOfWork, policy_id: str, amount: Decimal, *, reason: str, reference: str
    ) -> None: ...


class RewardService:
    """Shows points and redeems them. Points are earned by way of :class:`TripCounter`."""

    def __init__(self, drivers: Drivers, scores: Scores, credits: CreditDesk, rulebook: Rulebook) -> None:
        self._drivers = drivers
        self._scores = scores
        self._credits = credits
        self._rulebook = rulebook

    @property
    def rules(self) -> Rules:
        """The rules in use."""
        return self._rulebook.newest

    async def summary(self, uow: UnitOfWork, driver_id: str) -> RewardSummary:
        """Return a driver's rewards at a glance. Raises what ``DriverService.facts`` raises."""
        facts = await self._drivers.facts(uow, driver_id)
        _, balance = await repository.last_entry(uow, driver_id)
        sums = await repository.sums_by_kind(uow, driver_id)
        totals = await repository.totals(uow, driver_id)
        today = clock.now().astimezone(ZoneInfo(facts.time_zone)).date()
        season = rules.season_of(today)
        days = await repository.days_between(uow, driver_id, *season_bounds(season))
        milestones = await self.milestones(uow, driver_id)
        held = self._rulebook.of_season(season) or self.rules
        return views.summary_out(
            driver_id,
            self.rules,
            balance=balance,
            sums=sums,
            totals=totals,
            streaks=[views.streak_out(rule, rules.running(rule, days)) for rule in held.streaks],
            next_milestone=next((goal for goal in milestones.items if not goal.reached), None),
            tips=views.tips_out(await self._advised(uow, driver_id)),
        )

    async def milestones(self, uow: UnitOfWork, driver_id: str) -> Goals:
        """Return all milestones with the way to them. Raises what ``DriverService.facts`` raises."""
        return await self._goals(uow, driver_id, Kind.MILESTONE, self.rules.milestones)

    async def achievements(self, uow: UnitOfWork, driver_id: str) -> Goals:
        """Return all achievements with the way to them. Raises what ``DriverService.facts`` raises."""
        return await self._goals(uow, driver_id, Kind.ACHIEVEMENT, self.rules.achievements)

    async def tips(self, uow: UnitOfWork, driver_id: str) -> Tips:
        """Return what the driver's own driving suggests. Raises what ``DriverService.facts`` raises."""
        await self._drivers.facts(uow, driver_id)
        score = await self._advised(uow, driver_id)
        at = None if score is None else score.calculated_at
        return Tips(driver_id=driver_id, calculated_at=at, tips=views.tips_out(score))

    async def _advised(self, uow: UnitOfWork, driver_id: str) -> RiskScore | None:
        score = await self._scores.latest(uow, driver_id)
        return None if score is None else await self._scores.advised(uow, score)

    async def ledger(
        self, uow: UnitOfWork, driver_id: str, *, limit: int, offset: int
    ) -> tuple[Sequence[EntryRow], int]:
        """Return a page of the entries, the newest first, and how many there are.

        Raises what ``DriverService.facts`` raises.
        """
        await self._drivers.facts(uow, driver_id)
        return await repository.list_entries(uow, driver_id, limit=limit, offset=offset)

    async def redeem(self, uow: UnitOfWork, driver_id: str, points: int, by: UUID) -> RedemptionOut:
        """Turn points into a credit on the driver's policy, both in this transaction.

        Raises ``RedemptionRefused``, ``NotEnoughPoints``, ``NoPolicyToCredit``, and for an unknown driver an error of
        kind not_found.
        """
        await self._drivers.facts(uow, driver_id)
        worth = self._worth(points)
        await repository.lock_driver(uow, driver_id)
        seq, balance = await repository.last_entry(uow, driver_id)
        if points > balance:
            raise NotEnoughPoints(f"There are {max(balance, 0)} points.")
        now = clock.now()
        policy_id = await self._credits.policy_of(uow, driver_id, now)
        if policy_id is None:
            raise NoPolicyToCredit
        redemption = RedemptionRow(
            redemption_id=ids.new_uuid(),
            driver_id=driver_id,
            points=points,
            amount=worth,
            currency=self.rules.redemption.currency,
            policy_id=policy_id,
            redeemed_at=now,
            redeemed_by=by,
        )
        await repository.add_redemption(uow, redemption)
        await repository.add_entries(uow, [self._entry(redemption, seq + 1, balance - points)])
        reference = f"rewards:{redemption.redemption_id}"
        await self._credits.credit(uow, policy_id, worth, reason="rewards", reference=reference)
        uow.note("redemption", redemption.redemption_id, points=points, amount=worth, policy=policy_id)
        log.info("rewards_redeemed", driver_id=driver_id, points=points)
        return views.redemption_out(redemption, balance - points)

    def _worth(self, points: int) -> Decimal:
        rule = self.rules.redemption
        if points % rule.points_per_unit or not rule.minimum_points <= points <= rule.maximum_points:
            raise RedemptionRefused(
                f"Redeem {rule.minimum_points} to {rule.maximum_points} points, in steps of {rule.points_per_unit}."
            )
        return rule.worth(points)

    def _entry(self, redemption: RedemptionRow, seq: int, balance: int) -> EntryRow:
        return EntryRow(
            entry_id=ids.new_uuid(),
            driver_id=redemption.driver_id,
            seq=seq,
            kind=Kind.REDEMPTION.value,
            key=f"redemption:{redemption.redemption_id}",
            points=-redemption.points,
            balance=balance,
            season=None,
            local_date=None,
            trip_id=None,
            is_correction=False,
            reason="redeemed",
            rules_version=self.rules.version,
            created_at=redemption.redeemed_at,
        )

    async def _goals(self, uow: UnitOfWork, driver_id: str, kind: Kind, goals: Sequence[GoalRule]) -> Goals:
        await self._drivers.facts(uow, driver_id)
        totals = await repository.totals(uow, driver_id)
        keys = {goal.code: f"{kind.value}:{goal.code}" for goal in goals}
        reached = await repository.reached(uow, driver_id, list(keys.values()))
        items = [views.goal_out(goal, totals, reached.get(keys[goal.code])) for goal in goals]
        return Goals(
            driver_id=driver_id,
            rules_version=self.rules.version,
            reached=sum(item.reached for item in items),
            items=items,
        )


class Risk(Scores, TripScores, Protocol):
    """What rewards need of the risk service."""


def compose(
    policies: Policies, ledger: Ledger, drivers: Drivers, trips: Trips, risk: Risk
) -> tuple[TripCounter, RewardService]:
    """Return the services of rewards over those of other domains. Raises ``InvalidRewardRules``."""
    rulebook = load_rulebook()
    credit = PolicyCredits(policies, ledger)
    return TripCounter(trips, risk, rulebook), RewardService(drivers, risk, credit, rulebook)
