"""What a client sees of a failure, and what the log does not show of a request."""

import pytest
from graphql import GraphQLError
from structlog.testing import capture_logs

from domain.errors import BadInput, NotFound, Refusal, RequestErrorCode, Unauthenticated, UserErrorCode
from resolvers.transport.documents import GraphQLRequest
from resolvers.transport.errors import Culprit, ErrorPresenter
from resolvers.transport.execution import OperationExecutor
from resolvers.transport.hooks import Hooks
from tests.support.toy.schema import schema
from tests.support.toy.world import Context, Outage, World


def executor() -> OperationExecutor:
    async def nobody(_: object) -> None: ...

    return OperationExecutor(
        schema,
        Hooks(
            authenticate=nobody,
            make_context=lambda identity, request_id, _address: Context(World(), identity, request_id),
            identity_of=lambda context: context.identity,
            watch=World().watch,
            is_outage=lambda error: isinstance(error, Outage),
            account=lambda identity: identity,
        ),
    )


def code_of(cause: Exception) -> str:
    presenter = ErrorPresenter(lambda error: isinstance(error, Outage))
    wrapped = GraphQLError("x", path=["a"], original_error=cause)
    with capture_logs():
        [answer] = presenter.present([wrapped], Culprit("r", None, None, {}))
    code = answer["extensions"]["code"]
    assert code in set(RequestErrorCode)
    return str(code)


@pytest.mark.parametrize(
    ("cause", "code"),
    [
        (Unauthenticated(), "UNAUTHENTICATED"),
        (BadInput("bad cursor"), "BAD_USER_INPUT"),
        (NotFound("post"), "BAD_USER_INPUT"),
        (Refusal(UserErrorCode.BUSY, "busy"), "BAD_USER_INPUT"),
        (Outage(), "UNAVAILABLE"),
        (TimeoutError(), "TIMEOUT"),
        (ValueError("x"), "INTERNAL_SERVER_ERROR"),
        (GraphQLError("Int cannot represent"), "INTERNAL_SERVER_ERROR"),
        (GraphQLError("inner", original_error=Unauthenticated()), "UNAUTHENTICATED"),
    ],
)
def test_every_cause_has_a_code(cause: Exception, code: str) -> None:
    assert code_of(cause) == code


async def test_fault_is_masked_and_logged_without_the_literals_of_the_query() -> None:
    asked = executor()
    request = GraphQLRequest(
        'query Leak($v:String!){a:broken(secret:"hunter2-literal") b:broken(secret:$v)}',
        None,
        {"v": "hunter2-value"},
    )
    with capture_logs() as logs:
        answer = await asked.run(asked.operation(request), None, "request-1")
    shown = str(answer.payload)
    assert answer.payload["data"] == {"a": None, "b": None}
    assert "hunter2" not in shown
    assert "cannot read" not in shown
    assert answer.payload["errors"][0]["extensions"] == {"code": "INTERNAL_SERVER_ERROR", "requestId": "request-1"}
    assert len(logs) == 2
    assert "hunter2" not in str(logs)
    assert "ValueError: cannot read" in logs[0]["exception"]
    assert logs[0]["request_id"] == "request-1"
    assert logs[0]["operation"] == "Leak"


async def test_variables_that_do_not_fit_are_a_request_error_without_data() -> None:
    asked = executor()
    request = GraphQLRequest("query($a:Int!){feed(first:$a){edges{cursor}}}", None, {"a": "many"})
    answer = await asked.run(asked.operation(request), None, "r")
    assert "data" not in answer.payload
    assert answer.status == 400
    assert answer.codes == ["BAD_USER_INPUT"]


async def test_argument_that_does_not_fit_is_the_clients_error() -> None:
    asked = executor()
    request = GraphQLRequest("query($v:String){hello(name:$v)}", None, {"v": None})
    answer = await asked.run(asked.operation(request), None, "r")
    assert answer.codes == ["BAD_USER_INPUT"]


async def test_one_fault_in_a_long_list_does_not_flood_the_log() -> None:
    asked = executor()
    query = "{" + "".join(f"a{n}:broken " for n in range(20)) + "}"
    with capture_logs() as logs:
        await asked.run(asked.operation(GraphQLRequest(query)), None, "r")
    assert len(logs) == 3
