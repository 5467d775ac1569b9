"""Outages: what counts as one, and in words which server it is that does not answer."""

from urllib.parse import urlsplit

from pymongo.errors import PyMongoError
from redis.exceptions import RedisError

from config import Settings
from datasources.blobs import is_outage as is_s3_outage
from datasources.gathering import Late
from datasources.mongo import is_mongo_outage


def is_outage(error: BaseException) -> bool:
    """Whether a dependency, and not the work itself, is at fault, so that trying again later may help."""
    return is_mongo_outage(error) or is_s3_outage(error) or isinstance(error, RedisError)


def server_of(error: BaseException) -> str | None:
    """The server that an outage is of: "MongoDB", "Redis" or "S3"; None for what is no outage."""
    if isinstance(error, Late | PyMongoError) and is_outage(error):
        return "MongoDB"
    if isinstance(error, RedisError):
        return "Redis"
    return "S3" if is_s3_outage(error) else None


def told(error: BaseException, settings: Settings) -> str:
    """One line for operators about an outage: the server's name and where the settings look for it.

    Nothing of the driver's own words, and no user name, password or option of an address.
    """
    server = server_of(error) or "a server"
    endpoint = settings.s3_endpoint_url or f"https://s3.{settings.s3_region}.amazonaws.com"
    url = {"MongoDB": settings.mongo_url, "Redis": settings.redis_url, "S3": endpoint}.get(server, "")
    return f"{server} does not answer ({_hosts(url)})"


def _hosts(url: str) -> str:
    parts = urlsplit(url)
    return parts.netloc.rpartition("@")[2] or parts.path
