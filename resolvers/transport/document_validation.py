"""Validates documents by GraphQL's rules; each rule reports one error, so that answers stay short."""

from typing import Any

from graphql import ASTValidationRule, DocumentNode, GraphQLError, GraphQLSchema, specified_rules, validate
from graphql.validation import ValidationContext
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from domain.limits import REQUEST_ERRORS_MAX


class _Once:
    """A validation context that takes one error. Rules report to it directly or by their own method."""

    def __init__(self, context: ValidationContext) -> None:
        self._context = context
        self._reported = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def report_error(self, error: GraphQLError) -> None:
        if not self._reported:
            self._reported = True
            self._context.report_error(error)


def _once(rule: type[ASTValidationRule]) -> type[ASTValidationRule]:
    class Once(rule):  # type: ignore[valid-type,misc]
        def __init__(self, context: ValidationContext) -> None:
            super().__init__(_Once(context))

    return Once


_RULES = [_once(rule) for rule in (*specified_rules, MaybeNullValidationRule, OneOfInputValidationRule)]


def validation_errors(schema: GraphQLSchema, document: DocumentNode) -> list[GraphQLError]:
    """The errors of a document, one from each rule, at most `REQUEST_ERRORS_MAX`; none if it is valid."""
    return validate(schema, document, _RULES, hide_suggestions=True)[:REQUEST_ERRORS_MAX]
