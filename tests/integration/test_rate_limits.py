"""General points and limits of actions, as clients meet them over HTTP and sockets, and between processes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest
from bson import ObjectId

from config import Settings
from datasources.rate_limits.limiters import RateLimiters
from datasources.rate_limits.points import BLOCKS
from datasources.redis.roles import RedisRoles, open_roles
from datasources.sources import prepare
from domain.rate_limits import DEFAULTS, MEMBER, NEW, OPERATION_POINTS, Action, Limit, RateLimited, Subject
from tests.support.client import PASSWORD, Api, Person
from tests.support.own_databases import own_database
from tests.support.stack import stack_on
from tests.support.waiting import eventually

SCHEMA = "{ __schema { types { name description fields { name description } } } }"  # its cost is what it answers
CHEAP_IN_THE_END = """{ user(username: "nobody_at_all") {
  posts(first: 50) { edges { node { id comments(first: 50) { edges { node { id } } } } } }
} }"""
EVER = "/1000000"  # a limit that restores nothing during a test
LIMITS = {
    "points": f"60000{EVER}",
    "points.token": f"55000{EVER}",
    "points.stranger": f"60000{EVER}",
    "points.address": f"900000{EVER}",
    "comment.account": f"8{EVER}",
    "follow.account": f"8{EVER}",
    "search.account": f"8{EVER}",
    "search.address": f"3{EVER}",
}


@pytest.fixture(scope="module")
def limited_settings(shared_settings: Settings) -> Iterator[Settings]:
    with own_database(shared_settings, rate_limit_factor=1.0, rate_limits=LIMITS, new_account_hours=0) as settings:
        yield settings


@pytest.fixture(scope="module")
async def http(
    limited_settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx2.AsyncClient]:
    await prepare(limited_settings)
    with stack_on(limited_settings, tmp_path_factory.mktemp("api")) as stack:
        await stack.api()
        async with httpx2.AsyncClient(base_url=stack.url, timeout=60) as client:
            yield client


@pytest.fixture
async def redis(limited_settings: Settings) -> AsyncIterator[RedisRoles]:
    roles = open_roles(limited_settings)
    async with roles.following():
        yield roles
    await roles.aclose()


async def member(_account: ObjectId) -> str:
    return MEMBER


def process(settings: Settings, redis: RedisRoles, **changes: object) -> RateLimiters:
    """The limiters of one more process."""
    return RateLimiters(settings.model_copy(update=changes), redis.cache, member)


async def post(http: httpx2.AsyncClient, document: str, **headers: str) -> httpx2.Response:
    accept = {"accept": "application/graphql-response+json"}
    return await http.post("/graphql", json={"query": document}, headers=accept | headers)


async def use_up(http: httpx2.AsyncClient, **headers: str) -> httpx2.Response:
    """Sends costly queries until one is refused, and returns its answer."""
    for _ in range(200):
        answer = await post(http, SCHEMA, **headers)
        if answer.status_code != 200:
            return answer
    raise AssertionError("nothing was refused")


async def test_an_answer_tells_what_it_cost_and_what_is_left(http: httpx2.AsyncClient) -> None:
    headers = {"x-forwarded-for": "10.1.0.1"}
    answer = await post(http, "{ uploadLimits { maxBytes maxImagesPerPost } }", **headers)
    cost, left = answer.json()["extensions"]["cost"], 60_000 - OPERATION_POINTS - 3
    assert (cost["requested"], cost["actual"], cost["limit"]) == (3, 3, 50_000)
    assert cost["throttle"] == {"maximum": 60_000, "available": left, "restoreRate": 0.06}
    told = {name: answer.headers[f"ratelimit-{name}"] for name in ("limit", "remaining", "reset")}
    assert told == {"limit": "60000", "remaining": str(left), "reset": str(-(-(60_000 - left) * 1_000_000 // 60_000))}
    again = await post(http, "{ __typename }", **headers)
    assert again.json()["extensions"]["cost"]["throttle"]["available"] == left - OPERATION_POINTS - 1


async def test_what_comes_out_cheap_is_given_back(http: httpx2.AsyncClient) -> None:
    headers = {"x-forwarded-for": "10.1.0.2"}
    for number in range(1, 60):
        cost = (await post(http, CHEAP_IN_THE_END, **headers)).json()["extensions"]["cost"]
        assert (cost["requested"], cost["actual"]) == (7_702, 1)
        assert cost["throttle"]["available"] == 60_000 - number * (OPERATION_POINTS + 1)


async def test_who_has_used_up_the_points_is_told_when_to_come_back(http: httpx2.AsyncClient) -> None:
    headers = {"x-forwarded-for": "2001:db8:7:7::1"}
    answer = await use_up(http, **headers)
    assert (answer.status_code, "data" in answer.json()) == (429, False)
    (error,) = answer.json()["errors"]
    assert error["extensions"]["code"] == "RATE_LIMITED"
    assert error["extensions"]["retryAfterMs"] > 1_000
    assert int(answer.headers["retry-after"]) == -(-error["extensions"]["retryAfterMs"] // 1000)
    assert int(answer.headers["ratelimit-remaining"]) < 60_000
    same_network = await post(http, SCHEMA, **{"x-forwarded-for": "2001:db8:7:7:ffff::2"})
    assert same_network.status_code == 429
    assert (await post(http, SCHEMA, **{"x-forwarded-for": "2001:db8:7:8::1"})).status_code == 200


async def test_an_account_and_each_of_its_tokens_have_points(http: httpx2.AsyncClient) -> None:
    ana = await Person.register(http)
    viewer = (await ana.get("{ viewer { rateLimit { maximum available restoreRatePerSecond } } }"))["viewer"]
    assert viewer["rateLimit"]["maximum"] == 55_000
    first = {"authorization": f"Bearer {ana.token}"}
    assert int((await use_up(http, **first)).headers["ratelimit-limit"]) == 55_000
    second = await Api(http).done("login", "tokens { accessToken }", login=ana.username, password=PASSWORD)
    headers = {"authorization": f"Bearer {second['tokens']['accessToken']}"}
    answer = await use_up(http, **headers)
    assert int(answer.headers["ratelimit-limit"]) == 60_000
    ben = await Person.register(http)
    assert (await post(http, SCHEMA, authorization=f"Bearer {ben.token}")).status_code == 200


async def test_operations_over_a_socket_count_too(http: httpx2.AsyncClient) -> None:
    ana = await Person.register(http)
    async with ana.socket() as socket:
        for number in range(200):
            await socket.subscribe(SCHEMA, str(number))
            message = await socket.hear()
            if message["type"] == "error":
                break
            assert (await socket.hear())["type"] == "complete"
        assert message["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
    over_http = await post(http, SCHEMA, authorization=f"Bearer {ana.token}")
    assert over_http.status_code == 429


async def test_a_subscription_counts_when_it_starts(http: httpx2.AsyncClient) -> None:
    ana, asked = await Person.register(http), 0

    async def points_of_others() -> int:
        """What was taken from the points besides these questions."""
        nonlocal asked
        answer = (await ana.get("{ viewer { rateLimit { available } } }"))["viewer"]
        asked += 1
        return 55_000 - int(answer["rateLimit"]["available"]) - asked * (OPERATION_POINTS + 3)

    assert await points_of_others() == 0
    async with ana.socket() as socket:
        await socket.subscribe("subscription { feedUpdated { newPostCount } }")
        assert await eventually(points_of_others) == OPERATION_POINTS + 2


async def test_aliases_count_each(http: httpx2.AsyncClient) -> None:
    ana, ben = await Person.register(http), await Person.register(http)
    verbs = " ".join(
        f"f{n}: followUser(input: $input) {{ userErrors {{ code retryable retryAfterMs }} }}" for n in range(12)
    )
    data = await ana.get(f"mutation ($input: FollowUserInput!) {{ {verbs} }}", input={"userId": ben.id})
    errors = [payload["userErrors"] for payload in data.values()]
    assert errors[:8] == [[]] * 8
    assert {error["code"] for each in errors[8:] for error in each} == {"RATE_LIMITED"}
    assert all(error["retryable"] and error["retryAfterMs"] > 0 for each in errors[8:] for error in each)
    (refused,) = (await ana.do("unfollowUser", userId=ben.id))["userErrors"]
    assert refused["code"] == "RATE_LIMITED"
    await ben.done("followUser", userId=ana.id)


async def test_processes_share_the_points_of_a_client(limited_settings: Settings, redis: RedisRoles) -> None:
    processes = [process(limited_settings, redis).points for _ in range(4)]
    taken = 0
    for number in range(4_000):
        try:
            await processes[number % 4].take(None, None, "10.2.0.1", 50)
        except RateLimited:
            continue
        taken += OPERATION_POINTS + 50
    assert 60_000 - 4 * (OPERATION_POINTS + 50) < taken <= 60_000


async def test_points_that_a_process_does_not_use_go_back(limited_settings: Settings, redis: RedisRoles) -> None:
    one, other = (process(limited_settings, redis).points for _ in range(2))
    await one.take(None, None, "10.2.0.2", 0)
    assert len(one._blocks) == 1
    await one.return_idle(asyncio.get_running_loop().time() + 1)
    assert len(one._blocks) == 0
    charge = await other.take(None, None, "10.2.0.2", 0)
    throttle = charge.throttle()
    assert throttle is not None
    assert throttle.available == 60_000 - 2 * OPERATION_POINTS


async def test_most_operations_ask_nobody(limited_settings: Settings, redis: RedisRoles) -> None:
    points, asked = process(limited_settings, redis).points, 0
    take = points._buckets.take

    async def counted(wants: Any) -> Any:
        nonlocal asked
        asked += 1
        return await take(wants)

    points._buckets.take = counted  # type: ignore[method-assign]
    account, token = ObjectId(), ObjectId()
    for _ in range(150):
        await points.take(account, token, "10.2.0.3", 10)
    assert 0 < asked <= 20


async def test_concurrent_operations_count_on_no_points_twice_and_leave_a_block_at_most(
    limited_settings: Settings, redis: RedisRoles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasources.rate_limits.redis_buckets.ANSWER_SECONDS", 10.0)
    points, account, token = process(limited_settings, redis).points, ObjectId(), ObjectId()
    answers = await asyncio.gather(
        *(points.take(account, token, "10.2.0.9", 1_000) for _ in range(60)), return_exceptions=True
    )
    taken = sum(not isinstance(answer, BaseException) for answer in answers)
    block = 55_000 // BLOCKS
    assert 60 > taken >= (55_000 - block) // (OPERATION_POINTS + 1_000) - 1
    assert {type(answer) for answer in answers if isinstance(answer, BaseException)} == {RateLimited}
    await points.take(account, token, "10.2.0.9", 1_000)


async def test_an_operation_that_is_cancelled_while_it_waits_takes_no_held_points(
    limited_settings: Settings, redis: RedisRoles, monkeypatch: pytest.MonkeyPatch
) -> None:
    points = process(limited_settings, redis).points
    await points.take(None, None, "10.2.0.10", 0)
    (block,) = points._blocks.values()
    held = block.held
    assert held > 0

    async def hangs(_wants: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(points._buckets, "take", hangs)
    task = asyncio.create_task(points.take(None, None, "10.2.0.10", held))
    await asyncio.sleep(0)
    assert block.held == 0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (block.held, block.is_filling) == (held, False)


async def test_all_devices_at_an_address_have_its_points(limited_settings: Settings, redis: RedisRoles) -> None:
    points = process(limited_settings, redis).points
    for number in range(900_000 // (OPERATION_POINTS + 700)):
        await points.take(None, None, "10.2.0.11", 700, device=f"devices of {number}")
    with pytest.raises(RateLimited):
        await points.take(None, None, "10.2.0.11", 700, device="devices of another")
    await points.take(None, None, "10.2.0.11", 700)  # what it has as a stranger is left


async def test_clients_that_are_kept_are_bounded(
    limited_settings: Settings, redis: RedisRoles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasources.rate_limits.points.CLIENTS_MAX", 10)
    points = process(limited_settings, redis).points
    for number in range(30):
        await points.take(None, None, f"10.3.0.{number}", 0)
    assert len(points._blocks) == 10
    await points.return_idle(0.0)
    charge = await process(limited_settings, redis).points.take(None, None, "10.3.0.1", 0)
    throttle = charge.throttle()
    assert throttle is not None
    assert throttle.available == 60_000 - 2 * OPERATION_POINTS


async def test_without_redis_a_process_limits_points_by_itself(limited_settings: Settings) -> None:
    roles = open_roles(Settings(environment="test", redis_url="redis://127.0.0.1:1/0"))
    points, taken = process(limited_settings, roles).points, 0
    for _ in range(1_000):
        try:
            await points.take(None, None, "10.2.0.4", 50)
        except RateLimited:
            continue
        taken += OPERATION_POINTS + 50
    assert 60_000 - OPERATION_POINTS - 50 < taken <= 60_000


@pytest.mark.parametrize(("role", "uses"), [(NEW, 2), (MEMBER, 8), ("trusted", 16), ("moderator", 32)])
async def test_roles_have_limits(limited_settings: Settings, redis: RedisRoles, role: str, uses: int) -> None:
    async def role_of(_account: ObjectId) -> str:
        return role

    actions = RateLimiters(limited_settings, redis.cache, role_of).actions
    account = ObjectId()
    for _ in range(uses):
        await actions.take(Action.COMMENT, {Subject.ACCOUNT: account}, account)
    with pytest.raises(RateLimited):
        await actions.take(Action.COMMENT, {Subject.ACCOUNT: account}, account)


async def test_a_young_account_is_new(limited_settings: Settings, redis: RedisRoles) -> None:
    actions, account = process(limited_settings, redis, new_account_hours=1.0).actions, ObjectId()
    for _ in range(2):
        await actions.take(Action.COMMENT, {Subject.ACCOUNT: account}, account)
    with pytest.raises(RateLimited):
        await actions.take(Action.COMMENT, {Subject.ACCOUNT: account}, account)


async def test_a_use_that_is_given_back_does_not_count(limited_settings: Settings, redis: RedisRoles) -> None:
    actions = process(limited_settings, redis).actions
    for _ in range(40):
        use = await actions.take(Action.LOGIN, {Subject.NAME: "given back", Subject.ADDRESS: "10.2.0.5"})
        await use.give_back()
        await use.give_back()
    for _ in range(Limit.parse(DEFAULTS["login.name"]).maximum):
        await actions.take(Action.LOGIN, {Subject.NAME: "given back", Subject.ADDRESS: "10.2.0.5"})
    with pytest.raises(RateLimited):
        await actions.take(Action.LOGIN, {Subject.NAME: "given back", Subject.ADDRESS: "10.2.0.5"})


async def test_who_is_over_one_limit_does_not_use_up_another_s(limited_settings: Settings, redis: RedisRoles) -> None:
    actions = process(limited_settings, redis).actions
    for number in range(60):
        try:
            await actions.take(Action.LOGIN, {Subject.NAME: f"name {number}", Subject.ADDRESS: "10.2.0.6"})
        except RateLimited:
            break
    for _ in range(30):
        with pytest.raises(RateLimited):
            await actions.take(Action.LOGIN, {Subject.NAME: "the owner's", Subject.ADDRESS: "10.2.0.6"})
    await actions.take(Action.LOGIN, {Subject.NAME: "the owner's", Subject.ADDRESS: "10.2.0.7"})


async def test_what_strangers_type_is_not_in_redis(limited_settings: Settings, redis: RedisRoles) -> None:
    await process(limited_settings, redis).actions.take(Action.LOGIN, {Subject.NAME: "ana@example.com"})
    keys = [key for server in redis.cache.all async for key in server.scan_iter(match="*rate:*")]
    assert keys
    assert not any(b"example" in key for key in keys)


async def test_turned_off_nothing_is_counted(limited_settings: Settings, redis: RedisRoles) -> None:
    limiters = process(limited_settings, redis, rate_limit_factor=0.0)
    for _ in range(50):
        charge = await limiters.points.take(None, None, "10.2.0.8", 50_000)
        await limiters.actions.take(Action.LOGIN, {Subject.NAME: "anybody"})
    assert charge.throttle() is None


@pytest.mark.parametrize(
    ("search", "address"),
    [
        ('{ search(query: "x") { edges { cursor } } }', "10.1.0.9"),
        ("{ placesNear(latitude: 1, longitude: 2) { edges { cursor } } }", "10.1.0.10"),
    ],
)
async def test_searches_count_each_of_an_account_or_else_of_an_address(
    http: httpx2.AsyncClient, search: str, address: str
) -> None:
    ana = await Person.register(http)
    aliases = " ".join(f'a{number}: suggestHandles(prefix: "x") {{ id }}' for number in range(4))
    signed_in, stranger = {"authorization": f"Bearer {ana.token}"}, {"x-forwarded-for": address}
    assert (await post(http, f"{{ {aliases} }}", **signed_in)).status_code == 200
    for headers, uses in ((signed_in, 4), (stranger, 3)):
        for _ in range(uses):
            assert "errors" not in (await post(http, search, **headers)).json()
        (error,) = (await post(http, search, **headers)).json()["errors"]
        assert error["extensions"]["code"] == "RATE_LIMITED"
        assert error["extensions"]["retryAfterMs"] > 1_000
