"""The commands `moderation role`, `queue`, `show`, `decide`, `log`, `hold`, `release` and `holds`."""

from datetime import datetime
from typing import Annotated

import typer

from deploy.cli.maintenance_command import run_maintenance
from deploy.cli.options import EXIT_CODES, AsJson

moderation = typer.Typer(help="Roles, reports and decisions (docs/moderation.md).", no_args_is_help=True)
_CODES = EXIT_CODES.format("done", "there is no such thing, or it is refused")
Target = Annotated[str, typer.Argument(metavar="TARGET", help="A handle, or the global id of a user, post or comment.")]

Thing = Annotated[
    str, typer.Argument(metavar="THING", help="A handle, a hashtag such as '#sea', or the global id of a user or post.")
]
Why = Annotated[str, typer.Option(metavar="TEXT", help="Why, for the log.")]


@moderation.command(epilog=_CODES)
def role(
    context: typer.Context,
    username: Annotated[str, typer.Argument(help="The handle.")],
    name: Annotated[
        str, typer.Argument(metavar="ROLE", help="MEMBER, TRUSTED, MODERATOR or ADMINISTRATOR.", case_sensitive=False)
    ],
) -> None:
    """Give an account a role."""
    from deploy.cli.moderation import run_role  # noqa: PLC0415

    run_maintenance(context, lambda settings: run_role(settings, username, name))


@moderation.command(epilog=_CODES)
def queue(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=50, metavar="NUMBER", help="At most so many.")] = 50,
    *,
    closed: Annotated[bool, typer.Option("--closed", help="Those that are decided.")] = False,
    as_json: AsJson = False,
) -> None:
    """List cases, oldest first."""
    from deploy.cli.moderation import run_queue  # noqa: PLC0415

    run_maintenance(context, lambda settings: run_queue(settings, limit, closed=closed, as_json=as_json))


@moderation.command(epilog=_CODES)
def show(
    context: typer.Context,
    case: Annotated[str, typer.Argument(metavar="CASE", help="Its id, as `moderation queue` shows it.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Show a case with its reports."""
    from deploy.cli.moderation import run_show  # noqa: PLC0415

    run_maintenance(context, lambda settings: run_show(settings, case, as_json=as_json))


@moderation.command(epilog=_CODES)
def decide(
    context: typer.Context,
    target: Target,
    action: Annotated[str, typer.Argument(metavar="ACTION", help="Such as HIDE, SUSPEND or RESTORE.")],
    statement: Annotated[str, typer.Option(metavar="TEXT", help="The reasons, which the account reads.")] = "",
    note: Annotated[str, typer.Option(metavar="TEXT", help="For moderators.")] = "",
    until: Annotated[datetime | None, typer.Option(help="When LIMIT or SUSPEND ends, in UTC.")] = None,
) -> None:
    """Decide about a user, a post or a comment, as an operator."""
    from deploy.cli.moderation import Wanted, run_decide  # noqa: PLC0415

    wanted = Wanted(target, action, statement, note, until)
    run_maintenance(context, lambda settings: run_decide(settings, wanted))


@moderation.command(epilog=_CODES)
def log(
    context: typer.Context,
    username: Annotated[str | None, typer.Argument(help="Only about this account.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=50, metavar="NUMBER", help="At most so many.")] = 50,
    *,
    as_json: AsJson = False,
) -> None:
    """List what was decided, latest first."""
    from deploy.cli.moderation import run_log  # noqa: PLC0415

    run_maintenance(context, lambda settings: run_log(settings, username, limit, as_json=as_json))


@moderation.command(epilog=_CODES)
def hold(context: typer.Context, thing: Thing, reason: Why = "") -> None:
    """Hold a post, an account or a hashtag out of explore and trends, and of nothing else."""
    from deploy.cli.holds import run_hold  # noqa: PLC0415

    run_maintenance(context, lambda settings: run_hold(settings, thing, reason, is_held=True))


@moderation.command(epilog=_CODES)
def release(context: typer.Context, thing: Thing, reason: Why = "") -> None:
    """Let what was held out into explore and trends again."""
    from deploy.cli.holds import run_hold  # noqa: PLC0415

    run_maintenance(context, lambda settings: run_hold(settings, thing, reason, is_held=False))


@moderation.command(epilog=_CODES)
def holds(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=1000, metavar="NUMBER", help="At most so many.")] = 100,
    *,
    released: Annotated[bool, typer.Option("--released", help="What was held out, and is let in again.")] = False,
    as_json: AsJson = False,
) -> None:
    """List what is held out of explore."""
    from deploy.cli.holds import run_holds  # noqa: PLC0415

    run_maintenance(context, lambda settings: run_holds(settings, limit, released=released, as_json=as_json))
