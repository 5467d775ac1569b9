"""The limit of file descriptors is raised as far as allowed, and connections are limited to what fits."""

import resource

import pytest

from deploy.cli.file_descriptors import OTHERS, make_room
from resolvers.transport.connection_limits import SPARE


@pytest.mark.parametrize(
    ("soft", "hard", "asked", "room", "raised"),
    [
        (1_024, 1_048_576, 10_000, 10_000, 10_000 + SPARE + OTHERS),
        (1_024, resource.RLIM_INFINITY, 10_000, 10_000, 10_000 + SPARE + OTHERS),
        (1_024, 4_096, 10_000, 4_096 - SPARE - OTHERS, 4_096),
        (1_024, 1_024, 10, 10, None),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 10_000, 10_000, None),
        (128, 128, 10_000, 1, 128),
    ],
)
def test_the_limit_is_raised_as_far_as_needed_or_allowed(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, asked: int, room: int, raised: int | None
) -> None:
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _kind, given: limits.append(given))
    assert make_room(asked) == room
    assert limits == ([] if raised is None else [(raised, hard)])
