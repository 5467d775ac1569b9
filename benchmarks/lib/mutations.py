"""Mutations that benchmarks send, and who does them to what."""

import base64
import itertools
from collections.abc import Iterator, Sequence
from typing import TypeVar

from bson import ObjectId

from benchmarks.lib.http_callers import request_of
from domain.limits import IMAGES_PER_DAY

Who = TypeVar("Who")

LIKE = "mutation($id: ID!) { %s(input: {postId: $id}) { userErrors { code } post { id likeCount viewerHasLiked } } }"
LIKE_POST = LIKE % "likePost"
UNLIKE_POST = LIKE % "unlikePost"
LIKE_COMMENT = """mutation($id: ID!) {
  likeComment(input: {commentId: $id}) { userErrors { code } comment { id likeCount viewerHasLiked } }
}"""
ADD_COMMENT = """mutation($id: ID!) {
  addComment(input: {postId: $id, text: "What a light! Where is this?"}) {
    userErrors { code } post { id commentCount } commentEdge { cursor node { id text createdAt } }
  }
}"""
ADD_COMMENT_ONCE = """mutation($id: ID!) {
  addComment(input: {postId: $id, text: "What a light! Where is this?", idempotencyKey: $id}) {
    userErrors { code } post { id commentCount } commentEdge { cursor node { id text createdAt } }
  }
}"""
FOLLOW = """mutation($id: ID!) {
  followUser(input: {userId: $id}) {
    userErrors { code } user { id followerCount viewerFollowState viewerIsFollowing }
  }
}"""
CREATE_UPLOAD = """mutation($input: CreateUploadInput!) {
  createUpload(input: $input) {
    userErrors { code } upload { id status } request { url method headers { name value } expiresAt }
  }
}"""


def spread(tokens: Sequence[Who], ids: Sequence[ObjectId]) -> Iterator[tuple[Who, ObjectId]]:
    """Each person once with each of these things, in an order that spreads both."""
    for shift in range(len(ids)):
        for number, token in enumerate(tokens):
            yield token, ids[(number * len(ids) // len(tokens) + shift) % len(ids)]


def upload_inputs() -> Iterator[dict[str, object]]:
    """Inputs of `createUpload` for files that all differ."""
    for number in itertools.count():
        yield {"format": "JPEG", "byteSize": 3_000_000, "sha256": base64.b64encode(number.to_bytes(32)).decode()}


def upload_requests(tokens: Sequence[str]) -> Iterator[bytes]:
    """`createUpload` by each person as often as a day allows, in turn."""
    for token, described in zip(
        itertools.chain(*itertools.repeat(tokens, IMAGES_PER_DAY)), upload_inputs(), strict=False
    ):
        yield request_of(CREATE_UPLOAD, token, {"input": described})
