"""Global ids."""

import base64

import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import BadInput
from domain.ids import expect_id, from_global_id, to_global_id

OBJECT_ID = ObjectId("65f0c0ffee65f0c0ffee0123")
TYPES = ["User", "Post", "Comment", "Image", "MediaUpload", "Session", "PostNotification"]


@pytest.mark.parametrize("type_name", TYPES)
def test_a_global_id_is_decoded_to_its_type_and_id(type_name: str) -> None:
    assert from_global_id(to_global_id(type_name, OBJECT_ID)) == (type_name, OBJECT_ID)


@pytest.mark.parametrize("type_name", TYPES)
def test_a_global_id_needs_no_escaping_in_a_url(type_name: str) -> None:
    assert set(to_global_id(type_name, OBJECT_ID)) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    )


@given(
    st.one_of(
        st.text(max_size=60),
        st.binary(max_size=40).map(lambda raw: base64.urlsafe_b64encode(raw).decode().rstrip("=")),
        st.tuples(st.sampled_from(["User", "", "Ü"]), st.text("0123456789abcdefABCDEF", max_size=25)).map(
            lambda pair: base64.urlsafe_b64encode(":".join(pair).encode()).decode().rstrip("=")
        ),
    )
)
def test_any_text_but_a_global_id_is_bad_input(text: str) -> None:
    try:
        type_name, object_id = from_global_id(text)
    except BadInput:
        return
    assert to_global_id(type_name, object_id) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "User",
        "VXNlcjo",
        "VXNlcjoxMjM",
        "ünicode",
        to_global_id("User", OBJECT_ID) + "=",
        to_global_id("User", OBJECT_ID) + "\n",
    ],
)
def test_near_misses_are_bad_input(text: str) -> None:
    with pytest.raises(BadInput):
        from_global_id(text)
    assert expect_id(text, "User") is None


def test_an_id_of_another_type_is_no_id_of_this_one() -> None:
    assert expect_id(to_global_id("User", OBJECT_ID), "User") == OBJECT_ID
    assert expect_id(to_global_id("User", OBJECT_ID), "Post") is None
