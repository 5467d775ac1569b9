"""The settings of every Photogram process: one frozen value, read once from the environment or a file."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import AwareDatetime, BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from datasources.settings.accounts import AccountSettings
from datasources.settings.discovery import DiscoverySettings
from datasources.settings.exports import ExportSettings
from datasources.settings.factors import FactorSettings
from datasources.settings.feed import FeedSettings
from datasources.settings.identities import IdentitySettings
from datasources.settings.lists import CommaList, split_list
from datasources.settings.mail import MailSettings
from datasources.settings.rate_limits import RateLimitSettings
from datasources.settings.screening import ScreeningSettings
from datasources.settings.terms import TermsSettings

# A web client's development server, on whatever port.
LOCAL_ORIGINS = tuple(f"http://{host}{port}" for host in ("localhost", "127.0.0.1", "[::1]") for port in ("", ":*"))
LOCAL_S3_SECRET = "photogram-local-secret"  # noqa: S105  the default that production refuses

# Times that ids can hold, in seconds in four bytes.
IdTime = Annotated[AwareDatetime, Field(ge=datetime(1970, 1, 1, tzinfo=UTC), le=datetime(2106, 1, 1, tzinfo=UTC))]


class RedisUrls(NamedTuple):
    """An address for each use of Redis."""

    cache: str
    queue: str
    news: str


class Settings(
    AccountSettings,
    DiscoverySettings,
    ExportSettings,
    FactorSettings,
    FeedSettings,
    IdentitySettings,
    MailSettings,
    RateLimitSettings,
    ScreeningSettings,
    TermsSettings,
):
    """Where the servers are and how a process behaves; product limits stand in `domain/limits.py`.

    Every field is read from `PHOTOGRAM_<NAME>`, else from the dotenv file given to `read_settings`. Times are in
    seconds. Raises `pydantic.ValidationError` for invalid values, and in production for default secrets.
    """

    model_config = SettingsConfigDict(env_prefix="PHOTOGRAM_", frozen=True, extra="ignore")

    mongo_url: str = "mongodb://127.0.0.1:27017/?replicaSet=photogram"
    mongo_database: str = "photogram"
    sharded_ids_since: IdTime | None = Field(None, description="Later ids say their shard (docs/scaling.md).")
    redis_url: str = Field(
        "redis://127.0.0.1:6379/0",
        description="One server, or redis+cluster://host,host, or redis+sentinel://host,host/service; rediss for TLS.",
    )
    cache_redis_url: str | None = Field(None, description="Other Redis servers for caches than `redis_url` names.")
    queue_redis_url: str | None = Field(None, description="The same for the job queue.")
    news_redis_url: str | None = Field(None, description="The same for news (pub/sub) and who listens to a feed.")
    key_prefix: str = Field("photogram:", description="Beginning of every Redis key, stream and channel.")

    job_queue: Literal["redis", "sns-sqs"] = Field("redis", description="Where jobs wait; sns-sqs is Amazon's.")
    events: Annotated[tuple[Literal["redis", "sns", "webhooks"], ...], NoDecode, BeforeValidator(split_list)] = Field(
        (), description="Where public events go, with commas; the same for every process (docs/events.md)."
    )
    webhook_private_addresses: bool = Field(
        False, description="Lets webhooks go over http and to private addresses: for tests, refused in production."
    )
    events_source: str = Field("photogram", min_length=1, description="`source` of events: this installation's URI.")
    events_stream_length: int = Field(100_000, ge=1, description="Newest events kept in the stream of Redis.")
    events_stream_days: float = Field(7, gt=0, le=3650, description="Older events in the stream of Redis are removed.")
    aws_endpoint: str | None = Field(None, description="Where SNS, SQS and CloudFront are; None means Amazon.")
    aws_region: str | None = Field(None, description="Their region, if not `s3_region`.")
    aws_access_key: str | None = Field(
        None, description="For SNS and SQS; None for that of Amazon S3 if it is used, else for the machine's own role."
    )
    aws_secret_key: SecretStr = SecretStr("")
    aws_prefix: str = Field(
        "photogram-",
        pattern=r"^[A-Za-z0-9_-]{0,40}$",
        description="Beginning of the names of topic and queues, so that installations can share an account.",
    )
    upload_events: bool = Field(
        False,
        description="Whether S3 reports files that clients sent, by an SQS queue, so that workers look less often.",
    )
    aws_timeout: float = Field(5.0, gt=0, description="Longest time for one call to SNS or SQS, beside its poll.")

    s3_endpoint_url: str | None = Field(None, description="None means Amazon S3.")
    s3_public_endpoint_url: str | None = Field(None, description="Where clients reach S3, if not at `s3_endpoint_url`.")
    s3_region: str = "us-east-1"
    s3_access_key: str | None = Field("photogram", description="Empty for the machine's own role, as on Amazon.")
    s3_secret_key: SecretStr = SecretStr(LOCAL_S3_SECRET)
    incoming_bucket: str = "photogram-incoming"
    media_bucket: str = "photogram-media"
    media_base_url: str | None = Field(None, description="A CDN before the media bucket; by default the bucket itself.")
    signed_url_ttl: int = Field(300, ge=2, description="Longest life of the address of an image that is not public.")
    cloudfront_key_pair_id: str | None = Field(None, description="The id of the CDN's public key; without it S3 signs.")
    cloudfront_private_key: SecretStr | None = Field(None, description="The private key: RSA, PEM.")
    cloudfront_private_key_file: Path | None = Field(None, description="The file of the private key.")
    cloudfront_distribution_id: str | None = Field(
        None, description="The distribution before the media bucket, where deleted public files are invalidated."
    )
    cdn_purge_urls: CommaList = Field(
        (),
        description="With commas, where each nginx before the media bucket drops deleted files; the bucket's path too: "
        "http://10.0.0.5:8300/photogram-media.",
    )

    host: str = Field("127.0.0.1", description="`0.0.0.0` is every IPv4 address, `::` also every IPv6 address.")
    port: int = Field(8000, ge=0, le=65535)
    allowed_origins: CommaList = Field(
        (),
        description="Browser origins that may call the API, with commas: https://app.example,https://*.app.example. "
        "In development those of this machine may call it too.",
    )
    max_connections: int = Field(10_000, ge=1, description="Connections of an API process; probes get a few more.")
    max_sockets: int = Field(8_000, ge=1, description="WebSockets among them; a subscription takes some 25 KiB.")
    graphiql: bool | None = Field(None, description="Whether /graphiql is served; by default not in production.")
    introspection: bool | None = Field(None, description="Whether the schema is shown; by default not in production.")
    hsts: str | None = Field(
        None,
        description="Strict-Transport-Security of every answer: for how long browsers use only https, which the load "
        "balancer must offer. By default max-age=31536000 in production, else nothing; empty turns it off.",
    )
    allow_root: bool = Field(False, description="Lets production run as root, for containers whose root has no rights.")
    metrics_host: str = Field("127.0.0.1", description="Where /metrics is served, for Prometheus alone.")
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="Port of /metrics, of several processes also the next; by default nowhere."
    )
    observe_interval: float = Field(15.0, gt=0, description="Pause between two readings of what waits, for metrics.")
    drift_interval: float = Field(3600.0, ge=0, description="Pause between two checks of records; 0 for none.")
    metrics_operations: CommaList = Field(
        (),
        description="Names of the operations of one's own clients, with commas: metrics always show them by name. Of "
        "other names they show as many as there are places, 200 in all.",
    )
    trace_endpoint: str | None = Field(
        None, description="Where traces are sent by OTLP over HTTP: https://collector:4318/v1/traces. Needs `tracing`."
    )
    trace_sample: float = Field(0.01, ge=0, le=1, description="The share of requests that are traced.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["console", "json"] = "json"

    mongo_timeout: float = Field(5.0, gt=0, description="Longest time for one MongoDB operation.")
    redis_timeout: float = Field(1.0, gt=0, description="Longest time for one Redis command.")
    s3_timeout: float = Field(10.0, gt=0, description="Longest wait for a connection to S3 or for its next bytes.")
    compile_at: int = Field(
        2, ge=0, description="The use of an operation at which it is compiled; 0 for never: graphql-core executes it."
    )
    kept_objects: int = Field(
        10_000, ge=0, description="Posts, people and so on that an API process keeps as it answered them; 0 for none."
    )
    operation_timeout: float = Field(15.0, gt=0, description="Longest time for one GraphQL query or mutation.")
    compression: bool = Field(True, description="Whether to compress answers over 1 kB; false leaves it to a balancer.")
    trusted_proxies: CommaList = Field(
        (),
        description="Addresses or networks of proxies, with commas, whose X-Forwarded-For names the client: limits are "
        "fair between clients' addresses. Behind a load balancer that is not named here all clients have one address.",
    )
    cost_at_once: int = Field(30_000, ge=1, description="Cost, in fields, of what an API process runs at once.")
    admission_timeout: float = Field(2.0, gt=0, description="What would wait longer for its turn is refused: BUSY.")
    file_timeout: float = Field(60.0, gt=0, description="Longest time for a client to send a file through the API.")
    files_at_once: int = Field(8, ge=1, description="Files, of up to 10 MiB each, that one API process takes at once.")
    drain_timeout: float = Field(20.0, gt=0, description="SIGTERM ends a process in this time, notice included.")
    drain_notice: float = Field(
        5.0,
        ge=0,
        description="After SIGTERM /readyz fails for so long while everybody is still served: a load balancer's time "
        "to choose another process. SIGINT (Ctrl-C) skips it.",
    )

    upload_ttl: int = Field(15 * 60, gt=0, description="How long a presigned upload is good for.")

    render_processes: int = Field(1, ge=1, description="Child processes of a media worker, and one more for slow work.")
    render_timeout: float = Field(60.0, gt=0, description="Longest time for one image; half of it may be CPU time.")
    keep_originals: bool = Field(False, description="Keeps the files that clients sent, where nobody can fetch them.")
    avif: bool = Field(False, description="Makes AVIF renditions too: smaller, and later than the others.")
    render_memory_mb: int = Field(1024, ge=256, description="Address space of one rendering child, in MiB.")
    caching: bool = Field(True, description="Whether records are read through Redis; writes invalidate in any case.")
    relay_interval: float = Field(1.0, gt=0, description="Pause between two searches for pending tasks.")

    @property
    def redis_urls(self) -> RedisUrls:
        """Where the Redis servers of each use are."""
        given = self.cache_redis_url, self.queue_redis_url, self.news_redis_url
        return RedisUrls(*(url or self.redis_url for url in given))

    @property
    def origins(self) -> tuple[str, ...]:
        """The browser origins that may call the API; `*` stands for any host name or port."""
        return (*self.allowed_origins, *(LOCAL_ORIGINS if self.environment == "development" else ()))

    @property
    def storage_origins(self) -> tuple[str, ...]:
        """The browser origins that may use S3: all in development, as S3 servers have no wildcard for a port."""
        return ("*",) if self.environment == "development" else self.allowed_origins

    @property
    def drain_work(self) -> float:
        """The part of `drain_timeout` for running work, in seconds; the rest is for closing connections."""
        return self.drain_timeout - min(3.0, self.drain_timeout * 0.3)

    @property
    def longest_file_request(self) -> timedelta:
        """The longest time that an operation with a file takes, from its start to its end."""
        return timedelta(seconds=self.file_timeout + 2 * self.operation_timeout)

    @property
    def serves_graphiql(self) -> bool:
        return self.environment != "production" if self.graphiql is None else self.graphiql

    @property
    def transport_security(self) -> str:
        """The value of Strict-Transport-Security; empty for none."""
        by_default = "max-age=31536000" if self.environment == "production" else ""
        return by_default if self.hsts is None else self.hsts

    @property
    def allows_introspection(self) -> bool:
        return self.environment != "production" if self.introspection is None else self.introspection

    @property
    def queue_region(self) -> str:
        """The region of SNS and SQS."""
        return self.aws_region or self.s3_region

    @property
    def aws_credentials(self) -> tuple[str, str] | None:
        """Access key and secret for SNS and SQS; None to use the machine's own role, or what AWS_... variables say."""
        if self.aws_access_key:
            return self.aws_access_key, self.aws_secret_key.get_secret_value()
        if self.s3_endpoint_url is None and self.s3_access_key:
            return self.s3_access_key, self.s3_secret_key.get_secret_value()
        return None

    @property
    def media_url(self) -> str:
        """The beginning of public renditions' addresses, without a slash at its end."""
        return (self.media_base_url or self.media_bucket_url).rstrip("/")

    @property
    def purges_cdn(self) -> bool:
        """Whether a CDN is named that has to drop what is deleted."""
        return bool(self.cloudfront_distribution_id or self.cdn_purge_urls)

    @property
    def media_bucket_url(self) -> str:
        """Where clients reach the media bucket itself, without a slash at its end."""
        endpoint = self.s3_public_endpoint_url or self.s3_endpoint_url
        if endpoint is None:
            return f"https://{self.media_bucket}.s3.{self.s3_region}.amazonaws.com"
        return f"{endpoint.rstrip('/')}/{self.media_bucket}"

    @model_validator(mode="after")
    def _require_time_for_work_in_drain(self) -> Self:
        if self.drain_notice and self.drain_notice >= self.drain_work:
            raise ValueError("PHOTOGRAM_DRAIN_NOTICE is part of PHOTOGRAM_DRAIN_TIMEOUT and must leave time for work")
        return self

    @model_validator(mode="after")
    def _require_whole_signing_key(self) -> Self:
        has_key = bool(self.cloudfront_private_key or self.cloudfront_private_key_file)
        if bool(self.cloudfront_key_pair_id) is not has_key:
            raise ValueError("PHOTOGRAM_CLOUDFRONT_KEY_PAIR_ID and a private key are needed together")
        if has_key and not self.media_base_url:
            raise ValueError("PHOTOGRAM_MEDIA_BASE_URL must be the address of the CDN that checks the signatures")
        return self

    @model_validator(mode="after")
    def _refuse_private_webhooks_in_production(self) -> Self:
        if self.environment == "production" and self.webhook_private_addresses:
            raise ValueError("PHOTOGRAM_WEBHOOK_PRIVATE_ADDRESSES is for tests; production must not have it")
        return self

    @model_validator(mode="after")
    def _refuse_default_secrets_in_production(self) -> Self:
        default_secret = self.s3_access_key and self.s3_secret_key.get_secret_value() == LOCAL_S3_SECRET
        if self.environment == "production" and default_secret:
            raise ValueError("PHOTOGRAM_S3_SECRET_KEY has its default value; production needs a secret of its own")
        return self


def read_settings(file: Path | None = None) -> Settings:
    """Reads the environment over `file` (dotenv syntax). Raises FileNotFoundError if a named file is not there."""
    if file is not None and not file.is_file():
        raise FileNotFoundError(f"there is no settings file {file}")
    return Settings(_env_file=file)
