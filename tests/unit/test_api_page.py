"""docs/api.md names every code and gives every number as the source has them."""

import re
from datetime import timedelta
from typing import cast

import pytest
from graphql import GraphQLObjectType, get_named_type, parse, validate

from config import Settings
from domain import limits
from domain.errors import RequestErrorCode, UserErrorCode
from domain.limits import (
    FEED_EVENT_SECONDS,
    FORM_BYTES_MAX,
    FORM_MAP_BYTES_MAX,
    IDEMPOTENCY_KEY_MAX,
    LIST_TOLERANCE,
    REGISTRATION_KEY_MIN,
    REQUEST_BYTES_MAX,
    REQUEST_ERRORS_MAX,
    REQUEST_HEAD_BYTES_MAX,
    REQUEST_HEADERS_MAX,
    REQUEST_SECONDS_MAX,
    SOCKET_INIT_SECONDS_MAX,
    SOCKET_MESSAGE_BYTES_MAX,
    SOCKET_OPERATION_ID_MAX,
    SOCKET_OPERATIONS_MAX,
    SOCKET_SEND_SECONDS_MAX,
    WITHDRAWN_NOTIFICATION_KEPT,
)
from domain.mails import MAILS
from domain.rate_limits import (
    NEW,
    OPERATION_POINTS,
    REFUSED_REQUESTS,
    REFUSED_REQUESTS_OF_TOKEN,
    ROLE_FACTORS,
    RateLimits,
)
from domain.suggestions import FEW_SIGNALS, KEPT
from domain.text import mentions
from resolvers.api import schema
from resolvers.transport import (
    websocket_messages,
)
from resolvers.transport.document_limits import OperationLimits
from resolvers.transport.errors import HTTP_STATUS
from tests.support.api_page import TEXT, quoted, table
from tests.support.stack import ROOT

TYPES = schema._schema.type_map
SETTINGS = Settings(environment="test")
DOCUMENT = OperationLimits()
SOURCE = "\n".join(path.read_text() for path in (ROOT / "resolvers/transport").glob("*.py") if path.stem != "graphiql")
PROSE = " ".join(TEXT.split())
PAGING = {"first", "after", "last", "before"}
BY_THE_LIBRARY = {1009}  # the websockets library closes with it
NO_CODE_OF_OURS = {1005, 1006}
WORDS = {2: "two", 5: "five", 10: "ten", 12: "twelve"}

