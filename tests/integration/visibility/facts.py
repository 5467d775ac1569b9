"""What is so between the people of the cast, written down while it is made to be so."""

from dataclasses import dataclass, field

Name = str
Gid = str  # a global id
NOBODY = ""  # owns what was cleaned away
Seen = dict[tuple[str, Gid], list[Gid]]  # what fields show, by field and the object it was asked of


@dataclass
class Post:
    """A post and what hangs on it; `likers` and `tops` in the order in which they came."""

    gid: Gid
    author: Name
    status: str = "READY"
    deleted: bool = False
    image: Gid | None = None
    likers: list[Name] = field(default_factory=list)
    people: list[Name] = field(default_factory=list)  # mentioned in the caption
    tagged: list[Name] = field(default_factory=list)  # in the image
    comments: list["Comment"] = field(default_factory=list)


@dataclass
class Comment:
    """A comment, or a reply to its `parent`."""

    gid: Gid
    author: Name
    post: Post
    parent: "Comment | None" = None
    deleted: bool = False
    hidden: bool = False  # by a screen or a moderator
    mentions: list[Name] = field(default_factory=list)


@dataclass
class Notice:
    """A notification, as it was told when everybody could see everything."""

    gid: Gid
    recipient: Name
    seq: int
    actors: list[Name]
    actor_count: int
    post: Gid | None
    comment: Gid | None


@dataclass
class Facts:
    """Everything; pairs run from who acts to whom it is done to."""

    people: dict[Name, Gid] = field(default_factory=dict)
    private: set[Name] = field(default_factory=set)
    gone: set[Name] = field(default_factory=set)
    follows: set[tuple[Name, Name]] = field(default_factory=set)
    asks: set[tuple[Name, Name]] = field(default_factory=set)
    blocks: set[tuple[Name, Name]] = field(default_factory=set)
    mutes: set[tuple[Name, Name]] = field(default_factory=set)
    posts: dict[Gid, Post] = field(default_factory=dict)
    comments: dict[Gid, Comment] = field(default_factory=dict)
    notices: dict[Gid, Notice] = field(default_factory=dict)
    avatars: dict[Gid, Name] = field(default_factory=dict)
    uploads: dict[Gid, Name] = field(default_factory=dict)  # and whose they are
    images: dict[Gid, Name] = field(default_factory=dict)  # of uploads that are ready
    sessions: dict[Gid, Name] = field(default_factory=dict)
    accounts: dict[Gid, Name] = field(default_factory=dict)  # as their owners look at them

    @property
    def everything(self) -> list[Gid]:
        """The global id of every object there is, or was."""
        kinds = (self.posts, self.comments, self.notices, self.uploads, self.images, self.sessions, self.accounts)
        return [*self.people.values(), *(gid for kind in kinds for gid in kind)]

    def name_of(self, gid: Gid) -> Name:
        """Whose account this is."""
        return next(name for name, one in self.people.items() if one == gid)
