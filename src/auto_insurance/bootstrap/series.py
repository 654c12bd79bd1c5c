"""The series that processes count."""

from __future__ import annotations

from collections.abc import Sequence

from auto_insurance.bootstrap.container import metadata
from auto_insurance.claims import handlers as claims_handlers
from auto_insurance.contracts import topics
from auto_insurance.infra import metrics
from auto_insurance.infra.config import Settings
from auto_insurance.policies import billing_handlers
from auto_insurance.pricing import handlers as pricing_handlers
from auto_insurance.rewards import handlers as rewards_handlers
from auto_insurance.risk import claims_handlers as risk_claims_handlers
from auto_insurance.risk import handlers as risk_handlers
from auto_insurance.risk.drift import FEATURES as DRIFT_FEATURES
from auto_insurance.webhooks import handlers as webhooks_handlers


def series_plan(settings: Settings, routes: Sequence[tuple[str, str, int]] = ()) -> metrics.SeriesPlan:
    """Return what processes will count; ``routes`` are the API's."""
    groups = {
        settings.kafka.consumer_group: (topics.TELEMATICS_EVENTS,),
        risk_handlers.GROUP: (topics.TRIPS,),
        risk_claims_handlers.POLICIES_GROUP: (topics.POLICIES,),
        risk_claims_handlers.CLAIMS_GROUP: (topics.CLAIMS,),
        pricing_handlers.GROUP: (topics.RISK_SCORES,),
        billing_handlers.MILES_GROUP: (topics.TRIPS,),
        billing_handlers.CORRECTIONS_GROUP: (topics.PREMIUMS,),
        claims_handlers.CRASHES: (topics.ALERTS,),
        claims_handlers.EVIDENCE: (topics.TRIPS,),
        rewards_handlers.GROUP: (topics.TRIPS,),
        pricing_handlers.CORRECTIONS_GROUP: (topics.TRIPS,),
        **{group: (topic,) for group, topic in webhooks_handlers.GROUPS.items()},
    }
    return metrics.SeriesPlan(routes=routes, tables=tuple(metadata().tables), groups=groups, features=DRIFT_FEATURES)