NUMBERS: dict[str, dict[str, float]] = {
    "of one operation": {
        "cost": DOCUMENT.cost,
        "depth": DOCUMENT.depth,
        "tokens of the document": DOCUMENT.tokens,
        "root fields": DOCUMENT.root_fields,
        "fields written": DOCUMENT.fields,
        "aliases": DOCUMENT.aliases,
        "directives": DOCUMENT.directives,
        "fields of introspection written": DOCUMENT.introspection,
        "fields asked for twice, in the document": DOCUMENT.repeats,
        "fragments used, in the document": DOCUMENT.fragments,
        "errors shown for a document that is not valid": REQUEST_ERRORS_MAX,
    },
    "of one request or socket": {
        "bytes of a request": REQUEST_BYTES_MAX,
        "bytes of a multipart request": FORM_BYTES_MAX,
        "bytes of its part `map`": FORM_MAP_BYTES_MAX,
        "bytes of all headers": REQUEST_HEAD_BYTES_MAX,
        "headers": REQUEST_HEADERS_MAX,
        "seconds to send a request": REQUEST_SECONDS_MAX,
        "seconds to send a file through the API": SETTINGS.file_timeout,
        "seconds for a query or mutation, else TIMEOUT": SETTINGS.operation_timeout,
        "bytes of a message to a socket": SOCKET_MESSAGE_BYTES_MAX,
        "operations of a socket at once": SOCKET_OPERATIONS_MAX,
        "characters of an operation's id on a socket": SOCKET_OPERATION_ID_MAX,
        "seconds until `connection_init`": SOCKET_INIT_SECONDS_MAX,
        "seconds that a message waits for a client that does not read": SOCKET_SEND_SECONDS_MAX,
    },
    "list": {
        "items of a page": limits.PAGE_SIZE_MAX,
        "`nodes(ids:)`": limits.NODES_MAX,
        "`notificationIds`": limits.NODES_MAX,
        "images of a post": limits.IMAGES_PER_POST,
        "people tagged in an image": limits.TAGS_PER_IMAGE,
        "hashtags of a caption or comment": limits.HASHTAGS_MAX,
        "people mentioned in a caption or comment": limits.MENTIONS_MAX,
        "preview comments of a post": limits.PREVIEW_COMMENTS,
        "actors of a notification": limits.ACTORS_SHOWN,
        "sessions of an account": limits.SESSIONS_MAX,
        "personal access tokens of an account": limits.ACCESS_TOKENS_MAX,
        "passkeys of an account": limits.PASSKEYS_MAX,
        "linked identities of an account": limits.IDENTITIES_MAX,
        "people one follows": limits.FOLLOWING_MAX,
        "hashtags one follows": limits.FOLLOWED_HASHTAGS_MAX,
        "posts one has saved": limits.SAVES_MAX,
        "collections of an account": limits.COLLECTIONS_MAX,
        "posts of a collection": limits.COLLECTION_POSTS_MAX,
        "collections of the viewer's that a post is in": limits.COLLECTIONS_OF_POST_MAX,
        "posts of a collection changed at once": limits.COLLECTION_CHANGES_MAX,
    },
    "text | characters at most": {
        "caption": limits.CAPTION_MAX,
        "comment": limits.COMMENT_MAX,
        "hashtag": limits.HASHTAG_MAX,
        "`altText`": limits.ALT_TEXT_MAX,
        "`location.name`": limits.LOCATION_NAME_MAX,
        f"handle (at least {limits.USERNAME_MIN})": limits.USERNAME_MAX,
        "`displayName`": limits.DISPLAY_NAME_MAX,
        "`biography`": limits.BIOGRAPHY_MAX,
        "`website`": limits.WEBSITE_MAX,
        "`email`, `login`": limits.EMAIL_MAX,
        f"`password` (at least {limits.PASSWORD_MIN})": limits.PASSWORD_MAX,
        "a collection's `name`": limits.COLLECTION_NAME_MAX,
        "a collection's `description`": limits.COLLECTION_DESCRIPTION_MAX,
        "`note`": limits.COLLECTION_NOTE_MAX,
        "`clientName`": limits.CLIENT_NAME_MAX,
        "`platform`": limits.PLATFORM_MAX,
        "`query` of `search`, `prefix` of `suggestHandles`": limits.SEARCH_QUERY_MAX,
        f"`idempotencyKey` (of `register` at least {REGISTRATION_KEY_MIN})": IDEMPOTENCY_KEY_MAX,
    },
    "of images": {
        "bytes": limits.MAX_IMAGE_BYTES,
        "pixels": limits.MAX_IMAGE_PIXELS,
        "pixels of a WebP or AVIF": limits.MAX_WEB_PIXELS,
        "frames of an animation": limits.MAX_IMAGE_FRAMES,
        "pixels of a frame of an animation": limits.MAX_FRAME_PIXELS,
        "pixels of all frames of an animation": limits.MAX_MOVING_PIXELS,
        "images of an account on a day (UTC)": limits.IMAGES_PER_DAY,
        "images of an account in a month (UTC)": limits.IMAGES_PER_MONTH,
        "uploads that an account announces in an hour": limits.UPLOADS_PER_HOUR,
        "times that a private account goes public in 24 hours": limits.TURNS_TO_PUBLIC_PER_DAY,
        "minutes that a place is reserved for a file that does not come": limits.RESERVATION_HOLD.total_seconds() / 60,
        "minutes for which a presigned request is good": SETTINGS.upload_ttl / 60,
    },
}
SENTENCES = [
    f"access token | {SETTINGS.access_token_ttl // 3600} hour |",
    f"session that is not used | {SETTINGS.refresh_token_ttl // 86400} days |",
    f"the same token gets the same answer for {limits.REFRESH_GRACE_SECONDS} seconds",
    f"access token that was replaced | {limits.ACCESS_OVERLAP_SECONDS} seconds more",
    f"answers {WORDS[limits.RECOVERY_CODES]} recovery codes",
    f"After {limits.CODE_TRIES} wrong codes in an hour",
    f"within {limits.LOGIN_CHALLENGE.seconds // 60} minutes.",
    f"The options end after {limits.PASSKEY_CHALLENGE.seconds // 60} minutes",
    f"at most {limits.PROOF_FRESH.seconds // 60} minutes old",
    f"({limits.ACCESS_TOKEN_DAYS_DEFAULT} when left out, {limits.ACCESS_TOKEN_DAYS_MAX} at most)",
    f"of {limits.REGISTRATION_KEY_MIN} random characters or more",
    f"{limits.PAGE_SIZE_DEFAULT} items unless you say otherwise, {limits.PAGE_SIZE_MAX} at most",
    f"left out counts as {limits.PAGE_SIZE_DEFAULT}",
    f"`renditions`, which counts {WORDS[limits.RENDITIONS_MAX]}",
    f"exact up to {limits.BADGE_MAX - 1}; {limits.BADGE_MAX} means more than {limits.BADGE_MAX - 1}",
    f"has up to {limits.MUTUAL_FOLLOWERS_SHOWN} people whom the viewer follows",
    f"among the {limits.MUTUAL_FOLLOWERS_AMONG} whom the viewer followed latest",
    f"`suggestedUsers` lists up to {limits.SUGGESTIONS_MAX} accounts",
    f"kept for {KEPT // timedelta(hours=1)} hours, and for a minute while the viewer follows fewer than {FEW_SIGNALS}",
    f"The latest {limits.DISMISSALS_MAX:,} dismissed accounts are remembered",
    f"1 to {IDEMPOTENCY_KEY_MAX} characters",
    f"For {limits.IDEMPOTENCY_HOURS} hours and longer",
    f"({WITHDRAWN_NOTIFICATION_KEPT.days} days for what was taken back)",
    f"not come within {WORDS[limits.RESERVATION_HOLD.seconds // 60]} minutes can be taken",
    f"uses within {limits.UNUSED_UPLOAD_KEPT // timedelta(hours=1)} hours may be removed",
    f"the count stops at {limits.NEW_POSTS_COUNTED_MAX}",
    f"every {WORDS[int(FEED_EVENT_SECONDS)]} seconds",
    f"end within {WORDS[SETTINGS.signed_url_ttl // 60]} minutes",
    f"more than {WORDS[LIST_TOLERANCE]} times as long",
    f"within `request.expiresAt` ({SETTINGS.upload_ttl // 60} minutes)",
]


