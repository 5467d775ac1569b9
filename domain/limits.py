"""Every product limit, with its reason. Limits are promises to clients, not settings: those are in `config.py`.

Descriptions in the API's schema and messages to clients are built from these values.
"""

from datetime import timedelta

# Images and uploads
MAX_IMAGE_BYTES = 10 * 1024 * 1024
MAX_IMAGE_MIB = MAX_IMAGE_BYTES // 1024**2  # for people to read
MAX_IMAGE_PIXELS = 50_000_000  # the largest phone cameras save 50 megapixels; decoding one takes 150 MB
MAX_WEB_PIXELS = 24_000_000  # of a WebP or AVIF: no camera makes larger ones, and decoding takes up to 16 bytes a pixel
MAX_IMAGE_FRAMES = 250  # ten seconds at 25 frames a second
MAX_FRAME_PIXELS = 8_300_000  # one frame of an animation, 3840 x 2160: decoding one takes 20 bytes a pixel
MAX_MOVING_PIXELS = 200_000_000  # all frames of an animation together: some seconds of decoding
IMAGES_PER_DAY = 10
IMAGES_PER_MONTH = 500
IMAGES_PER_POST = 10
UPLOADS_PER_HOUR = 60  # announced, also if cancelled: cancelling returns quota, but the signed address stays valid
UPLOAD_LATENESS = timedelta(seconds=30)  # a PUT that began in time may end after its address expired
RESERVATION_HOLD = timedelta(minutes=2)  # after that a file that has not come loses its place in the quota to others
UNUSED_UPLOAD_KEPT = timedelta(hours=24)  # a ready upload that nothing uses; clients publish within minutes
RENDITION_WIDTHS = (150, 320, 640, 1080)  # the first one is cut square
RENDITIONS_MAX = len(RENDITION_WIDTHS) * 3  # each width as JPEG or PNG, WEBP and AVIF
TURNS_TO_PUBLIC_PER_DAY = 3  # each has all images of an account copied, and dropped by the CDN later; private is free
UPLOAD_HEADERS_MAX = 8  # of a presigned request

# Texts, in code points after normalization
RAW_PER_CHARACTER = 4  # code points that compose into one (NFC) at most: text longer than that is refused unread
CAPTION_MAX = 2_200  # Instagram's figure, as is the next
COMMENT_MAX = 2_200
HASHTAGS_MAX = 30
HASHTAG_MAX = 100
MENTIONS_MAX = 20
ALT_TEXT_MAX = 1_000
TAGS_PER_IMAGE = 20
LOCATION_NAME_MAX = 100
PLACE_METERS = 250  # locations of one name that are so near are one place: a square, a park, a large hotel
PLACES_WITHIN_METERS = 20_000  # of a search around a point: further away is another town
USERNAME_MIN, USERNAME_MAX = 3, 30
DISPLAY_NAME_MAX = 60
BIOGRAPHY_MAX = 150
WEBSITE_MAX = 200
EMAIL_MAX = 254  # of an address that mail can be sent to (RFC 5321)
CLIENT_NAME_MAX = 100
PLATFORM_MAX = 60
PASSWORD_MIN, PASSWORD_MAX = 12, 128
TOKEN_MAX = 1_000  # of a session; ours are shorter
SHA256_BYTES = 32
SHA256_BASE64_MAX = 44
GLOBAL_ID_MAX = CURSOR_MAX = 100  # ours are shorter

# Lists
PAGE_SIZE_DEFAULT = 20
PAGE_SIZE_MAX = 50
NODES_MAX = 50
LIST_TOLERANCE = 2  # a list up to twice too long is refused by its mutation, with a code; longer ones before execution
FOLLOWED_HASHTAGS_MAX = 100  # each is an index scan of every page of the feed
FOLLOWING_MAX = 7_500  # Instagram's figure; it also bounds the pull over followees
PREVIEW_COMMENTS = 3
ACTORS_SHOWN = 3
USER_ERRORS_MAX = 5  # reasons that one answer gives; a person reads no more
FIELD_PATH_MAX = 5
BADGE_MAX = 100  # of notifications not seen: counting stops there, and apps show "99+"

# Saved posts
SAVES_MAX = 10_000  # of an account: years of saving some posts every day
COLLECTIONS_MAX = 100  # of an account; a screen that lists more is none
COLLECTION_POSTS_MAX = 1_000  # so that one transaction can delete or number all of them
COLLECTIONS_OF_POST_MAX = 20  # of one account; `Post.viewerCollections` lists them
COLLECTION_CHANGES_MAX = 50  # posts of a collection moved or noted by one mutation
COLLECTION_NAME_MAX = 60
COLLECTION_DESCRIPTION_MAX = 500
COLLECTION_NOTE_MAX = 500

