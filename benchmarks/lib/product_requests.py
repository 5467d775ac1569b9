"""What `benchmarks.product` asks: each operation as the requests of several viewers."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.lib.feed_reader import FEED
from benchmarks.lib.http_callers import request_of
from benchmarks.lib.mutations import ADD_COMMENT, LIKE_POST, spread
from benchmarks.lib.product_world import Crowd, Scene
from domain.ids import to_global_id

VIEWER = "{ viewer { user { id username } } }"
PROFILE = """
query Profile($username: String!) {
  user(username: $username) {
    id username displayName biography website isPrivate postCount followerCount followingCount
    avatar { rendition(width: 320) { url } }
    viewerFollowState viewerIsFollowed viewerHasMuted
    posts(first: 12) {
      edges { cursor node { id likeCount commentCount images { id altText blurHash rendition(width: 320) { url } } } }
      pageInfo { hasNextPage endCursor }
    }
  }
}
"""
_THREAD = """
fragment Thread on Post {
  comments(first: 20) {
    edges {
      cursor
      node {
        id text createdAt likeCount replyCount viewerHasLiked
        author { id username avatar { rendition(width: 150) { url } } }
      }
    }
    pageInfo { hasNextPage endCursor }
  }
}
"""
COMMENTS = "query Comments($id: ID!) { post(id: $id) { id commentCount ...Thread } }" + _THREAD
POST = (
    """
query Post($id: ID!) {
  post(id: $id) {
    id caption createdAt likeCount commentCount viewerHasLiked
    location { name }
    author { id username displayName viewerFollowState avatar { rendition(width: 150) { url } } }
    images { id width height altText blurHash rendition(width: 1080) { url width height format } }
    ...Thread
  }
}
"""
    + _THREAD
)
NOTIFICATIONS = """
{
  notifications(first: 20) {
    edges {
      cursor
      node {
        __typename id kind seq actorCount updatedAt isRead
        actors { id username avatar { rendition(width: 150) { url } } }
        ... on PostNotification {
          post { id images { rendition(width: 150) { url } } }
          comment { id text }
        }
        ... on CommentNotification { comment { id text } }
      }
    }
    pageInfo { hasNextPage endCursor }
  }
}
"""


@dataclass(frozen=True)
class Operation:
    """An operation to measure: `requests` never ends. One that `writes` asks nothing twice, and has no `samples`."""

    name: str
    requests: Iterator[bytes]
    samples: Sequence[bytes]
    writes: bool = False


def operations(demo: Scene, rich: Scene, crowd: Crowd) -> list[Operation]:
    """All operations. What is done to the crowd's posts, is done once for all who are measured."""
    username, post = {"username": demo.author.username}, {"id": to_global_id("Post", demo.post_id)}
    return [
        _read("__typename", "{ __typename }", demo),
        _read("viewer", VIEWER, demo),
        _read("feed, demo", FEED, demo),
        _read("feed, 20 authors, signed", FEED, rich),
        _read("profile", PROFILE, demo, username),
        _read("post", POST, demo, post),
        _read("comments", COMMENTS, demo, post),
        _read("notifications", NOTIFICATIONS, demo),
        _write("likePost", LIKE_POST, crowd),
        _write("addComment", ADD_COMMENT, crowd),
    ]


def _read(name: str, query: str, scene: Scene, variables: dict[str, str] | None = None) -> Operation:
    requests = [request_of(query, token, variables) for token in scene.tokens]
    return Operation(name, itertools.cycle(requests), requests)


def _write(name: str, query: str, crowd: Crowd) -> Operation:
    acts = spread(crowd.tokens, crowd.post_ids)
    requests = (request_of(query, token, {"id": to_global_id("Post", post_id)}) for token, post_id in acts)
    return Operation(name, requests, [], writes=True)
