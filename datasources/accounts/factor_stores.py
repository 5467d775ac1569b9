"""The stores of what an account is entered with beside its password."""

from config import Settings
from datasources.accounts.barred_identifiers import BarredIdentifiers
from datasources.accounts.challenges import Challenges
from datasources.accounts.factor_changes import FactorChanges
from datasources.accounts.factor_removal import FactorRemoval
from datasources.accounts.factors import FactorStore
from datasources.accounts.identity_tokens import IdentityTokens
from datasources.accounts.linked_identities import IdentityStore
from datasources.accounts.one_time_codes import OneTimeCodeStore
from datasources.accounts.passkey_answers import PasskeyCeremonies
from datasources.accounts.sealed_secrets import sealing_of
from datasources.accounts.sessions import SessionStore
from datasources.mongo.client import Database


class FactorStores:
    """Challenges and factors, and the checks of what authenticators and issuers of identities answer."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        changes: FactorChanges,
        barred: BarredIdentifiers,
        sessions: SessionStore,
    ) -> None:
        sealing = sealing_of(settings)
        self.challenges = Challenges(database, sealing)
        self.stored = FactorStore(database, changes)
        self.one_time_codes = OneTimeCodeStore(database, sealing, changes)
        self.ceremonies = PasskeyCeremonies(settings)
        self.removal = FactorRemoval(database, sessions, changes, barred)
        self.identities = IdentityStore(database, changes, barred)
        self.identity_tokens = IdentityTokens(settings.issuers)
        self.aclose = self.identity_tokens.aclose
