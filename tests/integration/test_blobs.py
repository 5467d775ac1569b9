"""The blob store against a real S3 server: what it stores, what it accepts, and what everybody may read."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import uuid4

import httpx2
import pytest
from botocore.exceptions import ConnectTimeoutError
from bson import ObjectId

from config import Settings
from datasources.s3 import storage as module
from datasources.s3.errors import is_s3_outage
from datasources.s3.keys import MediaKey, folder_of, media_key, prefix
from datasources.s3.storage import FOR_ONE_VIEWER, IMMUTABLE, Blobs, open_blobs
from domain.image_formats import RenditionFormat
from domain.records.uploads import UploadRecord
from domain.visibility import Area
from tests.support.factories import now

DATA = b"not really a picture, but bytes all the same" * 100


@pytest.fixture(scope="module")
async def blobs(shared_settings: Settings) -> AsyncIterator[Blobs]:
    async with open_blobs(shared_settings) as opened:
        await opened.ensure_buckets()
        yield opened


def _digest(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


async def _presigned(blobs: Blobs) -> tuple[str, str, dict[str, str]]:
    key = f"incoming/{uuid4().hex}"
    url, headers = await blobs.presign_put(
        key, byte_size=len(DATA), media_type="image/jpeg", sha256_base64=_digest(DATA), expires_in=60
    )
    return key, url, headers


async def _upload(blobs: Blobs, web: httpx2.AsyncClient) -> tuple[str, str]:
    """Sends the file with the given headers. Returns its key and the signed address."""
    key, url, headers = await _presigned(blobs)
    assert (await web.put(url, content=DATA, headers=headers)).status_code == 200
    return key, url


async def test_a_file_sent_with_the_given_headers_can_be_read(blobs: Blobs, web: httpx2.AsyncClient) -> None:
    key, _ = await _upload(blobs, web)
    assert await blobs.read_incoming(key, len(DATA)) == DATA


async def test_uploads_are_not_public(blobs: Blobs, web: httpx2.AsyncClient) -> None:
    _, url = await _upload(blobs, web)
    assert (await web.get(url.partition("?")[0])).status_code == 403


async def test_reading_stops_one_byte_over_the_limit(blobs: Blobs, web: httpx2.AsyncClient) -> None:
    key, _ = await _upload(blobs, web)
    assert await blobs.read_incoming(key, 100) == DATA[:101]


async def test_a_missing_upload_reads_as_none(blobs: Blobs) -> None:
    assert await blobs.read_incoming(f"incoming/{uuid4().hex}", 100) is None


async def test_a_public_rendition_is_for_everybody_and_immutable(
    blobs: Blobs, web: httpx2.AsyncClient, shared_settings: Settings
) -> None:
    key = media_key(Area.PUBLIC, folder_of(ObjectId(), ObjectId()), DATA, RenditionFormat.WEBP, 320)
    for _ in range(2):
        await blobs.put_media(key, DATA, RenditionFormat.WEBP.media_type)
    answer = await web.get(f"{shared_settings.media_url}/{key}")
    assert answer.status_code == 200
    assert answer.content == DATA
    assert answer.headers["content-type"] == "image/webp"
    assert answer.headers["content-disposition"] == "inline"
    assert answer.headers["cache-control"] == IMMUTABLE
    assert blobs.public_url(key) == f"{shared_settings.media_url}/{key}"


async def test_a_private_rendition_needs_a_signature(
    blobs: Blobs, web: httpx2.AsyncClient, shared_settings: Settings
) -> None:
    key = media_key(Area.PRIVATE, folder_of(ObjectId(), ObjectId()), DATA, RenditionFormat.WEBP, 320)
    await blobs.put_media(key, DATA, RenditionFormat.WEBP.media_type)
    assert (await web.get(f"{shared_settings.media_url}/{key}")).status_code == 403
    assert (await web.head(f"{shared_settings.media_url}/{key}")).status_code == 403
    assert blobs.public_url(key) is None
    (url,) = await blobs.signed_urls([key])
    answer = await web.get(url)
    assert (answer.status_code, answer.content) == (200, DATA)
    assert answer.headers["cache-control"] == FOR_ONE_VIEWER


@pytest.mark.parametrize("path", ["", "/", "/?list-type=2", "/?versions", "/?list-type=2&prefix=public/"])
async def test_nobody_lists_what_is_stored(
    blobs: Blobs, web: httpx2.AsyncClient, shared_settings: Settings, path: str
) -> None:
    key, _ = await _upload(blobs, web)
    media, incoming = shared_settings.media_bucket, shared_settings.incoming_bucket
    for bucket in (shared_settings.media_url, shared_settings.media_url.replace(media, incoming)):
        answer = await web.get(f"{bucket}{path}")
        assert answer.status_code == 403
        assert key not in answer.text


async def test_a_copy_in_the_other_area_is_served_like_a_file_put_there(
    blobs: Blobs, web: httpx2.AsyncClient, shared_settings: Settings
) -> None:
    private = media_key(Area.PRIVATE, folder_of(ObjectId(), ObjectId()), DATA, RenditionFormat.PNG, 320)
    public = private.replace("private", "public")
    await blobs.put_media(private, DATA, "image/png")
    for _ in range(2):
        assert await blobs.copy_media(private, public, "image/png")
    answer = await web.get(f"{shared_settings.media_url}/{public}")
    assert (answer.status_code, answer.content) == (200, DATA)
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-disposition"] == "inline"
    assert answer.headers["cache-control"] == IMMUTABLE
    assert not await blobs.copy_media(private + "x", public, "image/png")


@pytest.mark.parametrize("address", ["", "?list-type=2", "?list-type=2&prefix=public/", "/public/?list-type=2"])
async def test_renditions_cannot_be_listed_by_everybody(
    blobs: Blobs, web: httpx2.AsyncClient, shared_settings: Settings, address: str
) -> None:
    answer = await web.get(shared_settings.media_url + address)
    assert answer.status_code in (403, 404) or not answer.content  # 404: nothing lies under the key `public/`


@pytest.mark.parametrize("detour", ["public/../", "public/%2e%2e/", "public%2f..%2f", "public//../", "./"])
async def test_no_path_through_the_public_area_reaches_a_private_file(
    blobs: Blobs, web: httpx2.AsyncClient, shared_settings: Settings, detour: str
) -> None:
    key = media_key(Area.PRIVATE, folder_of(ObjectId(), ObjectId()), DATA, RenditionFormat.PNG, 320)
    await blobs.put_media(key, DATA, "image/png")
    assert (await web.get(f"{shared_settings.media_url}/{detour}{key}")).status_code in (400, 403, 404)


def upload_record(**fields: object) -> UploadRecord:
    """An upload of nobody."""
    document = {
        "_id": ObjectId(), "owner_id": ObjectId(), "status": "READY", "format": "JPEG", "byte_size": 9, "sha256": "",
        "key": "", "created_at": now(), "expires_at": now(), "has_account_folder": True,
    }  # fmt: skip
    return UploadRecord.from_document(document | fields)


async def test_all_files_of_an_upload_are_listed_and_deleted_and_no_others(blobs: Blobs) -> None:
    post_id, owner_id = ObjectId(), ObjectId()
    upload = upload_record(owner_id=owner_id, placed_for=post_id)
    of_older_form, other = upload_record(has_account_folder=False), upload_record(owner_id=owner_id)
    folder = folder_of(owner_id, upload.id)
    keys = [media_key(area, folder, DATA, RenditionFormat.JPEG, width) for area in Area for width in (150, 320, 640)]
    keys.append(media_key(Area.PUBLIC, folder_of(owner_id, upload.id, post_id), DATA, RenditionFormat.JPEG, 150))
    old_folders = (str(of_older_form.id), folder_of(of_older_form.owner_id, of_older_form.id))
    old_keys = [media_key(area, each, DATA, RenditionFormat.JPEG, 150) for area in Area for each in old_folders]
    kept = media_key(Area.PUBLIC, folder_of(owner_id, other.id), DATA, RenditionFormat.JPEG, 150)
    for key in [*keys, *old_keys, kept]:
        await blobs.put_media(key, DATA, "image/jpeg")
    listed = [(blob.key, blob.size) async for blob in blobs.list_media(prefix(Area.PRIVATE, folder))]
    assert listed == [(key, len(DATA)) for key in sorted(keys) if key.startswith("private/")]
    assert set(await blobs.media_of(upload)) == set(keys)
    assert set(await blobs.media_of(of_older_form)) == set(old_keys)
    for _ in range(2):
        await blobs.delete_media([*keys, prefix(Area.PUBLIC, folder) + "never-was.jpg"])
    assert await blobs.media_of(upload) == []
    assert await blobs.media_of(other) == [kept]


async def test_listing_and_deleting_go_past_the_first_page(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasources.s3.storage._LIST_PAGE", 3)
    monkeypatch.setattr("datasources.s3.storage._DELETE_BATCH", 4)
    prefix = f"{uuid4().hex}/"
    keys = [f"{prefix}{number}" for number in range(10)]
    for key in keys:
        await blobs.put_media(key, b"x", "image/jpeg")
    assert [blob.key async for blob in blobs.list_media(prefix)] == keys
    await blobs.delete_media(keys)
    assert [blob.key async for blob in blobs.list_media(prefix)] == []


async def test_a_deleted_upload_is_gone(blobs: Blobs, web: httpx2.AsyncClient) -> None:
    key, _ = await _upload(blobs, web)
    assert [blob.key async for blob in blobs.list_incoming(key)] == [key]
    await blobs.delete_incoming([key])
    assert await blobs.read_incoming(key, 1) is None


async def test_incoming_files_are_deleted_after_a_day(blobs: Blobs, shared_settings: Settings) -> None:
    answer = await blobs._client.get_bucket_lifecycle_configuration(Bucket=shared_settings.incoming_bucket)
    (rule,) = answer["Rules"]
    assert (rule["Status"], rule["Expiration"]["Days"]) == ("Enabled", 1)


async def test_ensuring_buckets_concurrently_is_safe(blobs: Blobs) -> None:
    await asyncio.gather(*(blobs.ensure_buckets() for _ in range(5)))
    await blobs.ping()


def test_the_same_rendition_has_the_same_key_and_any_other_has_another() -> None:
    folder, other, public = folder_of(ObjectId(), ObjectId()), folder_of(ObjectId(), ObjectId()), Area.PUBLIC
    key = media_key(public, folder, b"a", RenditionFormat.JPEG, 150)
    assert key == media_key(public, folder, b"a", RenditionFormat.JPEG, 150)
    assert key.startswith(f"public/{folder}/")
    assert key.endswith("-150.jpg")
    others = {
        media_key(Area.PRIVATE, folder, b"a", RenditionFormat.JPEG, 150),
        media_key(public, other, b"a", RenditionFormat.JPEG, 150),
        media_key(public, folder, b"b", RenditionFormat.JPEG, 150),
        media_key(public, folder, b"a", RenditionFormat.WEBP, 150),
        media_key(public, folder, b"a", RenditionFormat.JPEG, 320),
    }
    assert len(others | {key}) == 6


def test_only_keys_that_the_product_makes_are_parsed() -> None:
    key = media_key(Area.PUBLIC, folder_of(ObjectId(), ObjectId()), b"a", RenditionFormat.JPEG, 150)
    assert str(MediaKey.parse(key)) == key
    for strange in ("", "a", key + "/x", key.replace("/0/", "/00/"), key.replace("public", "secret"), key[1:]):
        assert MediaKey.parse(strange) is None, strange
    id_ = ObjectId()
    for number, is_ours in ((0, False), (1, True), (2, True), (3, True), (4, False)):
        assert (MediaKey.parse(f"public/{f'{id_}/' * number}0/a.jpg") is not None) is is_ours, number


def test_no_key_has_the_accounts_id() -> None:
    owner_id, upload_id, post_id = ObjectId(), ObjectId(), ObjectId()
    folder = folder_of(owner_id, upload_id, post_id)
    assert str(owner_id) not in folder
    assert folder.partition("/")[0] == folder_of(owner_id, ObjectId()).partition("/")[0]
    parts = MediaKey.parse(media_key(Area.PUBLIC, folder, b"a", RenditionFormat.JPEG, 150))
    assert parts is not None
    assert (parts.upload_id, parts.post_id) == (upload_id, post_id)


async def test_an_absent_server_is_an_outage(shared_settings: Settings) -> None:
    nowhere = shared_settings.model_copy(update={"s3_endpoint_url": "http://127.0.0.1:9", "s3_timeout": 1.0})
    async with open_blobs(nowhere) as blobs:
        with pytest.raises(Exception, match=r"127\.0\.0\.1") as caught:
            await blobs.read_incoming("incoming/any", 1)
    assert is_s3_outage(caught.value)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n", id="503"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this", id="body cut off"),
        pytest.param(b"", id="closed without an answer"),
        pytest.param(None, id="no answer"),
    ],
)
async def test_a_failing_server_is_an_outage(shared_settings: Settings, reply: bytes | None) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if reply is None:
            await reader.read()
        else:
            writer.write(reply)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    broken = shared_settings.model_copy(update={"s3_endpoint_url": endpoint, "s3_timeout": 0.3})
    async with server, open_blobs(broken) as blobs:
        with pytest.raises(Exception, match=r".*") as caught:
            await blobs.read_incoming("incoming/any", 1000)
    assert is_s3_outage(caught.value), repr(caught.value)


async def test_waiting_for_a_free_connection_takes_no_longer_than_connecting(
    shared_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CONNECTIONS", 1)
    monkeypatch.setattr(module, "_ATTEMPTS", 1)
    connected = asyncio.Event()

    async def trickle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Sends an answer whose head does not end, so that the connection stays in use."""
        connected.set()
        writer.write(b"HTTP/1.1 200 OK\r\n")
        with suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(b"X-More: to come\r\n")
                await writer.drain()
                await asyncio.sleep(0.05)

    server = await asyncio.start_server(trickle, "127.0.0.1", 0)
    endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    busy = shared_settings.model_copy(update={"s3_endpoint_url": endpoint, "s3_timeout": 0.3})
    async with server, open_blobs(busy) as blobs:
        holding = asyncio.create_task(blobs.read_incoming("incoming/any", 1))
        await connected.wait()
        with pytest.raises(ConnectTimeoutError) as caught:
            await blobs.read_incoming("incoming/any", 1)
        assert not holding.done()
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)
    assert is_s3_outage(caught.value)


