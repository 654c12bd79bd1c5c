from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from auto_insurance.portal.views import line_string, rate
from auto_insurance.telematics.schemas import PathPoint, Quality

points = st.lists(
    st.builds(
        PathPoint,
        t_us=st.integers(0, 10**15),
        latitude=st.floats(-90, 90),
        longitude=st.floats(-180, 180),
        quality=st.sampled_from([Quality.GOOD, Quality.LOW_ACCURACY, Quality.IMPLIED_SPEED]),
    ),
    max_size=80,
)


@given(points, st.integers(2, 50))
def test_a_path_is_thinned_in_order_with_both_ends(path: list[PathPoint], most: int) -> None:
    good = [(point.longitude, point.latitude) for point in path if point.quality == Quality.GOOD]
    line = line_string(path, most)
    if len(good) < 2:
        assert line is None
        return
    assert line is not None
    assert len(line.coordinates) == min(most, len(good))
    assert (line.coordinates[0], line.coordinates[-1]) == (good[0], good[-1])
    rest = iter(good)
    assert all(point in rest for point in line.coordinates), "points come in their order"


def test_a_rate_over_nothing_is_unknown() -> None:
    assert rate(5, 0, 100) is None
    assert rate(5, 50, 100) == 10
