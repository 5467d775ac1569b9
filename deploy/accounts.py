"""Accounts by the operator's hand: deleting one without its password, against abuse or because the law demands it."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.local.errors import StartError

if TYPE_CHECKING:
    from config import Settings


def delete_account(
    context: typer.Context,
    username: Annotated[str, typer.Argument(help="The handle, without the @, in any case.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this, only say whose account it is.")] = False,
) -> None:
    """Delete an account without its password, at once and for good, as `deleteAccount` does for its owner.

    Nobody sees it from then on. Workers take away what it left; `verify` says whether they have.
    """
    from deploy import maintenance  # noqa: PLC0415

    settings = context.obj.settings()
    raise typer.Exit(maintenance.run(settings, _run(settings, username, is_sure=yes)))


async def _run(settings: "Settings", username: str, *, is_sure: bool) -> int:
    """Deletes the account. Raises StartError if there is none, or without being sure."""
    from datasources.sources import open_sources  # noqa: PLC0415

    async with open_sources(settings) as sources:
        found = await sources.users.by_username(username)
        if found is None:
            raise StartError(f"there is no account {username}")
        about = f"{found.username} ({found.display_name}, since {found.created_at:%Y-%m-%d}, {found.post_count} posts)"
        if not is_sure:
            raise StartError(f"this would delete {about}, for good: say --yes to do it", exit_code=2)
        await sources.users.delete(found.id, datetime.now(UTC))
        await sources.sessions.end_all(found.id)
    print(f"deleted {about}; workers take away what it left")
    return 0
