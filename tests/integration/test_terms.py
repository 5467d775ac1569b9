"""Terms of the service: who has accepted which version, and what is refused to the others."""

import secrets
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest
from pydantic import ValidationError
from pymongo import MongoClient

from config import Settings
from datasources.accounts import terms
from datasources.accounts.terms import TermsStore
from datasources.sources import prepare
from domain.errors import Refusal, UserErrorCode
from domain.ids import from_global_id
from domain.limits import ACCEPTANCES_KEPT
from domain.records.terms import AcceptanceRecord, AgeRange
from domain.records.users import UserRecord
from resolvers.terms import acceptance_of
from tests.support.client import PASSWORD, Api, Person
from tests.support.factories import World, now
from tests.support.operation_counter import OperationCounter
from tests.support.own_databases import own_database
from tests.support.stack import stack_on


def settings(**given: Any) -> Settings:
    return Settings(environment="test", **given)


def store(world: World, **given: Any) -> TermsStore:
    """The store of a process with these settings."""
    return TermsStore(world.sources.database, settings(**given))


async def accept(world: World, user: UserRecord, version: str) -> None:
    await store(world).accept(user.id, AcceptanceRecord(version=version, accepted_at=now()))


async def test_acts_are_refused_until_the_version_in_force_is_accepted(world: World) -> None:
    ana = await world.user()
    first, second = store(world, terms_version="1"), store(world, terms_version="2")
    for each in (first, second):
        with pytest.raises(Refusal) as refused:
            await each.require(ana.id)
        assert refused.value.code is UserErrorCode.TERMS_NOT_ACCEPTED
    await accept(world, ana, "1")
    await first.require(ana.id)
    with pytest.raises(Refusal):
        await second.require(ana.id)
    await store(world, terms_version="2", terms_refuse="nothing").require(ana.id)
    await store(world).require(ana.id)


async def test_the_first_acceptance_of_a_version_stays_and_the_list_is_bounded(world: World) -> None:
    ana = await world.user()
    for version in range(ACCEPTANCES_KEPT + 3):
        await accept(world, ana, str(version))
    before = await world.sources.database["users"].find_one({"_id": ana.id})
    await accept(world, ana, str(ACCEPTANCES_KEPT))
    assert await world.sources.database["users"].find_one({"_id": ana.id}) == before
    assert before is not None
    assert [each["version"] for each in before["terms"]] == [str(number) for number in range(3, ACCEPTANCES_KEPT + 3)]
    latest = await store(world).latest(ana.id)
    assert latest is not None
    assert latest.version == str(ACCEPTANCES_KEPT + 2)


async def test_what_was_accepted_is_asked_once(
    counted: World, operations: OperationCounter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terms, "MAX_REMEMBERED", 2)
    people = await counted.users(3)
    asked = store(counted, terms_version="1")
    for user in people:
        await accept(counted, user, "1")
        await asked.require(user.id)
    before = operations.counts.copy()
    await asked.require(people[2].id)
    assert operations.counts == before


async def test_a_deletion_takes_acceptances_away(world: World) -> None:
    ana = await world.user()
    await accept(world, ana, "1")
    await world.sources.users.delete(ana.id, now())
    await accept(world, ana, "2")
    assert await store(world).latest(ana.id) is None


@pytest.mark.parametrize(
    ("given", "version", "age", "code"),
    [
        ({"terms_version": "2"}, "1", None, UserErrorCode.TERMS_NOT_ACCEPTED),
        ({"terms_version": "2"}, None, None, UserErrorCode.TERMS_NOT_ACCEPTED),
        ({"terms_version": "2", "minimum_age": 13}, "2", None, UserErrorCode.INVALID_INPUT),
        ({"terms_version": "2", "minimum_age": 13}, "2", AgeRange.UNDER_13, UserErrorCode.NOT_ALLOWED),
        ({"terms_version": "2", "minimum_age": 16}, "2", AgeRange.FROM_13_TO_15, UserErrorCode.NOT_ALLOWED),
        ({"terms_version": "2", "minimum_age": 18}, "2", AgeRange.FROM_16_TO_17, UserErrorCode.NOT_ALLOWED),
    ],
)
def test_only_the_version_in_force_by_who_is_old_enough(
    given: dict[str, Any], version: str | None, age: AgeRange | None, code: UserErrorCode
) -> None:
    with pytest.raises(Refusal) as refused:
        acceptance_of(settings(**given), version, age, field="version")
    assert refused.value.code is code