async def test_refused_credentials_are_not_an_outage(shared_settings: Settings) -> None:
    stranger = shared_settings.model_copy(update={"s3_access_key": "stranger"})
    async with open_blobs(stranger) as blobs:
        with pytest.raises(Exception, match=r".*") as caught:
            await blobs.put_media("any/key", DATA, "image/jpeg")
    assert not is_s3_outage(caught.value)


ORIGINS = ("https://app.example", "https://*.photos.example")


@pytest.fixture(scope="module")
async def browser_blobs(shared_settings: Settings) -> AsyncIterator[Blobs]:
    """Blobs in buckets of their own, which pages of `ORIGINS` may use."""
    names = {name: f"{name.partition('_')[0]}-{uuid4().hex[:8]}" for name in ("incoming_bucket", "media_bucket")}
    settings = shared_settings.model_copy(update={**names, "environment": "test", "allowed_origins": ORIGINS})
    async with open_blobs(settings) as opened:
        await opened.ensure_buckets()
        yield opened


@pytest.mark.parametrize("area", [Area.PUBLIC, Area.PRIVATE])
async def test_a_page_of_an_allowed_origin_may_draw_an_image_on_a_canvas(
    browser_blobs: Blobs, web: httpx2.AsyncClient, area: Area
) -> None:
    blobs, key = browser_blobs, media_key(area, folder_of(ObjectId(), ObjectId()), DATA, RenditionFormat.JPEG, 320, 0)
    await blobs.put_media(key, DATA, "image/jpeg")
    (signed,) = await blobs.signed_urls([key])
    url = blobs.public_url(key) or signed
    for origin in ("https://app.example", "https://eu.photos.example"):
        answer = await web.get(url, headers={"origin": origin})
        assert (answer.status_code, answer.content) == (200, DATA)
        assert answer.headers["access-control-allow-origin"] in (origin, "*")
    foreign = await web.get(url, headers={"origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in foreign.headers
    assert "origin" in foreign.headers["vary"].lower(), "a cache must keep one answer for each origin"


async def test_only_pages_of_allowed_origins_may_put(browser_blobs: Blobs, web: httpx2.AsyncClient) -> None:
    _, url, headers = await _presigned(browser_blobs)
    for origin in ("https://elsewhere.example", ORIGINS[0]):
        asking = {"origin": origin, "access-control-request-method": "PUT"}
        answer = await web.options(url, headers={**asking, "access-control-request-headers": ",".join(headers)})
        assert ("access-control-allow-origin" in answer.headers) is (origin == ORIGINS[0])
