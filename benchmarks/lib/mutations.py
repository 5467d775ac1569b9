"""Mutations that benchmarks send, and who does them to what."""

from collections.abc import Iterator, Sequence

from bson import ObjectId

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
FOLLOW = """mutation($id: ID!) {
  followUser(input: {userId: $id}) {
    userErrors { code } user { id followerCount viewerFollowState viewerIsFollowing }
  }
}"""


def spread(tokens: Sequence[str], ids: Sequence[ObjectId]) -> Iterator[tuple[str, ObjectId]]:
    """Each person once with each of these things, in an order that spreads both."""
    for shift in range(len(ids)):
        for number, token in enumerate(tokens):
            yield token, ids[(number * len(ids) // len(tokens) + shift) % len(ids)]
