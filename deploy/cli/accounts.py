"""Accounts by the operator's hand: the staff's, and deleting one against abuse or because the law demands it."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from deploy.local.errors import StartError

if TYPE_CHECKING:
    from config import Settings


def create_account(
    context: typer.Context,
    username: Annotated[str, typer.Argument(help="The handle; one that is reserved too.")],
    email: Annotated[str, typer.Argument(help="The address.")],
    name: Annotated[str | None, typer.Option(metavar="TEXT", help="The name to show; default the handle.")] = None,
) -> None:
    """Make an account, also with a handle that nobody can register, such as `support`.

    It asks for the password; without a terminal, the password is the first line of standard input.
    """
    from deploy.cli import maintenance  # noqa: PLC0415

    settings = context.obj.settings()
    if sys.stdin.isatty():
        password = str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    else:
        password = sys.stdin.readline().rstrip("\n")
    raise typer.Exit(maintenance.run(settings, _create(settings, username, email, password, name)))


async def _create(settings: "Settings", username: str, email: str, password: str, name: str | None) -> int:
    """Makes the account. Raises StartError if it is refused."""
    from datasources.accounts.common_passwords import is_common  # noqa: PLC0415
    from datasources.mongo import clock  # noqa: PLC0415
    from datasources.sources import open_sources  # noqa: PLC0415
    from domain.email_addresses import checked_email  # noqa: PLC0415
    from domain.errors import Refusal  # noqa: PLC0415
    from domain.passwords import checked_password  # noqa: PLC0415
    from domain.text import checked_display_name  # noqa: PLC0415
    from domain.usernames import checked_username  # noqa: PLC0415

    try:
        handle, address = checked_username(username), checked_email(email)
        password = checked_password(password, (handle, address, address.partition("@")[0]), is_common)
        shown = checked_display_name(name or handle)
        async with open_sources(settings) as sources:
            hashed = await sources.passwords.hash(password)
            await sources.users.register(handle, address, hashed, shown, clock.now())
    except Refusal as refusal:
        raise StartError(refusal.message) from None
    print(f"made {handle} ({shown})")
    return 0


def delete_account(
    context: typer.Context,
    username: Annotated[str, typer.Argument(help="The handle, without the @, in any case.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this, only say whose account it is.")] = False,
) -> None:
    """Delete an account without its password, at once and for good, as `deleteAccount` does for its owner.

    Nobody sees it from then on. Workers take away what it left; `verify` says whether they have.
    """
    from deploy.cli import maintenance  # noqa: PLC0415

    settings = context.obj.settings()
    raise typer.Exit(maintenance.run(settings, _delete(settings, username, is_sure=yes)))


async def _delete(settings: "Settings", username: str, *, is_sure: bool) -> int:
    """Deletes the account. Raises StartError if there is none, or without being sure."""
    from datasources.mongo import clock  # noqa: PLC0415
    from datasources.sources import open_sources  # noqa: PLC0415

    async with open_sources(settings) as sources:
        found = await sources.users.by_username(username)
        if found is None:
            raise StartError(f"there is no account {username}")
        about = f"{found.username} ({found.display_name}, since {found.created_at:%Y-%m-%d}, {found.post_count} posts)"
        if not is_sure:
            raise StartError(f"this would delete {about}, for good: say --yes to do it", exit_code=2)
        await sources.users.delete(found.id, clock.now())
        await sources.sessions.end_all(found.id)
    print(f"deleted {about}; workers take away what it left")
    return 0
