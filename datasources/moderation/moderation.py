"""Everything that moderators work with."""

from datasources.accounts.cached_users import UserCache
from datasources.accounts.mail_recipients import RecipientStore
from datasources.accounts.sessions import SessionStore
from datasources.accounts.standings import StandingStore
from datasources.jobs.queue import JobQueue
from datasources.mail.outbox import MailOutbox
from datasources.moderation.cases import CaseStore
from datasources.moderation.content import ModeratedContent
from datasources.moderation.deciding import Deciding
from datasources.moderation.decisions import DecisionStore
from datasources.moderation.pseudonyms import Pseudonyms
from datasources.moderation.reported_texts import ReportedTexts
from datasources.moderation.reports import ReportStore
from datasources.moderation.screening import ScreeningStore
from datasources.moderation.strangers_reports import StrangersReports
from datasources.mongo.client import Database
from datasources.mongo.sharded_ids import ShardedIds
from datasources.posts.cached_comments import CommentCache
from datasources.posts.cached_posts import PostCache


class Moderation:
    """The stores of reports, cases and decisions, and what carries decisions out."""

    def __init__(
        self,
        database: Database,
        job_queue: JobQueue,
        sessions: SessionStore,
        caches: tuple[UserCache, PostCache, CommentCache],
        sharded_ids: ShardedIds,
        mails: MailOutbox,
        recipients: RecipientStore,
    ) -> None:
        users, posts, comments = caches
        self.standings = standings = StandingStore(database, job_queue, users)
        self.cases = cases = CaseStore(database)
        texts = ReportedTexts(database, sharded_ids)
        self.reports = reports = ReportStore(database, job_queue, cases, texts)
        self.strangers_reports = StrangersReports(database, cases, reports, texts, mails, recipients)
        self.decisions = decisions = DecisionStore(database, job_queue, cases)
        self.content = content = ModeratedContent(database, job_queue, posts, comments, sharded_ids)
        self.deciding = Deciding(database.client, job_queue, standings, sessions, content, cases, decisions, mails)
        self.pseudonyms = Pseudonyms(database)
        self.screening = ScreeningStore(database)
