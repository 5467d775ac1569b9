"""Queries of the product that go to all shards of a cluster: those that may, and those that wait to be changed.

By reason, patterns of `collection module.function`. What is not listed fails the test in which it is seen.
"""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

# Rare, or bounded by the clock and not by the users.
ALLOWED: Mapping[str, Sequence[str]] = {
    "The relay reads a sparse index of what is due, once a second.": (
        "* workers.runtime.outbox_relay.*",
        "feeds datasources.feed.feed_states.FeedStates.enqueue_due",
        "* workers.runtime.drain.*",  # of `repair` and tests
    ),
    "One process of all asks what waits, four times a minute.": ("* workers.monitoring.*",),
    "A job has failed, or is tried again by hand.": ("* datasources.jobs.dead_letters.DeadLetterStore.*",),
    "Operators ask for it: verify, repair, gc, the copying of an older version's data.": (
        "* workers.maintenance.*",
        "* deploy.*",
        "follows datasources.graph.followers.copy_follows",
        "users datasources.accounts.claims.copy_claims",
    ),
    "Only where a version before claims has left its indexes, which a sharded collection cannot have.": (
        "users datasources.accounts.claims.ClaimStore._find_unclaimed",
    ),
    "Once in the life of an account: its deletion finds what it left.": (
        "* datasources.accounts.account_references.*",
        "* datasources.graph.deleted_account_relations.*",
        "sessions datasources.accounts.sessions.SessionStore.end_all",
        "* datasources.posts.likes.LikeStore.unlike_by_user",
        "* datasources.posts.likes.LikeStore.delete_taken_back",
        "* datasources.posts.*.delete_by_author",
        "* datasources.posts.*.remove_mentions",
        "* datasources.posts.*.delete_tombstones",
        "* datasources.posts.*.decrement_notified",
        "posts datasources.posts.posts.PostStore._pull",
        "notifications datasources.notifications.notification_log.NotificationStore.anonymize_withdrawn",
        "notifications datasources.notifications.notification_log.NotificationStore.delete_of_recipient",
        "profile_visits datasources.feed.profile_visits.VisitStore.erase",
        "users datasources.accounts.users.UserStore.find_deleted_in_session",
    ),
    "A screen that few look at, or an act of few: sessions, lists of followers and requests, going public, a block.": (
        "sessions datasources.accounts.sessions.SessionStore.of_user",
        "follows datasources.graph.follows.FollowStore._page",
        "follows datasources.graph.follows.FollowStore.accept_requests",
        "blocks datasources.graph.blocks.BlockStore.remove_follows",
    ),
    "Interests are computed at most daily for a viewer, from indexes by who acted.": (
        "* datasources.feed.interests.*",
    ),
    "A deleted or edited post or comment withdraws its notifications.": (
        "notifications datasources.notifications.notification_log.NotificationStore.*",
        "notifications datasources.mongo.batched_operations.BatchedReads._read",
    ),
    "An upload is found by its id some twenty times in its life; it has ten a day of an owner.": (
        "uploads datasources.media.*",
        "uploads datasources.mongo.batched_operations.BatchedReads._read",
    ),
}

# Hot. In a cluster each asks every shard: the code must be changed before there are many.
TO_BE_CHANGED: Mapping[str, Sequence[str]] = {
    "Posts by their ids alone: the id has to carry the author, or the caller to know it.": (
        "posts datasources.mongo.batched_operations.BatchedReads._read",
        "posts datasources.targets.Targets.*",
        "posts datasources.posts.read_your_writes.ReadYourWrites.post",
        "posts datasources.posts.posts.PostStore.pending",
        "posts datasources.posts.posts.PostStore.candidates",
        "posts datasources.posts.posts.PostStore.add_likes",
        "posts datasources.posts.posts.PostStore.add_comments",
        "posts datasources.posts.posts.PostStore.correct_counts",
        "posts datasources.posts.posts.PostStore._edit",  # of `untag`
        "posts datasources.posts.publishing.PublishingStore._leave_processing",
        "posts datasources.posts.comments.CommentStore.preview_ids",
        "posts datasources.media.images.ImageStore.*",
    ),
    "Comments by their ids alone: the id has to carry the post, or the caller to know it.": (
        "comments datasources.mongo.batched_operations.BatchedReads._read",
        "comments datasources.targets.Targets.comment",
        "comments datasources.posts.comments.CommentStore._page",  # of replies
        "comments datasources.posts.comments.CommentStore.pending",
        "comments datasources.posts.comments.CommentStore.set_notified",
        "comments datasources.posts.comments.CommentStore.add_to_counts",
        "comments datasources.posts.comments.CommentStore.correct_counts",
        "comments datasources.posts.comments.CommentStore.delete_replies",
        "comments datasources.posts.comments.CommentStore.delete_documents",
        "comments datasources.posts.comments.CommentStore._change",
        "comments datasources.posts.comments.CommentStore.add*",  # a repeated key
    ),
    "Jobs of a follow have its id alone: they have to carry the follower.": (
        "follows datasources.graph.follows.FollowStore.pending",
        "follows datasources.graph.follows.FollowStore.by_id",
        "follows datasources.graph.follows.FollowStore.set_notified",
        "follows datasources.mongo.counters.set_numbers",
    ),
    "A follower counter is brought up to follows, which lie with the followers; many authors share one query.": (
        "follows datasources.graph.follows.FollowStore.pending_counts",
    ),
}


def is_allowed(collection: str, caller: str) -> bool:
    """Whether this function's queries of a collection may go to all shards, or are known to."""
    patterns = [each for group in (ALLOWED, TO_BE_CHANGED) for listed in group.values() for each in listed]
    return any(fnmatchcase(f"{collection} {caller}", pattern) for pattern in patterns)
