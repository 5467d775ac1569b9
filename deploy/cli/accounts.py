"""The commands `create-account` and `delete-account`: accounts of the staff, and accounts that have to go."""

import sys

import typer

from config import Settings
from datasources.accounts.common_passwords import is_common
from datasources.mongo import clock
from datasources.sources import open_sources
from deploy.cli.exit_codes import WRONG_USAGE
from deploy.local.errors import StartError
from domain.email_addresses import checked_email
from domain.errors import Refusal
from domain.password_rules import checked_password
from domain.text import checked_display_name
from domain.usernames import checked_username


def read_password() -> str:
    """Asks for a password twice on a terminal; else the first line of standard input."""
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    return sys.stdin.readline().rstrip("\n")


async def run_create(settings: Settings, username: str, email: str, password: str, name: str | None) -> int:
    """Makes the account, and prints its handle. Raises StartError if it is refused."""
    try:
        handle, address = checked_username(username), checked_email(email)
        password = checked_password(password, (handle, address, address.partition("@")[0]), is_common)
        display_name = checked_display_name(name or handle)
        async with open_sources(settings) as sources:
            hashed = await sources.passwords.hash(password)
            now = clock.now()
            await sources.users.register(handle, address, hashed, display_name, now, email_verified_at=now)
    except Refusal as refusal:
        raise StartError(refusal.message) from None
    print(f"made {handle} ({display_name})")
    return 0


async def run_delete(settings: Settings, username: str, *, is_sure: bool) -> int:
    """Deletes the account, and prints whose it was. Raises StartError if there is none, or unless `is_sure`."""
    async with open_sources(settings) as sources:
        user = await sources.users.by_username(username)
        if user is None:
            raise StartError(f"there is no account {username}")
        about = f"{user.username} ({user.display_name}, since {user.created_at:%Y-%m-%d}, {user.post_count} posts)"
        if not is_sure:
            raise StartError(f"this would delete {about}, for good: say --yes to do it", exit_code=WRONG_USAGE)
        await sources.users.delete(user.id, clock.now())
        await sources.sessions.end_all(user.id)
    print(f"deleted {about}; workers remove what it left")
    return 0
