"""An export has everything that an account has: every place where its id may stand is a table, or has a reason."""

from datasources.accounts.account_references import ACCOUNT_REFERENCES
from workers.exporting.tables import TABLES

NOT_EXPORTED = {
    "caption_terms": "the words of captions, which are there with the posts",
    "strangers_reports": "somebody else's words, which nobody has confirmed",
    "cases": "moderators' work; what was decided, and the account's own reports, are there",
    "claims": "handle and address, which the account itself has, and keys of retries",
    "exports": "this one",
    "feed_entries": "posts of others",
    "feeds": "how far a list is filled",
    "followers": "the same as follows",
    "identity_links": "hashes; the linked identities are among the second factors",
    "inboxes": "the number of the latest notification",
    "interests": "made of likes, comments and visits, which are there",
    "mail_tokens": "hashes of secrets",
    "mails": "sent to their owner, and deleted within a day",
    "savers": "numbers of what is there",
    "discovery_holds": "moderators' work: whether its posts are left out of explore",
    "suggestions": "made of follows and hashtags, for some hours",
    "rankings": "orders of others' posts, for an hour",
}


def test_every_place_where_an_account_stands_is_exported_or_has_a_reason_why_not() -> None:
    exported = {table.collection for table in TABLES}
    assert exported | set(NOT_EXPORTED) == set(ACCOUNT_REFERENCES)
    assert not exported & set(NOT_EXPORTED)


def test_tables_have_names_of_their_own() -> None:
    assert len({table.name for table in TABLES}) == len(TABLES)
