"""What the people of the cast made and how they stand to each other, recorded as plain data while it is made."""

from dataclasses import dataclass, field

Name = str
Gid = str  # a global id
NOBODY = ""  # owns what was cleaned up
Shown = dict[tuple[str, Gid], list[Gid]]  # the ids that fields showed, by field and the object that it was asked of


@dataclass
class Post:
    """A post and what belongs to it, in the order in which it was made."""

    gid: Gid
    author: Name
    status: str = "READY"
    sensitive: bool = False  # labelled by moderators
    deleted: bool = False
    image: Gid | None = None
    likers: list[Name] = field(default_factory=list)
    mentioned: list[Name] = field(default_factory=list)  # mentioned in the caption
    tagged: list[Name] = field(default_factory=list)  # in the image
    pending: list[Name] = field(default_factory=list)  # who of these has yet to approve it
    hashtags: list[Gid] = field(default_factory=list)
    place: Gid | None = None
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
    removed: bool = False  # by a moderator, and hidden too
    mentions: list[Name] = field(default_factory=list)


@dataclass
class Collection:
    """A collection of saved posts; whoever has the `key` may see it."""

    gid: Gid
    owner: Name
    is_public: bool
    posts: list[Post]
    cover: Post
    key: str


@dataclass
class Notification:
    """A notification as it was when everybody could see everything."""

    gid: Gid
    recipient: Name
    seq: int
    actors: list[Name]
    actor_count: int
    post: Gid | None
    comment: Gid | None
    decision: Gid | None = None


@dataclass
class Entry:
    """An entry of the moderators' log, by whom it is (None: nobody of the cast) and about whom."""

    subject: Name
    moderator: Name | None = None


@dataclass
class Case:
    """A case of the moderators, open unless said otherwise; `appealed` is what an appeal is against."""

    target: Gid
    subject: Name
    reporters: list[Name] = field(default_factory=list)
    claimed_by: Name | None = None
    appealed: Entry | None = None
    is_open: bool = True


@dataclass
class Scene:
    """Everything. Pairs are (who did it, to whom)."""

    people: dict[Name, Gid] = field(default_factory=dict)
    private: set[Name] = field(default_factory=set)
    hidden_accounts: set[Name] = field(default_factory=set)  # deactivated, suspended or deleted
    suspended: set[Name] = field(default_factory=set)
    deleted: set[Name] = field(default_factory=set)
    follows: set[tuple[Name, Name]] = field(default_factory=set)
    requests: set[tuple[Name, Name]] = field(default_factory=set)
    blocks: set[tuple[Name, Name]] = field(default_factory=set)
    mutes: set[tuple[Name, Name]] = field(default_factory=set)
    posts: dict[Gid, Post] = field(default_factory=dict)
    comments: dict[Gid, Comment] = field(default_factory=dict)
    collections: dict[Gid, Collection] = field(default_factory=dict)
    saves: dict[Name, list[Post]] = field(default_factory=dict)
    notifications: dict[Gid, Notification] = field(default_factory=dict)
    avatars: dict[Gid, Name] = field(default_factory=dict)
    uploads: dict[Gid, Name] = field(default_factory=dict)  # by id, with their owners
    images: dict[Gid, Name] = field(default_factory=dict)  # of uploads that are ready
    sessions: dict[Gid, Name] = field(default_factory=dict)
    access_tokens: dict[Gid, Name] = field(default_factory=dict)
    passkeys: dict[Gid, Name] = field(default_factory=dict)
    identities: dict[Gid, Name] = field(default_factory=dict)
    exports: dict[Gid, Name] = field(default_factory=dict)
    accounts: dict[Gid, Name] = field(default_factory=dict)  # as type Viewer
    decisions: dict[Gid, Name] = field(default_factory=dict)  # of moderators, with the account they are about
    hashtags: dict[Gid, str] = field(default_factory=dict)  # with their names
    places: set[Gid] = field(default_factory=set)
    followed_hashtags: set[tuple[Name, Gid]] = field(default_factory=set)
    moderators: set[Name] = field(default_factory=set)
    cases: dict[Gid, Case] = field(default_factory=dict)
    log: list[Entry] = field(default_factory=list)

    @property
    def all_ids(self) -> list[Gid]:
        """The global ids of all objects that exist or existed."""
        of_posts = (self.posts, self.comments, self.collections, self.images)
        shown = (*of_posts, self.notifications, self.hashtags, self.places, self.cases)
        owned = [gid for kind in self.owned for gid in kind]
        return [*self.people.values(), *(gid for kind in shown for gid in kind), *owned]

    @property
    def owned(self) -> tuple[dict[Gid, Name], ...]:
        """What its owner alone sees, by id."""
        credentials = (self.sessions, self.access_tokens, self.passkeys, self.identities)
        return (self.uploads, *credentials, self.accounts, self.exports, self.decisions)

    def name_of(self, gid: Gid) -> Name:
        """The name of an account."""
        return next(name for name, user_id in self.people.items() if user_id == gid)
