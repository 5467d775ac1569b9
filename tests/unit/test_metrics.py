"""Plain numbers become what Prometheus reads."""

import uuid

from prometheus_client import generate_latest

from datasources.telemetry.metrics import REGISTRY, Distribution, Tally, gauges, readings
from workers.handlers.deliver_webhooks import MAX_COUNTED, count_sent


def scrape() -> str:
    return generate_latest(REGISTRY).decode()


def test_a_tally_is_a_counter() -> None:
    tally = Tally("tested_things", "About it.", "kind")
    tally.add("a")
    tally.add("a", by=2)
    tally.add("b")
    assert 'tested_things_total{kind="a"} 3.0' in scrape()
    tally.remove("a")
    assert [line for line in scrape().splitlines() if line.startswith("tested_things")] == [
        'tested_things_total{kind="b"} 1.0'
    ]
    REGISTRY.unregister(tally)


def test_a_distribution_counts_each_value_in_all_buckets_from_its_own_on() -> None:
    distribution = Distribution("tested_sizes", "About it.", "kind", bounds=(1, 5))
    for value in (1, 5, 5.5):
        distribution.add(value, "a")
    lines = [line for line in scrape().splitlines() if line.startswith("tested_sizes")]
    assert lines == [
        'tested_sizes_bucket{kind="a",le="1"} 1.0',
        'tested_sizes_bucket{kind="a",le="5"} 2.0',
        'tested_sizes_bucket{kind="a",le="+Inf"} 3.0',
        'tested_sizes_count{kind="a"} 3.0',
        'tested_sizes_sum{kind="a"} 11.5',
    ]
    REGISTRY.unregister(distribution)


def test_a_reading_is_shown_during_its_block_alone() -> None:
    with readings(lambda: [gauges("tested_level", "About it.", (), [((), 7)])]):
        assert "tested_level 7.0" in scrape()
    assert "tested_level" not in scrape()


def test_endpoints_of_webhooks_are_counted_apart_up_to_a_bound() -> None:
    run = uuid.uuid4().hex  # counters are the process's
    for number in range(MAX_COUNTED + 5):
        count_sent(f"{run} {number}", delivered=1, failed=0)
    count_sent(f"{run} 5", delivered=1, failed=2)
    shown = {line for line in scrape().splitlines() if line.startswith("photogram_webhooks_total{endpoint=")}
    assert len(shown) == 2 * MAX_COUNTED
    assert f'photogram_webhooks_total{{endpoint="{run} 5",outcome="failed"}} 2.0' in shown
    assert not any(f'"{run} 4"' in line for line in shown)