def first_column(heading: str) -> list[str]:
    return [row[0] for row in table(heading)]


@pytest.mark.parametrize("heading", NUMBERS)
def test_a_table_has_the_numbers_of_the_source(heading: str) -> None:
    assert dict(table(heading)) == {name: f"{number:,.0f}" for name, number in NUMBERS[heading].items()}


RATE_LIMITS = {
    "wrong passwords for one login": "login.name",
    "wrong passwords from one address": "login.address",
    "wrong passwords from a known device": "login.device",
    "logins of one login, with right passwords too": "logins.name",
    "proofs of who one is, of an account": "proof.account",
    "mails with a new password, to one address": "password-reset.name",
    "mails to verify an address, to one": "mail.name",
    "registrations from one address": "register.address",
    "comments of an account": "comment.account",
    "follows and unfollows of an account": "follow.account",
    "posts of an account": "post.account",
    "reports of an account": "report.account",
    "edits of captions and the profile, of an account": "edit.account",
    "saves and changes of collections, of an account": "save.account",
    "searches and suggestions of an account": "search.account",
    "searches from one address, without a session": "search.address",
}
POINTS = {
    "an account": "points",
    "one session or token of it": "points.token",
    "an address, without a session": "points.stranger",
}


def test_the_page_has_the_rate_limits_of_the_source() -> None:
    limits_of = RateLimits({}, {})
    written = [(row, limits_of.of(name)) for row, name in RATE_LIMITS.items()]
    assert table("of | at once | restored over") == [
        [row, f"{limit.maximum:,}", f"{limit.seconds:,.0f} seconds"] for row, limit in written
    ]
    points = [(row, limits_of.of(name)) for row, name in POINTS.items()]
    assert table("points of") == [[row, f"{limit.maximum:,}", f"{limit.rate:,.0f}"] for row, limit in points]
    assert f"costs **points**: {OPERATION_POINTS}, and one for each field" in PROSE
    refused, of_token = limits_of.of(REFUSED_REQUESTS), limits_of.of(REFUSED_REQUESTS_OF_TOKEN)
    assert f"after {refused.maximum:,} requests of an address, or {of_token.maximum} of a token" in PROSE
    assert refused.seconds == of_token.seconds == 60, "within a minute"
    assert ROLE_FACTORS[NEW] == 0.25, "a quarter"
    assert SETTINGS.new_account_hours == 24, "the first day"


