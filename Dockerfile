# One file for every image of ours: SERVICE says whose dependencies are installed.
#   docker build --build-arg SERVICE=monitoring --tag streamgauge/monitoring .
# BASE_IMAGE needs python3.11 with venv, and certificates. BuildKit is needed for the mounts.
ARG BASE_IMAGE=python:3.11.14-slim-bookworm

FROM ${BASE_IMAGE} AS build
ARG SERVICE
WORKDIR /build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python3.11 -m venv /build/tools && python3.11 -m venv --without-pip /opt/streamgauge
COPY containers/locks/build.lock containers/locks/${SERVICE}.lock containers/locks/
# Where packages come from is the builder's business: a pip.conf and certificates may be given as secrets, and neither
# is in an image.
RUN --mount=type=secret,id=pip_conf --mount=type=secret,id=ca_certificates \
    if [ -s /run/secrets/pip_conf ]; then export PIP_CONFIG_FILE=/run/secrets/pip_conf; fi; \
    if [ -s /run/secrets/ca_certificates ]; then export PIP_CERT=/run/secrets/ca_certificates; fi; \
    tools/bin/pip install --quiet --require-hashes --requirement containers/locks/build.lock && \
    tools/bin/pip --python /opt/streamgauge/bin/python install --quiet --only-binary :all: --no-deps --require-hashes \
        --requirement containers/locks/${SERVICE}.lock && \
    tools/bin/pip --python /opt/streamgauge/bin/python check
COPY . .
RUN tools/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir wheels . && \
    tools/bin/pip --python /opt/streamgauge/bin/python install --quiet --no-deps --no-index wheels/*.whl

FROM ${BASE_IMAGE}
ARG SERVICE
LABEL org.opencontainers.image.title="streamgauge/${SERVICE}" org.opencontainers.image.licenses="Apache-2.0"
# A volume takes over owner and mode of the folder it is mounted on first, so that nothing has to run as root.
RUN groupadd --gid 10001 streamgauge && \
    useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin streamgauge && \
    for name in master replica monitoring training generator kafka mongo grafana prometheus alertmanager; do \
        install -d -o 10001 -g 10001 -m 0750 /secrets/$name; \
    done && \
    install -d -o 10001 -g 10001 -m 0750 /var/lib/streamgauge /var/lib/streamgauge-run /var/lib/streamgauge-alerting \
        /var/lib/mlflow
COPY --from=build /opt/streamgauge /opt/streamgauge
WORKDIR /app
COPY cases cases
COPY prometheus/__init__.py prometheus/render.py prometheus/routing.py prometheus/
COPY containers/healthcheck.py containers/make_secrets.py containers/
ENV PATH=/opt/streamgauge/bin:$PATH \
    CASES_DIR=/app/cases \
    STATE_DIR=/var/lib/streamgauge \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DO_NOT_TRACK=true \
    ORT_DISABLE_TELEMETRY=1 \
    MLFLOW_DISABLE_TELEMETRY=true
USER 10001:10001
