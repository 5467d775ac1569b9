"""Exports: something is pending that builds or deletes their archive, or a time says when it will be deleted."""

from datasources.mongo.client import Document
from domain.jobs import Task
from workers.maintenance.checks.record_rules import (
    Related,
    Rule,
    add_tasks,
    delete_from,
    has_nothing_pending,
    must_exist,
    rules_check,
)


def _is_left_over(export: Document, _related: Related) -> object:
    return has_nothing_pending(export) and export.get("kept_until") is None


EXPORTS = rules_check(
    "exports",
    [
        must_exist("_id", "users", delete_from("exports")),
        Rule(
            name="left_over",
            why="nothing is pending that builds or deletes its archive, and nothing says how long it is kept",
            is_broken=_is_left_over,
            repair=add_tasks("exports", Task.CLEAN_UP),
        ),
    ],
    refers_to={"_id": "users"},
)
