"""Accounts that are suggested to the viewer."""

import msgspec
import strawberry

from domain.records.users import UserRecord
from domain.suggestions import SuggestionReason as Reason
from schema.connection import EDGES, PAGE_INFO, Edge, EdgeData, PageInfo
from schema.context import Info
from schema.enums import SuggestionReason
from schema.fields import computed, plain
from schema.user import User


class SuggestedUser(msgspec.Struct, frozen=True):
    """An account, and why it is suggested."""

    user: UserRecord
    reason: Reason


class SuggestedUserEdgeData(EdgeData, frozen=True):
    """What `SuggestedUserEdge` presents."""

    why: Reason

    @classmethod
    def of(cls, cursor: str, suggested: SuggestedUser) -> "SuggestedUserEdgeData":
        """The edge of a suggested account."""
        return cls(cursor, suggested.user, suggested.reason)


@strawberry.type(description="One item of a SuggestedUserConnection and where it stands.")
class SuggestedUserEdge(Edge[User]):
    """Presents a `SuggestedUserEdgeData`."""

    @computed(
        SuggestionReason | None,
        "Why the account is suggested; null for a private account, and where the reason has gone since. Who of those "
        "whom the viewer follows follow the account, its followedByViewerFollows says.",
    )
    async def reason(root: strawberry.Parent[SuggestedUserEdgeData], info: Info) -> Reason | None:
        user, why = root.node, root.why
        if user.is_private:
            return None
        if why is Reason.FOLLOWED_BY_FOLLOWED and not await info.context.loaders.mutual_followers_by_user.load(user.id):
            return None
        return why


@strawberry.type(description="A page of accounts to follow, the best first.")
class SuggestedUserConnection:
    """Presents a `ConnectionData`."""

    edges: list[SuggestedUserEdge] = plain(EDGES)
    page_info: PageInfo = plain(PAGE_INFO)
