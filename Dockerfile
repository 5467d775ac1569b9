# One image for every process: the API by default; `photogram worker`, `photogram verify` and the others as commands.
# Settings are PHOTOGRAM_... variables. MongoDB, Redis and S3 run elsewhere (compose.yaml starts them).

FROM python:3.13-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/photogram
ENV PATH=/opt/photogram/bin:$PATH
WORKDIR /src
COPY requirements.lock .
RUN pip install --require-hashes -r requirements.lock
# setuptools (pinned in the development lock) builds the project in an environment that is not part of the image.
COPY requirements-dev.lock .
RUN python -m venv /opt/builder \
    && awk '/^[^ #]/ { on = /^setuptools==/ } on' requirements-dev.lock > builder.lock \
    && /opt/builder/bin/pip install --require-hashes -r builder.lock
# --build-arg DEMO=1 adds the extra `demo`, which `photogram seed` needs, as the development lock pins it.
ARG DEMO=
RUN [ -z "$DEMO" ] || (awk '/^[^ #]/ { on = /^(httpx2|httpcore2|truststore)==/ } on' requirements-dev.lock > demo.lock \
    && pip install --no-deps --require-hashes -r demo.lock)
# --build-arg HEIC=1 adds the extra `heic`, for iPhones' photographs. Whoever distributes such an image distributes
# libheif and libde265 (LGPL) and x265 (GPL): docs/adr/0012.
ARG HEIC=
RUN [ -z "$HEIC" ] || (awk '/^[^ #]/ { on = /^pillow-heif==/ } on' requirements-dev.lock > heic.lock \
    && pip install --no-deps --require-hashes -r heic.lock)
# --build-arg TRACING=1 adds OpenTelemetry, for traces (docs/operations.md).
ARG TRACING=
RUN [ -z "$TRACING" ] || (awk '/^[^ #]/ { on = /^(opentelemetry-|googleapis-common-protos==|protobuf==|requests==|charset-normalizer==|certifi==|urllib3==|idna==)/ } on' requirements-dev.lock > tracing.lock \
    && pip install --no-deps --require-hashes -r tracing.lock)
COPY . .
RUN /opt/builder/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /wheels . \
    && pip install --no-deps --no-index /wheels/*.whl

FROM python:3.13-slim
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin photogram
COPY --from=build /opt/photogram /opt/photogram
ENV PATH=/opt/photogram/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PHOTOGRAM_ENVIRONMENT=production
USER 10001
WORKDIR /tmp
EXPOSE 8000
# A process ends within PHOTOGRAM_DRAIN_TIMEOUT (20 s). For the first 5 s (PHOTOGRAM_DRAIN_NOTICE) a load balancer may still send
# requests. Docker kills after 10 s by default: use `docker run --stop-timeout 25`.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/livez', timeout=2)"]
CMD ["photogram", "serve", "--host", "0.0.0.0", "--port", "8000"]
