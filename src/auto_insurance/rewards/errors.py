"""What can go wrong with rewards."""

from __future__ import annotations

from auto_insurance.kernel.errors import AppError, ErrorKind


class InvalidRewardRules(AppError):
    """Rules of rewards that break a rule themselves; the detail names file and place."""

    kind = ErrorKind.UNAVAILABLE
    code = "invalid_reward_rules"


class NotEnoughPoints(AppError):
    """More points are to be redeemed than there are."""

    kind = ErrorKind.CONFLICT
    code = "not_enough_points"


class RedemptionRefused(AppError):
    """So many points are not redeemed at once; the detail says what is."""

    kind = ErrorKind.CONFLICT
    code = "redemption_refused"


class NoPolicyToCredit(AppError):
    """The driver has no policy in force that a credit could go to."""

    kind = ErrorKind.CONFLICT
    code = "no_policy_to_credit"

    def __init__(self) -> None:
        super().__init__("There is no policy in force that a credit could go to.")
