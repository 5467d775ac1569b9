"""Nothing that a client's file holds beside its pixels is stored or shown."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pyotp
import pytest
from pymongo import MongoClient

from datasources.s3.storage import Blobs, open_blobs
from domain.ids import from_global_id
from domain.visibility import Area
from tests.e2e.canaries import PICTURES, Canaries
from tests.e2e.conftest import Register
from tests.support.authenticator import Authenticator
from tests.support.client import Api, Person, small_jpeg
from tests.support.redis_masters import masters
from tests.support.stack import Stack
from tests.support.waiting import eventually

FORMATS = {"moving GIF": "GIF"}
POST = "query ($id: ID!) { post(id: $id) { images { id renditions { url } } } }"


@pytest.fixture
async def blobs(stack: Stack) -> AsyncIterator[Blobs]:
    async with open_blobs(stack.settings) as opened:
        yield opened


async def posted(person: Person, canaries: Canaries) -> list[dict[str, Any]]:
    """The images of a post of one picture in each format, each full of hidden words."""
    uploads = []
    for name, make in PICTURES.items():
        hidden = Canaries()
        data = make(hidden)
        assert hidden.found(data) == hidden.words.keys(), "a word that is not there proves nothing"
        canaries.words |= {f"{name}: {place}": word for place, word in hidden.words.items()}
        uploads.append(await person.upload(data, format=FORMATS.get(name, name)))
    post_id = await person.create_post(*uploads)
    await person.wait_for_status(post_id, "READY")
    images: list[dict[str, Any]] = (await person.get(POST, id=post_id))["post"]["images"]
    return images


@pytest.mark.parametrize("area", [Area.PUBLIC, Area.PRIVATE])
async def test_no_hidden_word_gets_into_any_file_database_or_log(
    register: Register, stack: Stack, blobs: Blobs, area: Area
) -> None:
    ana, canaries = await register(), Canaries()
    await ana.done("updateProfile", isPrivate=area is Area.PRIVATE)
    images = await posted(ana, canaries)
    assert len(images) == len(PICTURES)
    for image in images:
        _, upload_id = from_global_id(image["id"])
        stored = [each.key async for each in blobs.list_media() if str(upload_id) in each.key]
        assert {key.partition("/")[0] for key in stored} >= {area.value}
        for rendition in image["renditions"]:
            answer = await ana.http.get(rendition["url"])
            assert answer.status_code == 200
            assert not canaries.found(answer.content), rendition
            assert not canaries.found(repr(answer.headers.multi_items()).encode())
        for key in stored:
            for url in await blobs.signed_urls([key]):
                assert not canaries.found((await ana.http.get(url)).content), key
    assert_kept_nowhere(stack, canaries)


async def test_no_name_of_a_file_gets_anywhere(register: Register, stack: Stack, blobs: Blobs) -> None:
    """The name and the type that a client gives a file are ignored and never repeated."""
    ana, canaries = await register(), Canaries()
    word = canaries.word("name or type")
    names = [
        f"{word}.jpg",
        f"../../{word}/a.php",
        f"{word}\x00.png",
        f'{word}".gif',
        f"{word}\r\nx-{word}: 1",
        word * 50,
    ]
    uploads = []
    for name in names:
        answer = await ana.upload_image(small_jpeg(), called=(name, f"image/{word}"))
        assert answer.errors == [], name
        uploads.append(str(answer.data["uploadImage"]["upload"]["id"]))
        assert not canaries.found(repr(answer).encode())
    refused = await ana.upload_image(b"no picture", called=(f"{word}.jpg", f"image/{word}"))
    assert refused.data["uploadImage"]["userErrors"]
    assert not canaries.found(repr(refused).encode())
    sources = [blob.key async for blob in blobs.list_incoming()]  # those that the worker has not taken away yet
    post_id = await ana.create_post(*uploads)
    await ana.wait_for_status(post_id, "READY")
    post = await ana.get(POST, id=post_id)
    assert not canaries.found(repr(post).encode())
    for rendition in (each for image in post["post"]["images"] for each in image["renditions"]):
        served = await ana.http.get(rendition["url"])
        assert not canaries.found(served.content + repr(served.headers.multi_items()).encode())
    keys = [blob.key async for blob in blobs.list_media()]
    assert not canaries.found("\n".join([*sources, *keys]).encode())
    assert_kept_nowhere(stack, canaries)


def assert_kept_nowhere(stack: Stack, canaries: Canaries) -> None:
    """Neither Redis nor MongoDB nor any log has one of these words."""
    assert not canaries.found(_redis(stack))
    assert not canaries.found(_database(stack))
    for process in stack.living:
        assert not canaries.found(process.log.read_bytes()), process.log


def _redis(stack: Stack) -> bytes:
    lines: list[bytes] = []
    for redis in masters(stack.settings):
        with redis:
            for key in redis.scan_iter(match=f"{stack.settings.key_prefix}*"):
                lines += [key, redis.dump(key) or b""]
    assert lines
    return b"\n".join(lines)


def _database(stack: Stack) -> bytes:
    with MongoClient[dict[str, Any]](stack.settings.mongo_url, serverSelectionTimeoutMS=5000) as client:
        database = client[stack.settings.mongo_database]
        rows = [repr(row) for name in database.list_collection_names() for row in database[name].find()]
    assert rows
    return "\n".join(rows).encode()


async def test_no_secret_of_a_login_gets_into_any_log_or_redis_or_in_clear_into_the_database(
    register: Register, stack: Stack
) -> None:
    """Passwords, tokens, secrets, codes, challenges and what authenticators answer."""
    words = Canaries()
    password = words.word("password")
    ana, key = await register(password=password), Authenticator()
    token = await ana.done("createAccessToken", "text", name="program", scopes=["READ"])
    begun = await ana.done("beginPasskey", "options")
    answers = [key.create(begun["options"])]
    await ana.done("confirmPasskey", name="phone", passkey=answers[0])
    secret = (await ana.done("beginSecondFactor", "secret"))["secret"]
    code = pyotp.TOTP(secret).now()
    recovery_codes = (await ana.done("confirmSecondFactor", "recoveryCodes", oneTimeCode=code))["recoveryCodes"]
    nobody = Api(ana.http)
    step = (await nobody.do("login", "secondFactor { challenge }", login=ana.username, password=password))[
        "secondFactor"
    ]
    options = (await nobody.done("beginPasskeyLogin", "options", challenge=step["challenge"]))["options"]
    answers.append(key.use(options))
    selection = "tokens { accessToken refreshToken }"
    tokens = (
        await nobody.done("completeLogin", selection, challenge=step["challenge"], oneTimeCode=recovery_codes[0])
    )["tokens"]
    await nobody.done("loginWithPasskey", selection, passkey=answers[1])
    for wrong in ({"password": words.word("wrong password")}, {"oneTimeCode": words.word("wrong code")}):
        await ana.refused("confirmIdentity", **wrong)
    secrets = {"token": token["text"], "secret": secret, "challenge": step["challenge"], **tokens}
    secrets |= {f"recovery code {number}": each for number, each in enumerate(recovery_codes)}
    secrets |= {
        f"answer {number}": json.loads(each)["response"]["clientDataJSON"] for number, each in enumerate(answers)
    }
    words.words |= {"access token": ana.token or "", "refresh token": ana.refresh_token, **secrets}
    assert_kept_nowhere(stack, words)


async def test_nothing_of_an_export_and_of_leaving_gets_into_any_log(register: Register, stack: Stack) -> None:
    """Neither the password, nor what is exported, nor the signed address."""
    words = Canaries()
    password, caption, name = words.word("password"), words.word("caption"), words.word("handle")
    address = f"{words.word('address')}@example.com"
    ana = await register(password=password, email=address)
    await ana.ready_post(caption=caption)
    await ana.done("changeUsername", username=name)
    await ana.done("requestExport", password=password)

    async def url() -> Any:
        files = (await ana.get("{ viewer { export { files { url } } } }"))["viewer"]["export"]["files"]
        return files[0]["url"] if files else None

    signed = await eventually(url, seconds=30)
    assert (await ana.http.get(signed)).status_code == 200
    await ana.done("deactivateAccount", password=password)
    words.words["signature"] = signed.partition("X-Amz-Signature=")[2].partition("&")[0]
    assert words.words["signature"]
    for process in stack.living:
        assert not words.found(process.log.read_bytes()), process.log
    secrets = Canaries()
    secrets.words = {each: words.words[each] for each in ("password", "signature")}
    assert_kept_nowhere(stack, secrets)
