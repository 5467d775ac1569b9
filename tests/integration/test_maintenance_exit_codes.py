"""How commands end when something is missing, away or refused: one line, the documented code, and what they found."""

import json
from collections.abc import AsyncIterator

import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from redis.exceptions import AuthenticationError, NoPermissionError

from config import Settings
from datasources.outages import describe_refusal
from deploy.cli import maintenance_reports
from deploy.cli.output import finding_line
from tests.support.command_line import run_command
from tests.support.factories import World
from tests.support.maintenance import Scene
from tests.support.toxic_proxy import Proxy, Toxic
from workers.maintenance.checks.check import Finding


@pytest.fixture
async def storage(own: World) -> AsyncIterator[Proxy]:
    """The way to S3, which can be made to fail."""
    url = own.sources.settings.s3_endpoint_url
    assert url is not None
    async with Proxy(url).listening() as proxy:
        yield proxy


@pytest.fixture
async def scene(own: World) -> Scene:
    """Everything is right but one counter."""
    scene = await Scene.applied(own)
    await own.sources.database["posts"].update_one({"_id": scene.post.id}, {"$inc": {"like_count": 1}})
    return scene


@pytest.mark.parametrize(("name", "environment"), [("verify", "test"), ("repair", "production"), ("gc", "production")])
async def test_a_database_without_indexes_gives_one_line_that_names_the_command(
    own: World, name: str, environment: str
) -> None:
    bare = f"{own.sources.settings.mongo_database}_bare"
    given = {"mongo_database": bare, "environment": environment, "s3_secret_key": "no default"}
    refused = await run_command(own, name, **given)
    assert (refused.code, refused.out) == (2, "")
    (line,) = refused.err.splitlines()
    assert line.startswith("photogram: the database lacks indexes (")
    assert line.endswith(" more): run `photogram prepare` first")


async def test_documents_in_the_way_of_an_index_give_one_line(own: World) -> None:
    settings = own.sources.settings
    bare = own.sources.client[f"{settings.mongo_database}_duplicates"]
    await bare["mutes"].insert_many([{"muter_id": 1, "muted_id": 2}, {"muter_id": 1, "muted_id": 2}])
    refused = await run_command(own, "prepare", mongo_database=bare.name)
    await own.sources.client.drop_database(bare.name)
    assert refused.code == 2
    assert refused.err.startswith("photogram: an index of mutes cannot be made: ")
    assert refused.err.count("\n") == 1


@pytest.mark.parametrize("words", [["prepare"], ["verify"], ["worker"]])
async def test_a_database_of_an_older_version_gives_one_line_that_asks_for_a_new_one(
    own: World, words: list[str]
) -> None:
    old = own.sources.client[f"{own.sources.settings.mongo_database}_old"]
    for name in ("users", "posts"):
        await old[name].create_index("outbox", sparse=True)
    given = {"environment": "production", "s3_secret_key": "no default", "allow_root": "true"}
    refused = await run_command(own, *words, mongo_database=old.name, **given)
    created = await old.list_collection_names()
    await own.sources.client.drop_database(old.name)
    assert (refused.code, refused.out, sorted(created)) == (2, "", ["posts", "users"])
    (line,) = refused.err.splitlines()
    assert line.startswith(f"photogram: the database {old.name} was made by an older version, ")
    assert "use a new database (PHOTOGRAM_MONGO_DATABASE" in line


async def test_refused_credentials_give_one_line_that_names_the_server_and_no_secret(own: World) -> None:
    url = own.sources.settings.mongo_url.replace("//", "//ana:secret@")
    refused = await run_command(own, "verify", mongo_url=url)
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith("photogram: MongoDB refuses the credentials of the settings (")
    assert (refused.err.count("\n"), "secret" in refused.err) == (1, False)


@pytest.mark.parametrize("as_json", [True, False])
async def test_findings_are_printed_when_s3_hangs(
    own: World, scene: Scene, storage: Proxy, capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    storage.become(Toxic.BLACK_HOLE)
    settings = own.sources.settings.model_copy(update={"s3_endpoint_url": storage.url, "s3_timeout": 0.2})
    assert await maintenance_reports.run_verify(settings, as_json=as_json) == 3
    printed = capsys.readouterr()
    reason = f"S3 does not answer ({storage.url.removeprefix('http://')})"
    assert printed.err == f"photogram: {reason}; this is incomplete\n"
    if as_json:
        report = json.loads(printed.out)
        assert report["incomplete"] == reason
        assert [(finding["kind"], finding["found"], finding["expected"]) for finding in report["findings"]] == [
            ("post.like_count", 2, 1)
        ]
    else:
        assert printed.out.startswith(f"post.like_count {scene.post.id}: found 2, expected 1: ")


async def test_gc_prints_what_it_removed_when_s3_refuses(
    own: World, scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = own.sources.settings.model_copy(update={"media_bucket": "no-such-bucket"})
    assert await maintenance_reports.run_gc(settings, min_age=0, dry_run=False, as_json=True) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("photogram: a bucket is missing (")
    assert json.loads(printed.out)["incomplete"] in printed.err


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (AuthenticationError("secret"), "Redis refuses the credentials of the settings (r:1)"),
        (NoPermissionError("secret"), "Redis refuses the credentials of the settings (r:1)"),
        (NoCredentialsError(), "S3 refuses the credentials of the settings (s:2)"),
        (
            ClientError({"Error": {"Code": "SignatureDoesNotMatch"}}, "ListObjectsV2"),
            "S3 refuses the credentials of the settings (s:2)",
        ),
        (ValueError("secret"), None),
    ],
)
def test_a_refusal_names_its_server(error: Exception, line: str | None) -> None:
    settings = Settings(environment="test", redis_url="redis://ana:secret@r:1/0", s3_endpoint_url="http://s:2")
    assert describe_refusal(error, settings) == line


async def test_missing_files_are_printed_as_expected_and_not_found(
    own: World, scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    key = f"public/{scene.post.images[0].id}/7/1080.jpeg"
    await own.sources.database["posts"].update_one({}, {"$set": {"images.0.renditions.0.key": key}})
    assert await maintenance_reports.run_verify(own.sources.settings) == 1
    (line,) = [row for row in capsys.readouterr().out.splitlines() if row.startswith("post.images ")]
    assert line == f"post.images {scene.post.id}: found nothing, expected {key}: storage lacks files of a ready post"


@pytest.mark.parametrize(
    ("found", "expected", "values"),
    [
        (["a", "b"], [], "found a, b, expected nothing: "),
        ([], ["a"] * 12, f"found nothing, expected {', '.join('a' * 10)} and 2 more: "),
        (None, "a", "found nothing, expected a: "),
        (0, 1, "found 0, expected 1: "),
        (False, True, "found no, expected yes: "),
        (None, [], ""),
        (5, None, ""),
    ],
)
def test_a_line_says_what_was_found_and_what_was_expected(found: object, expected: object, values: str) -> None:
    finding = Finding(kind="kind", id="id", found=found, expected=expected, why="why")
    assert finding_line(finding) == f"kind id: {values}why"
