"""The capacity model's arithmetic, and that docs/scaling.md shows what it says today."""

import math
from functools import partial

import msgspec
import pytest
import simpy

from benchmarks.capacity.__main__ import DOCUMENT, with_tables
from benchmarks.capacity.assumptions import Behaviour, read_prices, stepped
from benchmarks.capacity.brief import burst_gbps, petabytes_a_day
from benchmarks.capacity.bursts import LargeFanOut, LikeBurst, UploadBurst, large_fan_outs, like_bursts, upload_bursts
from benchmarks.capacity.model import Model
from benchmarks.capacity.plots import IMAGES, burst_plots
from benchmarks.capacity.queues import Events, Pool, run
from benchmarks.capacity.tables import burst_tables, plan_tables
from benchmarks.lib.unit_costs import read_unit_costs
from benchmarks.lib.zipf import ZipfNetwork
from domain.limits import IMAGES_PER_DAY

Bursts = tuple[list[UploadBurst], list[LikeBurst], list[LargeFanOut]]


@pytest.fixture(scope="module")
def model() -> Model:
    return Model(read_unit_costs(), read_prices())


@pytest.fixture(scope="module")
def bursts(model: Model) -> Bursts:
    return upload_bursts(model), like_bursts(model), large_fan_outs(model)


def test_document_shows_the_tables_of_the_model(model: Model, bursts: Bursts) -> None:
    text = DOCUMENT.read_text()
    assert with_tables(text, {**plan_tables(model), **burst_tables(*bursts)}) == text  # else: python -m ... --write


def test_plots_show_the_figures_of_the_simulation(bursts: Bursts) -> None:
    stale = [plot.file for plot in burst_plots(*bursts) if plot.digest not in (IMAGES / plot.file).read_text()]
    assert stale == []  # else: python -m benchmarks.capacity --plots


def test_table_without_a_place_is_refused(model: Model) -> None:
    with pytest.raises(ValueError, match="no place"):
        with_tables("# Nothing", plan_tables(model))


def test_every_measurement_says_how_it_was_made() -> None:
    measurements = read_unit_costs().measurements
    assert [name for name, of in measurements.items() if not of.command.startswith("python -m benchmarks.")] == []
    assert [name for name, of in measurements.items() if not of.date or min(of.figures.values()) < 0] == []


def test_brief_is_wrong_by_a_factor_of_sixteen() -> None:
    assert burst_gbps() == 100_000 * 5e6 * 8 / 5 / 1e9 == 800
    assert petabytes_a_day() == 1e9 * IMAGES_PER_DAY * 5e6 / 1e15


def test_what_people_do_grows_with_their_number(model: Model) -> None:
    few, many = model.plan(10**8), model.plan(10**9)
    assert many.rates.likes == pytest.approx(10 * few.rates.likes)
    assert many.stored.images == pytest.approx(10 * few.stored.images)
    assert many.cores.rendering == pytest.approx(10 * few.cores.rendering)


def test_entries_grow_less_than_people_because_more_authors_are_pulled(model: Model) -> None:
    assert model.entries_a_post(10**9) < model.entries_a_post(10**8) < model.entries_a_post(10**6)
    for users in (10**6, 10**9):
        pushed = model.entries_a_post(users) / model.behaviour.live_share
        assert pushed + model.pulled_authors(users) == pytest.approx(model.behaviour.following)


def test_stored_follows_are_users_times_whom_they_follow(model: Model) -> None:
    each = model.costs.figure("bytes of a document", "follow_bytes")
    assert model.stored(1000).follows == pytest.approx(1000 * model.behaviour.following * each / 1e9)


def test_uploads_at_the_peak(model: Model) -> None:
    behaviour = Behaviour(posts=1, images_a_post=1, upload_mb=1, peak=1)
    changed = msgspec.structs.replace(model, behaviour=behaviour)
    assert changed.bandwidth(changed.rates(86_400)).uploads == pytest.approx(0.008)  # one megabyte a second


def test_idle_users_need_no_cores_but_their_follows_are_stored(model: Model) -> None:
    idle = Behaviour(feed_pages=0, other_reads=0, likes=0, comments=0, follows=0, posts=0)
    plan = msgspec.structs.replace(model, behaviour=idle).plan(10**9)
    assert (plan.cores.api, plan.cores.workers, plan.cores.mongodb) == (0, 0, 0)
    assert plan.api_cores == 2  # one may be lost
    assert plan.stored.follows > 0


@pytest.mark.parametrize(("cores", "gigabytes", "shards"), [(16, 0, 6), (0, 5_000, 4), (0, 0, 0)])
def test_shards_are_as_many_as_processors_disks_or_caches_need(
    model: Model, cores: float, gigabytes: float, shards: int
) -> None:
    assert model.shards(cores, gigabytes) == shards


def test_first_units_cost_more() -> None:
    assert stepped(15, [(10, 2.0), (None, 1.0)]) == 25
    assert stepped(5, [(10, 2.0), (None, 1.0)]) == 10


def test_half_of_all_follows_are_of_few_authors() -> None:
    network = ZipfNetwork(10**8, 200)
    assert network.share_above(1) == pytest.approx(1, rel=0.01)
    assert network.authors_above(network.most_followers) == 1
    exact = sum(1 / rank for rank in range(1, 1001)) / sum(1 / rank for rank in range(1, 100_001))
    small = ZipfNetwork(100_000, 1)
    assert small.share_above(small.most_followers / 1000) == pytest.approx(exact, rel=0.01)


def test_pool_serves_in_order_with_all_its_servers() -> None:
    environment, done = simpy.Environment(), list[tuple[str, float]]()
    pool = Pool(environment, 2)

    def arrive() -> Events:
        for name, seconds in (("a", 3.0), ("b", 1.0), ("c", 1.0), ("d", 5.0)):
            pool.submit(seconds, partial(note, name))
        yield environment.timeout(10)
        pool.submit(1.0, partial(note, "e"))

    def note(name: str) -> None:
        done.append((name, environment.now))

    run(environment, [arrive()])
    assert done == [("b", 1), ("c", 2), ("a", 3), ("d", 7), ("e", 11)]


def test_burst_ends_when_its_work_is_done(model: Model, bursts: Bursts) -> None:
    """A queue that is never empty takes its work divided by its servers."""
    work = 100_000 * model.costs.figure("render an image", "jpeg_ms") / 1000
    for burst in bursts[0]:
        assert max(burst.ready) == pytest.approx(work / burst.cores - 5, rel=0.05)


def test_one_post_is_counted_by_one_worker(model: Model, bursts: Bursts) -> None:
    one = bursts[1][0]
    each = sum(model.costs.measurements["count likes of one post"].figures.values()) / 1000
    assert max(one.lags) == pytest.approx(10**6 * each - 10, rel=0.05)


def test_lane_of_their_own_keeps_large_fan_outs_from_others(bursts: Bursts) -> None:
    for one_queue, lane in zip(bursts[2][::2], bursts[2][1::2], strict=True):
        assert (one_queue.has_lane, lane.has_lane) == (False, True)
        assert lane.beside < one_queue.beside
        assert lane.last > one_queue.last
        assert math.isclose(lane.alone, one_queue.alone)
