"""Work is taken from each owner in rotation."""

from bson import ObjectId

from datasources.jobs.queue import Message
from domain.jobs import Fact, Job, Task
from workers.runtime.backlog import Backlog, Lane
from workers.runtime.owner_rotation import OwnerRotation

KIND = (Task.INGEST, Fact.UPLOAD)
LANE, SLOW_LANE = Lane(KIND), Lane(KIND, is_slow=True)
ANA, BEN = ObjectId(), ObjectId()


def jobs(count: int) -> list[Job]:
    return [Job(*KIND, str(ObjectId())) for _ in range(count)]


def filled(owners: dict[Job, ObjectId]) -> Backlog:
    backlog = Backlog()
    for number, job in enumerate(owners):
        assert backlog.add(job, Message(str(number).encode(), {}, job))
    backlog.set_owners(owners)
    return backlog


def test_an_owner_of_one_job_waits_for_one_job_of_an_owner_of_many() -> None:
    *many, lone = jobs(11)
    backlog = filled({**dict.fromkeys(many, ANA), lone: BEN})
    order = []
    for _ in range(11):
        (job,) = backlog.begin(LANE, 1, rotates=True)
        order.append(job)
        backlog.finish([job])
    assert order.index(lone) == 1
    assert order == [many[0], lone, *many[1:]], "jobs of one owner keep their order"


def test_an_owner_with_a_running_job_comes_after_one_with_none() -> None:
    first, second, other = jobs(3)
    backlog = filled({first: ANA, second: ANA, other: BEN})
    taken = [backlog.begin(LANE, 1, rotates=True)[0] for _ in range(3)]
    assert taken == [first, other, second]
    assert backlog.begin(LANE, 1, rotates=True) == []


def test_slow_jobs_wait_in_a_lane_of_their_own() -> None:
    slow, quick = jobs(2)
    backlog = filled({slow: ANA, quick: BEN})
    backlog.begin(LANE, 1, rotates=True)
    backlog.move_to_slow_lane([slow])
    backlog.requeue(slow)
    backlog.finish([slow])
    assert backlog.lanes == {LANE, SLOW_LANE}
    assert backlog.begin(SLOW_LANE, 1, rotates=True) == [slow]
    assert backlog.begin(LANE, 1, rotates=True) == [quick]


def test_a_job_whose_owner_is_unknown_is_taken_in_its_turn() -> None:
    known, unknown = jobs(2)
    rotation = OwnerRotation()
    rotation.set_owners({known: ANA})
    assert rotation.first([unknown, known], []) == unknown
    rotation.serve(unknown)
    assert rotation.first([unknown, known], []) == known


def test_owners_without_waiting_jobs_leave_nothing_behind() -> None:
    rotation, gone = OwnerRotation(), jobs(100)
    rotation.set_owners(dict.fromkeys(gone, ANA))
    for job in gone:
        rotation.serve(job)
    rotation.keep([])
    assert rotation._owners == rotation._served == {}
