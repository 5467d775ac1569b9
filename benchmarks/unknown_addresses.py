"""Whether times tell who has an account: `python -m benchmarks.unknown_addresses`."""

import random
import secrets
import time
from typing import Annotated, Any

import typer

from benchmarks.lib.report import Table, median, show
from benchmarks.lib.servers import finish, servers, stores
from config import Settings
from datasources.mongo import clock
from datasources.sources import Sources
from resolvers.api import schema
from schema.context import Context

KNOWN = 20  # accounts
SECONDS = 600.0
COLUMNS = ["asked", "somebody has it, ms", "nobody has it, ms", "difference", "guessed right"]
REGISTER = (
    "mutation ($input: RegisterInput!) { register(input: $input) { tokens { accessToken } userErrors { code } } }"
)
RESET = """mutation ($input: RequestPasswordResetInput!) {
  requestPasswordReset(input: $input) { userErrors { code } }
}"""
VERIFICATION = """mutation ($input: RequestEmailVerificationInput!) {
  requestEmailVerification(input: $input) { userErrors { code } }
}"""


def main(
    repeat: Annotated[int, typer.Option(min=10, help="Requests of each kind.")] = 400,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Asks for the same by addresses that somebody has and that nobody has, in random order, without HTTP."""
    with servers() as settings:
        mailing = settings.model_copy(update={"mail": "smtp", "smtp_host": "127.0.0.1", "smtp_port": 9})
        table = finish(_measure(mailing, repeat), SECONDS)
    show([table], ["pymongo", "argon2-cffi"], markdown=markdown)


async def _measure(settings: Settings, repeat: int) -> Table:
    table = Table("Whether times tell who has an account", COLUMNS)
    async with stores(settings) as sources:
        known = [f"known_{number}@example.com" for number in range(KNOWN)]
        for address in known:
            name = address.partition("@")[0]
            await sources.users.register(name, address, "no hash", name, clock.now(), email_verified_at=clock.now())
        for name, document, times in (
            ("requestPasswordReset", RESET, repeat),
            ("requestEmailVerification", VERIFICATION, repeat),
            ("register", REGISTER, repeat),
        ):
            taken: dict[bool, list[float]] = {True: [], False: []}
            for is_known in random.sample([True, False] * times, 2 * times):
                address = random.choice(known) if is_known else f"unknown_{random.randrange(KNOWN)}@example.com"
                taken[is_known].append(await _timed(sources, document, address))
            there, away = (median(taken[each]) * 1000 for each in (True, False))
            figures = f"{there:.2f}", f"{away:.2f}", f"{there / away - 1:+.1%}", f"{_guessed(taken):.1%}"
            table.rows.append([name, *figures])
    return table


async def _timed(sources: Sources, document: str, address: str) -> float:
    """Seconds of one request, which must not be refused."""
    given: dict[str, Any] = {"email": address}
    if document == REGISTER:
        given |= {"username": f"u{secrets.token_hex(8)}", "password": "correct horse battery staple"}
    context = Context(sources, None, "bench", "192.0.2.1")
    start = time.perf_counter()
    result = await schema.execute(document, {"input": given}, context_value=context)
    seconds = time.perf_counter() - start
    assert result.errors is None, result.errors
    assert result.data is not None
    (payload,) = result.data.values()
    assert payload["userErrors"] == [], payload
    return seconds


def _guessed(taken: dict[bool, list[float]]) -> float:
    """How often one is right who takes the slower of two requests for that of an account, or always the faster."""
    pairs = [(there, away) for there in taken[True] for away in taken[False]]
    slower = sum(there > away for there, away in pairs) / len(pairs)
    return max(slower, 1 - slower)


if __name__ == "__main__":
    typer.run(main)
