"""Who may see what, said anew: these rules know the facts of the cast and nothing of the product's code.

1. An account that is gone, and one that has blocked you, is not there for you.
2. Whom you have blocked you meet nowhere: not among likes, comments, followers, mentions. You still find them by name,
   and among those you blocked even if they have blocked you, or you could not undo it.
3. What people post, and whom they follow, is theirs, and of a private account for its followers alone.
4. A post is its author's alone until it is ready; what is deleted is nobody's.
5. A comment is seen by who sees the post and meets its author; a reply by who sees what it replies to. One that was
   hidden is its author's alone.
6. A notification is its recipient's, while what it is about can be seen and one of those who did it can be met.
7. Uploads, sessions and accounts (`Viewer`) are their owner's. An image is seen with its post or as an avatar,
   else by its owner.
8. A tag is seen by nobody while there is a block between the author and the tagged.
"""

from dataclasses import dataclass

from tests.integration.visibility.facts import Comment, Facts, Gid, Name, Notice, Post

Viewer = Name | None


@dataclass(frozen=True)
class Rules:
    """The rules, over these facts."""

    facts: Facts

    def finds(self, viewer: Viewer, person: Name) -> bool:
        """Rule 1."""
        return person not in self.facts.gone and (person, viewer) not in self.facts.blocks

    def meets(self, viewer: Viewer, person: Name) -> bool:
        """Rule 2."""
        return self.finds(viewer, person) and (viewer, person) not in self.facts.blocks

    def reads(self, viewer: Viewer, person: Name) -> bool:
        """Rule 3."""
        is_let_in = person not in self.facts.private or viewer == person or (viewer, person) in self.facts.follows
        return self.meets(viewer, person) and is_let_in

    def sees_post(self, viewer: Viewer, post: Post) -> bool:
        """Rule 4."""
        return (
            not post.deleted and self.reads(viewer, post.author) and (post.status == "READY" or viewer == post.author)
        )

    def tags(self, author: Name, person: Name) -> bool:
        """Rule 8."""
        return not {(author, person), (person, author)} & self.facts.blocks

    def sees_comment(self, viewer: Viewer, comment: Comment) -> bool:
        """Rule 5."""
        if comment.deleted or not self.sees_post(viewer, comment.post) or not self.meets(viewer, comment.author):
            return False
        if comment.hidden and viewer != comment.author:
            return False
        return comment.parent is None or self.sees_comment(viewer, comment.parent)

    def sees_notice(self, viewer: Viewer, notice: Notice) -> bool:
        """Rule 6; of more people than are named, somebody unnamed will do."""
        posts, comments = self.facts.posts, self.facts.comments
        if viewer != notice.recipient or (notice.post and not self.sees_post(viewer, posts[notice.post])):
            return False
        if notice.comment and not self.sees_comment(viewer, comments[notice.comment]):
            return False
        unnamed = notice.actor_count > len(notice.actors)
        return not notice.actors or unnamed or any(self.meets(viewer, one) for one in notice.actors)

    def sees_image(self, viewer: Viewer, image: Gid) -> bool:
        """Rule 7."""
        shown = [post for post in self.facts.posts.values() if post.image == image]
        if any(self.sees_post(viewer, post) for post in shown):
            return True
        avatar_of = self.facts.avatars.get(image)
        if avatar_of is not None and self.finds(viewer, avatar_of):
            return True
        return self.facts.images[image] == viewer

    def sees(self, viewer: Viewer, gid: Gid) -> bool:
        """Whether an object is there for a viewer who asks for it by its id."""
        facts = self.facts
        if gid in facts.people.values():
            return self.finds(viewer, facts.name_of(gid))
        if gid in facts.posts:
            return self.sees_post(viewer, facts.posts[gid])
        if gid in facts.comments:
            return self.sees_comment(viewer, facts.comments[gid])
        if gid in facts.notices:
            return self.sees_notice(viewer, facts.notices[gid])
        if gid in facts.images:
            return self.sees_image(viewer, gid)
        owners = {**facts.uploads, **facts.sessions, **facts.accounts}
        return gid in owners and owners[gid] == viewer
