"""Everything Photogram refuses or cannot do, each with a stable code.

PhotogramError
├── Refusal             shown in a payload's userErrors; carries a UserErrorCode
│   └── NotFound        there is no such object, or the viewer may not see it: the two look the same
└── RequestError        a top-level GraphQL error with extensions.code, from RequestErrorCode
    ├── Unauthenticated
    ├── InsufficientScope  a personal access token may not do this
    ├── BadInput        an argument that no screen of a correct client would send
    └── CursorExpired   a place in a list that is no longer kept
"""

from datetime import datetime
from enum import StrEnum


class UserErrorCode(StrEnum):
    """Why a mutation could not do what was asked."""

    INVALID_INPUT = "INVALID_INPUT"
    NOT_FOUND = "NOT_FOUND"
    NOT_ALLOWED = "NOT_ALLOWED"
    USERNAME_TAKEN = "USERNAME_TAKEN"
    EMAIL_TAKEN = "EMAIL_TAKEN"
    WEAK_PASSWORD = "WEAK_PASSWORD"  # noqa: S105
    INVALID_CREDENTIALS = "INVALID_CREDENTIALS"
    SECOND_FACTOR_REQUIRED = "SECOND_FACTOR_REQUIRED"
    IDENTITY_NOT_CONFIRMED = "IDENTITY_NOT_CONFIRMED"
    EMAIL_NOT_VERIFIED = "EMAIL_NOT_VERIFIED"
    TOKEN_EXPIRED = "TOKEN_EXPIRED"  # noqa: S105
    QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
    IMAGE_TOO_LARGE = "IMAGE_TOO_LARGE"
    UNSUPPORTED_FORMAT = "UNSUPPORTED_FORMAT"
    IMAGE_CORRUPT = "IMAGE_CORRUPT"
    TOO_MANY_PIXELS = "TOO_MANY_PIXELS"
    TOO_MANY_FRAMES = "TOO_MANY_FRAMES"
    CHECKSUM_MISMATCH = "CHECKSUM_MISMATCH"
    UPLOAD_EXPIRED = "UPLOAD_EXPIRED"
    UPLOAD_USED = "UPLOAD_USED"
    TOO_MANY_FOLLOWS = "TOO_MANY_FOLLOWS"
    TOO_MANY_SAVES = "TOO_MANY_SAVES"
    TOO_MANY_COLLECTIONS = "TOO_MANY_COLLECTIONS"
    COMMENTS_OFF = "COMMENTS_OFF"
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    IN_PROGRESS = "IN_PROGRESS"
    RATE_LIMITED = "RATE_LIMITED"
    BUSY = "BUSY"
    ACCOUNT_SUSPENDED = "ACCOUNT_SUSPENDED"
    STRONGER_DECISION = "STRONGER_DECISION"
    TERMS_NOT_ACCEPTED = "TERMS_NOT_ACCEPTED"


class RequestErrorCode(StrEnum):
    """The closed set of `extensions.code` on top-level errors."""

    UNAUTHENTICATED = "UNAUTHENTICATED"
    INSUFFICIENT_SCOPE = "INSUFFICIENT_SCOPE"
    BAD_USER_INPUT = "BAD_USER_INPUT"
    CURSOR_EXPIRED = "CURSOR_EXPIRED"
    GRAPHQL_PARSE_FAILED = "GRAPHQL_PARSE_FAILED"
    GRAPHQL_VALIDATION_FAILED = "GRAPHQL_VALIDATION_FAILED"
    INTROSPECTION_DISABLED = "INTROSPECTION_DISABLED"
    OPERATION_TOO_COMPLEX = "OPERATION_TOO_COMPLEX"
    BAD_REQUEST = "BAD_REQUEST"
    PERSISTED_QUERY_NOT_SUPPORTED = "PERSISTED_QUERY_NOT_SUPPORTED"
    RATE_LIMITED = "RATE_LIMITED"
    TIMEOUT = "TIMEOUT"
    BUSY = "BUSY"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL_SERVER_ERROR = "INTERNAL_SERVER_ERROR"


class PhotogramError(Exception):
    """The root of what Photogram raises on purpose."""


class Refusal(PhotogramError):
    """A mutation that was understood and not done. It changed nothing."""

    def __init__(
        self,
        code: UserErrorCode,
        message: str,
        *,
        field: list[str] | None = None,
        retry_after_ms: int | None = None,
        resets_at: datetime | None = None,
    ) -> None:
        """`field` is the path of the input field at fault. With `retry_after_ms`, waiting may help.

        `resets_at` is when the count of a reached limit starts again.
        """
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        self.retry_after_ms = retry_after_ms
        self.resets_at = resets_at

    @property
    def retryable(self) -> bool:
        return self.retry_after_ms is not None


class NotFound(Refusal):
    def __init__(self, what: str, *, field: list[str] | None = None) -> None:
        super().__init__(UserErrorCode.NOT_FOUND, f"There is no such {what}.", field=field)


class RequestError(PhotogramError):
    """A request that cannot be served as it stands."""

    def __init__(self, code: RequestErrorCode, message: str, *, retry_after_ms: int | None = None) -> None:
        """With `retry_after_ms`, the same request may be served after that time."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after_ms = retry_after_ms


class Unauthenticated(RequestError):
    def __init__(self) -> None:
        super().__init__(RequestErrorCode.UNAUTHENTICATED, "Sign in first: this needs a valid access token.")


class InsufficientScope(RequestError):
    def __init__(self) -> None:
        message = "This access token has not the scope that this needs."
        super().__init__(RequestErrorCode.INSUFFICIENT_SCOPE, message)


class BadInput(RequestError):
    def __init__(self, message: str) -> None:
        super().__init__(RequestErrorCode.BAD_USER_INPUT, message)


class CursorExpired(RequestError):
    def __init__(self) -> None:
        super().__init__(RequestErrorCode.CURSOR_EXPIRED, "This list is no longer kept: ask for its first page again.")
