"""deploy/cloudfront/media.yaml: what needs a signature, and what CloudFront may read. cfn-lint checks its form."""

from pathlib import Path
from typing import Any

from cfnlint.decode import cfn_yaml

from config import Settings
from domain.visibility import Area

TEMPLATE = Path(__file__).resolve().parents[2] / "deploy/cloudfront/media.yaml"


def resource(name: str) -> Any:
    return cfn_yaml.load(str(TEMPLATE))["Resources"][name]["Properties"]


def test_everything_but_the_public_area_needs_a_signature() -> None:
    distribution = resource("Distribution")["DistributionConfig"]
    behaviors = {each["PathPattern"]: each for each in distribution["CacheBehaviors"]}
    behaviors["*"] = distribution["DefaultCacheBehavior"]
    signed = {path: "TrustedKeyGroups" in each for path, each in behaviors.items()}
    assert signed == {f"{Area.PUBLIC.value}/*": False, f"{Area.PRIVATE.value}/*": True, "*": True}
    caches = {path: each["CachePolicyId"]["Ref"] == "PrivateCache" for path, each in behaviors.items()}
    assert caches == signed


def test_cloudfront_may_read_the_two_areas_and_nothing_else() -> None:
    (statement,) = resource("BucketPolicy")["PolicyDocument"]["Statement"]
    assert statement["Action"] == "s3:GetObject"
    read = {each["Fn::Sub"].partition("${MediaBucket}/")[2] for each in statement["Resource"]}
    assert read == {f"{Area.PUBLIC.value}/*", f"{Area.PRIVATE.value}/*"}


def test_a_private_copy_is_not_kept_longer_than_a_signature_is_good() -> None:
    longest = resource("PrivateCache")["CachePolicyConfig"]["MaxTTL"]
    assert longest <= Settings.model_fields["signed_url_ttl"].default


def test_every_output_that_is_a_setting_names_one() -> None:
    outputs = cfn_yaml.load(str(TEMPLATE))["Outputs"].values()
    named = {each["Description"] for each in outputs if each["Description"].startswith("PHOTOGRAM_")}
    assert {name.removeprefix("PHOTOGRAM_").lower() for name in named} <= Settings.model_fields.keys()
    assert len(named) == 3
