"""What risk notes when policies and claims change: who was insured when, and what happened. Training learns from it."""

from __future__ import annotations

import msgspec

from auto_insurance.contracts import claims, policies, topics
from auto_insurance.infra.bus.events import Subscription
from auto_insurance.infra.db.uow import UnitOfWork
from auto_insurance.kernel.events import Envelope
from auto_insurance.risk import repository_exposure
from auto_insurance.risk.repository_exposure import ClaimRow, CoverRow, Span

POLICIES_GROUP = "risk-policies"
CLAIMS_GROUP = "risk-claims"
_POLICY_EVENTS = (
    policies.POLICY_BOUND,
    policies.POLICY_ACTIVATED,
    policies.POLICY_ENDORSED,
    policies.POLICY_CANCELLED,
    policies.POLICY_LAPSED,
    policies.POLICY_REINSTATED,
    policies.POLICY_RENEWED,
    policies.POLICY_EXPIRED,
)


def policies_subscription() -> Subscription:
    """Return the group ``risk-policies`` on the topic of policies."""
    return Subscription(
        group=POLICIES_GROUP, topic=topics.POLICIES, handlers=dict.fromkeys(_POLICY_EVENTS, policy_changed)
    )


def claims_subscription() -> Subscription:
    """Return the group ``risk-claims`` on the topic of claims."""
    wanted = (claims.CLAIM_REPORTED, claims.CLAIM_CHANGED)
    return Subscription(group=CLAIMS_GROUP, topic=topics.CLAIMS, handlers=dict.fromkeys(wanted, claim_changed))


async def policy_changed(uow: UnitOfWork, event: Envelope) -> None:
    """Keep a policy's term; twice or out of order is the same as once and in order."""
    policy = msgspec.convert(event.data, policies.PolicyChanged)
    await repository_exposure.put_cover(
        uow,
        CoverRow(
            policy_id=policy.policy_id,
            term=policy.term,
            driver_id=policy.driver_id,
            revision=policy.revision,
            term_start=policy.term_start,
            term_end=policy.term_end,
            in_force=tuple(Span(one.from_at, one.to_at) for one in policy.in_force),
        ),
    )


async def claim_changed(uow: UnitOfWork, event: Envelope) -> None:
    """Keep a claim; twice or out of order is the same as once and in order."""
    claim = msgspec.convert(event.data, claims.ClaimState)
    await repository_exposure.put_claim(
        uow,
        ClaimRow(
            claim_id=claim.claim_id,
            driver_id=claim.driver_id,
            policy_id=claim.policy_id,
            revision=claim.revision,
            coverage=claim.coverage,
            occurred_at=claim.occurred_at,
            reported_at=claim.reported_at,
            counts=claim.counts,
        ),
    )
