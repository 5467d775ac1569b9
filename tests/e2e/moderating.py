"""What tests of moderation ask, and read from the answers."""

from typing import Any

from domain.ids import from_global_id
from tests.support.client import PASSWORD, Api, Person

QUEUE = """query ($status: CaseStatus, $reason: ReportReason, $type: ReportTargetType, $first: Int, $after: String) {
  moderation { queue(status: $status, reason: $reason, targetType: $type, first: $first, after: $after) {
    pageInfo { hasNextPage endCursor }
    edges { node {
      id isOpen targetId reportCount reasons appealText reportedText claimedUntil claimedBy { id } subject { id }
      target { __typename ... on User { id } ... on Post { id caption } ... on Comment { id text } }
      reports { reason note reporter { id } } appealedDecision { action statement }
    } }
  } }
}"""
LOG = """query ($subject: ID) { moderation { log(subjectId: $subject) { edges { node {
  action reason statement note until role nothingToUndo targetId caseId moderator { id } subject { id }
} } } } }"""
ME = """{ viewer {
  standing standingUntil
  decisions { edges { node { id action reason statement until nothingToUndo targetId canAppeal } } }
} }"""
TOLD = """{ notifications(kinds: [DECIDED]) { edges { node {
  kind ... on DecisionNotification { decision { id canAppeal } }
} } } }"""
POST = "query ($id: ID!) { post(id: $id) { id status isSensitive } }"
USER = "query ($id: ID!) { node(id: $id) { id } }"


def id_of(gid: str) -> Any:
    """The stored id of a global one."""
    return from_global_id(gid)[1]


async def case_about(moderator: Person, target: str, **filters: Any) -> Any:
    """The open case about a target; None if there is none."""
    after, found = None, []
    while True:
        queue = (await moderator.get(QUEUE, first=50, after=after, **filters))["moderation"]["queue"]
        found += [edge["node"] for edge in queue["edges"] if edge["node"]["targetId"] == target]
        after = queue["pageInfo"]["endCursor"]
        if not queue["pageInfo"]["hasNextPage"]:
            return found[0] if found else None


async def log_in(person: Person) -> Person:
    """A new session of the same person."""
    payload = await Api(person.http).done(
        "login", "tokens { accessToken refreshToken }", login=person.username, password=PASSWORD
    )
    again = Person(person.http, payload["tokens"]["accessToken"])
    again.id, again.username = person.id, person.username
    again.refresh_token = payload["tokens"]["refreshToken"]
    return again


async def decisions_about(person: Person) -> list[Any]:
    """What moderators decided about a person, latest first, as they see it."""
    return [edge["node"] for edge in (await person.get(ME))["viewer"]["decisions"]["edges"]]
