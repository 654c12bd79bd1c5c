"""Keys go where every Kafka client would put them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auto_insurance.infra.bus.partitioner import murmur2, partition_of

# From Apache Kafka, clients/src/test/java/org/apache/kafka/common/utils/UtilsTest.java (testMurmur2).
VECTORS = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize(("data", "signed"), VECTORS.items())
def test_hash_equals_that_of_java(data: bytes, signed: int) -> None:
    assert murmur2(data) == signed % (1 << 32)


@given(st.text(), st.integers(1, 64))
def test_every_key_has_one_partition(key: str, partitions: int) -> None:
    assert 0 <= partition_of(key, partitions) < partitions
    assert partition_of(key, partitions) == partition_of(key, partitions)
