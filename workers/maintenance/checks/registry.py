"""Every check of `verify` and `repair`, in the order in which they run."""

from collections.abc import Mapping, Sequence

from workers.maintenance.checks.accounts import DELETED_ACCOUNTS, FACTORS, SESSIONS
from workers.maintenance.checks.blocks_and_mutes import BLOCKS, MUTES
from workers.maintenance.checks.caption_terms import CAPTION_TERMS
from workers.maintenance.checks.check import Check, Repair
from workers.maintenance.checks.claims import CLAIMS, UNCLAIMED_ACCOUNTS
from workers.maintenance.checks.comments import COMMENTS
from workers.maintenance.checks.counters import COUNTER_CHECKS
from workers.maintenance.checks.dismissals import DISMISSALS
from workers.maintenance.checks.exports import EXPORTS
from workers.maintenance.checks.feed_entries import MISSING_ENTRIES, WRONG_ENTRIES
from workers.maintenance.checks.feed_modes import FEED_MODES
from workers.maintenance.checks.feed_pages import FEED_PAGES
from workers.maintenance.checks.files import FILES
from workers.maintenance.checks.followers import LISTED_FOLLOWERS, UNLISTED_FOLLOWERS
from workers.maintenance.checks.follows import FOLLOWS
from workers.maintenance.checks.identities import IDENTITIES, LISTED_IDENTITIES
from workers.maintenance.checks.ids import IDS
from workers.maintenance.checks.inboxes import INBOXES
from workers.maintenance.checks.indexes import INDEXES
from workers.maintenance.checks.interests import INTERESTS
from workers.maintenance.checks.likes import LIKES
from workers.maintenance.checks.missing_notifications import MISSING_NOTIFICATIONS
from workers.maintenance.checks.moderation import CASES, DECISIONS, REPORTS, STANDINGS
from workers.maintenance.checks.notifications import NOTIFICATIONS
from workers.maintenance.checks.posts import POSTS
from workers.maintenance.checks.preview_comments import PREVIEW_COMMENTS
from workers.maintenance.checks.saves import SAVES
from workers.maintenance.checks.search_terms import SEARCH_TERMS
from workers.maintenance.checks.tagged_posts import TAGGED_POSTS
from workers.maintenance.checks.topics import PLACES, TOPIC_POSTS, TOPIC_SEARCH, UNLISTED_POSTS
from workers.maintenance.checks.unreadable import UNREADABLE
from workers.maintenance.checks.uploads import UPLOADS

CHECKS: Sequence[Check] = (
    INDEXES,
    PREVIEW_COMMENTS,
    *MISSING_NOTIFICATIONS,
    *COUNTER_CHECKS,
    POSTS,
    *TAGGED_POSTS,
    COMMENTS,
    INBOXES,
    DELETED_ACCOUNTS,
    UNCLAIMED_ACCOUNTS,
    SEARCH_TERMS,
    CLAIMS,
    *IDS,
    NOTIFICATIONS,
    WRONG_ENTRIES,
    *LIKES,
    *SAVES,
    FOLLOWS,
    UNLISTED_FOLLOWERS,
    LISTED_FOLLOWERS,
    BLOCKS,
    MUTES,
    DISMISSALS,
    UPLOADS,
    EXPORTS,
    SESSIONS,
    FACTORS,
    IDENTITIES,
    LISTED_IDENTITIES,
    STANDINGS,
    DECISIONS,
    CASES,
    REPORTS,
    *UNREADABLE,
    UNLISTED_POSTS,
    TOPIC_POSTS,
    TOPIC_SEARCH,
    PLACES,
    *CAPTION_TERMS,
    FEED_MODES,
    MISSING_ENTRIES,
    FEED_PAGES,
    INTERESTS,
    FILES,
)
REPAIRS: Mapping[str, Repair | None] = {kind: repair for check in CHECKS for kind, repair in check.repairs.items()}
