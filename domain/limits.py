"""The product's limits, each with its reason; they are promises to clients, not settings."""

from datetime import timedelta

MAX_IMAGE_BYTES = 10 * 1024 * 1024
MAX_IMAGE_PIXELS = 50_000_000  # the largest phone cameras save 50 megapixels; decoding one takes 150 MB
MAX_WEB_PIXELS = 24_000_000  # of a WebP or AVIF: no camera makes larger ones, and decoding takes up to 16 bytes a pixel
MAX_IMAGE_FRAMES = 250  # ten seconds at 25 frames a second
IMAGES_PER_DAY = 10
IMAGES_PER_MONTH = 500
IMAGES_PER_POST = 10
UPLOADS_PER_HOUR = 60  # announced, whatever became of them: cancelling gives quota back, but its address stays good
UPLOAD_LATENESS = timedelta(seconds=30)  # a PUT that began in time may end after its address expired
RESERVATION_HOLD = timedelta(minutes=2)  # a file that has not come for so long loses its place in the quota to others

RENDITION_WIDTHS = (150, 320, 640, 1080)  # the first one is cut square
RENDITIONS_MAX = len(RENDITION_WIDTHS) * 3  # each width as JPEG or PNG, WEBP and AVIF
UPLOAD_HEADERS_MAX = 8  # of a presigned request

PAGE_SIZE_DEFAULT = 20
PAGE_SIZE_MAX = 50
NODES_MAX = 50

RAW_PER_CHARACTER = 4  # code points that compose into one (NFC) at most: text longer than that is refused unread
CAPTION_MAX = 2_200
COMMENT_MAX = 2_200
HASHTAGS_MAX = 30
HASHTAG_MAX = 100
MENTIONS_MAX = 20
ALT_TEXT_MAX = 1_000
TAGS_PER_IMAGE = 20
LOCATION_NAME_MAX = 100
USERNAME_MIN, USERNAME_MAX = 3, 30
DISPLAY_NAME_MAX = 60
BIOGRAPHY_MAX = 150
WEBSITE_MAX = 200
EMAIL_MAX = 254  # of an address that mail can be sent to (RFC 5321)
CLIENT_NAME_MAX = 100
TOKEN_MAX = 1_000  # of a session; ours are shorter
SHA256_BASE64_MAX = 44
GLOBAL_ID_MAX = CURSOR_MAX = 100  # ours are shorter
PASSWORD_MIN, PASSWORD_MAX = 12, 128
FOLLOWING_MAX = 7_500  # Instagram's figure; it also bounds the pull over followees

USER_ERRORS_MAX = 5  # reasons that one answer gives; a person reads no more
FIELD_PATH_MAX = 5

PREVIEW_COMMENTS = 3
ACTORS_SHOWN = 3
SESSIONS_SHOWN = 50  # the latest logins; an account has a handful
NEW_POSTS_COUNTED_MAX = 50  # posts newer than what was read: counting stops there
BADGE_MAX = 100  # of notifications not seen: where counting stops, and what is shown as "99+"
IDEMPOTENCY_KEY_MAX = 200
REGISTRATION_KEY_MIN = 16  # nobody may guess it: who has the key gets the new account's first session
IDEMPOTENCY_HOURS = 24
REFRESH_GRACE_SECONDS = 60  # an answer may get lost: for so long the token it was sent for gets the same answer again
ACCESS_OVERLAP_SECONDS = 60  # a replaced access token lives so much longer, for requests that are on their way
