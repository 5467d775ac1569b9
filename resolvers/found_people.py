"""Pages of people who were found: positions from the index, then records, rules, and the order of the parts."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from bson import ObjectId

from domain.errors import BadInput
from domain.limits import FEW_FOUND, KNOWN_FOUND_FIRST, PAGE_SIZE_MAX, SEARCH_READ_MAX, SIMILAR_FOUND_MAX
from domain.paging import Match, Page, PageRequest, cut_page
from domain.people_search import Group, keys_of
from domain.records.users import UserRecord
from domain.search_keys import found_key, popularity
from domain.usernames import may_be_handle, typed_handle
from schema.context import Context

Found = tuple[Match, UserRecord]
_SPARE = 8  # positions read beyond those wanted, for accounts that stand at several keys or are not shown
_KNOWN_FIRST = KNOWN_FOUND_FIRST + _SPARE


class _Positions(NamedTuple):
    """Positions of accounts of some name, in order; `is_end` if none follow them."""

    matches: Sequence[Match]
    is_end: bool


async def found_page(context: Context, text: str, key: str, request: PageRequest) -> Page[UserRecord]:
    """A page of those whom the viewer may meet and whose names begin with `key`; `text` is as it was typed.

    Who is in the first two parts, which are short, is in no other part. An account may show twice, or not at all, if
    the viewer begins or ends to know somebody between two pages. Raises BadInput for a cursor of another search.
    """
    after = request.after if isinstance(request.after, Match) else None
    is_named = after is not None and after.group == Group.NAMED
    if after is not None and (after.group > Group.SIMILAR or (is_named and not after.text.startswith(key))):
        raise BadInput("That is not a cursor of this search.")
    wants_named = after is None or after.group <= Group.NAMED
    exact_id, known_matches, first_named = await asyncio.gather(
        _id_by_handle(context, text),
        _known_matches(context, key),
        _positions(context, key, request.limit + 1 if wants_named else 0, after if is_named else None),
    )
    exact_ids = [] if exact_id is None else [exact_id]
    ids = [*exact_ids, *(match.id for match in (*known_matches[:_KNOWN_FIRST], *first_named.matches))]
    await _read(context, ids)  # all by one call, so that the parts have them at once
    exact, known = await _exact(context, exact_ids), await _known(context, key, known_matches)
    before = [*exact, *(each for each in known if each[1].id not in exact_ids)]
    there = {user.id for _, user in before}
    found = [each for each in before if after is None or each[0].order > after.order]
    if len(found) <= request.limit and wants_named:
        found += await _named(context, key, request.limit + 1 - len(found), first_named, there)
    if not exact and len(found) <= request.limit and await _are_few(context, key, found, after, before):
        similar = await _similar(context, key, there)
        found += [each for each in similar if after is None or each[0].order > after.order]
    return cut_page(request, found)


async def suggested(context: Context, key: str, limit: int) -> list[UserRecord]:
    """Up to `limit` accounts to mention, whose names begin with `key`."""
    known_matches, first_named = await asyncio.gather(
        _known_matches(context, key), _positions(context, key, limit, None, handles=True)
    )
    ids = [match.id for match in (*known_matches[:_KNOWN_FIRST], *first_named.matches)]
    await _read(context, ids)  # all by one call, so that the parts have them at once
    known = await _known(context, key, known_matches)
    there, left = {user.id for _, user in known}, limit - len(known)
    others = await _named(context, key, left, first_named, there, handles=True) if left > 0 else []
    return [user for _, user in (*known, *others)][:limit]


async def _read(context: Context, user_ids: Sequence[ObjectId]) -> None:
    """Reads people not known yet, and the viewer's relations to them, past the caches, which hold few of them."""
    unknown = context.loaders.user_by_id.unknown(user_ids)
    if not unknown:
        return
    stored = context.loaders.past_caches()
    try:
        users, relations = await stored.people(unknown)
    finally:
        stored.release()
    context.loaders.user_by_id.prime(unknown, users)
    context.loaders.relation_by_user.prime(unknown, relations)


async def _id_by_handle(context: Context, text: str) -> ObjectId | None:
    if not may_be_handle(text):
        return None
    handle = typed_handle(text).lower()
    return (await context.sources.users.ids_by_username([handle])).get(handle)