# Search
SEARCH_QUERY_MAX = 100  # characters; a name has fewer
SUGGESTIONS_DEFAULT = 8
KNOWN_FOUND_FIRST = 10  # people the viewer knows: more of them would hide everybody else
FEW_FOUND = 20  # with fewer people found, those are looked for whose name differs by a typing error
SIMILAR_FOUND_MAX = 20
MUTUAL_FOLLOWERS_SHOWN = 3  # "followed by ana, bob, cem and 4 others"; `User.mutualFollowers` lists all
MUTUAL_FOLLOWERS_AMONG = 500  # accounts that the viewer followed latest: each is a seek in an index for each user shown
MUTUAL_FOLLOWERS_PRICE = 100  # points of a page, besides its fields: it may read all that the viewer follows
MUTUAL_FOLLOWERS_BRIEF_PRICE = 5  # of one account
SUGGESTIONS_MAX = 200  # accounts suggested to one viewer: ten screens of them
DISMISSALS_MAX = 1_000  # of suggestions, the latest of an account; each is read with every page of suggestions
SEARCH_READ_MAX = 1_000  # names read for one page: as many in a row that the viewer may not see end what is found

# Explore
EXPLORE_MAX = 500  # posts of one snapshot: more than anybody scrolls through
EXPLORE_AGE = timedelta(days=7)  # older posts are not recent
EXPLORE_KEPT = timedelta(hours=1)  # of a snapshot, after the next one was made: its cursors are good for so long
TRENDING_MAX = PAGE_SIZE_MAX
TRENDING_DEFAULT = 10
HOLDS_LOGGED = 50  # changes of one thing that is held out of explore, the latest

# The home feed
NEW_POSTS_COUNTED_MAX = 50  # posts newer than what was read: counting stops there
FEED_EVENT_SECONDS = 2.0  # between two events of feedUpdated, however many posts come
RANKED_FEED_MAX = 300  # posts in one order
RANKED_FEED_HASHTAGS_MAX = 100  # of these for followed hashtags, so that people who are followed keep most of them ...
RANKED_FEED_HASHTAG_MAX = 20  # ... and for one hashtag, however busy it is
RANKED_FEED_AGE = timedelta(days=14)  # older posts are not ranked ...
RANKED_FEED_MIN = 50  # ... unless there are so few: who follows silent authors has something to read
SUGGESTED_MAX = 100  # posts after those of one's own feed, in one order
RANKING_KEPT = timedelta(hours=1)  # a cursor of a ranked feed is good for so long
RANKINGS_KEPT = 8  # orders of one reader: more devices and reloads than anybody pages through at once

# Accounts
USERNAME_KEPT_DAYS = 14  # that an old handle leads to its account, and nobody else can have it
USERNAME_CHANGES_MAX = 2  # in that time, so that an account holds three handles at most
DEACTIVATION_PAUSE_HOURS = 24  # from one to the next: each return has all images of an account copied
TERMS_VERSION_MAX = 40
ACCEPTANCES_KEPT = 20  # of versions of the terms, the latest
EXPORT_PAUSE_HOURS = 24  # each reads all that an account has
EXPORT_RETRY_HOURS = 1  # after one that failed: it has read much, too
EXPORT_FILES_MAX = 500  # archives of an export
EXPORT_KEPT_DAYS = 3  # then its archive is deleted: people have it by then, or ask again

# Mails, and the tokens in them
PASSWORD_RESET_LIFE = timedelta(minutes=30)  # from the sending of the mail
EMAIL_TOKEN_LIFE = timedelta(hours=24)  # people read mails the next day; a registration waits as long
EMAIL_UNDO_DAYS = 7  # that the old address can take its account back: people read mails of a thief's change late
EMAIL_CHANGES_MAX = 5  # in that time, as the account keeps the addresses
REGISTRATION_LIFE = timedelta(days=2)  # the longest that a mail may wait, and then the life of its token
MAIL_TOKEN_MAX = 100  # characters
LANGUAGE_MAX = 35  # characters of a language tag, as RFC 5646 advises

