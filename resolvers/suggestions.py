"""Accounts to follow."""

import asyncio
from collections.abc import Collection, Sequence
from functools import partial

from bson import ObjectId

from domain.limits import SUGGESTIONS_MAX
from domain.paging import Page, PageRequest, cut_page, fill_page
from domain.suggestions import KEPT, SuggestedAccount
from domain.visibility import can_suggest
from resolvers.root_fields import query
from schema.connection import EMPTY, ConnectionData, to_connection
from schema.context import Context, Info
from schema.fields import After, First
from schema.suggestion import SuggestedUser, SuggestedUserConnection, SuggestedUserEdgeData


@query(
    SuggestedUserConnection | None,
    f"Up to {SUGGESTIONS_MAX} accounts to follow: those that people follow whom the viewer follows, those that post "
    "with hashtags that the viewer follows or uses, and those with many followers. Nobody whom the viewer follows, has "
    "asked to follow, has muted or dismissed, or may not meet, and nobody who does not want to be found. They are "
    f"computed anew after {KEPT.total_seconds() / 3600:.0f} hours, after a minute for who follows few; an account may "
    "then come twice, or be left out, while one pages. Nobody for a suspended viewer.",
    public=False,
)
async def suggested_users(info: Info, first: First = None, after: After = None) -> ConnectionData:
    request, session = PageRequest.of(first, after).expects(int), info.context.require_session()
    if session.is_restricted:
        return EMPTY
    discovery = info.context.sources.discovery
    suggestions, dismissed = await asyncio.gather(
        info.context.loaders.suggestions_of_viewer.load(session.user_id),
        discovery.dismissals.of_account(session.user_id),
    )

    async def fetch(step: PageRequest) -> Page[SuggestedAccount]:
        return _cut(suggestions.accounts, step)

    page = await fill_page(request, fetch, partial(_shown, info.context, dismissed))
    return to_connection(page, SuggestedUserEdgeData.of)


def _cut(accounts: Sequence[SuggestedAccount], request: PageRequest) -> Page[SuggestedAccount]:
    """The part of these accounts, which are in order, that comes after the request's cursor."""
    start = request.after + 1 if isinstance(request.after, int) else 0
    return cut_page(request, list(enumerate(accounts))[start:])


async def _shown(
    context: Context, dismissed: Collection[ObjectId], accounts: Sequence[SuggestedAccount]
) -> list[SuggestedUser | None]:
    """These accounts in their order, None for one that may not be suggested by now."""
    ids = [account.id for account in accounts]
    discovery = context.sources.discovery
    (users, relations), listed, held = await asyncio.gather(
        context.loaders.people(ids), discovery.suggestions.listed(ids), discovery.holds.held_among(ids)
    )
    out = {*dismissed, *held}
    return [
        SuggestedUser(user, account.reason)
        if user is not None and user.id in listed and user.id not in out and can_suggest(user, relation)
        else None
        for account, user, relation in zip(accounts, users, relations, strict=True)
    ]
