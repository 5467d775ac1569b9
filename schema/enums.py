"""The domain's enums as GraphQL enums, with their descriptions."""

from enum import Enum

import strawberry

from domain.access_scopes import AccessScope
from domain.errors import UserErrorCode
from domain.image_formats import RenditionFormat, SourceFormat
from domain.limits import MAX_IMAGE_MIB, RANKING_KEPT
from domain.records.comments import CommentOrder
from domain.records.exports import ExportStatus
from domain.records.factors import SecondFactorMethod
from domain.records.feeds import FeedOrder
from domain.records.follows import FollowState
from domain.records.moderation import CaseStatus, ModerationAction, ReportReason, ReportTargetType
from domain.records.notifications import NotificationKind
from domain.records.posts import PostStatus
from domain.records.terms import AgeRange
from domain.records.uploads import UploadStatus
from domain.records.users import AccountStanding, Role, SensitiveContent
from domain.search_kinds import SearchKind
from domain.suggestions import SuggestionReason
from domain.topics import PostOrder

__all__ = [
    "AccessScope",
    "AccountStanding",
    "AgeRange",
    "CaseStatus",
    "CommentOrder",
    "ExportStatus",
    "FeedOrder",
    "FollowState",
    "ModerationAction",
    "NotificationKind",
    "PostOrder",
    "PostStatus",
    "RenditionFormat",
    "ReportReason",
    "ReportTargetType",
    "Role",
    "SearchKind",
    "SecondFactorMethod",
    "SensitiveContent",
    "SourceFormat",
    "SuggestionReason",
    "UploadStatus",
    "UserErrorCode",
]


def _describe(wrapped: type[Enum], description: str, **values: str) -> None:
    """Makes an enum known to Strawberry, which marks the class itself. Raises KeyError for a value left out."""
    strawberry.enum(wrapped, description=description)
    for value in wrapped.__strawberry_definition__.values:  # type: ignore[attr-defined]
        value.description = values[value.name]


