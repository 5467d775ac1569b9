"""Pages of people who were found: positions from the index, then records, rules, and the order of the parts."""

from collections.abc import Sequence

from bson import ObjectId

from domain.errors import BadInput
from domain.limits import FEW_FOUND, KNOWN_FOUND_FIRST, PAGE_SIZE_MAX, SEARCH_READ_MAX, SIMILAR_FOUND_MAX
from domain.paging import Match, Page, PageRequest, cut_page
from domain.people_search import Group, terms_of
from domain.records.users import UserRecord
from domain.search_keys import found_key, popularity
from domain.usernames import may_be_handle
from schema.context import Context

Found = tuple[Match, UserRecord]
_SPARE = 8  # positions read beyond a page, for accounts that stand at several keys


async def found_page(context: Context, text: str, key: str, request: PageRequest) -> Page[UserRecord]:
    """A page of those whom the viewer may meet and whose names begin with `key`; `text` is as it was typed.

    Who is in the first two parts, which are short, is in no other part: so they are read for the first page, the last
    ones, and those on which somebody is whom the viewer knows. An account may show twice, or not at all, if the viewer
    begins or ends to know somebody between two pages. Raises BadInput for a cursor of another search.
    """
    after = request.after if isinstance(request.after, Match) else None
    is_named = after is not None and after.group == Group.NAMED
    if after is not None and (after.group > Group.SIMILAR or (is_named and not after.text.startswith(key))):
        raise BadInput("That is not a cursor of this search.")
    exact = await _exact(context, text)
    if is_named:
        found = await _named(context, key, request.limit + 1, after, {user.id for _, user in exact})
        if len(found) > request.limit and not await _knows_any(context, found):
            return cut_page(request, found)
    before = _joined(exact, await _known(context, key))
    found = [each for each in before if after is None or each[0].order > after.order]
    there = {user.id for _, user in before}
    if len(found) <= request.limit and (after is None or after.group <= Group.NAMED):
        start = after if is_named else None
        found += await _named(context, key, request.limit + 1 - len(found), start, there)
    if len(found) <= request.limit and await _are_few(context, key, found, after, before):
        similar = await _similar(context, key, there)
        found += [each for each in similar if after is None or each[0].order > after.order]
    return cut_page(request, found)


async def suggested(context: Context, key: str, limit: int) -> list[UserRecord]:
    """Up to `limit` accounts to mention, whose names begin with `key`."""
    known = await _known(context, key)
    there = {user.id for _, user in known}
    others = await _named(context, key, limit - len(known), None, there, handles=True) if len(known) < limit else []
    return [user for _, user in (*known, *others)][:limit]


def _joined(exact: Sequence[Found], known: Sequence[Found]) -> list[Found]:
    return [*exact, *(each for each in known if each[1].id not in {user.id for _, user in exact})]


async def _knows_any(context: Context, found: Sequence[Found]) -> bool:
    """Whether the viewer follows one of these accounts, or is followed by one."""
    relations = await context.loaders.relation_by_user.load_many([user.id for _, user in found])
    return any(relation.is_following or relation.is_followed for relation in relations)


async def _exact(context: Context, text: str) -> list[Found]:
    """The account whose handle it is, also if it does not want to be found by others."""
    user_id = await context.loaders.id_by_handle(text) if may_be_handle(text) else None
    user = None if user_id is None else await context.loaders.met_user_by_id.load(user_id)
    return [] if user is None else [(Match(Group.EXACT, popularity(user.follower_count), "", user.id), user)]


async def _known(context: Context, key: str) -> list[Found]:
    """People the viewer knows; nobody for a viewer who is suspended, and counts as following nobody."""
    session = context.session
    if session is None or session.is_restricted:
        return []
    matches = await context.sources.discovery.people.known(key, session.user_id, PAGE_SIZE_MAX)
    return (await _shown(context, matches))[:KNOWN_FOUND_FIRST]


async def _named(
    context: Context,
    key: str,
    limit: int,
    after: Match | None,
    there: set[ObjectId],
    *,
    handles: bool = False,
) -> list[Found]:
    """Up to `limit` accounts after a position, but for those that are `there`; with `handles`, by these alone.

    An account counts at the first of its keys.
    """
    found, read, size = list[Found](), 0, limit + _SPARE
    while len(found) < limit and read < SEARCH_READ_MAX:
        matches = await context.sources.discovery.people.named(key, size, after, handles=handles)
        new = [match for match in matches if match.id not in there]
        found += [each for each in await _shown(context, new) if handles or _is_first(each, key)]
        read, after = read + len(matches), matches[-1] if matches else None
        if len(matches) < size:
            break
        size = PAGE_SIZE_MAX
    return found[:limit]


def _is_first(found: Found, key: str) -> bool:
    match, user = found
    return found_key(terms_of(user.username, user.display_name).keys, key) == match.text


async def _are_few(
    context: Context, key: str, found: Sequence[Found], after: Match | None, before: Sequence[Found]
) -> bool:
    """Whether the parts before the last one have few accounts, on all pages together."""
    if after is None:
        return len(found) < FEW_FOUND
    if after.group == Group.SIMILAR:
        return True
    there = {user.id for _, user in before}
    return len(before) + len(await _named(context, key, FEW_FOUND, None, there)) < FEW_FOUND


async def _similar(context: Context, key: str, there: set[ObjectId]) -> list[Found]:
    """Accounts whose names differ by a typing error, and do not begin with `key`."""
    matches = await context.sources.discovery.people.similar(key, SIMILAR_FOUND_MAX)
    shown = await _shown(context, [match for match in matches if match.id not in there])
    return [each for each in shown if found_key(terms_of(each[1].username, each[1].display_name).keys, key) is None]


async def _shown(context: Context, matches: Sequence[Match]) -> list[Found]:
    """Those whom the viewer may meet."""
    users = await context.loaders.met_user_by_id.load_many([match.id for match in matches])
    return [(match, user) for match, user in zip(matches, users, strict=True) if user is not None]
