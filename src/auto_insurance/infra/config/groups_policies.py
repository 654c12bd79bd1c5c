"""Settings of policies."""

from __future__ import annotations

from typing import Literal

from auto_insurance.infra.config.groups import Group, setting


class PolicySettings(Group):
    """Notice periods and rules of policies; what a jurisdiction forbids is in the rating plan."""

    notice_days: int = setting(
        "POLICY_NOTICE_DAYS", 30, "Days of notice that the insurer gives before it ends a policy.", ge=0, le=365
    )
    notice_nonpayment_days: int = setting(
        "POLICY_NOTICE_NONPAYMENT_DAYS", 10, "Days of notice where the premium was not paid.", ge=0, le=365
    )
    reinstate_days: int = setting(
        "POLICY_REINSTATE_DAYS", 30, "Days after cover stopped within which a policy may come back.", ge=0, le=180
    )
    offer_days: int = setting(
        "POLICY_OFFER_DAYS", 45, "Days before the end of a term when the next one is offered.", ge=1, le=120
    )
    auto_renew: bool = setting(
        "POLICY_AUTO_RENEW", True, "Bind the offered term when the running one ends and nobody declined it."
    )
    cancel_method: Literal["pro_rata", "short_rate"] = setting(
        "POLICY_CANCEL_METHOD", "pro_rata", "How a term is paid for that the policyholder ends early."
    )