@pytest.mark.parametrize("sentence", SENTENCES)
def test_a_sentence_has_the_number_of_the_source(sentence: str) -> None:
    assert sentence in PROSE


def test_the_page_has_every_top_level_code_with_its_status() -> None:
    rows = {quoted(row[0])[0]: int(row[1]) for row in table("code | status | means | do")}
    assert rows == {code: HTTP_STATUS.get(code, 400) for code in RequestErrorCode} | {
        RequestErrorCode.PERSISTED_QUERY_NOT_SUPPORTED: 200
    }


def test_the_page_has_every_user_error_code() -> None:
    section = TEXT[TEXT.index("### User error codes") : TEXT.index("### HTTP statuses")]
    assert re.findall(r"^\| `(\w+)`", section, re.MULTILINE) == list(UserErrorCode)


def test_the_page_has_every_http_status() -> None:
    in_source = re.findall(r"\b(?:status|status_code)=(\d{3})\b|_refuse\((\d{3})|_refusal = (\d{3})", SOURCE)
    statuses = {int(status) for groups in in_source for status in groups if status} | set(HTTP_STATUS.values())
    section = TEXT[TEXT.index("### HTTP statuses") : TEXT.index("### Socket close codes")]
    assert [int(status) for status in re.findall(r"^\| (\d{3})", section, re.MULTILINE)] == sorted(
        statuses | {200, 503}
    )


def test_the_page_has_every_close_code() -> None:
    in_source = re.findall(r"Closed\((\d{4})|_close\((\d{4})|\"code\": (\d{4})", SOURCE)
    codes = {int(code) for groups in in_source for code in groups if code} - NO_CODE_OF_OURS | BY_THE_LIBRARY
    section = TEXT[TEXT.index("### Socket close codes") :]
    assert [int(code) for code in re.findall(r"^\| (\d{4})", section, re.MULTILINE)] == sorted(codes)


def test_the_page_names_every_page_of_an_app_that_a_mail_leads_to() -> None:
    assert {spec.page for spec in MAILS.values() if spec.page} == set(re.findall(r"`([\w-]+)#token=", TEXT))


def test_connection_init_takes_the_keys_on_the_page() -> None:
    keys = [quoted(cell)[0] for cell in first_column("key in the payload of `connection_init`")]
    assert keys == ["accessToken", "authorization"]
    assert websocket_messages.token_of({"accessToken": "a"}) == "a"
    assert websocket_messages.token_of({"AUTHORIZATION": "Bearer b", "accessToken": "a"}) == "b"
    assert websocket_messages.token_of({"authorization": "c"}) == "c"


def test_the_page_says_which_texts_mention_somebody() -> None:
    mentioning, others = table("text | mentions")
    assert all(mentions(text) == ["ben"] for text in quoted(mentioning[0]))
    assert not any("ben" in mentions(text) for text in quoted(others[0]))


def test_the_page_has_every_connection_with_the_arguments_that_make_another_list() -> None:
    expected = {
        f"{name}.{field_name}": sorted(field.args.keys() - PAGING)
        for name, kind in TYPES.items()
        if isinstance(kind, GraphQLObjectType)
        for field_name, field in kind.fields.items()
        if get_named_type(field.type).name.endswith("Connection")
    }
    rows = table("connection | arguments that make another list")
    assert {quoted(row[0])[0]: sorted(quoted(row[1])) for row in rows} == expected


def test_the_page_has_every_mutation_with_a_valid_selection() -> None:
    rows = table("after | ask in the payload | change in the cache, or fetch again")
    mutations = cast(GraphQLObjectType, TYPES["Mutation"]).fields
    assert sorted(name for row in rows for name in quoted(row[0])) == sorted(mutations)
    for after, selections, _ in rows:
        for name in quoted(after):
            chosen = " ".join([*quoted(selections), "userErrors { code }"])
            given = mutations[name].args["input"].type
            document = parse(f"mutation ($input: {given}) {{ {name}(input: $input) {{ {chosen} }} }}")
            assert validate(schema._schema, document) == []


def test_every_type_with_an_id_is_a_node() -> None:
    """So a cache may use the id alone as its key."""
    with_id = [kind for kind in TYPES.values() if isinstance(kind, GraphQLObjectType) and "id" in kind.fields]
    assert with_id
    assert all("Node" in [interface.name for interface in kind.interfaces] for kind in with_id)
