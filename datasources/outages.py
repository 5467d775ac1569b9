"""Which errors are outages, and one line for operators about the server that does not answer, or refuses to."""

from urllib.parse import urlsplit

from botocore.exceptions import ClientError, NoCredentialsError
from pymongo.errors import OperationFailure, PyMongoError
from redis.exceptions import AuthenticationError, AuthorizationError, NoPermissionError, RedisError

from config import Settings
from datasources.concurrency.batcher import BatchTimeout
from datasources.jobs.aws_clients import MISSING
from datasources.jobs.queue import JobQueueOutage
from datasources.mongo.client import is_mongo_outage
from datasources.mongo.prepared import UnusableDatabaseError
from datasources.redis.addresses import RedisAddressError
from datasources.s3.errors import error_code, is_s3_outage

_MONGO_REFUSES = {13, 18, 8000}  # Unauthorized, AuthenticationFailed, and Atlas's own
_BAD_VALUE, _NO_INDEX_HINTED = 2, "hint provided does not correspond to an existing index"
_S3_REFUSES = {
    *("AccessDenied", "ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch"),
    *("AuthorizationHeaderMalformed", "403"),
}
_AWS_REFUSES = {
    *("AccessDenied", "AccessDeniedException", "AuthorizationError", "ExpiredToken", "InvalidClientTokenId"),
    *("InvalidSecurity", "NoCredentialsError", "SignatureDoesNotMatch", "UnrecognizedClientException"),
}


def is_outage(error: BaseException) -> bool:
    """Whether a server, and not the work itself, is at fault: trying again later may help."""
    return is_mongo_outage(error) or is_s3_outage(error) or isinstance(error, RedisError | JobQueueOutage)


def server_of(error: BaseException) -> str | None:
    """The server that is away: "MongoDB", "Redis", "SNS or SQS" or "S3"; None for an error that is no outage."""
    if isinstance(error, BatchTimeout | PyMongoError) and is_outage(error):
        return "MongoDB"
    if isinstance(error, RedisError):
        return "Redis"
    if isinstance(error, JobQueueOutage):
        return "SNS or SQS"
    return "S3" if is_s3_outage(error) else None


def describe_outage(error: BaseException, settings: Settings) -> str:
    """One line about an outage: the server's name and where the settings look for it.

    It has nothing of the driver's message, and no user name, password or option of an address.
    """
    server = server_of(error) or "a server"
    return f"{server} does not answer ({_where(server, settings)})"


def describe_refusal(error: BaseException, settings: Settings) -> str | None:
    """One line about what only operators can change: credentials, indexes or buckets; None for any other error.

    As `describe_outage` it has nothing of the driver's message.
    """
    if isinstance(error, UnusableDatabaseError | RedisAddressError):
        return str(error)
    if isinstance(error, OperationFailure) and error.code == _BAD_VALUE and _NO_INDEX_HINTED in str(error):
        return "the database lacks an index: run `photogram prepare` first"
    if isinstance(error, ClientError) and error_code(error) == "NoSuchBucket":
        return f"a bucket is missing ({_where('S3', settings)}): run `photogram prepare` first"
    if isinstance(error, JobQueueOutage) and error.code in MISSING:
        return f"a queue is missing ({_where('SNS or SQS', settings)}): run `photogram prepare` first"
    server = _refusing_server(error)
    return server and f"{server} refuses the credentials of the settings ({_where(server, settings)})"


def _refusing_server(error: BaseException) -> str | None:
    if isinstance(error, OperationFailure) and error.code in _MONGO_REFUSES:
        return "MongoDB"
    if isinstance(error, AuthenticationError | AuthorizationError | NoPermissionError):
        return "Redis"
    if isinstance(error, JobQueueOutage) and error.code in _AWS_REFUSES:
        return "SNS or SQS"
    if isinstance(error, NoCredentialsError) or (isinstance(error, ClientError) and error_code(error) in _S3_REFUSES):
        return "S3"
    return None


def _where(server: str, settings: Settings) -> str:
    endpoint = settings.s3_endpoint_url or f"https://s3.{settings.s3_region}.amazonaws.com"
    urls = {
        "MongoDB": [settings.mongo_url],
        "Redis": dict.fromkeys(settings.redis_urls),
        "SNS or SQS": [settings.aws_endpoint or f"https://sqs.{settings.queue_region}.amazonaws.com"],
        "S3": [endpoint],
    }
    parts = map(urlsplit, urls.get(server, ()))
    return ", ".join(each.netloc.rpartition("@")[2] or each.path for each in parts)
