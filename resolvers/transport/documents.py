"""Reads GraphQL requests, and parses, measures and validates each document once."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Self

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    OperationType,
    parse,
)

from domain.access_scopes import AccessScope, Needs, is_allowed
from domain.errors import InsufficientScope, RequestError, RequestErrorCode, Unauthenticated
from engine import CompiledOperation
from resolvers.transport.document_limits import (
    OperationLimits,
    check,
    check_cost,
    check_document,
    too_complex,
)
from resolvers.transport.document_validation import validation_errors
from resolvers.transport.errors import Rejected, bad_request, document_rejection, error_with_code, to_rejection
from resolvers.transport.introspection_cost import IntrospectionMeter
from resolvers.transport.list_limits import ValueLimits, VariableLimitsReader
from resolvers.transport.operation_cost import OperationMeter
from resolvers.transport.signed_in_only import is_private, needed_scopes

CACHED_TOKENS = 50_000  # a token of a parsed document takes some 400 bytes: 20 MB
TOKENS_OF_FIELD = 9  # a field of a compiled operation takes some 3,600 bytes
TOKENS_OF_COMPILED = 16  # and the operation some 6,400 besides
FIELDS_A_USE = 50  # an operation with so many fields more is compiled a use later: it costs that much more to compile
COMPILED_FIELDS_MAX = 500  # of an operation, which compile in a tenth of a second; real ones have a hundred or two
CACHED_COSTS = 64
NO_HASHES = "PersistedQueryNotSupported"  # Apollo's mobile clients compare the message, its web client the code
NO_INTROSPECTION = "This server does not tell its schema: its introspection setting is off."


Compile = Callable[[DocumentNode, str | None, Callable[[], None]], CompiledOperation | None]
"""Compiles the operation of a name, and calls the function whenever what it has compiled takes more memory."""


def asks_by_hash(request: Mapping[str, Any]) -> bool:
    """Whether a request has only its document's hash, as the first request of an automatic persisted query."""
    extensions = request.get("extensions")
    has_hash = isinstance(extensions, dict) and isinstance(extensions.get("persistedQuery"), dict)
    return has_hash and request.get("query") in (None, "")


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """One request as a client sent it, over HTTP or a socket."""

    query: str
    operation_name: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, value: object) -> Self:
        """Reads a decoded JSON value. Raises Rejected unless its members have the types they must have.

        A request with only a document's hash (automatic persisted queries) is well-formed. It is refused in the words
        that make Apollo's clients send the document itself.
        """
        if not isinstance(value, dict):
            raise bad_request("The request must be a JSON object; batches are not supported.")
        query = value.get("query")
        if asks_by_hash(value):
            raise Rejected([error_with_code(RequestErrorCode.PERSISTED_QUERY_NOT_SUPPORTED, NO_HASHES)], status=200)
        if not isinstance(query, str) or not query:
            raise bad_request("The request needs a `query`, a non-empty string.")
        operation_name = value.get("operationName")
        if not isinstance(operation_name, str | None):
            raise bad_request("`operationName` must be a string or null.")
        for name in ("variables", "extensions"):
            if not isinstance(value.get(name), dict | None):
                raise bad_request(f"`{name}` must be an object or null.")
        return cls(query, operation_name or None, value.get("variables") or {})


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a valid document, within the limits, with its variables."""

    query: str
    document: DocumentNode
    node: OperationDefinitionNode
    variables: Mapping[str, Any]
    cost: int
    is_private: bool
    needs: Needs
    variable_limits: Sequence[tuple[str, ValueLimits]]
    compiled: CompiledOperation | None  # None: graphql-core executes it

    @property
    def kind(self) -> OperationType:
        return self.node.operation

    @property
    def name(self) -> str | None:
        return None if self.node.name is None else self.node.name.value

    def check(self, *, signed_in: bool, scopes: Collection[AccessScope] | None = None) -> None:
        """Raises what can be refused before the variables are read.

        That is Unauthenticated, InsufficientScope for an access token of these scopes (None: a login), and BadInput for
        lists that are too long.
        """
        if self.is_private and not signed_in:
            raise Unauthenticated
        if not is_allowed(scopes, self.needs):
            raise InsufficientScope
        for name, limits in self.variable_limits:
            limits.check(self.variables.get(name), f"${name}")


class _Candidate:
    """An operation of a cached document; caches its cost by page sizes, and what it is compiled to."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, node: OperationDefinitionNode) -> None:
        self.node = node
        self.compiled: CompiledOperation | None = None
        self.uses = 0
        self._schema = schema
        self._document = document
        self.written = OperationMeter(schema, document, {}).operation(node)
        self._multipliers = tuple(self.written.multipliers)
        self._costs: dict[tuple[int, ...], int] = {}
        self._introspection = 0

    def complete(self) -> None:
        """Computes the rest, which needs a valid document. Raises RequestError (OPERATION_TOO_COMPLEX)."""
        self.is_private = is_private(self._schema, self._document, self.node)
        self.needs = needed_scopes(self._schema, self._document, self.node)
        self.variable_limits = VariableLimitsReader(self._schema, self._document).operation(self.node)
        if self.written.introspection:
            self._introspection = IntrospectionMeter(self._schema, self._document).count(self.node.selection_set)

    def cost(self, variables: Mapping[str, Any]) -> int:
        """The cost with these variables; it depends on them only by the multipliers."""
        if not self._multipliers:
            return self.written.cost + self._introspection
        key = tuple([each.times(variables) for each in self._multipliers])
        if key not in self._costs:
            if len(self._costs) >= CACHED_COSTS:
                self._costs.clear()
            size = OperationMeter(self._schema, self._document, variables).operation(self.node)
            self._costs[key] = size.cost + self._introspection
        return self._costs[key]


