"""What a benchmark may be told on the command line."""

from __future__ import annotations

from dataclasses import dataclass

ENGINES = ("kafka", "postgres")
SIZES = (60, 10, 1)
FLEET = 10_000


@dataclass(frozen=True, slots=True)
class Options:
    """How often, how large, on what. ``quick`` is for a look: fewer runs and events, and figures that swing more."""

    runs: int = 5
    quick: bool = False
    profile: bool = False
    engines: tuple[str, ...] = ENGINES
    sizes: tuple[int, ...] = SIZES
    devices: int = FLEET
    gzip: bool = False
    scale: float = 1.0
    """Share of the events, requests and seconds of the full form."""

    def count(self, full: int, quick: int) -> int:
        """Return how many events, requests or rows to use."""
        return max(1, round((quick if self.quick else full) * self.scale))

    def seconds(self, full: float, quick: float) -> float:
        """Return how long to go on."""
        return max(1.0, (quick if self.quick else full) * self.scale)
