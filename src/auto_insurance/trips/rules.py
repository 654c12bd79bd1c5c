"""The rules of trips as numbers. Defaults and their reasons: docs/concepts/trips.md."""

from __future__ import annotations

import msgspec


class TripRules(msgspec.Struct, frozen=True, kw_only=True):
    """Thresholds of segmentation and detection; the unit is in each name."""

    start_distance_m: float = 200.0
    start_speed_mph: float = 5.0
    start_speed_s: float = 30.0
    end_still_s: float = 180.0
    end_radius_m: float = 200.0
    silence_s: float = 600.0
    split_gap_s: float = 3600.0
    min_distance_m: float = 500.0
    min_duration_s: float = 300.0
    """A trip below both minima is dropped."""

    max_speed_mph: float = 160.0
    reanchor_points: int = 5
    step_m: float = 15.0
    blind_step_m: float = 30.0
    still_speed_ms: float = 1.0
    contradiction_ms: float = 5.0
    contradiction_s: float = 10.0
    gap_s: float = 30.0
    gap_min_m: float = 50.0

    brake_ms2: float = 3.0
    accel_ms2: float = 2.5
    corner_ms2: float = 3.5
    severe_extra_ms2: float = 1.5
    harsh_min_s: float = 0.6
    harsh_merge_s: float = 3.0
    harsh_gate_kmh: float = 20.0
    hold_max_s: float = 1.0
    """An accelerometer value stands for the time since the sample before, at most this long."""
    derive_min_s: float = 0.8
    derive_max_s: float = 3.0
    derive_max_ms2: float = 12.0
    bias_settle_s: float = 60.0
    bias_max_ms2: float = 1.5
    jerk_ms3: float = 2.5
    """From this change of acceleration on, driving is jerky."""

    long_drive_s: float = 7200.0
    break_s: float = 900.0
    """A drive is long after so much time without a break of so much."""

    speeding_min_s: float = 3.0
    phone_min_s: float = 1.0
    episode_merge_s: float = 10.0

    units_min_steps: int = 300
    units_min_speed_ms: float = 5.0
    units_tolerance: float = 0.10

    @property
    def session_gap_us(self) -> int:
        """Microseconds without a sample that end a session: nothing before such a gap can touch what follows."""
        return int(min(self.silence_s, self.split_gap_s) * 1_000_000)
