"""The rules of blocks and mutes."""

from workers.maintenance.checks.rules import Rule, delete_from, rules_check

_BLOCK_OF_ONESELF = Rule(
    name="self",
    why="nobody blocks oneself",
    is_broken=lambda block, _: block.get("blocker_id") == block.get("blocked_id"),
    repair=delete_from("blocks"),
)
_MUTE_OF_ONESELF = Rule(
    name="self",
    why="nobody mutes oneself",
    is_broken=lambda mute, _: mute.get("muter_id") == mute.get("muted_id"),
    repair=delete_from("mutes"),
)
BLOCKS = rules_check("blocks", [_BLOCK_OF_ONESELF])
MUTES = rules_check("mutes", [_MUTE_OF_ONESELF])
