"""What the engine raises, to its callers and to itself."""

from graphql import GraphQLError


class Unsupported(Exception):
    """The engine does not compile this operation; graphql-core executes it."""


class Bubble(Exception):
    """A position that may not be null has an error; the nearest position above it that may be null takes it."""

    def __init__(self, error: GraphQLError) -> None:
        super().__init__(error)
        self.error = error
