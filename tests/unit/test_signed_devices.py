"""Tokens of known devices say whose they are, to who has the key."""

import pytest
from bson import ObjectId

from datasources.accounts.signed_devices import SignedDevices

KEY, OLD = b"k" * 32, b"o" * 32


def test_a_token_says_whose_it_is_also_after_a_key_was_replaced() -> None:
    user_id = ObjectId()
    token = SignedDevices([OLD]).sign("secret text", user_id)
    assert SignedDevices([KEY, OLD]).account_of(token) == user_id
    assert SignedDevices([KEY]).account_of(token) is None
    assert SignedDevices([OLD]).sign("secret text", user_id) == token


def test_nothing_else_does() -> None:
    devices, user_id = SignedDevices([KEY]), ObjectId()
    token = devices.sign("secret text", user_id)
    swapped = "another text" + token[len("secret text") :]
    changed = [
        token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :] for place in range(len(token) - 1)
    ]
    for wrong in (
        *changed,
        swapped,
        "secret text",
        "",
        ".",
        "a.b",
        "\u00fc.\u00fc",
        "." * 10_000,
        "a" * 10_000 + token[-39:],
    ):
        assert devices.account_of(wrong) is None


@pytest.mark.parametrize("text", ["x" * 43, "f" * 64])
def test_without_a_key_it_is_only_a_secret(text: str) -> None:
    devices = SignedDevices([])
    assert devices.sign(text, ObjectId()) == text
    assert devices.account_of(SignedDevices([KEY]).sign(text, ObjectId())) is None
