"""The pure pacing rules: back-off, breaker, rate-limit fields, token bucket."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from hypothesis import given
from hypothesis import strategies as st

from agent.crm.limits import Backoff, Gate, Quota, TokenBucket, read_quotas, read_retry_after_s

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


class TopChance(random.Random):
    def uniform(self, a: float, b: float) -> float:
        return b


def test_delays_double_to_the_cap_with_full_jitter() -> None:
    backoff, delays = Backoff(), []
    for _ in range(12):
        backoff = backoff.failed(0.0, TopChance())
        delays.append(backoff.until)
    assert delays == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    spread = {Backoff(failures=6).delay_s(random.Random(seed)) for seed in range(50)}
    assert len(spread) == 50
    assert min(spread) >= 0.25
    assert max(spread) <= 32


def test_what_the_server_asks_for_wins() -> None:
    assert Backoff().failed(100.0, TopChance(), retry_after_s=77).until == 177
    assert Backoff().failed(100.0, TopChance(), retry_after_s=0).until == 100.25


def test_the_circuit_opens_after_five_failures_and_lets_one_probe_through() -> None:
    backoff, rng = Backoff(), TopChance()
    for _ in range(4):
        backoff = backoff.failed(0.0, rng)
        assert backoff.gate(0.0) is Gate.CLOSED
    backoff = backoff.failed(0.0, rng)
    assert backoff.gate(15.9) is Gate.OPEN
    assert backoff.wait_s(10.0) == 6
    assert backoff.gate(16.0) is Gate.HALF_OPEN
    probing = backoff.probing(16.0)
    assert probing.gate(75.9) is Gate.OPEN
    assert probing.gate(76.0) is Gate.HALF_OPEN  # its outcome was never told
    assert probing.wait_s(16.0) == probing.first_s  # it may be told any moment
    again = probing.failed(16.0, rng)
    assert (again.gate(47.9), again.gate(48.0)) == (Gate.OPEN, Gate.HALF_OPEN)
    assert again.succeeded().gate(16.0) is Gate.CLOSED
    assert again.succeeded().failures == 0


@given(st.integers(1, 10_000), st.integers(0, 2**32))
def test_a_delay_is_never_zero_nor_over_the_cap(failures: int, seed: int) -> None:
    delay_s = Backoff(failures=failures).delay_s(random.Random(seed))
    assert 0.25 <= delay_s <= 300


def test_rate_limit_fields_are_read() -> None:
    quotas = read_quotas(
        {
            "ratelimit-policy": '"push";q=60;w=60, "bulk";q=8000000;w=10;qu="content-bytes"',
            "ratelimit": '"push";r=59;t=12',
        }
    )
    assert quotas["push"] == Quota(limit=60, window_s=60, remaining=59, reset_s=12)
    assert quotas["bulk"] == Quota(limit=8_000_000, window_s=10)
    assert read_quotas({"ratelimit": ';;="', "ratelimit-policy": ","}) == {}


def test_retry_after_is_read_as_seconds_or_a_date_before_the_rate_limit() -> None:
    spent = {"ratelimit": '"push";r=0;t=9'}
    assert read_retry_after_s({}, NOW) is None
    assert read_retry_after_s({"ratelimit": '"push";r=3;t=9'}, NOW) is None
    assert read_retry_after_s(spent, NOW) == 9
    assert read_retry_after_s(spent | {"retry-after": "4"}, NOW) == 4
    later = format_datetime(NOW + timedelta(seconds=30), usegmt=True)
    assert read_retry_after_s({"retry-after": later}, NOW) == 30
    assert read_retry_after_s({"retry-after": "soon"}, NOW) is None
    assert read_retry_after_s({"retry-after": "999999999"}, NOW) == 3_600


def test_the_bucket_spends_refills_and_believes_the_server() -> None:
    assert TokenBucket().wait_s(5.0) == 0
    bucket = TokenBucket().seeded(Quota(limit=2, window_s=10, remaining=2), 100.0)
    bucket = bucket.spent(100.0).spent(100.0)
    assert bucket.wait_s(100.0) == 5
    assert bucket.wait_s(105.0) == 0
    assert bucket.spent(105.0).wait_s(105.0) == 5
    told = TokenBucket().seeded(Quota(limit=60, window_s=60, remaining=0, reset_s=7), 100.0)
    assert told.wait_s(100.0) == 7
    assert told.wait_s(107.0) == 0
    full = TokenBucket().seeded(Quota(limit=2, window_s=10), 0.0)
    assert full.refilled(1000.0).tokens == 2


@given(st.lists(st.floats(0, 2), min_size=20, max_size=80))
def test_the_bucket_never_lets_more_through_than_the_policy(gaps: list[float]) -> None:
    bucket = TokenBucket().seeded(Quota(limit=5, window_s=5), 0.0)
    now, sent = 0.0, []
    for gap in gaps:
        now += gap
        if bucket.wait_s(now) == 0:
            bucket = bucket.spent(now)
            sent.append(now)
    for moment in sent:
        within = [other for other in sent if moment <= other <= moment + 5]
        assert len(within) <= 10 + 1  # a burst of 5 and the refill of 5 s
