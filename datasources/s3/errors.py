"""What errors of S3 mean: nothing is there, trying again may help, or neither."""

from aiohttp import ClientError as TransportError
from botocore.exceptions import ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotoConnectionError

ABSENT = {"NoSuchKey", "404", "NotFound"}
_THROTTLED = {
    *("SlowDown", "Throttling", "ThrottlingException"),
    *("RequestTimeout", "TooManyRequests", "RequestLimitExceeded"),
}


class BlobsNotDeleted(Exception):
    """S3 refused to delete some objects; deleting all of them again is safe."""


def error_code(error: ClientError) -> str:
    """What S3 calls an error; empty if it does not say."""
    return str(error.response.get("Error", {}).get("Code", ""))


def is_s3_outage(error: BaseException) -> bool:
    """Whether S3 could not be reached, was too slow or too busy: the same call may succeed later."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= 500 or status == 429 or error_code(error) in _THROTTLED
    return isinstance(error, BotoConnectionError | HTTPClientError | TransportError | TimeoutError | ConnectionError)
