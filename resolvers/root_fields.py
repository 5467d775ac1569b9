"""Decorators that make root fields of functions; those of mutations turn refusals into payloads."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any, TypeVar

import strawberry
from strawberry.utils.str_converters import to_camel_case

from domain.access_scopes import AccessScope
from domain.errors import Refusal, UserErrorCode
from domain.rate_limits import Action, RateLimited
from domain.standing import refuse_suspended
from resolvers.rate_limits import count_use, to_refusal
from resolvers.security_log import log_refusal, log_session
from resolvers.transport.bad_tokens import ANSWERS_BAD_TOKEN
from resolvers.verified_only import refuse_unverified
from schema.context import Context, Info
from schema.field_metadata import SIGNED_IN, bounded, scoped
from schema.inputs import input_type
from schema.payloads import AnyPayload, payload_type
from schema.text_fields import check_lengths

MUTATIONS: set[str] = set()  # the names of all of them
AnswersBadToken = Callable[[Context], Awaitable[bool]]


async def always(_context: Context) -> bool:
    """For mutations that log in, whatever token a client still sends."""
    return True


Value = TypeVar("Value")


def query(
    graphql_type: Any,
    description: str,
    *,
    max_items: int | None = None,
    public: bool = True,
    scope: AccessScope | None = AccessScope.READ,
) -> Callable[[Callable[..., Any]], Any]:
    """Decorates a function into a field of Query; one that is not `public` needs a session.

    A list declares `max_items`. A personal access token needs the scope; with None, no token may ask.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        options = bounded(description, max_items)
        options["metadata"] = {**options.get("metadata", {}), **scoped(scope), **({} if public else SIGNED_IN)}
        return strawberry.field(function, graphql_type=graphql_type, **options)

    return decorate


def mutation(
    description: str,
    *,
    answers_bad_token: AnswersBadToken | None = None,
    scope: AccessScope | None = AccessScope.WRITE,
    while_suspended: bool = False,
    limited_as: Action | None = None,
) -> Callable[[Callable[[Info, Any], Awaitable[AnyPayload]]], Any]:
    """Decorates a function `like_post` into the field `likePost` of Mutation.

    Its types `LikePostInput` and `LikePostPayload` are made with the members of those that the function is annotated
    with.

    A field needs a session, unless it has `answers_bad_token`. Then a request with a bad access token is served if
    `answers_bad_token` of each of its root fields, given the operation's context, returns true. Nothing else declares
    that.

    Only one that runs `while_suspended` is open to suspended accounts: what they may do to read, appeal, export,
    delete, and keep others out of the account. The others are refused with ACCOUNT_SUSPENDED, or with
    TERMS_NOT_ACCEPTED to who must accept the terms.

    A personal access token needs the scope. With None no token may ask for the field, nor for one that answers bad
    tokens: what logs in, or changes what one logs in with, is a person's.

    With `limited_as`, each call counts as a use of that action by the viewer; who has used up its limit is refused.

    Texts that are far too long are refused before the function runs. A Refusal becomes the payload's userErrors. The
    answer is read after the write, by new loaders. None of them reads caches.
    """

    def decorate(function: Callable[[Info, Any], Awaitable[AnyPayload]]) -> Any:
        name, annotations = to_camel_case(function.__name__), function.__annotations__
        MUTATIONS.add(name)
        argument = strawberry.argument(name="input", description="What to do.")
        payload: type[AnyPayload] = payload_type(name, annotations["return"])

        async def resolve(info: Info, given: Any) -> AnyPayload:
            context, before = info.context, info.context.session
            context.start_writing()
            try:
                if not while_suspended:
                    refuse_suspended(context.session)
                    if context.viewer_id is not None:
                        await context.sources.account.terms.require(context.viewer_id)
                check_lengths(given)
                if limited_as is not None:
                    await count_use(info, limited_as)
                await refuse_unverified(context, name)
                done = await function(info, given)
            except Refusal as refusal:
                log_refusal(name, context, refusal.code)
                return payload.refused(refusal)
            except RateLimited as limited:
                log_refusal(name, context, UserErrorCode.RATE_LIMITED)
                return payload.refused(to_refusal(limited))
            else:
                log_session(name, context, before)
                return done
            finally:
                context.clear_loaders()

        resolve.__name__ = function.__name__
        resolve.__annotations__["given"] = Annotated[input_type(name, annotations["given"]), argument]
        metadata = {**SIGNED_IN, **scoped(scope)}
        if answers_bad_token:
            metadata = {ANSWERS_BAD_TOKEN: answers_bad_token, **scoped(None)}
        return strawberry.mutation(
            resolver=resolve, graphql_type=payload | None, description=description, metadata=metadata
        )

    return decorate


def not_cleared(value: Value | None, field: str) -> Value:
    """The value of an update's member that cannot be cleared. Raises Refusal (INVALID_INPUT) for null."""
    if value is None:
        message = f"{field} cannot be cleared: leave it out to keep what it is."
        raise Refusal(UserErrorCode.INVALID_INPUT, message, field=[field])
    return value


def subscription(graphql_type: Any, description: str) -> Callable[[Callable[..., AsyncIterator[Any]]], Any]:
    """Decorates an async generator into a field of Subscription; every one needs a session."""

    def decorate(function: Callable[..., AsyncIterator[Any]]) -> Any:
        return strawberry.subscription(
            resolver=function,
            graphql_type=graphql_type,
            description=description,
            metadata={**SIGNED_IN, **scoped(AccessScope.READ)},
        )

    return decorate
