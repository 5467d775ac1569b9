"""Who may see what, written again: these rules know the scene and nothing of the product's code.

1. You cannot find an account that is deleted, suspended or deactivated, or that blocks you. The suspended find
   themselves.
2. You do not meet whom you blocked: not among likes, comments, followers and mentions. You still find them by name, and
   in your list of blocked accounts even if they block you, so that you can undo it.
3. Posts and follow lists of a private account are for its followers only; the suspended count as following nobody.
4. Until a post is ready, and while moderators hide it, only its author sees it. Nobody sees what is deleted or
   removed.
5. A comment needs a visible post and an author whom you meet; a reply needs a visible parent too. Only its author sees
   a hidden comment, and nobody a removed one.
6. Only the recipient sees a notification, and only if its object is visible and one of its actors can be met.
7. Only the owner sees uploads, what moderators decided about them, sessions, access tokens, passkeys, identities and
   `Viewer`. An image is visible with its post or as an avatar, and else to its owner.
8. Nobody sees a tag while there is a block between the author and the tagged user, and only the tagged user sees one
   that they have yet to approve.
9. Moderators who are not suspended see all cases and the log, with everybody and everything that is not deleted; who
   reported themselves they do not see. Elsewhere they see what others see.
10. Everybody who sees a post sees whether it is labelled sensitive.
11. Everybody sees hashtags, and places of posts that everybody can read. Listed under them are ready posts of accounts
    that everybody can read, but for those of people whom you have muted.
12. A collection is its owner's alone unless it is public: then it is seen as its owner's posts. Whoever has its key,
    and meets the owner, sees it too.
"""

from dataclasses import dataclass

from tests.integration.visibility.scene import Collection, Comment, Gid, Name, Notification, Post, Scene

Viewer = Name | None


@dataclass(frozen=True)
class Rules:
    """The rules for one scene."""

    scene: Scene

    def can_find(self, viewer: Viewer, person: Name) -> bool:
        """Rule 1."""
        is_hidden = person in self.scene.hidden_accounts and not (person == viewer and person in self.scene.suspended)
        return not is_hidden and (person, viewer) not in self.scene.blocks

    def follows(self, viewer: Viewer, person: Name) -> bool:
        """Whether a viewer follows somebody; one who is suspended does not."""
        return viewer not in self.scene.suspended and (viewer, person) in self.scene.follows

    def can_meet(self, viewer: Viewer, person: Name) -> bool:
        """Rule 2."""
        return self.can_find(viewer, person) and (viewer, person) not in self.scene.blocks

    def can_read(self, viewer: Viewer, person: Name) -> bool:
        """Rule 3."""
        is_allowed = person not in self.scene.private or viewer == person or self.follows(viewer, person)
        return self.can_meet(viewer, person) and is_allowed

    def sees_post(self, viewer: Viewer, post: Post) -> bool:
        """Rule 4."""
        return (
            not post.deleted
            and post.status != "REMOVED"
            and self.can_read(viewer, post.author)
            and (post.status == "READY" or viewer == post.author)
        )

    def is_listed(self, viewer: Viewer, post: Post) -> bool:
        """Rule 11."""
        is_public = post.author not in self.scene.private and post.author not in self.scene.hidden_accounts
        is_heard = (viewer, post.author) not in self.scene.mutes
        return is_public and is_heard and post.status == "READY" and self.sees_post(viewer, post)

    def shows_tag(self, viewer: Viewer, post: Post, person: Name) -> bool:
        """Rule 8."""
        is_blocked = {(post.author, person), (person, post.author)} & self.scene.blocks
        return not is_blocked and (person not in post.pending or viewer == person)

    def sees_comment(self, viewer: Viewer, comment: Comment) -> bool:
        """Rule 5."""
        if comment.deleted or not self.sees_post(viewer, comment.post) or not self.can_meet(viewer, comment.author):
            return False
        if comment.removed or (comment.hidden and viewer != comment.author):
            return False
        return comment.parent is None or self.sees_comment(viewer, comment.parent)

    def sees_notification(self, viewer: Viewer, notification: Notification) -> bool:
        """Rule 6. Unnamed actors beside those named may always be met."""
        posts, comments = self.scene.posts, self.scene.comments
        if viewer != notification.recipient or (
            notification.post and not self.sees_post(viewer, posts[notification.post])
        ):
            return False
        if notification.comment and not self.sees_comment(viewer, comments[notification.comment]):
            return False
        unnamed = notification.actor_count > len(notification.actors)
        return not notification.actors or unnamed or any(self.can_meet(viewer, actor) for actor in notification.actors)

    def sees_collection(self, viewer: Viewer, collection: Collection) -> bool:
        """Rule 12."""
        return (collection.is_public or viewer == collection.owner) and self.can_read(viewer, collection.owner)

    def sees_image(self, viewer: Viewer, image: Gid) -> bool:
        """Rule 7."""
        shown = [post for post in self.scene.posts.values() if post.image == image]
        if any(self.sees_post(viewer, post) for post in shown):
            return True
        avatar_of = self.scene.avatars.get(image)
        if avatar_of is not None and self.can_find(viewer, avatar_of):
            return True
        return self.scene.images[image] == viewer

    def moderates(self, viewer: Viewer) -> bool:
        """Rule 9."""
        return viewer in self.scene.moderators and viewer not in self.scene.suspended

    def exists(self, gid: Gid) -> bool:
        """Whether an account, a post or a comment is not deleted: moderators see it in their view."""
        scene = self.scene
        if gid in scene.people.values():
            return scene.name_of(gid) not in scene.deleted
        return not (scene.posts[gid] if gid in scene.posts else scene.comments[gid]).deleted

    def sees(self, viewer: Viewer, gid: Gid) -> bool:
        """Whether a viewer who asks for an object by its id gets it."""
        scene = self.scene
        if gid in scene.people.values():
            return self.can_find(viewer, scene.name_of(gid))
        if gid in scene.posts:
            return self.sees_post(viewer, scene.posts[gid])
        if gid in scene.comments:
            return self.sees_comment(viewer, scene.comments[gid])
        if gid in scene.collections:
            return self.sees_collection(viewer, scene.collections[gid])
        if gid in scene.notifications:
            return self.sees_notification(viewer, scene.notifications[gid])
        is_open = gid in scene.hashtags or gid in scene.places or (gid in scene.cases and self.moderates(viewer))
        is_owner = any(owners.get(gid, "") == viewer for owners in scene.owned)
        return self.sees_image(viewer, gid) if gid in scene.images else is_open or is_owner
