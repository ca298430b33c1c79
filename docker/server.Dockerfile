# Image of the Prefect and MLflow servers, with drivers for PostgreSQL and Redis and the versions that workers have.
#   docker build --file docker/server.Dockerfile --tag stage1-server .
ARG BASE_IMAGE=python:3.11.14-slim-bookworm

FROM ${BASE_IMAGE} AS build
RUN python -m venv /opt/servers
COPY constraints.txt ./
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/servers/bin/pip install --constraint constraints.txt \
    prefect prefect-redis asyncpg fastapi mlflow flask-wtf "psycopg[binary]"

FROM ${BASE_IMAGE}
COPY --from=build /opt/servers /opt/servers
COPY docker/mlflow_auth.ini /etc/stage1/mlflow_auth.ini
RUN install --directory --owner 1000 --group 1000 /var/lib/mlflow
ENV PATH=/opt/servers/bin:${PATH} \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    PREFECT_HOME=/tmp/prefect \
    PREFECT_SERVER_UI_STATIC_DIRECTORY=/tmp/prefect/pages \
    PREFECT_SERVER_ANALYTICS_ENABLED=false \
    DO_NOT_TRACK=1 \
    MLFLOW_DISABLE_TELEMETRY=true \
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
    MLFLOW_AUTH_CONFIG_PATH=/etc/stage1/mlflow_auth.ini
WORKDIR /tmp
USER 1000:1000
