"""deploy/nginx/storage.conf before a real S3 server: what it caches, what it passes on, and the header it adds."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from bson import ObjectId

from config import Settings
from datasources.s3.keys import folder_of, media_key
from datasources.s3.storage import FOR_ONE_VIEWER, IMMUTABLE, Blobs, open_blobs
from domain.image_formats import RenditionFormat
from domain.visibility import Area
from tests.support.nginx import NGINX, ORIGIN, nginx
from tests.support.waiting import eventually

DATA = b"as good as a picture"
NOSNIFF = "nosniff"

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


@pytest.fixture(scope="module")
async def blobs(shared_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Blobs]:
    """Storage, reached through nginx alone."""
    async with nginx(shared_settings, tmp_path_factory.mktemp("nginx")) as url:
        through = {"s3_endpoint_url": url, "signed_url_ttl": 300}
        async with open_blobs(shared_settings.model_copy(update=through)) as opened:
            await opened.ensure_buckets()
            yield opened


async def stored(blobs: Blobs, area: Area) -> str:
    key = media_key(area, folder_of(ObjectId(), ObjectId()), DATA, RenditionFormat.JPEG, 320)
    await blobs.put_media(key, DATA, "image/jpeg")
    return key


async def test_a_public_image_is_cached_with_its_headers(blobs: Blobs, web: httpx2.AsyncClient) -> None:
    key = await stored(blobs, Area.PUBLIC)
    url = blobs.public_url(key)
    assert url is not None
    first = await web.get(url)
    await blobs.delete_media([key])
    for answer in (first, await web.get(url)):  # the second is answered without storage
        assert (answer.status_code, answer.content) == (200, DATA)
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert answer.headers["Cache-Control"] == IMMUTABLE
        assert answer.headers.get_list("X-Content-Type-Options") == [NOSNIFF]
    assert (await web.get(f"{url}?other")).status_code == 404


async def test_a_private_image_is_never_cached(blobs: Blobs, web: httpx2.AsyncClient) -> None:
    key = await stored(blobs, Area.PRIVATE)
    (url,) = await blobs.signed_urls([key])
    answer = await web.get(url)
    assert (answer.status_code, answer.content) == (200, DATA)
    assert answer.headers["Cache-Control"] == FOR_ONE_VIEWER
    assert answer.headers.get_list("X-Content-Type-Options") == [NOSNIFF]
    assert (await web.get(url.partition("?")[0])).status_code == 403
    await blobs.delete_media([key])
    (again,) = await blobs.signed_urls([key])
    assert (await web.get(again)).status_code == 404


async def test_refusals_are_not_cached_for_long_and_have_the_header(blobs: Blobs, web: httpx2.AsyncClient) -> None:
    key = media_key(Area.PUBLIC, folder_of(ObjectId(), ObjectId()), DATA, RenditionFormat.JPEG, 320)
    url = blobs.public_url(key) or ""
    missing = await web.get(url)
    assert (missing.status_code, missing.headers["X-Content-Type-Options"]) == (404, NOSNIFF)
    await blobs.put_media(key, DATA, "image/jpeg")

    async def is_there() -> bool:
        return (await web.get(url)).status_code == 200

    await eventually(is_there)


async def test_workers_and_nobody_else_have_storage_asked_again(
    blobs: Blobs, web: httpx2.AsyncClient, shared_settings: Settings, tmp_path: Path
) -> None:
    key = await stored(blobs, Area.PUBLIC)
    url = blobs.public_url(key) or ""
    elsewhere = {'default "";\n    127.0.0.1 1;': 'default "";\n    10.0.0.1 1;'}
    async with nginx(shared_settings, tmp_path, **elsewhere) as other:
        urls = [url, f"{other}/{shared_settings.media_bucket}/{key}"]
        assert [(await web.get(each)).status_code for each in urls] == [200, 200]
        await blobs.delete_media([key])
        assert [(await web.get(each, headers={"x-purge": "1"})).status_code for each in urls] == [404, 200]
        assert [(await web.get(each)).status_code for each in urls] == [404, 200]


async def test_parameters_that_change_an_answer_do_not_change_it_for_others(
    blobs: Blobs, web: httpx2.AsyncClient
) -> None:
    url = blobs.public_url(await stored(blobs, Area.PUBLIC))
    assert url is not None
    await web.get(f"{url}?response-content-type=text/html")
    assert (await web.get(url)).headers["Content-Type"] == "image/jpeg"


async def test_a_part_and_a_check_of_a_cached_image_are_answered_without_storage(
    blobs: Blobs, web: httpx2.AsyncClient
) -> None:
    key = await stored(blobs, Area.PUBLIC)
    url = blobs.public_url(key) or ""
    first = await web.get(url, headers={"range": "bytes=3-6"})  # the whole file is fetched and kept
    assert (first.status_code, first.content) == (206, DATA[3:7])
    await blobs.delete_media([key])
    part = await web.get(url, headers={"range": "bytes=-7"})
    assert (part.status_code, part.content, part.headers["X-Cache"]) == (206, DATA[-7:], "HIT")
    assert part.headers["Content-Range"] == f"bytes {len(DATA) - 7}-{len(DATA) - 1}/{len(DATA)}"
    check = await web.get(url, headers={"if-none-match": first.headers["ETag"]})
    assert (check.status_code, check.content) == (304, b"")


@pytest.mark.parametrize("spelling", ["public//", "%70ublic/"])
async def test_only_one_spelling_of_an_address_is_cached(blobs: Blobs, web: httpx2.AsyncClient, spelling: str) -> None:
    key = await stored(blobs, Area.PUBLIC)
    url = (blobs.public_url(key) or "").replace("public/", spelling)
    for _ in range(2):
        answer = await web.get(url)
        assert answer.headers.get("X-Cache") in {None, "BYPASS", "MISS"}
    await blobs.delete_media([key])
    assert (await web.get(url)).status_code in {400, 403, 404}


async def test_head_is_answered_and_does_not_fill_the_cache(blobs: Blobs, web: httpx2.AsyncClient) -> None:
    url = blobs.public_url(await stored(blobs, Area.PUBLIC)) or ""
    assert (await web.head(url)).headers["Content-Length"] == str(len(DATA))
    assert (await web.get(url)).headers["X-Cache"] == "MISS"
    assert (await web.head(url)).headers["X-Cache"] == "HIT"


async def test_an_image_is_cached_once_for_all_pages_and_only_allowed_ones_read_it(
    blobs: Blobs, web: httpx2.AsyncClient
) -> None:
    url = blobs.public_url(await stored(blobs, Area.PUBLIC)) or ""
    for origin, allowed, cached in (
        (None, None, "MISS"),
        (ORIGIN, ORIGIN, "HIT"),
        ("https://evil.example", None, "HIT"),
    ):
        answer = await web.get(url, headers={"origin": origin} if origin else {})
        assert answer.headers.get("Access-Control-Allow-Origin") == allowed
        assert (answer.headers.get_list("Vary"), answer.headers["X-Cache"]) == (["Origin"], cached)


async def test_an_old_answer_is_given_while_nginx_asks_again_and_not_after_that(
    blobs: Blobs, web: httpx2.AsyncClient
) -> None:
    key = await stored(blobs, Area.PUBLIC)
    url = blobs.public_url(key) or ""
    await blobs._client.put_object(
        Bucket=blobs._media, Key=key, Body=DATA, CacheControl="public, s-maxage=1, stale-while-revalidate=2"
    )
    assert (await web.get(url)).headers["X-Cache"] == "MISS"
    seen = set[str]()

    async def is_stale() -> bool:
        seen.add((await web.get(url)).headers["X-Cache"])
        return "STALE" in seen or "UPDATING" in seen

    await eventually(is_stale, seconds=20)
    await blobs.delete_media([key])

    async def is_gone() -> bool:
        return (await web.get(url)).status_code == 404

    await eventually(is_gone, seconds=20)
    assert await is_gone()
