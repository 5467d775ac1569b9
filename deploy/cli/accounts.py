"""The commands `create-account`, `delete-account` and `reset-factors`: what operators do with accounts."""

import getpass
import sys

import structlog
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

log = structlog.get_logger(__name__)


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
            await sources.users.register(
                handle, address, hashed, display_name, now, email_verified_at=now, may_be_barred=True
            )
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


async def run_reset(settings: Settings, username: str, *, reason: str | None, is_sure: bool) -> int:
    """Removes all factors of an account, logs who did it and why, and prints it.

    Raises StartError if there is no such account, or, saying what would go, without a reason or unless `is_sure`.
    """
    async with open_sources(settings) as sources:
        user = await sources.users.by_username(username)
        if user is None:
            raise StartError(f"there is no account {username}")
        factors = await sources.factors.stored.of_user(user.id)
        about = (
            f"{user.username} (since {user.created_at:%Y-%m-%d}): one-time codes "
            f"{'on' if factors.has_codes else 'off'}, passkeys {len(factors.passkeys)}, "
            f"linked identities {len(factors.identities)}"
        )
        if not is_sure or not reason:
            message = f"this would reset {about}; say --reason TEXT and --yes to do it"
            raise StartError(message, exit_code=WRONG_USAGE)
        if not await sources.factors.removal.reset(user.id):
            raise StartError(f"the account {username} was deleted meanwhile")
    log.warning("account.factors_reset", account=str(user.id), operator=getpass.getuser(), reason=reason)
    print(f"reset {about}; the password alone logs in now, and the owner gets a mail")
    return 0
