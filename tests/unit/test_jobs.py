"""Facts, tasks and jobs fit together: every task that can be pending has a handler."""

from datetime import UTC, datetime

import pytest
from bson import ObjectId

from datasources.jobs.outbox import pending_fields
from datasources.mongo.indexes import INDEXES
from domain.jobs import JOBS, Fact, Job, Task, jobs_of
from workers.registry import HANDLERS

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_every_kind_of_job_has_a_handler_and_nothing_else_has() -> None:
    assert HANDLERS.keys() == JOBS.keys()


def test_every_task_has_a_kind_of_job() -> None:
    assert set(Task) == {task for task, _ in JOBS}


@pytest.mark.parametrize("fact", Fact)
def test_facts_that_are_pending_or_due_are_found_by_indexes(fact: Fact) -> None:
    fields = [list(index.document["key"]) for index in INDEXES[fact.collection]]
    assert ["outbox"] in fields
    assert ["due_at"] in fields


@pytest.mark.parametrize(("task", "fact"), [kind for kind, spec in JOBS.items() if spec.key_field != "_id"])
def test_facts_handled_together_are_found_by_an_index(task: Task, fact: Fact) -> None:
    fields = [list(index.document["key"]) for index in INDEXES[fact.collection]]
    assert [JOBS[task, fact].key_field, "outbox"] in fields


def test_a_thousand_likes_of_one_post_are_one_job_for_each_task() -> None:
    post_id = ObjectId()
    likes = [
        {"_id": ObjectId(), "target_id": post_id, **pending_fields([Task.COUNT, Task.NOTIFY], NOW)} for _ in range(1000)
    ]
    jobs = {job for like in likes for job in jobs_of(Fact.POST_LIKE, like)}
    assert jobs == {
        Job(Task.COUNT, Fact.POST_LIKE, str(post_id)),
        Job(Task.NOTIFY, Fact.POST_LIKE, str(post_id)),
    }


def test_a_follow_is_counted_for_both_sides() -> None:
    follower_id, followee_id = ObjectId(), ObjectId()
    follow = {"_id": ObjectId(), "follower_id": follower_id, "followee_id": followee_id}
    jobs = jobs_of(Fact.FOLLOW, follow | pending_fields([Task.COUNT, Task.COUNT_FOLLOWING], NOW))
    assert [job.key for job in jobs] == [str(followee_id), str(follower_id)]


def test_a_job_has_the_key_by_which_its_facts_are_handled() -> None:
    post, author = ObjectId(), ObjectId()
    document = {"_id": post, "author_id": author, "outbox": ["count", "fan_out"]}
    expected = [Job(Task.COUNT, Fact.POST, str(author)), Job(Task.FAN_OUT, Fact.POST, str(post))]
    assert jobs_of(Fact.POST, document) == expected


def test_every_fact_has_tasks() -> None:
    assert {fact for _, fact in JOBS} == set(Fact)


def test_a_fact_with_nothing_pending_has_no_jobs() -> None:
    assert jobs_of(Fact.POST, {"_id": ObjectId()}) == []


def test_a_task_that_this_version_does_not_know_is_left_to_the_version_that_wrote_it() -> None:
    assert jobs_of(Fact.BLOCK, {"_id": ObjectId(), "outbox": ["fan_out", "applaud"]}) == []
