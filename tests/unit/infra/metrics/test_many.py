from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from auto_insurance.infra import metrics


@given(st.lists(st.floats(0, 20) | st.sampled_from([0.05, 1.0, 10.0, 1e9]), max_size=40))
def test_many_at_once_count_as_each_by_itself(values: list[float]) -> None:
    registries = [CollectorRegistry(), CollectorRegistry()]
    one, many = (Histogram("h", "h", buckets=(0.05, 1.0, 10.0), registry=registry) for registry in registries)
    for value in values:
        one.observe(value)
    metrics.observe_many(many, np.array(values[:7]))
    metrics.observe_many(many, np.array(values[7:]))
    counts = [[line for line in generate_latest(r).decode().splitlines() if "_sum" not in line] for r in registries]
    assert counts[0] == counts[1]
    assert np.isclose(one._sum.get(), many._sum.get())
