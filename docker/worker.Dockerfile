# Image of the workers, and of runs on docker and kubernetes pools. Built from the repository's root:
#   docker build --file docker/worker.Dockerfile --tag stage1-worker .
# PyTorch's own wheels carry CUDA, so the same image computes on CPUs and GPUs; a GPU needs only the driver of its host
# and NVIDIA's container toolkit. BASE_IMAGE may name another image with this Python, for instance one based on CUDA.
ARG BASE_IMAGE=python:3.11.14-slim-bookworm

FROM ${BASE_IMAGE} AS build
ARG EXTRAS=demo,dask
RUN python -m venv /opt/stage1
WORKDIR /source
COPY constraints.txt pyproject.toml README.md LICENSE NOTICE ./
COPY stage1_core stage1_core
COPY tasks tasks
COPY flows flows
COPY deployments deployments
COPY stage1_cli stage1_cli
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/stage1/bin/pip install --constraint constraints.txt ".[${EXTRAS}]"

FROM ${BASE_IMAGE}
COPY --from=build /opt/stage1 /opt/stage1
RUN install --directory --owner 1000 --group 1000 /workspace
ENV PATH=/opt/stage1/bin:${PATH} \
    HOME=/tmp \
    PYTHONUNBUFFERED=1 \
    STAGE1_ARTIFACTS=/workspace \
    PREFECT_HOME=/workspace/prefect \
    PREFECT_RESULTS_LOCAL_STORAGE_PATH=/workspace/prefect/results \
    HF_HOME=/workspace/huggingface \
    DO_NOT_TRACK=1 \
    MLFLOW_DISABLE_TELEMETRY=true \
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR=false
WORKDIR /workspace
USER 1000:1000
CMD ["prefect", "worker", "start", "--pool", "cpu", "--type", "process"]
