"""The signed-in person's own things."""

import contextlib
from datetime import datetime
from functools import partial

import msgspec
import strawberry
from bson import ObjectId

from datasources.mongo import clock
from domain.limits import ACCESS_TOKENS_MAX, BADGE_MAX, IDENTITIES_MAX, PASSKEYS_MAX, SESSIONS_MAX
from domain.paging import PageRequest
from domain.rate_limits import Throttle
from domain.records.exports import ExportRecord
from domain.records.factors import IdentityRecord, PasskeyRecord
from domain.records.terms import AcceptanceRecord
from domain.records.users import AccessTokenRecord, SessionRecord
from domain.upload_quota import QuotaUse
from schema.collection import CollectionPostConnection, saved_page
from schema.connection import (
    CollectionConnection,
    ConnectionData,
    PostConnection,
    UserConnection,
    connected,
    to_connection,
)
from schema.context import Info
from schema.enums import AccountStanding, Role, SensitiveContent
from schema.export import Export
from schema.fields import After, Before, First, Last, computed, loaded, plain
from schema.follow_request import FollowRequestConnection
from schema.hashtag import HashtagConnection
from schema.moderation import DecisionConnection
from schema.node import Node, presents
from schema.second_factor import LinkedIdentity, Passkey
from schema.session import AccessToken, Session
from schema.terms import TermsAcceptance
from schema.upload import UploadQuota
from schema.user import User


@strawberry.type(
    description="The general points that every operation costs. `extensions.cost.throttle` of each answer has the same."
)
class RateLimit:
    """Presents `Throttle`."""

    maximum: int = plain("How many there can be.")
    available: int = plain("How many there are now, as far as the answering process knows.")
    restore_rate_per_second: float = plain("How many come back in a second.")


@strawberry.type(description="What the viewer prefers; see updatePreferences.")
class ViewerPreferences:
    """Presents a `SignedIn`."""

    @computed(SensitiveContent, "How clients show posts that are labelled sensitive; VEIL unless it was changed.")
    async def sensitive_content(root: strawberry.Parent["SignedIn"], info: Info) -> SensitiveContent:
        return await info.context.sources.account.preferences.sensitive_content(root.id)

    @computed(
        bool, "Whether tags of the viewer wait until they approve them (approveTag); false unless it was changed."
    )
    async def approves_tags(root: strawberry.Parent["SignedIn"], info: Info) -> bool:
        return root.id in await info.context.sources.account.preferences.approving_tags([root.id])

    @computed(
        bool,
        "Whether everybody finds the account by a part of its handle or name and among suggestions, and its posts by "
        "their words and in explore. If not, people whom they follow or who follow them find the account, and others "
        "by the whole handle. True unless it was changed.",
    )
    async def is_in_search(root: strawberry.Parent["SignedIn"], info: Info) -> bool:
        return await info.context.sources.account.preferences.is_in_search(root.id)

    @computed(
        bool,
        "Whether the ranked feed goes on with suggested posts after those that are there because of whom and what the "
        "viewer follows; true unless it was changed.",
    )
    async def shows_suggested_posts(root: strawberry.Parent["SignedIn"], info: Info) -> bool:
        return await info.context.sources.account.preferences.shows_suggested_posts(root.id)


class SignedIn(msgspec.Struct, frozen=True):
    """Somebody who looks at their own account, whichever their session."""

    id: ObjectId  # the account's, so that what a client caches of `Viewer` outlives the session