@dataclass(slots=True)
class _Document:
    node: DocumentNode
    candidates: dict[str | None, _Candidate]
    charged: int = 0  # its part of what is cached, in tokens

    @property
    def size(self) -> int:
        """Its memory, in tokens of a parsed document."""
        compiled = [each.compiled.fields for each in self.candidates.values() if each.compiled is not None]
        return self.node.token_count + TOKENS_OF_COMPILED * len(compiled) + TOKENS_OF_FIELD * sum(compiled)


class Documents:
    """Parses, measures and validates documents, and caches the latest valid ones, limited by their size.

    An operation is compiled at its use `compile_at`, one with many fields some uses later: many never come again, and
    who sends an operation cannot make a process compile for much longer than it executes. 0 is never.
    """

    def __init__(
        self,
        schema: GraphQLSchema,
        limits: OperationLimits,
        *,
        introspection: bool = True,
        compile_operation: Compile | None = None,
        compile_at: int = 2,
    ) -> None:
        self._schema = schema
        self._compile = compile_operation
        self._compile_at = compile_at
        self._limits = limits
        self._allows_introspection = introspection
        self._cached: OrderedDict[str, _Document] = OrderedDict()
        self._cached_tokens = 0

    def operation(self, request: GraphQLRequest) -> Operation:
        """The operation the request asks for. Raises Rejected if it does not parse, is invalid or too large."""
        try:
            document = self._document(request.query)
            candidate = _choose(document.candidates, request.operation_name)
            cost = candidate.cost(request.variables)
            check_cost(cost, self._limits)
        except RequestError as error:
            raise to_rejection(error) from None
        return Operation(
            request.query,
            document.node,
            candidate.node,
            request.variables,
            cost,
            candidate.is_private,
            candidate.needs,
            candidate.variable_limits,
            self._compiled(request.query, document, candidate),
        )

    def _compiled(self, query: str, document: _Document, candidate: _Candidate) -> CompiledOperation | None:
        candidate.uses += 1
        compile_at = self._compile_at + candidate.written.fields // FIELDS_A_USE
        if candidate.uses == compile_at and self._compile_at and self._compile is not None:
            name = candidate.node.name
            charge = partial(self._charge, query)
            candidate.compiled = self._compile(document.node, None if name is None else name.value, charge)
            charge()
        return candidate.compiled

    def _document(self, query: str) -> _Document:
        document = self._cached.get(query)
        if document is None:
            document = self._cached[query] = self._check(self._parse(query))
            self._charge(query)
        else:
            self._cached.move_to_end(query)
        return document

    def _charge(self, query: str) -> None:
        """Counts what a document takes now, and drops the oldest if all take too much."""
        document = self._cached.get(query)
        if document is None:
            return
        size = document.size
        self._cached_tokens += size - document.charged
        document.charged = size
        while self._cached_tokens > CACHED_TOKENS:
            _, oldest = self._cached.popitem(last=False)
            self._cached_tokens -= oldest.charged

    def _check(self, node: DocumentNode) -> _Document:
        """Checks the limits before validation, which is not linear in the document."""
        check_document(node, self._limits)
        candidates: dict[str | None, _Candidate] = {}
        for each in node.definitions:
            if isinstance(each, OperationDefinitionNode):
                candidates[each.name.value if each.name else None] = self._candidate(node, each)
        errors = validation_errors(self._schema, node)
        if errors:
            raise document_rejection(errors, RequestErrorCode.GRAPHQL_VALIDATION_FAILED)
        for candidate in candidates.values():
            candidate.complete()
        return _Document(node, candidates)

    def _candidate(self, document: DocumentNode, node: OperationDefinitionNode) -> _Candidate:
        candidate = _Candidate(self._schema, document, node)
        size = candidate.written
        # A cost that depends on variables is checked when they are known.
        check(replace(size, cost=0) if size.multipliers else size, node, self._limits)
        if size.introspection and not self._allows_introspection:
            raise RequestError(RequestErrorCode.INTROSPECTION_DISABLED, NO_INTROSPECTION)
        return candidate

    def _parse(self, query: str) -> DocumentNode:
        try:
            return parse(query, max_tokens=self._limits.tokens)
        except GraphQLSyntaxError as error:
            if "Parsing aborted" in error.message:  # too many tokens, or nested too deeply
                raise too_complex(error.message) from None
            raise document_rejection([error], RequestErrorCode.GRAPHQL_PARSE_FAILED) from None
        except (GraphQLError, UnicodeError) as error:
            shown = error if isinstance(error, GraphQLError) else GraphQLError("The query is not valid Unicode.")
            raise document_rejection([shown], RequestErrorCode.GRAPHQL_PARSE_FAILED) from None


def _choose(candidates: Mapping[str | None, _Candidate], name: str | None) -> _Candidate:
    if name is None and len(candidates) == 1:
        return next(iter(candidates.values()))
    if name is not None and name in candidates:
        return candidates[name]
    message = "There is no operation of that name."
    if name is None:
        message = "Say in `operationName` which operation to run."
    raise document_rejection([GraphQLError(message)], RequestErrorCode.GRAPHQL_VALIDATION_FAILED)