# Sessions and retries
SESSIONS_MAX = 50  # logins of an account, which are all shown; a person has a handful of devices
LAST_USED_PRECISION = timedelta(minutes=1)  # of a session's `lastUsedAt`: not every request writes
REFRESH_GRACE_SECONDS = 60  # an answer may get lost: for so long the token it was sent for gets the same answer again
ACCESS_OVERLAP_SECONDS = 60  # a replaced access token lives so much longer, for requests that are on their way
PROOF_FRESH = timedelta(minutes=10)  # after it, what matters most asks again who one is
ACCESS_TOKENS_MAX = 20  # of an account: one for each program that acts for it
ACCESS_TOKEN_DAYS_DEFAULT, ACCESS_TOKEN_DAYS_MAX = 90, 366
KNOWN_DEVICES_MAX = 20  # of an account; a person has a handful
KNOWN_DEVICE_KEPT = timedelta(days=180)  # since the last login on it
RECOVERY_CODES = 10
CODE_TRIES_TOLD = 5  # wrong one-time codes after which the owner gets a mail: who guesses them may know the password
CODE_TRIES = 10  # wrong one-time codes of an account ...
CODE_TRIES_WINDOW = timedelta(hours=1)  # ... in this time: of a million codes three are valid at any moment
SECOND_FACTOR_SETUP = timedelta(minutes=10)  # to scan a code with an app, and type the first one
LOGIN_CHALLENGE = timedelta(minutes=10)  # between the password and the second factor
IDENTITIES_MAX = 10
IDENTITY_NONCE = timedelta(minutes=10)
ID_TOKEN_MAX = 8_000  # characters; those of the large issuers have some 1,500
ISSUER_MAX = 200
PASSKEYS_MAX = 10
PASSKEY_NAME_MAX = 60
PASSKEY_CHALLENGE = timedelta(minutes=5)
PASSKEY_ANSWER_MAX = 8_000  # characters of an authenticator's answer; those without attestation have some 1,000
ONE_TIME_CODE_MAX = 40  # recovery codes are the longer ones, as people may type them
IDEMPOTENCY_HOURS = 24
IDEMPOTENCY_KEY_MAX = 200
REGISTRATION_KEY_MIN = 16  # nobody may guess it: who has the key gets the new account's first session
LIKE_ANNOUNCED_ONCE_IN = timedelta(days=7)  # a like taken back and given again in this time is not news
WITHDRAWN_NOTIFICATION_KEPT = timedelta(days=30)  # a client that resumes later than this is told of a gap

# Moderation
REPORT_NOTE_MAX = 1_000
REPORTED_TEXT_MAX = max(CAPTION_MAX, COMMENT_MAX)  # a name and a biography are shorter
STATEMENT_MAX = 2_000  # of reasons, also of an appeal
CASE_REPORTS_SHOWN = 20  # the latest; a moderator reads no more
CASE_REPORTS_KEPT = 1_000  # of one case; more are only counted: a decision closes all of them in one transaction
CASE_CLAIM = timedelta(minutes=15)  # in which others leave a case alone
SUSPENSION_MAX = timedelta(days=366)
BAN_OUTLASTS = timedelta(days=365)  # a banned account that is deleted: nobody has its address or handle for so long
APPEAL_WITHIN = timedelta(days=183)  # the six months of the EU's Digital Services Act (article 20)
REMOVED_KEPT = APPEAL_WITHIN  # what was removed, until nobody can appeal any more
REPORTS_KEPT = timedelta(days=366)  # of closed cases, so that who is reported again and again is noticed

# One GraphQL operation, fragments expanded where it matters
OPERATION_TOKENS_MAX = 1_500
OPERATION_DEPTH_MAX = 15
OPERATION_ROOT_FIELDS_MAX = 20
OPERATION_FIELDS_MAX = 1_000
OPERATION_ALIASES_MAX = 100
OPERATION_DIRECTIVES_MAX = 50
OPERATION_INTROSPECTION_MAX = 250  # fields written: the full query of the tools fits
OPERATION_COST_MAX = 50_000  # fields of the answer if every page and every list is full
DOCUMENT_REPEATS_MAX = 50  # with the next: they make validation quadratic
DOCUMENT_FRAGMENTS_MAX = 60
REQUEST_ERRORS_MAX = 5  # shown for one document, whatever they are about
ERROR_MESSAGE_MAX = 300  # GraphQL's own messages may quote a client's whole input

# One HTTP request
REQUEST_BYTES_MAX = 1024 * 1024
REQUEST_SECONDS_MAX = 15.0  # that a client may take to send its body
REQUEST_HEAD_BYTES_MAX = 16 * 1024  # of the request line and all headers, as at most other servers
REQUEST_HEADERS_MAX = 100
REQUEST_HEAD_SECONDS_MAX = 10.0  # for a head to arrive, and for what is left of a body once it was answered
PIPELINED_REQUESTS_MAX = 8  # requests that wait for the answer to the one before
HANDSHAKE_LINE_BYTES_MAX = 8_000  # the websockets library does not answer a handshake with a longer line
FORM_BYTES_MAX = REQUEST_BYTES_MAX + 2 * MAX_IMAGE_BYTES  # a slightly too large file is refused with its own code
FORM_MAP_BYTES_MAX = 4096
FORM_PART_HEADERS_MAX = 8
UNREAD_SECONDS_MAX = 20  # that a client may leave an answer unread before the kernel closes the connection

# One WebSocket
SOCKET_MESSAGE_BYTES_MAX = 64 * 1024
SOCKET_OPERATIONS_MAX = 32  # at once
SOCKET_OPERATION_ID_MAX = 128
SOCKET_INIT_SECONDS_MAX = 10.0  # until `connection_init`
SOCKET_SEND_SECONDS_MAX = 10.0  # that one message waits for a client that does not read
