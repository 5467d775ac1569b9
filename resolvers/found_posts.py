"""Pages of posts that were found by the words of their captions."""

from collections.abc import Sequence
from functools import partial

from bson import ObjectId

from domain.caption_search import language_of, query_terms
from domain.paging import Page, PageRequest, fill_page
from domain.records.posts import PostRecord
from schema.context import Context


async def found_posts(context: Context, text: str, request: PageRequest) -> Page[PostRecord]:
    """A page of the posts with all words of a text: those that everybody may see, and the viewer's own, newest first.

    It has no posts of people whom the viewer has muted, or with whom there is a block. Where many posts have the words,
    but may not be shown, or have only some of several common words, a page may be short although the list goes on.
    """
    viewer_id, sources = context.viewer_id, context.sources
    tag = None if viewer_id is None else await sources.account.emails.language_of(viewer_id)
    words = query_terms(text, language_of(tag))
    if not words:
        return Page([])
    captions = sources.discovery.captions
    ordered = await captions.rarest_first(words)
    return await fill_page(request, partial(captions.found, ordered, viewer_id), partial(_shown, context))


async def _shown(context: Context, ids: Sequence[ObjectId | None]) -> list[PostRecord | None]:
    """The posts that are the viewer's own, or that lists for everybody show, of who wants to be found."""
    loaders, wanted = context.loaders, [post_id for post_id in ids if post_id is not None]
    visible = await loaders.visible_post_by_id.load_many(wanted)
    listed = await loaders.listed_post_by_id.load_many(wanted)
    author_ids = list({post.author_id for post in listed if post is not None})
    found_ids = await context.sources.discovery.suggestions.listed(author_ids)
    shown = {
        post.id: post
        for post, in_list in zip(visible, listed, strict=True)
        if post is not None
        and (post.author_id == context.viewer_id or (in_list is not None and post.author_id in found_ids))
    }
    return [None if post_id is None else shown.get(post_id) for post_id in ids]
