"""Making S3 buckets and setting their rules, as far as the server has such rules."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import structlog
from botocore.exceptions import ClientError

from datasources.s3.errors import error_code

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.literals import BucketLocationConstraintType
    from types_aiobotocore_s3.type_defs import CORSRuleTypeDef, LifecycleRuleTypeDef, QueueConfigurationTypeDef

_EXISTS = {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}
_REPORT = "photogram-uploads"
_NOT_ALLOWED = {"AccessDenied", "NotImplemented", "MethodNotAllowed"}

log = structlog.get_logger(__name__)


async def ensure_bucket(client: "S3Client", name: str, region: str | None) -> None:
    """Makes a bucket unless it exists; `region` is Amazon's, None elsewhere. Raises ClientError if it is not ours."""
    try:
        if region in (None, "us-east-1"):  # Amazon refuses to be told its default region
            await client.create_bucket(Bucket=name)
        else:
            location = cast("BucketLocationConstraintType", region)
            await client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": location})
    except ClientError as error:
        # AccessDenied may mean credentials that may use the bucket but not make one: reading its head decides.
        if error_code(error) not in _EXISTS | _NOT_ALLOWED:
            raise
        await client.head_bucket(Bucket=name)


async def expire_after(client: "S3Client", name: str, *, days: int) -> None:
    """Has the server delete every object so many days after it came, and every unfinished upload after one day."""
    rule: LifecycleRuleTypeDef = {
        "ID": "expire-unused",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "Expiration": {"Days": days},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    }
    with _tolerating_refusal(name, "lifecycle"):
        await client.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [rule]})


async def open_to_readers(client: "S3Client", name: str, prefix: str) -> None:
    """Lets everybody read objects under `prefix` whose key they know; nobody may list them."""
    resource = f"arn:aws:s3:::{name}/{prefix}*"
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": resource}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    with _tolerating_refusal(name, "policy"):
        await client.put_bucket_policy(Bucket=name, Policy=policy)


async def open_to_browsers(client: "S3Client", name: str, origins: Iterable[str], methods: Sequence[str]) -> None:
    """Lets scripts of pages from `origins` use objects that they may reach: PUT one, or read one, as a canvas does."""
    rule: CORSRuleTypeDef = {
        "AllowedMethods": list(methods),
        "AllowedOrigins": list(origins),
        "AllowedHeaders": ["*"],
        "MaxAgeSeconds": 3600,
    }
    with _tolerating_refusal(name, "cors"):
        await client.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": [rule]})


async def report_new_objects(client: "S3Client", name: str, queue: str) -> None:
    """Has the server send an event about each new object to a queue of SQS; rules that others have set stay."""
    with _tolerating_refusal(name, "notification"):
        rules = await client.get_bucket_notification_configuration(Bucket=name)
        others = [rule for rule in rules.get("QueueConfigurations", []) if rule.get("Id") != _REPORT]
        report: QueueConfigurationTypeDef = {"Id": _REPORT, "QueueArn": queue, "Events": ["s3:ObjectCreated:*"]}
        changed: Any = {name: rule for name, rule in rules.items() if name != "ResponseMetadata"}
        changed["QueueConfigurations"] = [*others, report]
        await client.put_bucket_notification_configuration(Bucket=name, NotificationConfiguration=changed)


@contextmanager
def _tolerating_refusal(bucket: str, rule: str) -> Iterator[None]:
    """Only logs it where only the bucket's owner may set rules, or the server has none."""
    try:
        yield
    except ClientError as error:
        if error_code(error) not in _NOT_ALLOWED | _EXISTS:  # SeaweedFS takes an unknown rule for a new bucket
            raise
        log.warning("bucket_rule_not_set", bucket=bucket, rule=rule, code=error_code(error))
