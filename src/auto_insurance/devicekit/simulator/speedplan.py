"""How fast a driver means to be at each metre of a path, and where it stops: fixed before the drive, by style and
luck.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

from auto_insurance.devicekit.simulator.path import Path, Piece
from auto_insurance.devicekit.simulator.style import MAX_LATERAL_MS2, DriverStyle

GRID_M = 4.0
_SLOWEST_MS = 1.5
_AIM = 0.8
"""Part of the lateral limit that a turn is aimed at: speed control lags by up to a tenth."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A stop to be made at ``s`` m for ``wait_s``; ``brake`` is the deceleration (m/s2) that it is begun with,
    ``late`` if hard.
    """

    s: float
    wait_s: float
    brake: float
    late: bool
    jackrabbit: float
    """Acceleration of the start after it, m/s2; 0 for an ordinary one."""


@dataclass(frozen=True, slots=True)
class SpeedPlan:
    """``envelope[i]``: the highest wanted speed (m/s) at ``i * GRID_M`` metres, already slowing for what comes."""

    envelope: tuple[float, ...]
    stops: tuple[Stop, ...]

    def at(self, s: float) -> float:
        """Return the envelope at ``s`` metres, linear in between; its last value beyond the end."""
        f = s / GRID_M
        i = int(f)
        env = self.envelope
        if i + 1 >= len(env):
            return env[-1]
        return env[i] + (env[i + 1] - env[i]) * (f - i)


def plan_speeds(path: Path, style: DriverStyle, rng: Random, traffic: float) -> SpeedPlan:
    """Plan one drive. ``traffic`` 0 (empty roads) to 1 (rush hour) slows and brings more red lights."""
    factor = max(0.7, rng.gauss(style.speed_factor, style.speed_spread) * (1.0 - 0.12 * traffic))
    size = int(path.length_m / GRID_M) + 2
    envelope = [math.inf] * size
    for piece in path.pieces:
        wanted = _wanted(piece, style, rng, factor)
        for i in range(int(piece.s0 / GRID_M), min(size, int(piece.s1 / GRID_M) + 2)):
            envelope[i] = min(envelope[i], wanted)
    # Backwards: v1^2 = v2^2 + 2 b s. A little less than the comfortable brake leaves room for the jerk limit's lag.
    gain = 2 * 0.85 * style.brake * GRID_M
    for i in range(size - 2, -1, -1):
        envelope[i] = min(envelope[i], math.sqrt(envelope[i + 1] ** 2 + gain))
    return SpeedPlan(tuple(envelope), _stops(path, style, rng, traffic))


def _wanted(piece: Piece, style: DriverStyle, rng: Random, factor: float) -> float:
    wanted = piece.limit_ms * factor
    if piece.curvature:
        lateral = _AIM * style.lateral
        if abs(piece.curvature) > 1 / 60 and rng.random() < style.hot_corner:
            lateral = min(_AIM * MAX_LATERAL_MS2, rng.uniform(4.0, 5.6))
        wanted = min(wanted, math.sqrt(lateral / abs(piece.curvature)))
    return max(wanted, _SLOWEST_MS)


def _stops(path: Path, style: DriverStyle, rng: Random, traffic: float) -> tuple[Stop, ...]:
    red = 0.35 + 0.2 * traffic
    out: list[Stop] = []
    for line in path.stops:
        # Every random number is drawn whether needed or not, so that one outcome does not shift the others.
        is_red, wait, late = rng.random() < red, rng.random(), rng.random() < style.late_brake
        hard, jack, push = rng.uniform(3.4, 5.2), rng.random() < style.jackrabbit, rng.uniform(3.0, 4.2)
        if line.control == "light" and not is_red:
            continue
        wait_s = 4.0 + 40.0 * wait if line.control == "light" else 0.8 + 3.2 * wait
        out.append(Stop(line.s, wait_s, hard if late else style.brake, late, push if jack else 0.0))
    out.append(Stop(path.length_m - 0.5, math.inf, style.brake, False, 0.0))
    return tuple(out)
