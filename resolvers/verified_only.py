"""What accounts may do only once their address is verified."""

from collections.abc import Collection

from domain.errors import Refusal, UserErrorCode
from schema.context import Context


async def refuse_unverified(context: Context, mutation: str) -> None:
    """Raises Refusal (EMAIL_NOT_VERIFIED) if the settings say so of this mutation and the viewer."""
    settings = context.sources.settings
    if mutation not in settings.unverified_refused or settings.verification == "off" or context.viewer_id is None:
        return
    if not await context.sources.account.emails.is_verified(context.viewer_id):
        raise Refusal(UserErrorCode.EMAIL_NOT_VERIFIED, "Verify your mail address first.")


def expect_mutations(names: Collection[str], known: Collection[str]) -> None:
    """Raises ValueError if the setting names a mutation that is not known, which would refuse nothing."""
    if unknown := sorted(set(names) - set(known)):
        raise ValueError(f"PHOTOGRAM_UNVERIFIED_REFUSED names no mutations: {', '.join(unknown)}")
