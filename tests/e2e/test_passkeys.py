"""Passkeys, over HTTP, with an authenticator in software: added, used, abused, removed."""

import json
from datetime import timedelta

from datasources.accounts.challenges import Purpose
from domain.limits import PASSKEYS_MAX
from tests.e2e.conftest import Register
from tests.e2e.test_accounts import signed_in
from tests.support.authenticator import PRESENT, Authenticator, decoded, encoded
from tests.support.client import Api, Person
from tests.support.factories import now, opened
from tests.support.stack import Stack

SESSION = "tokens { accessToken } viewer { user { id } }"
LISTED = "viewer { passkeys { id name isBackedUp createdAt lastUsedAt } }"
REFUSED = ("INVALID_CREDENTIALS", ["passkey"])


async def added(person: Person, key: Authenticator, name: str = "phone") -> str:
    """Adds a passkey to an account. Returns its id."""
    begun = await person.done("beginPasskey", "options expiresAt")
    payload = await person.done("confirmPasskey", "passkey { id }", name=name, passkey=key.create(begun["options"]))
    return str(payload["passkey"]["id"])


async def asked(client: Api) -> str:
    return str((await client.done("beginPasskeyLogin", "options"))["options"])


async def test_a_passkey_logs_in_without_name_and_password(register: Register) -> None:
    ana, key = await register(), Authenticator()
    passkey_id = await added(ana, key)
    options = await asked(Api(ana.http))
    assert json.loads(options)["allowCredentials"] == []
    assert json.loads(options)["userVerification"] == "required"
    payload = await Api(ana.http).done("loginWithPasskey", SESSION, passkey=key.use(options), clientName="App")
    assert payload["viewer"]["user"]["id"] == ana.id
    new = Api(ana.http, payload["tokens"]["accessToken"])
    assert await signed_in(new)
    (listed,) = (await new.get(f"{{ {LISTED} }}"))["viewer"]["passkeys"]
    assert (listed["id"], listed["name"], listed["isBackedUp"]) == (passkey_id, "phone", False)
    assert listed["lastUsedAt"] > listed["createdAt"]


async def test_an_answer_is_good_once_and_a_counter_only_grows(register: Register) -> None:
    ana, key, nobody = await register(), Authenticator(), None
    await added(ana, key)
    nobody = Api(ana.http)
    answer = key.use(await asked(nobody))
    await nobody.done("loginWithPasskey", SESSION, passkey=answer)
    assert await nobody.refused("loginWithPasskey", passkey=answer) == REFUSED
    key.sign_count -= 1  # a copy of the key, which does not know of the last use
    assert await nobody.refused("loginWithPasskey", passkey=key.use(await asked(nobody))) == REFUSED
    synced = Authenticator(counts=False)
    await added(ana, synced)
    for _ in range(2):
        await nobody.done("loginWithPasskey", SESSION, passkey=synced.use(await asked(nobody)))


async def test_whatever_is_wrong_the_answer_is_the_same(register: Register, stack: Stack) -> None:
    ana, eve = await register(), await register()
    key, eves, nobody = Authenticator(), Authenticator(), Api(ana.http)
    await added(ana, key)
    await added(eve, eves)
    stranger = Authenticator()
    stranger.user_handle = key.user_handle
    answers = [stranger.use(await asked(nobody))]  # not the account's
    stranger.user_handle = b"0" * 12
    answers.append(stranger.use(await asked(nobody)))  # no such account
    answers.append(stranger.use(await asked(nobody), userHandle=encoded(b"short")))
    answers.append(key.use(await asked(nobody), userHandle=None))  # whose?
    answers.append(eves.use(await asked(nobody), userHandle=encoded(key.user_handle or b"")))  # another's
    answers.append(key.use(await asked(nobody), signature=encoded(b"no signature")))
    foreign = json.dumps({"challenge": encoded(b"a challenge that nobody has issued")})
    answers.append(key.use(foreign))
    async with opened(stack.settings) as world:
        challenges = world.sources.factors.challenges
        expired = challenges.issue(Purpose.PASSKEY, b"", expires_at=now() - timedelta(seconds=1))
        other = challenges.issue(Purpose.SECOND_FACTOR, b"", expires_at=now() + timedelta(minutes=1))
    answers += [key.use(json.dumps({"challenge": encoded(each)})) for each in (expired, other)]
    options = await asked(nobody)
    for changed in ({"origin": "http://localhost.evil.example"}, {"rp_id": "evil.example"}, {"flags": PRESENT}):
        before = {name: getattr(key, name) for name in changed}
        vars(key).update(changed)
        answers.append(key.use(options))
        vars(key).update(before)
    answers += ["", "null", "[]", "{", '{"rawId": 1}', json.dumps({"id": "", "rawId": "", "response": {}})]
    payloads = [await nobody.do("loginWithPasskey", SESSION, passkey=answer) for answer in answers]
    assert {json.dumps(payload["userErrors"]) for payload in payloads} == {json.dumps(payloads[0]["userErrors"])}
    assert [payload["tokens"] for payload in payloads] == [None] * len(answers)
    assert payloads[0]["userErrors"][0]["code"] == "INVALID_CREDENTIALS"
    await nobody.done("loginWithPasskey", SESSION, passkey=key.use(options))


