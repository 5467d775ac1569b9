"""The rule of blocks and mutes: nobody blocks or mutes oneself."""

from workers.maintenance.checks.check import Check
from workers.maintenance.checks.record_rules import Rule, delete_from, rules_check


def _check(collection: str, verb: str, actor: str, target: str) -> Check:
    rule = Rule(
        name="self",
        why=f"nobody {verb} oneself",
        is_broken=lambda document, _: document.get(actor) == document.get(target),
        repair=delete_from(collection),
    )
    return rules_check(collection, [rule])


BLOCKS = _check("blocks", "blocks", "blocker_id", "blocked_id")
MUTES = _check("mutes", "mutes", "muter_id", "muted_id")
