"""What looks like spam counts several times to the limits, over GraphQL and all processes."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from bson import ObjectId

from config import Settings
from datasources.rate_limits.spam_signals import UnknownSpamScreenError, imported_screen
from domain.ids import to_global_id
from domain.rate_limits import Action
from domain.records.posts import PostRecord
from domain.records.users import UserRecord
from domain.spam import Act
from tests.support.factories import World, opened

COMMENT = """mutation ($input: AddCommentInput!) { addComment(input: $input) { userErrors { code retryAfterMs } } }"""
EDIT = """mutation ($input: UpdateProfileInput!) { updateProfile(input: $input) { userErrors { code } } }"""
EVER = "/1000000"
WORDS = "a long enough sentence, number"


async def casinos(act: Act) -> int:
    """An operator's function."""
    return 14 if "casino" in act.text else 0


async def broken(_act: Act) -> int:
    raise ValueError("not a number")


def not_async(_act: Act) -> int:
    return 0


@pytest.fixture
async def limited(settings: Settings) -> AsyncIterator[World]:
    limits = dict.fromkeys(("comment.account", "follow.account", "edit.account", "post.account"), f"30{EVER}")
    changes = {"rate_limit_factor": 1.0, "rate_limits": limits, "new_account_hours": 0}
    async with opened(settings.model_copy(update=changes)) as world:
        yield world


async def code_of(world: World, document: str, viewer: UserRecord, **given: Any) -> str | None:
    """The code by which a mutation is refused; None if it was done."""
    result = await world.execute(document, viewer, input=given)
    assert result.errors is None, result.errors
    assert result.data is not None
    (payload,) = result.data.values()
    return payload["userErrors"][0]["code"] if payload["userErrors"] else None


async def comments_until_refused(world: World, viewer: UserRecord, post: PostRecord, *texts: str) -> int:
    """How many of these comments, in turn, are taken; at most 60."""
    for number in range(60):
        text = texts[number % len(texts)].replace("NUMBER", str(number))
        if await code_of(world, COMMENT, viewer, postId=post_id(post), text=text) == "RATE_LIMITED":
            return number
    raise AssertionError("none was refused")


def post_id(post: PostRecord) -> str:
    return to_global_id("Post", post.id)


async def test_the_same_text_is_held_up_sooner_than_others(limited: World) -> None:
    ana, ben, cleo = await limited.users(3)
    post = await limited.post(await limited.user())
    assert await comments_until_refused(limited, ana, post, f"{WORDS} NUMBER") == 30
    same = (
        "This is a text that comes again!",
        "this  is a TEXT that comes again",
        "This is a text... that comes again",
    )
    assert await comments_until_refused(limited, ben, post, *same) == 2 + 6  # which count 2 + 3 + ... + 7
    assert await comments_until_refused(limited, cleo, post, "🔥") > 12


async def test_a_link_counts_whatever_is_written_around_it(limited: World) -> None:
    ana = await limited.user()
    post = await limited.post(await limited.user())
    assert await comments_until_refused(limited, ana, post, "word NUMBER https://shop.example/sale?n=NUMBER") < 10


async def test_the_same_text_of_many_accounts_counts_more(limited: World) -> None:
    post = await limited.post(await limited.user())
    text = "all of us say exactly this here"
    for viewer in await limited.users(25):
        assert await code_of(limited, COMMENT, viewer, postId=post_id(post), text=text) is None
    weights = [
        await limited.sources.rate_limits.spam_signals.weight_of_text((await limited.user()).id, Action.COMMENT, text)
        for _ in range(2)
    ]
    assert weights == [6, 6]


async def test_a_retry_of_a_comment_does_not_count(limited: World) -> None:
    ana = await limited.user()
    post = await limited.post(await limited.user())
    for _ in range(40):
        given = {"postId": post_id(post), "text": "one comment, sent again and again", "idempotencyKey": "one"}
        assert await code_of(limited, COMMENT, ana, **given) is None


async def test_follow_churn_is_held_up(limited: World) -> None:
    ana = await limited.user()
    signals = limited.sources.rate_limits.spam_signals
    weights = [await signals.weight_of_follow(ana.id, is_unfollow=True) for _ in range(60)]
    assert weights[0] == 1
    assert weights[-1] == 5
    assert await signals.weight_of_follow(ana.id, is_unfollow=False) == 5
    assert await signals.weight_of_follow((await limited.user()).id, is_unfollow=False) == 1


async def test_biographies_and_websites_count_too(limited: World) -> None:
    ana = await limited.user()
    codes = [await code_of(limited, EDIT, ana, biography="visit shop.example/sale") for _ in range(20)]
    assert codes[:3] == [None] * 3
    assert codes[-1] == "RATE_LIMITED"


async def test_names_count_too_and_a_refused_edit_takes_no_avatar(limited: World) -> None:
    ana = await limited.user()
    assert await code_of(limited, EDIT, ana, displayName="a name that was not seen before") is None
    codes = [await code_of(limited, EDIT, ana, displayName="shop.example/sale") for _ in range(20)]
    assert codes[-1] == "RATE_LIMITED"
    upload_id = ObjectId()
    upload: dict[str, Any] = {"_id": upload_id, "owner_id": ana.id, "status": "READY"}
    await limited.sources.database["uploads"].insert_one(upload)
    avatar = to_global_id("MediaUpload", upload_id)
    assert await code_of(limited, EDIT, ana, displayName="shop.example/sale", avatarUploadId=avatar) == "RATE_LIMITED"
    assert await limited.sources.database["uploads"].find_one({"_id": upload_id}) == upload


async def test_an_operator_s_function_adds_points(settings: Settings) -> None:
    named = f"{__name__}:casinos"
    changes = {"rate_limit_factor": 1.0, "rate_limits": {"comment.account": f"30{EVER}"}, "spam_screen": named}
    async with opened(settings.model_copy(update={**changes, "new_account_hours": 0})) as world:
        ana, ben = await world.users(2)
        post = await world.post(await world.user())
        assert await comments_until_refused(world, ana, post, "a fine casino, number NUMBER") == 2
        assert await code_of(world, COMMENT, ben, postId=post_id(post), text="a fine picture") is None


async def test_a_function_that_fails_adds_nothing(settings: Settings) -> None:
    changes = {"rate_limit_factor": 1.0, "spam_screen": f"{__name__}:broken"}
    async with opened(settings.model_copy(update=changes)) as world:
        ana = await world.user()
        assert await world.sources.rate_limits.spam_signals.weight_of_text(ana.id, Action.COMMENT, "hello") == 1


@pytest.mark.parametrize("name", ["nowhere:nothing", f"{__name__}:nothing", f"{__name__}:not_async", "no name"])
def test_a_setting_that_names_no_async_function_is_refused(name: str) -> None:
    with pytest.raises(UnknownSpamScreenError, match="spam_screen"):
        imported_screen(name)


async def test_no_text_is_in_redis(limited: World) -> None:
    ana = await limited.user()
    post = await limited.post(await limited.user())
    await code_of(limited, COMMENT, ana, postId=post_id(post), text="canaryword canaryword canaryword canaryword")
    keys = await limited.redis_keys("spam:*")
    assert keys
    assert not any(b"canaryword" in key for key in keys)
