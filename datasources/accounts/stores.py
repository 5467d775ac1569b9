"""The stores of what people do with their own account."""

from datasources.accounts.barred_identifiers import BarredIdentifiers
from datasources.accounts.cached_users import UserCache
from datasources.accounts.deactivation import DeactivationStore
from datasources.accounts.email_addresses import EmailStore
from datasources.accounts.exports import ExportStore
from datasources.accounts.mail_tokens import MailTokenStore
from datasources.accounts.preferences import PreferenceStore
from datasources.accounts.registrations import RegistrationStore
from datasources.accounts.renaming import RenamingStore
from datasources.accounts.terms import TermsStore
from datasources.jobs.queue import JobQueue
from datasources.mail.outbox import MailOutbox
from datasources.mongo.client import Database
from datasources.settings.terms import TermsSettings


class AccountStores:
    """One store for each subject."""

    def __init__(
        self,
        database: Database,
        job_queue: JobQueue,
        cache: UserCache,
        mails: MailOutbox,
        tokens: MailTokenStore,
        barred: BarredIdentifiers,
        settings: TermsSettings,
    ) -> None:
        self.registrations = RegistrationStore(database, cache, mails, tokens, barred, job_queue.screening)
        self.emails = EmailStore(database, mails, tokens, barred)
        self.renaming = RenamingStore(database, cache, mails, barred, job_queue.screening)
        self.exports = ExportStore(database, job_queue)
        self.terms = TermsStore(database, settings)
        self.deactivation = DeactivationStore(database, job_queue, cache)
        self.preferences = PreferenceStore(database, job_queue)
