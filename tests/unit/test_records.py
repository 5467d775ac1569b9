"""Records and the documents they are stored as."""

from datetime import UTC, datetime

import msgspec
import pytest
from bson import ObjectId

from datasources.s3.keys import original_key
from domain.errors import UserErrorCode
from domain.image_formats import RenditionFormat, SourceFormat
from domain.records.images import ImageRecord, RenditionRecord, TagRecord
from domain.records.posts import LocationRecord, PostRecord, PostStatus
from domain.records.uploads import FailureRecord, UploadRecord, UploadStatus
from domain.records.users import UserRecord, UserState

NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
RENDITION = RenditionRecord(key="k", format=RenditionFormat.WEBP, width=150, height=150, byte_size=999)
IMAGE = ImageRecord(
    id=ObjectId(),
    width=4000,
    height=3000,
    blur_hash="L00000",
    dominant_color="#102030",
    is_animated=False,
    renditions=[RENDITION],
    tagged_users=[TagRecord(user_id=ObjectId(), x=0.5, y=1.0)],
)
POST = PostRecord(
    id=ObjectId(),
    author_id=ObjectId(),
    caption="hi",
    location=LocationRecord(name="Here", latitude=1.5, longitude=-2.5),
    status=PostStatus.FAILED,
    failure=FailureRecord(code=UserErrorCode.IMAGE_CORRUPT, message="No."),
    images=[IMAGE],
    created_at=NOW,
)


def test_a_record_is_read_back_from_its_document() -> None:
    assert PostRecord.from_document(POST.to_document()) == POST


def test_a_document_is_made_of_plain_values_under_the_stored_names() -> None:
    document = POST.to_document()
    assert document["_id"] == POST.id
    assert "id" not in document
    assert type(document["status"]) is str
    assert type(document["failure"]["code"]) is str
    assert type(document["images"][0]["renditions"][0]["format"]) is str
    assert document["images"][0]["tagged_users"][0]["x"] == 0.5


def test_fields_that_no_record_knows_are_left_out() -> None:
    document = {
        "_id": ObjectId(),
        "username": "ana",
        "display_name": "Ana",
        "created_at": NOW,
        "password_hash": "secret",
        "email": "ana@example.com",
    }
    record = UserRecord.from_document(document)
    assert record.state is UserState.ACTIVE
    assert "secret" not in repr(record)
    assert "example.com" not in repr(record)


def test_a_document_with_a_wrong_type_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        PostRecord.from_document({**POST.to_document(), "like_count": "many"})


def test_records_do_not_change() -> None:
    with pytest.raises(AttributeError):
        POST.caption = "other"  # type: ignore[misc]


@pytest.mark.parametrize("source", SourceFormat)
def test_an_original_of_every_format_can_be_kept(source: SourceFormat) -> None:
    upload = UploadRecord(
        id=ObjectId(),
        owner_id=ObjectId(),
        status=UploadStatus.READY,
        format=source,
        byte_size=1,
        sha256="AAAA",
        key="k",
        created_at=NOW,
        expires_at=NOW,
    )
    assert original_key(upload).rpartition(".")[2] in {"jpg", "png", "gif", "webp", "avif", "heic"}
