"""The one import cycle between the API's types, and how it is broken.

Users have posts, posts have comments and are in collections, images have tagged users, and all of them have an author
or owner who is a user. So their modules would import each other. Modules of this cycle name the types by these aliases.
Strawberry looks them up when it builds the schema, after every module is imported. All other imports between the
modules of `schema` have no cycle.
"""

from typing import TYPE_CHECKING, Annotated

import strawberry

if TYPE_CHECKING:
    from schema.collection import Collection
    from schema.comment import Comment
    from schema.post import Post
    from schema.user import User

LazyUser = Annotated["User", strawberry.lazy("schema.user")]
LazyPost = Annotated["Post", strawberry.lazy("schema.post")]
LazyCollection = Annotated["Collection", strawberry.lazy("schema.collection")]
LazyComment = Annotated["Comment", strawberry.lazy("schema.comment")]
