"""The terms of the service: which are in force, and accepting them."""

import msgspec

from config import Settings
from datasources.mongo import clock
from domain.errors import Refusal, UserErrorCode
from domain.records.terms import AcceptanceRecord, AgeRange
from resolvers.root_fields import mutation, query
from schema.context import Info
from schema.inputs import AcceptTermsInput
from schema.payloads import ViewerPayload
from schema.terms import Terms
from schema.viewer import signed_in


class TermsInForce(msgspec.Struct, frozen=True):
    """What the operators ask everybody to accept."""

    version: str
    url: str | None
    minimum_age: int | None


@query(Terms | None, "The terms of the service that are in force; null if there are none.")
def terms(info: Info) -> TermsInForce | None:
    settings = info.context.sources.settings
    if settings.terms_version is None:
        return None
    return TermsInForce(settings.terms_version, settings.terms_url, settings.minimum_age)


@mutation(
    "Records that the viewer accepts the terms of the service that are in force, and their age range where "
    "`terms { minimumAge }` asks for it. Until then acts may be refused with TERMS_NOT_ACCEPTED. Repeating it changes "
    "nothing.",
    scope=None,
    while_suspended=True,
)
async def accept_terms(info: Info, given: AcceptTermsInput) -> ViewerPayload:
    session, sources = info.context.require_session(), info.context.sources
    acceptance = acceptance_of(sources.settings, given.version, given.age_range, field="version")
    if acceptance is None:
        raise Refusal(UserErrorCode.INVALID_INPUT, "There are no terms to accept.", field=["version"])
    await sources.account.terms.accept(session.user_id, acceptance)
    return ViewerPayload(viewer=signed_in(session))


def acceptance_of(
    settings: Settings, version: str | None, age_range: AgeRange | None, *, field: str
) -> AcceptanceRecord | None:
    """What to record of somebody who accepts this version; None if no terms are in force.

    Raises Refusal for another version than that in force (TERMS_NOT_ACCEPTED), for no age range where one is asked for
    (INVALID_INPUT), and for one that is too young (NOT_ALLOWED). `field` is the input's that has the version.
    """
    in_force, minimum = settings.terms_version, settings.minimum_age
    if in_force is None:
        return None
    if version != in_force:
        message = f"Accept the terms of the service, version {in_force}, first."
        raise Refusal(UserErrorCode.TERMS_NOT_ACCEPTED, message, field=[field])
    if minimum is not None and age_range is None:
        raise Refusal(UserErrorCode.INVALID_INPUT, "Say in which range your age is.", field=["ageRange"])
    if minimum is not None and age_range is not None and age_range.lowest < minimum:
        raise Refusal(UserErrorCode.NOT_ALLOWED, f"This service is for people from {minimum} on.", field=["ageRange"])
    return AcceptanceRecord(version=in_force, accepted_at=clock.now(), age_range=age_range if minimum else None)