async def test_a_passkey_is_made_for_the_account_that_began(register: Register) -> None:
    ana, eve, key = await register(), await register(), Authenticator()
    begun = await ana.done("beginPasskey", "options")
    answer = key.create(begun["options"])
    assert await eve.refused("confirmPasskey", name="phone", passkey=answer) == REFUSED
    assert await ana.refused("confirmPasskey", name=" ", passkey=answer) == ("INVALID_INPUT", ["name"])
    foreign = Authenticator(origin="https://evil.example")
    assert await ana.refused("confirmPasskey", name="phone", passkey=foreign.create(begun["options"])) == REFUSED
    assert await ana.refused("confirmPasskey", name="phone", passkey=key.use(begun["options"])) == REFUSED
    await ana.done("confirmPasskey", name="phone", passkey=answer)
    assert await ana.refused("confirmPasskey", name="phone", passkey=answer) == REFUSED
    again = await ana.done("beginPasskey", "options")
    excluded = json.loads(again["options"])["excludeCredentials"]
    assert [(decoded(each["id"]), each["transports"]) for each in excluded] == [(key.credential_id, ["internal"])]
    twice = await ana.refused("confirmPasskey", name="phone", passkey=key.create(again["options"]))
    assert twice == ("NOT_ALLOWED", None)


async def test_a_removed_passkey_opens_nothing_and_others_cannot_remove_it(register: Register) -> None:
    ana, eve, key = await register(), await register(), Authenticator()
    passkey_id = await added(ana, key)
    node = "query ($id: ID!) { node(id: $id) { ... on Passkey { name } } }"
    assert (await ana.get(node, id=passkey_id))["node"] == {"name": "phone"}
    assert (await eve.get(node, id=passkey_id))["node"] is None
    assert await eve.refused("removePasskey", passkeyId=passkey_id) == ("NOT_FOUND", ["passkeyId"])
    options = await asked(ana)
    assert (await ana.done("removePasskey", LISTED, passkeyId=passkey_id))["viewer"]["passkeys"] == []
    assert await Api(ana.http).refused("loginWithPasskey", passkey=key.use(options)) == REFUSED


async def test_an_account_has_a_bounded_number_of_passkeys(register: Register) -> None:
    ana = await register()
    for number in range(PASSKEYS_MAX):
        await added(ana, Authenticator(), f"key {number}")
    begun = await ana.done("beginPasskey", "options")
    answer = Authenticator().create(begun["options"])
    assert await ana.refused("confirmPasskey", name="one more", passkey=answer) == ("NOT_ALLOWED", None)
    assert len((await ana.get(f"{{ {LISTED} }}"))["viewer"]["passkeys"]) == PASSKEYS_MAX


async def test_a_passkey_confirms_who_one_is(register: Register, stack: Stack) -> None:
    ana, eve, key = await register(), await register(), Authenticator()
    await added(ana, key)
    async with opened(stack.settings) as world:
        stale = {"$set": {"confirmed_at": now() - timedelta(minutes=11)}}
        await world.sources.database["sessions"].update_many({}, stale)
    assert await ana.refused("beginPasskey") == ("IDENTITY_NOT_CONFIRMED", None)
    options = await asked(ana)
    assert [decoded(each["id"]) for each in json.loads(options)["allowCredentials"]] == [key.credential_id]
    assert await eve.refused("confirmIdentity", passkey=key.use(options)) == REFUSED
    await ana.done("confirmIdentity", "confirmedUntil", passkey=key.use(options))
    await ana.done("beginPasskey")
    assert await ana.refused("confirmIdentity") == ("INVALID_INPUT", ["password"])