async def _known_matches(context: Context, key: str) -> list[Match]:
    """Positions of people the viewer knows; of nobody for one who is suspended, and counts as following nobody."""
    session = context.session
    if session is None or session.is_restricted:
        return []
    return await context.sources.discovery.people.known(key, session.user_id, PAGE_SIZE_MAX)


async def _positions(
    context: Context, key: str, wanted: int, after: Match | None, *, handles: bool = False
) -> _Positions:
    """At least as many positions after one as are wanted, if there are; with `handles`, by these alone."""
    if not wanted:
        return _Positions((), is_end=True)
    size = wanted + _SPARE
    matches = await context.sources.discovery.people.named(key, size, after, handles=handles)
    return _Positions(matches, len(matches) < size)


async def _exact(context: Context, ids: Sequence[ObjectId]) -> list[Found]:
    """The account whose handle it is, also if it does not want to be found by others."""
    users = await context.loaders.met_user_by_id.load_many(ids)
    return [
        (Match(Group.EXACT, popularity(user.follower_count), "", user.id), user) for user in users if user is not None
    ]


async def _known(context: Context, key: str, matches: Sequence[Match]) -> list[Found]:
    """People the viewer knows, whose names begin with `key`. A match may be of a while ago, in both respects."""
    found = list[Found]()
    for some in (matches[:_KNOWN_FIRST], matches[_KNOWN_FIRST:]):
        ids = [match.id for match in some]
        await _read(context, ids)
        relations = await context.loaders.relation_by_user.load_many(ids)
        are_known = {
            match.id
            for match, relation in zip(some, relations, strict=True)
            if relation.is_following or relation.is_followed
        }
        shown = await _shown(context, [match for match in some if match.id in are_known])
        found += [each for each in shown if _first_key(each[1], key) is not None]
        if len(found) >= KNOWN_FOUND_FIRST:
            break
    return found[:KNOWN_FOUND_FIRST]


async def _named(
    context: Context, key: str, limit: int, positions: _Positions, there: set[ObjectId], *, handles: bool = False
) -> list[Found]:
    """Up to `limit` accounts from some positions on, but for those that are `there`; with `handles`, by these alone.

    An account counts at the first of its keys.
    """
    found, read = list[Found](), 0
    while True:
        shown = await _shown(context, [match for match in positions.matches if match.id not in there])
        found += [each for each in shown if handles or _first_key(each[1], key) == each[0].text]
        read += len(positions.matches)
        if len(found) >= limit or positions.is_end or read >= SEARCH_READ_MAX:
            return found[:limit]
        positions = await _positions(context, key, PAGE_SIZE_MAX, positions.matches[-1], handles=handles)


async def _are_few(
    context: Context, key: str, found: Sequence[Found], after: Match | None, before: Sequence[Found]
) -> bool:
    """Whether the parts before the last one have few accounts, on all pages together."""
    if after is None:
        return len(found) < FEW_FOUND
    if after.group == Group.SIMILAR:
        return True
    there, positions = {user.id for _, user in before}, await _positions(context, key, FEW_FOUND, None)
    return len(before) + len(await _named(context, key, FEW_FOUND, positions, there)) < FEW_FOUND


async def _similar(context: Context, key: str, there: set[ObjectId]) -> list[Found]:
    """Accounts whose names differ by a typing error, and do not begin with `key`."""
    matches = await context.sources.discovery.people.similar(key, SIMILAR_FOUND_MAX + _SPARE)
    shown = await _shown(context, [match for match in matches if match.id not in there])
    return [each for each in shown if _first_key(each[1], key) is None][:SIMILAR_FOUND_MAX]


def _first_key(user: UserRecord, key: str) -> str | None:
    return found_key(keys_of(user.username, user.display_name), key)


async def _shown(context: Context, matches: Sequence[Match]) -> list[Found]:
    """Those whom the viewer may meet."""
    ids = [match.id for match in matches]
    await _read(context, ids)
    users = await context.loaders.met_user_by_id.load_many(ids)
    return [(match, user) for match, user in zip(matches, users, strict=True) if user is not None]
