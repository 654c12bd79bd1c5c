"""How the parts of policies and their money are put together. For the composition root alone."""

from __future__ import annotations

from dataclasses import dataclass

from auto_insurance.infra.config import Settings
from auto_insurance.infra.config.groups_policies import PolicySettings
from auto_insurance.infra.db.uow import Database
from auto_insurance.policies.billing_parts import Money, money_options
from auto_insurance.policies.calendar import PolicyCalendar
from auto_insurance.policies.desk import Drivers, PolicyOptions
from auto_insurance.policies.ledger import Ledger
from auto_insurance.policies.papers import Papers, Scores
from auto_insurance.policies.service import PolicyService
from auto_insurance.policies.statements import TripReader
from auto_insurance.policies.stretches import Method
from auto_insurance.pricing.service import PricingService


@dataclass(frozen=True, slots=True)
class Insurance:
    """What other domains need, and all that routes and jobs ask for."""

    policies: PolicyService
    ledger: Ledger
    services: tuple[object, ...]


def compose(
    settings: Settings, database: Database, pricing: PricingService, drivers: Drivers, trips: TripReader, scores: Scores
) -> Insurance:
    """Put policies, ledger and billing together. Connects to nothing."""
    money, options = Money(trips, money_options(settings.billing)), policy_options(settings.policies)
    policies = PolicyService(pricing, drivers, money.ledger, options)
    calendar = PolicyCalendar(database, policies.step, offer_days=options.offer_days)
    services = (*money.services, policies, Papers(policies, scores), calendar, money.jobs(database, policies))
    return Insurance(policies, money.ledger, services)


def policy_options(said: PolicySettings) -> PolicyOptions:
    """Return the insurer's periods and rules."""
    return PolicyOptions(
        notice_days=said.notice_days,
        notice_nonpayment_days=said.notice_nonpayment_days,
        reinstate_days=said.reinstate_days,
        offer_days=said.offer_days,
        auto_renew=said.auto_renew,
        insured_method=Method(said.cancel_method),
    )
