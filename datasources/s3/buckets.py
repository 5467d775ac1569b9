"""Makes S3 buckets and sets their rules, as far as the server knows them."""

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, cast

import structlog
from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.literals import BucketLocationConstraintType
    from types_aiobotocore_s3.type_defs import CORSRuleTypeDef, LifecycleRuleTypeDef

_THERE_ALREADY = {"BucketAlreadyOwnedByYou", "BucketAlreadyExists"}
_NOT_OURS_TO_SET = {"AccessDenied", "NotImplemented", "MethodNotAllowed"}

log = structlog.get_logger(__name__)


async def ensure_bucket(client: "S3Client", name: str, region: str | None) -> None:
    """Makes a bucket unless it is there; `region` is Amazon's, None elsewhere. Raises ClientError if it is not ours."""
    try:
        if region in (None, "us-east-1"):  # Amazon refuses to be told its default region
            await client.create_bucket(Bucket=name)
        else:
            place = cast("BucketLocationConstraintType", region)
            await client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": place})
    except ClientError as error:
        # Credentials that may use a bucket but not make one get AccessDenied here, and so does whoever may do neither.
        if _code(error) not in _THERE_ALREADY | _NOT_OURS_TO_SET:
            raise
        await client.head_bucket(Bucket=name)


async def expire_daily(client: "S3Client", name: str) -> None:
    """Lets the server delete every object a day after it came."""
    rule: LifecycleRuleTypeDef = {
        "ID": "expire-unused",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "Expiration": {"Days": 1},
    }
    try:
        await client.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": [rule]})
    except ClientError as error:
        _tolerate(error, name, "lifecycle")


async def open_to_readers(client: "S3Client", name: str, prefix: str) -> None:
    """Lets everybody read objects whose key they know and begins with `prefix`; nobody may list them."""
    resource = f"arn:aws:s3:::{name}/{prefix}*"
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": resource}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    try:
        await client.put_bucket_policy(Bucket=name, Policy=policy)
    except ClientError as error:
        _tolerate(error, name, "policy")


async def open_to_browsers(client: "S3Client", name: str, origins: Iterable[str], methods: Sequence[str]) -> None:
    """Lets scripts of pages from `origins` use an object they may reach: PUT it, or read it, as a canvas does."""
    rule: CORSRuleTypeDef = {
        "AllowedMethods": list(methods),
        "AllowedOrigins": list(origins),
        "AllowedHeaders": ["*"],
        "MaxAgeSeconds": 3600,
    }
    try:
        await client.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": [rule]})
    except ClientError as error:
        _tolerate(error, name, "cors")


def _tolerate(error: ClientError, bucket: str, rule: str) -> None:
    """Goes on where the bucket's rules are its owner's affair or the server has none; raises anything else."""
    if _code(error) not in _NOT_OURS_TO_SET:
        raise error
    log.warning("bucket_rule_not_set", bucket=bucket, rule=rule, code=_code(error))


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
