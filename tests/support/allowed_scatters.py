"""Queries of the product that may go to all shards of a cluster.

By reason, patterns of `collection module.function`. What is not listed fails the test in which it is seen.
"""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

# Rare, or bounded by the clock and not by the users.
ALLOWED: Mapping[str, Sequence[str]] = {
    "The relay reads a sparse index of what is due, once a second.": (
        "* workers.runtime.outbox_relay.*",
        "feeds datasources.feed.feed_states.FeedStates.enqueue_due",
        "exports datasources.accounts.exports.ExportStore.enqueue_expired",
        "decisions datasources.moderation.decisions.DecisionStore.enqueue_due",
        "* workers.runtime.drain.*",  # of `repair` and tests
    ),
    "One process of all asks what waits, four times a minute.": ("* workers.monitoring.*",),
    "One process of all makes a snapshot of explore, every few minutes, from a bounded number of documents.": (
        "* datasources.discovery.activity.*",
    ),
    "A job has failed, or is tried again by hand.": ("* datasources.jobs.dead_letters.DeadLetterStore.*",),
    "Operators ask for it: verify, repair, gc, the copying of an older version's data.": (
        "* workers.maintenance.*",
        "* deploy.*",
        "follows datasources.graph.followers.copy_follows",
        "users datasources.accounts.claims.copy_claims",
        "users datasources.accounts.search_terms.add_search_terms",
    ),
    "Only where a version before claims has left its indexes, which a sharded collection cannot have.": (
        "users datasources.accounts.claims.ClaimStore._find_unclaimed",
    ),
    "Once in the life of an account: its deletion finds what it left.": (
        "* datasources.accounts.account_references.*",
        "identity_links datasources.accounts.linked_identities.IdentityStore.erase",
        "* datasources.graph.deleted_account_relations.*",
        "claims datasources.jobs.claimed_keys.ClaimedKeys.delete_of_author",
        "* datasources.posts.likes.LikeStore.unlike_by_user",
        "* datasources.posts.likes.LikeStore.delete_taken_back",
        "* datasources.posts.*.delete_by_author",
        "* datasources.posts.*.remove_mentions",
        "* datasources.posts.*.delete_tombstones",
        "posts datasources.posts.posts.PostStore._pull",
        "notifications datasources.notifications.notification_log.NotificationStore.anonymize_withdrawn",
        "notifications datasources.notifications.notification_log.NotificationStore.delete_of_recipient",
        "profile_visits datasources.feed.profile_visits.VisitStore.erase",
        "dismissed_suggestions datasources.discovery.dismissals.DismissalStore.erase",
        "users datasources.accounts.users.UserStore.find_deleted_in_session",
        "users datasources.accounts.deactivation.DeactivationStore.find_deactivated_in_session",
    ),
    "At the end of a post's life: its deletion finds who saved it, with a query for each 50 saves.": (
        "saves datasources.saves.saves.SaveStore.remove_of_post",
    ),
    "A screen that few look at, or an act of few: sessions, lists of followers, requests, own likes, going public, "
    "a block, a notification by its id.": (
        "notifications datasources.mongo.batched_operations.BatchedReads._read",
        "sessions datasources.accounts.sessions.SessionStore.of_user",
        "sessions datasources.accounts.session_endings.SessionEndings.*",  # logging in too
        "sessions datasources.accounts.access_tokens.AccessTokenStore.*",
        "follows datasources.graph.follows.FollowStore._page",
        "follows datasources.graph.follows.FollowStore.accept_requests",
        "blocks datasources.graph.blocks.BlockStore.remove_follows",
        "post_likes datasources.posts.likes.LikeStore.liked_by",
    ),
    "A search asks each shard for a page from an index: who asks is limited, names lie by ids, captions by authors.": (
        "caption_terms datasources.discovery.caption_search.CaptionSearch.*",
        "topics datasources.discovery.topic_search.TopicSearch.named",
        "users datasources.discovery.people_search.PeopleSearch.named",
        "users datasources.discovery.people_search.PeopleSearch.similar",
    ),
    "An export is made at most once a day for an account, from indexes by who acted.": (
        "* workers.exporting.contents._pages",
    ),
    "Interests are computed at most daily for a viewer, from indexes by who acted.": (
        "* datasources.feed.interests.*",
    ),
    "Suggestions are computed a few times a day for who looks at them: from the most followed, and the authors "
    "of some hundred posts, who are so many that they lie on most shards.": (
        "users datasources.discovery.suggestions.SuggestionStore._popularity",
        "posts datasources.discovery.suggestions.SuggestionStore._authors_of",
    ),
    "A deleted or edited post or comment withdraws its notifications.": (
        "notifications datasources.notifications.notification_log.NotificationStore._about",
        "notifications datasources.notifications.notification_log.NotificationStore.withdraw",
    ),
    "Places lie by their names, so that those of one name are found together; who looks around a point asks all.": (
        "topics datasources.posts.places.PlaceStore.near",
    ),
    "A key that a client first sent to the version before is known by its author.": (
        "comments datasources.posts.commenting.CommentingStore.add",
        "comments datasources.posts.commenting.CommentingStore.added_at_older_version",
    ),
    "Follows lie with their followers, and a count of followers is of the followed: one query for up to 200 of them.": (
        "follows datasources.graph.follows.FollowStore.pending_counts",
    ),
}


def is_allowed(collection: str, caller: str) -> bool:
    """Whether this function's queries of a collection may go to all shards."""
    patterns = (pattern for listed in ALLOWED.values() for pattern in listed)
    return any(fnmatchcase(f"{collection} {caller}", pattern) for pattern in patterns)
