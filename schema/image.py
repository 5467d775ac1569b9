"""Images and their renditions."""

from typing import Annotated

import strawberry

from domain.limits import ALT_TEXT_MAX, RENDITION_WIDTHS, RENDITIONS_MAX, TAGS_PER_IMAGE
from domain.records.images import ImageRecord, PostedImage, RenditionRecord, TagRecord, can_see_tag
from schema.context import Info
from schema.enums import RenditionFormat
from schema.fields import computed, loaded, plain
from schema.lazy_types import LazyUser
from schema.node import Node, presents
from schema.scalars import Url
from schema.text_fields import text_field

# AVIF only by name: a client that does not ask for it may not know it.
BEST_FIRST = (RenditionFormat.WEBP, RenditionFormat.PNG, RenditionFormat.GIF, RenditionFormat.JPEG)


@strawberry.type(description="One size and format of an image, immutable.")
class Rendition:
    """Presents a `RenditionRecord`."""

    format: RenditionFormat = plain("Its format.")
    width: int = plain("Width in pixels.")
    height: int = plain("Height in pixels.")
    byte_size: int = plain("Size in bytes.")

    url: Url = loaded(
        "url_by_key", key="key", description="Where to fetch it; signed and expiring if the image is not public."
    )


@strawberry.type(description="A person tagged in an image.")
class TaggedUser:
    """Presents a `TagRecord`."""

    user: LazyUser = loaded("met_user_by_id", key="user_id", description="Who.")
    x: float = plain("Horizontal position, 0 to 1 from the left.")
    y: float = plain("Vertical position, 0 to 1 from the top.")
    is_pending: bool = plain("Whether the person has yet to approve it; until then it is shown to them alone.")


@strawberry.type(description="An image as it can be shown.")
class Image(Node):
    is_type_of = presents(ImageRecord, lasts=True)

    alt_text: str | None = text_field("Description for people who cannot see it.", max_length=ALT_TEXT_MAX)
    width: int = plain("Width in pixels, upright.")
    height: int = plain("Height in pixels, upright.")
    blur_hash: str = plain("Compact placeholder (BlurHash).")
    dominant_color: str = plain("Dominant colour as #rrggbb.")
    is_animated: bool = plain("Whether it moves.")
    renditions: list[Rendition] = plain("Every rendition there is.", max_items=RENDITIONS_MAX)

    @computed(
        Rendition | None,
        "The smallest rendition at least this wide, or the widest there is; the one that is "
        f"{RENDITION_WIDTHS[0]} pixels wide is cut square.",
    )
    def rendition(
        root: strawberry.Parent[ImageRecord],
        width: Annotated[int, strawberry.argument(description="Least width in pixels.")],
        format: Annotated[
            RenditionFormat | None,
            strawberry.argument(description="Wanted format; the best one there is when left out."),
        ] = None,
    ) -> RenditionRecord | None:
        available = root.renditions_by_format
        # The still poster of a moving image, a JPEG, is not its best.
        wanted = format or next((each for each in BEST_FIRST if each in available), None)
        fitting = available.get(wanted, ()) if wanted else ()
        return next((each for each in fitting if each.width >= width), fitting[-1] if fitting else None)

    @computed(
        list[TaggedUser],
        "People tagged in it. While a block stands between the author and somebody tagged, nobody sees that tag. One "
        "that its person has yet to approve is shown to them alone.",
        max_items=TAGS_PER_IMAGE,
    )
    async def tagged_users(root: strawberry.Parent[ImageRecord], info: Info) -> list[TagRecord]:
        if not isinstance(root, PostedImage):
            return []
        tags = [tag for tag in root.tagged_users if can_see_tag(tag, info.context.viewer_id)]
        pairs = [(root.author_id, tag.user_id) for tag in tags]
        people = await info.context.loaders.tagged_user_by_pair.load_many(pairs)
        return [tag for tag, person in zip(tags, people, strict=True) if person is not None]