_describe(
    AccessScope,
    "What a personal access token may be used for. None may be used to log in, or to change what one logs in with.",
    READ="Queries and subscriptions; every token has it.",
    WRITE="Mutations, but for those of accounts, sessions and moderation.",
    MODERATE="What moderators do, if the account is a moderator's.",
)
_describe(
    CommentOrder,
    "How comments are ordered.",
    NEWEST="Newest first.",
    TOP="Most liked first, the newest of equally liked ones before the others.",
)
_describe(
    AgeRange,
    "In which range somebody says that their age is.",
    UNDER_13="Younger than thirteen.",
    FROM_13_TO_15="Thirteen to fifteen.",
    FROM_16_TO_17="Sixteen or seventeen.",
    FROM_18="Eighteen or older.",
)
_describe(
    ExportStatus,
    "How far an export is.",
    PENDING="It waits for its turn.",
    RUNNING="Its archive is being made.",
    READY="The archive can be fetched.",
    FAILED="The archive could not be made. The operators can have it tried again.",
)
_describe(
    FeedOrder,
    "How the home feed is ordered.",
    LATEST="Newest first, complete.",
    RANKED="By what the viewer is likely to care about, among recent posts; an order is kept for "
    f"{RANKING_KEPT.seconds // 60} minutes.",
)
_describe(
    PostOrder,
    "How the posts of a hashtag or a place are ordered.",
    LATEST="Newest first.",
    TOP="Those first that are liked and commented on, and new: twice the likes are worth a day.",
)
_describe(
    PostStatus,
    "Where a post is in its life.",
    PROCESSING="Its images are being made; only its author sees it, on their profile and in no feed.",
    READY="Visible to those who may see it.",
    FAILED="An image was refused; only its author sees it, on their profile until deletePost dismisses it.",
    HIDDEN="Moderators have hidden it: only its author sees it, on their profile; see Viewer.decisions.",
    REMOVED="Moderators have removed it: nobody sees it.",
)
_describe(
    UploadStatus,
    "Where an upload is in its life.",
    AWAITING_BYTES="The file has not arrived yet.",
    PROCESSING="The file arrived and is being checked and rendered.",
    READY="The image can be shown.",
    REJECTED="The file was refused; see failure.",
    EXPIRED="The file did not arrive in time, or the upload was cancelled.",
)
_describe(
    SourceFormat,
    "Image formats that can be uploaded, as far as uploadLimits.formats lists them. What a file is, its content says.",
    JPEG="image/jpeg",
    PNG="image/png; of an animated one the first frame is taken",
    GIF="image/gif, still or animated",
    WEBP="image/webp, still or animated",
    AVIF="image/avif, still or animated",
    HEIC="image/heic, as iPhones store photographs",
)
_describe(
    RenditionFormat,
    "Image formats that are served.",
    JPEG="image/jpeg",
    PNG="image/png, where transparency needs it",
    GIF="image/gif, animated",
    WEBP="image/webp",
    AVIF="image/avif",
)
_describe(
    FollowState,
    "How one user follows another.",
    NONE="Not at all.",
    REQUESTED="Asked a private account, not answered yet.",
    FOLLOWING="Follows.",
)
_describe(
    SuggestionReason,
    "Why an account is suggested.",
    FOLLOWED_BY_FOLLOWED="People whom the viewer follows follow it.",
    SAME_HASHTAGS="It posts with hashtags that the viewer follows or uses.",
    POPULAR="It has many followers.",
)
_describe(
    NotificationKind,
    "What a notification tells.",
    POST_LIKED="Someone liked your post.",
    COMMENT_LIKED="Someone liked your comment.",
    COMMENTED="Someone commented on your post.",
    REPLIED="Someone replied to your comment.",
    MENTIONED="Someone mentioned you.",
    TAGGED="Someone tagged you in a photo.",
    FOLLOWED="Someone follows you.",
    FOLLOW_REQUESTED="Someone asks to follow you.",
    FOLLOW_ACCEPTED="Your request was accepted.",
    POST_READY="Your post is ready.",
    POST_FAILED="Your post could not be made.",
    DECIDED="Moderators decided about you, or about what you posted.",
)
_describe(
    Role,
    "What an account may do beyond its own things. Operators give roles.",
    MEMBER="As everybody.",
    TRUSTED="As everybody, within wider limits.",
    MODERATOR="Acts upon reports.",
    ADMINISTRATOR="Acts upon reports, also about moderators.",
)
_describe(
    AccountStanding,
    "How moderators have judged an account.",
    GOOD="Nothing stands against it.",
    LIMITED="It acts within tighter limits for a time.",
    SUSPENDED="For a time nobody else sees it. Its owner reads and cannot act.",
    BANNED="As SUSPENDED, without an end.",
)
_describe(
    SearchKind,
    "What a search looks for.",
    PEOPLE="Accounts, by their handles and names.",
    HASHTAGS="Hashtags, by their names.",
    PLACES="Places, by their names.",
    POSTS="Posts, by the words of their captions.",
)
_describe(
    SensitiveContent,
    "How a client shows posts that are labelled sensitive.",
    VEIL="Behind a veil, which the viewer lifts for each.",
    SHOW="As other posts.",
)
_describe(
    ReportReason,
    "Why content is reported, or was decided upon.",
    SPAM="Unwanted advertising or repetition.",
    HARASSMENT="Bullying or harassment.",
    NUDITY="Nudity or sexual content.",
    VIOLENCE="Violence or threats.",
    ILLEGAL="Against the law.",
    OTHER="Something else; the note says what.",
)
_describe(
    ReportTargetType,
    "What can be reported.",
    USER="A person's account.",
    POST="A post.",
    COMMENT="A comment or a reply.",
)
_describe(
    CaseStatus,
    "Whether a case waits for a decision.",
    OPEN="It waits.",
    CLOSED="It was decided.",
)
_describe(
    ModerationAction,
    "What moderators decide; APPEAL, EXPIRE and SET_ROLE stand in the log alone.",
    DISMISS="Nothing is wrong.",
    LABEL_SENSITIVE="A post is shown behind a veil, unless the viewer wants none.",
    HIDE="Only its author sees a post or a comment.",
    REMOVE="Nobody sees a post or a comment; it is deleted when nobody can appeal any more.",
    WARN="The account is told what was wrong.",
    LIMIT="The account acts within tighter limits for a time.",
    SUSPEND="For a time nobody else sees the account, and it cannot act.",
    BAN="As SUSPEND, without an end.",
    RESTORE="What was decided before no longer holds. A hidden post that is labelled keeps its label; RESTORE of one "
    "that is shown lifts the label.",
    APPEAL="The account appealed.",
    EXPIRE="A standing ended by itself.",
    SET_ROLE="An operator gave the account a role.",
)
_describe(
    UserErrorCode,
    "Why a mutation could not do what was asked. Clients should treat an unknown code as INVALID_INPUT.",
    INVALID_INPUT="A field has a value that is not allowed.",
    NOT_FOUND="There is no such object, or the viewer may not see it.",
    NOT_ALLOWED="The viewer may see the object but not do this.",
    USERNAME_TAKEN="Another account has this user name.",
    EMAIL_TAKEN="Another account has this address.",
    WEAK_PASSWORD="The password is too short or too common.",  # noqa: S106
    INVALID_CREDENTIALS="The name or password is wrong, or the token is not valid.",
    SECOND_FACTOR_REQUIRED="The password is right, and a second factor is needed: see LoginPayload.secondFactor.",
    IDENTITY_NOT_CONFIRMED="The viewer must first prove again who they are: see confirmIdentity.",
    EMAIL_NOT_VERIFIED="The viewer has to verify their address first: see requestEmailVerification.",
    TOKEN_EXPIRED="The token of a mail is not valid, not any more, or was used; ask for another mail.",  # noqa: S106
    QUOTA_EXCEEDED="Today's or this month's images are used up, too many uploads were announced within an hour, "
    "the account has gone public too often today, it was deactivated a "
    "short while ago, or its handle has changed too often.",
    IMAGE_TOO_LARGE=f"The file is larger than {MAX_IMAGE_MIB} MiB.",
    UNSUPPORTED_FORMAT="The file is of none of uploadLimits.formats.",
    IMAGE_CORRUPT="The file is damaged or cut off.",
    TOO_MANY_PIXELS="The image has too many pixels.",
    TOO_MANY_FRAMES="The animation has too many frames.",
    CHECKSUM_MISMATCH="The bytes are not those announced.",
    UPLOAD_EXPIRED="The upload was not finished in time.",
    UPLOAD_USED="The upload already belongs to a post.",
    TOO_MANY_FOLLOWS="The viewer follows as many users as allowed.",
    TOO_MANY_SAVES="The viewer has saved as many posts as allowed, or put as many into a collection.",
    TOO_MANY_COLLECTIONS="The viewer has as many collections as allowed.",
    COMMENTS_OFF="Comments are off for this post.",
    IDEMPOTENCY_KEY_REUSED="The key was used with other input.",
    IN_PROGRESS="The same request is still being worked on.",
    RATE_LIMITED="Too much in a short time; see retryAfterMs.",
    BUSY="The service is overloaded; see retryAfterMs.",
    ACCOUNT_SUSPENDED="Moderators have suspended or banned the account: it reads, and cannot act. See Viewer.standing.",
    STRONGER_DECISION="What holds is stronger than this decision, or lasts longer: RESTORE comes first.",
    TERMS_NOT_ACCEPTED="The terms in force must be accepted first: see `terms` and acceptTerms.",
)
_describe(
    SecondFactorMethod,
    "A second factor that an account has.",
    ONE_TIME_CODE="A code of an authenticator app.",
    RECOVERY_CODE="One of the codes that were shown when codes were turned on.",
    PASSKEY="A passkey or a security key.",
)
