"""The inputs of mutations about saved posts and collections."""

import strawberry

from domain import limits
from schema.fields import plain
from schema.inputs import KEY
from schema.text_fields import text_field


@strawberry.input
class SavePostInput:
    post_id: strawberry.ID = plain("The post.")
    collection_ids: list[strawberry.ID] | None = plain(
        "The viewer's collections that hold it afterwards, and no others; an empty list takes it out of all. When left "
        "out, they stay as they are. Where it is new, it stands first.",
        default=None,
        max_items=limits.COLLECTIONS_OF_POST_MAX,
    )


@strawberry.input
class CreateCollectionInput:
    name: str = text_field("Its name, on one line.", max_length=limits.COLLECTION_NAME_MAX)
    description: str | None = text_field(
        "What it is about.", max_length=limits.COLLECTION_DESCRIPTION_MAX, default=None
    )
    is_public: bool | None = plain("Whether everybody who may see the viewer's posts sees it.", default=False)
    idempotency_key: strawberry.ID | None = plain(KEY, default=None)


@strawberry.input(description="A change of one post of a collection.")
class CollectionPostInput:
    post_id: strawberry.ID = plain("A post of the collection, also one that is not visible any more.")
    note: str | None = text_field(
        "New note; null or empty clears it.", max_length=limits.COLLECTION_NOTE_MAX, default=strawberry.UNSET
    )
    after_post_id: strawberry.ID | None = plain(
        "The post of the collection behind which it is to stand; null puts it first.", default=strawberry.UNSET
    )


@strawberry.input
class UpdateCollectionInput:
    collection_id: strawberry.ID = plain("A collection of the viewer's.")
    name: str | None = text_field(
        "New name, on one line. It cannot be cleared: null is refused.",
        max_length=limits.COLLECTION_NAME_MAX,
        default=strawberry.UNSET,
    )
    description: str | None = text_field(
        "New text; null or empty clears it.", max_length=limits.COLLECTION_DESCRIPTION_MAX, default=strawberry.UNSET
    )
    cover_post_id: strawberry.ID | None = plain(
        "The post of the collection whose first image is the new cover; null takes the cover away.",
        default=strawberry.UNSET,
    )
    is_public: bool | None = plain(
        "Whether everybody who may see the viewer's posts sees it. It cannot be cleared: null is refused.",
        default=strawberry.UNSET,
    )
    is_shared: bool | None = plain(
        "True makes a link, if there is none; false revokes it for ever. It cannot be cleared: null is refused.",
        default=strawberry.UNSET,
    )
    posts: list[CollectionPostInput] | None = plain(
        "Changes of its posts, done in this order.", default=None, max_items=limits.COLLECTION_CHANGES_MAX
    )


@strawberry.input
class CollectionIdInput:
    collection_id: strawberry.ID = plain("The collection.")
