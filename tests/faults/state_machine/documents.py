"""The GraphQL documents of the state machine, and answers in a form that compares with the model."""

import functools
from typing import Any

from graphql import DocumentNode, parse, validate

from datasources.mongo.client import Document
from domain.records.notifications import NotificationKind
from resolvers.api import schema

HASHTAG = "sea"  # of every post
PERSON = """username isPrivate followerCount followingCount
  viewerFollowState viewerIsFollowed viewerHasBlocked viewerHasMuted"""
COMMENT = "id likeCount viewerHasLiked"
POST = f"{COMMENT} commentCount viewerHasSaved"
SAVED = "savedPosts(first: 50) { edges { postId node { id } } }"
PAGES = f"""query ($people: [ID!]!, $posts: [ID!]!, $comments: [ID!]!) {{
  people: nodes(ids: $people) {{ ... on User {{
    {PERSON} postCount
    posts(first: 50) {{ edges {{ node {{ id }} }} }}
    followers(first: 50) {{ edges {{ node {{ username }} }} }}
    following(first: 50) {{ edges {{ node {{ username }} }} }}
  }} }}
  posts: nodes(ids: $posts) {{ ... on Post {{
    {POST} previewComments {{ id }}
    likes(first: 50) {{ edges {{ node {{ username }} }} }}
    comments(first: 50) {{ edges {{ node {{ id }} }} }}
  }} }}
  comments: nodes(ids: $comments) {{ ... on Comment {{
    {COMMENT} replyCount
    replies(first: 50) {{ edges {{ node {{ id }} }} }}
  }} }}
  feed(first: 50) {{ edges {{ node {{ id }} }} }}
  hashtag(name: "{HASHTAG}") {{ viewerIsFollowing postCount posts(first: 50) {{ edges {{ node {{ id }} }} }} }}
  viewer {{
    followRequests(first: 50) {{ edges {{ node {{ username }} }} }}
    {SAVED}
    collections(first: 50) {{ edges {{ node {{ savedPostCount {SAVED} }} }} }}
  }}
}}"""
# The model knows no decisions of moderators but what they hide.
_KINDS = " ".join(kind for kind in NotificationKind if kind is not NotificationKind.DECIDED)
NOTIFICATIONS = f"""{{ notifications(first: 50, kinds: [{_KINDS}]) {{ pageInfo {{ hasNextPage }} edges {{ node {{
  id kind actorCount actors {{ username }}
  ... on PostNotification {{ post {{ id }} comment {{ id }} }}
  ... on CommentNotification {{ comment {{ id }} }}
}} }} }} }}"""


@functools.cache
def parsed(document: str) -> DocumentNode:
    """The parsed document, which must be valid."""
    node = parse(document)
    assert validate(schema._schema, node) == []
    return node


def plain_notification(node: Document) -> dict[str, Any]:
    about = node.get("comment") or (
        node.get("post") if node["kind"] in ("POST_LIKED", "POST_READY", "MENTIONED") else None
    )
    return {
        "kind": node["kind"],
        "actorCount": node["actorCount"],
        "actors": [actor["username"] for actor in node["actors"]],
        "about": about and about["id"],
    }


def flat(value: Any) -> Any:
    """An answer with connections as lists, and objects of which only a name or id was asked as that."""
    if isinstance(value, list):
        return [flat(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "edges" in value:
        # A saved post that the viewer does not see any more leaves its id.
        return [
            (edge["postId"], flat(edge["node"])) if "postId" in edge else flat(edge["node"]) for edge in value["edges"]
        ]
    if len(value) == 1 and value.keys() <= {"id", "username"}:
        return next(iter(value.values()))
    return {name: flat(item) for name, item in value.items()}