def test_an_age_is_recorded_only_where_it_is_asked_for() -> None:
    asked = acceptance_of(settings(terms_version="1", minimum_age=13), "1", AgeRange.FROM_13_TO_15, field="version")
    assert asked is not None
    assert asked.age_range is AgeRange.FROM_13_TO_15
    unasked = acceptance_of(settings(terms_version="1"), "1", AgeRange.UNDER_13, field="version")
    assert unasked is not None
    assert unasked.age_range is None
    assert acceptance_of(settings(), None, None, field="version") is None


@pytest.mark.parametrize(
    "given",
    [{"minimum_age": 13}, {"terms_url": "https://photos.example/terms"}, {"terms_version": "1", "minimum_age": 14}],
)
def test_an_age_and_an_address_need_a_version_and_an_age_begins_a_range(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(**given)


@pytest.fixture(scope="module")
def asking(shared_settings: Settings) -> Iterator[Settings]:
    """Settings of operators who ask for terms and an age."""
    given = {"terms_version": "2026-11", "terms_url": "https://photos.example/terms", "minimum_age": 13}
    with own_database(shared_settings, **given) as settings:
        yield settings


@pytest.fixture(scope="module")
async def http(asking: Settings, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx2.AsyncClient]:
    """HTTP to an API process of theirs."""
    await prepare(asking)
    with stack_on(asking, tmp_path_factory.mktemp("api")) as stack:
        await stack.api()
        async with httpx2.AsyncClient(base_url=stack.url, timeout=20) as client:
            yield client


def withdraw(settings: Settings, *people: Person) -> None:
    """As if these had registered before there were terms."""
    with MongoClient[dict[str, Any]](settings.mongo_url) as client:
        ids = [from_global_id(person.id)[1] for person in people]
        client[settings.mongo_database]["users"].update_many({"_id": {"$in": ids}}, {"$unset": {"terms": ""}})


GIVEN = {"termsVersion": "2026-11", "ageRange": "FROM_18"}
ACCEPTED = "{ viewer { mustAcceptTerms termsAccepted { version ageRange } } }"


async def test_a_registration_says_which_terms_and_which_age(http: httpx2.AsyncClient) -> None:
    nobody = Api(http)
    asked = {"version": "2026-11", "url": "https://photos.example/terms", "minimumAge": 13}
    assert (await nobody.get("{ terms { version url minimumAge } }"))["terms"] == asked
    name = f"asked_{secrets.token_hex(4)}"
    given = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
    assert await nobody.refused("register", **given) == ("TERMS_NOT_ACCEPTED", ["termsVersion"])
    assert await nobody.refused("register", **given, termsVersion="2025") == ("TERMS_NOT_ACCEPTED", ["termsVersion"])
    young = {**GIVEN, "ageRange": "UNDER_13"}
    assert await nobody.refused("register", **given, **young) == ("NOT_ALLOWED", ["ageRange"])
    ana = await Person.register(http, **given, **GIVEN)
    accepted = {"mustAcceptTerms": False, "termsAccepted": {"version": "2026-11", "ageRange": "FROM_18"}}
    assert (await ana.get(ACCEPTED))["viewer"] == accepted


async def test_who_registered_before_reads_and_leaves_and_acts_once_they_accept(
    http: httpx2.AsyncClient, asking: Settings
) -> None:
    ana, bob, cat = [await Person.register(http, **GIVEN) for _ in range(3)]
    withdraw(asking, bob, cat)
    assert (await bob.get(ACCEPTED))["viewer"] == {"mustAcceptTerms": True, "termsAccepted": None}
    acts: dict[str, dict[str, Any]] = {"followUser": {"userId": ana.id}, "updateProfile": {"biography": "!"}}
    for verb, given in acts.items():
        assert await bob.refused(verb, **given) == ("TERMS_NOT_ACCEPTED", None)
    await bob.done("requestExport", password=PASSWORD)
    assert await bob.refused("acceptTerms", version="1") == ("TERMS_NOT_ACCEPTED", ["version"])
    assert await bob.refused("acceptTerms", version="2026-11") == ("INVALID_INPUT", ["ageRange"])
    assert await bob.refused("acceptTerms", version="2026-11", ageRange="UNDER_13") == ("NOT_ALLOWED", ["ageRange"])
    await bob.done("acceptTerms", "viewer { id }", version="2026-11", ageRange="FROM_16_TO_17")
    for verb, given in acts.items():
        await bob.done(verb, **given)
    await cat.done("deactivateAccount", password=PASSWORD)