@strawberry.type(description="The signed-in person's own things; by `node` there for themselves alone.")
class Viewer(Node):
    is_type_of = presents(SignedIn)

    user: User = loaded("user_by_id", key="id", description="Their account as others see it.")

    @computed(str, "Their address.")
    async def email(root: strawberry.Parent[SignedIn], info: Info) -> str:
        return await info.context.sources.users.email_of(root.id)

    @computed(str | None, "Language of their mails, as a tag; null for that of the service.")
    async def language(root: strawberry.Parent[SignedIn], info: Info) -> str | None:
        return await info.context.sources.account.emails.language_of(root.id)

    @computed(bool, "Whether they have verified the address; always true where the service does not ask for it.")
    async def is_email_verified(root: strawberry.Parent[SignedIn], info: Info) -> bool:
        sources = info.context.sources
        return sources.settings.verification == "off" or await sources.account.emails.is_verified(root.id)

    @computed(Role, "What they may do beyond their own things.")
    async def role(root: strawberry.Parent[SignedIn], info: Info) -> Role:
        user = await info.context.loaders.user_by_id.load(root.id)
        return Role.MEMBER if user is None else user.role

    @computed(AccountStanding, "How moderators have judged the account.")
    async def standing(root: strawberry.Parent[SignedIn], info: Info) -> AccountStanding:
        user = await info.context.loaders.user_by_id.load(root.id)
        return AccountStanding.GOOD if user is None else user.standing

    @computed(datetime | None, "When that standing ends by itself; null if it does not.")
    async def standing_until(root: strawberry.Parent[SignedIn], info: Info) -> datetime | None:
        return await info.context.sources.moderation.standings.until(root.id)

    @computed(UploadQuota, "How many images they may still upload.")
    async def upload_quota(root: strawberry.Parent[SignedIn], info: Info) -> QuotaUse:
        return await info.context.sources.uploads.reservations.use(root.id, clock.now())

    @computed(
        int,
        "Notifications not seen yet that the viewer may see, but for those of their own posts being ready; exact up to "
        f"{BADGE_MAX - 1}: {BADGE_MAX} means more than {BADGE_MAX - 1}.",
    )
    async def unread_notification_count(root: strawberry.Parent[SignedIn], info: Info) -> int:
        count = 0
        async with contextlib.aclosing(info.context.sources.notifications.unseen(root.id)) as batches:
            async for batch in batches:
                visible = await info.context.loaders.visible_notifications(batch)
                count += sum(notification is not None for notification in visible)
                if count >= BADGE_MAX:
                    break
        return min(count, BADGE_MAX)

    @computed(
        RateLimit | None,
        "Their points, or those of this session if these are fewer; null where the operator has turned limits off.",
    )
    def rate_limit(root: strawberry.Parent[SignedIn], info: Info) -> Throttle | None:
        session = info.context.session
        return info.context.sources.rate_limits.points.throttle(root.id, None if session is None else session.id)

    @computed(
        list[Session],
        f"Where they are logged in, latest first. With {SESSIONS_MAX} of them, logging in once more ends the one that "
        "was not used for the longest time.",
        max_items=SESSIONS_MAX,
    )
    async def sessions(root: strawberry.Parent[SignedIn], info: Info) -> list[SessionRecord]:
        return await info.context.sources.sessions.of_user(root.id)

    @computed(bool, "Whether logging in by password needs a second factor.")
    async def has_second_factor(root: strawberry.Parent[SignedIn], info: Info) -> bool:
        return (await info.context.sources.factors.stored.of_user(root.id)).has_codes

    @computed(int, "How many recovery codes are left.")
    async def recovery_codes_left(root: strawberry.Parent[SignedIn], info: Info) -> int:
        return len((await info.context.sources.factors.stored.of_user(root.id)).recovery_hashes)

    @computed(list[Passkey], "Their passkeys, in the order in which they were added.", max_items=PASSKEYS_MAX)
    async def passkeys(root: strawberry.Parent[SignedIn], info: Info) -> list[PasskeyRecord]:
        return (await info.context.sources.factors.stored.of_user(root.id)).passkeys

    @computed(list[LinkedIdentity], "The identities that log in to the account.", max_items=IDENTITIES_MAX)
    async def linked_identities(root: strawberry.Parent[SignedIn], info: Info) -> list[IdentityRecord]:
        return (await info.context.sources.factors.stored.of_user(root.id)).identities

    @computed(
        list[AccessToken], "Their personal access tokens that are valid, latest first.", max_items=ACCESS_TOKENS_MAX
    )
    async def access_tokens(root: strawberry.Parent[SignedIn], info: Info) -> list[AccessTokenRecord]:
        return await info.context.sources.access_tokens.of_user(root.id)

    @computed(TermsAcceptance | None, "Which terms of the service they have accepted last.")
    async def terms_accepted(root: strawberry.Parent[SignedIn], info: Info) -> AcceptanceRecord | None:
        return await info.context.sources.account.terms.latest(root.id)

    @computed(bool, "Whether they have yet to accept the terms that are in force.")
    async def must_accept_terms(root: strawberry.Parent[SignedIn], info: Info) -> bool:
        return not await info.context.sources.account.terms.has_accepted(root.id)

    @computed(Export | None, "Everything that the account has, if it was requested and has not expired.")
    async def export(root: strawberry.Parent[SignedIn], info: Info) -> ExportRecord | None:
        return await info.context.sources.account.exports.find(root.id)

    @computed(ViewerPreferences, "What they prefer.")
    def preferences(root: strawberry.Parent[SignedIn]) -> SignedIn:
        return root

    @computed(DecisionConnection | None, "What moderators decided about them, latest first.")
    async def decisions(
        root: strawberry.Parent[SignedIn],
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> ConnectionData:
        request = PageRequest.of(first, after, last, before)
        return to_connection(await info.context.sources.moderation.decisions.about(root.id, request))

    @computed(
        CollectionPostConnection | None,
        "What they have saved, latest first. A post that they may not see (any more) leaves an edge without node.",
    )
    async def saved_posts(
        root: strawberry.Parent[SignedIn],
        info: Info,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> ConnectionData:
        request = PageRequest.of(first, after, last, before)
        fetch = partial(info.context.sources.saved.posts.of_saver, root.id)
        return await saved_page(info.context, request, fetch, with_hidden=True)

    liked_posts: PostConnection | None = connected(
        PostConnection,
        lambda context, viewer, page: context.sources.post_likes.liked_by(viewer.id, page),
        loader="visible_post_by_id",
        description="The posts that they like and may see, in the order in which they first liked them, latest first.",
    )
    collections: CollectionConnection | None = connected(
        CollectionConnection,
        lambda context, viewer, page: context.sources.saved.collections.of_owner(viewer.id, page, only_public=False),
        loader="visible_collection_by_id",
        description="Their collections, newest first.",
    )
    follow_requests: FollowRequestConnection | None = connected(
        FollowRequestConnection,
        lambda context, viewer, page: context.sources.follows.requests(viewer.id, page),
        loader="met_user_by_id",
        description="Who asks to follow them, latest first.",
    )
    blocked_users: UserConnection | None = connected(
        UserConnection,
        lambda context, viewer, page: context.sources.blocks.blocked(viewer.id, page),
        loader="blocked_user_by_id",
        description="Whom they have blocked, latest first; also those who have blocked them.",
    )
    followed_hashtags: HashtagConnection | None = connected(
        HashtagConnection,
        lambda context, viewer, page: context.sources.followed_hashtags.page(viewer.id, page),
        loader="hashtag_by_name",
        description="Which hashtags they follow, latest first.",
    )
    muted_users: UserConnection | None = connected(
        UserConnection,
        lambda context, viewer, page: context.sources.mutes.muted(viewer.id, page),
        loader="visible_user_by_id",
        description="Whom they have muted, latest first.",
    )


def signed_in(session: SessionRecord | None) -> SignedIn | None:
    """The owner of a session, as `Viewer` presents them."""
    return None if session is None else SignedIn(session.user_id)
