"""How far driving counts: credibility of what was observed, and claims over a distance."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExposureCurve:
    """Claims grow less than in proportion to distance.

    ``claims = frequency / 1e6 * reference_miles * (miles / reference_miles) ** exponent`` for a year. The frequency is
    that of a driver of ``reference_miles`` a year. The exponent is an assumption; the model card tells its range.
    """

    exponent: float
    reference_miles: float

    def claims_per_year(self, frequency: float, annual_miles: float) -> float:
        """Return expected claims of a year; ``frequency`` in claims per million miles."""
        if annual_miles <= 0:
            return 0.0
        scaled: float = self.reference_miles * (annual_miles / self.reference_miles) ** self.exponent
        return frequency * scaled / 1e6


def credibility(miles: float, half_miles: float) -> float:
    """Return how much own driving counts, 0-1: ``Z = miles / (miles + K)`` (Buehlmann, ASTIN Bulletin 4, 1967).

    ``half_miles`` is K, the distance at which own data and the portfolio's count alike.
    """
    return miles / (miles + half_miles) if miles > 0 else 0.0
