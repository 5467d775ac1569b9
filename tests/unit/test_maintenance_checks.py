"""The registry of maintenance checks."""

from collections import Counter

from workers.maintenance.checks.registry import CHECKS, REPAIRS


def test_each_kind_of_finding_belongs_to_one_check() -> None:
    kinds = Counter(kind for check in CHECKS for kind in check.repairs)
    assert set(kinds.values()) == {1}
    assert kinds.keys() == REPAIRS.keys()


def test_checks_of_one_stage_walk_through_one_collection_with_one_limit() -> None:
    walks = {(check.stage or check.collection, check.collection, check.limit) for check in CHECKS}
    assert len(walks) == len({stage for stage, _, _ in walks})
