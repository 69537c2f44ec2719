# The container image of Image Factory: the command line with every plugin, git, and the Node that synth needs.
#
#   docker build -t image-factory .
#   docker run --rm --read-only --tmpfs /tmp -v "$PWD:/workspace" image-factory validate
#
# The bases are pinned by exact tag. Image Factory itself watches what these tags point at (image-factory/images.yaml)
# and builds with the digest that is due, so no digest is written here that a person would have to keep current.
ARG PYTHON_VERSION=3.13.7
ARG DEBIAN_RELEASE=bookworm

FROM python:${PYTHON_VERSION}-slim-${DEBIAN_RELEASE} AS build
# Members require each other by version rather than by path, so that the wheels are whole in themselves.
ENV IMAGE_FACTORY_RELEASE=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY packages packages
COPY plugins plugins
RUN pip wheel --no-cache-dir --wheel-dir /wheels packages/* plugins/* '.[all]'
RUN python -m venv /opt/image-factory \
    && set -- /wheels/image_factory-[0-9]*.whl \
    && /opt/image-factory/bin/pip install --no-cache-dir --no-index --find-links=/wheels "$1[all]" \
    && /opt/image-factory/bin/pip uninstall --yes pip

FROM python:${PYTHON_VERSION}-slim-${DEBIAN_RELEASE} AS runtime
# git is what reads Dockerfiles from repositories and commits state. Its version is not pinned: Debian keeps one
# version of a package at a time, so that a pin stops the build on the day of the next security update.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates git \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/image-factory /opt/image-factory
# Nothing is written outside /tmp and the mounted folder, so the root file system may be read-only.
ENV PATH=/opt/image-factory/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /workspace
ENTRYPOINT ["image-factory"]
CMD ["--help"]

ARG PYTHON_VERSION
ARG DEBIAN_RELEASE
ARG VERSION=unknown
ARG REVISION=unknown
# The digest that the build was told to use as its base; analysis learns from the label what was built on.
ARG BASE_DIGEST
LABEL org.opencontainers.image.title="Image Factory" \
      org.opencontainers.image.description="Keeps container images current with the images they are built on" \
      org.opencontainers.image.source="https://github.com/craigedmunds/image-factory" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="docker.io/library/python:${PYTHON_VERSION}-slim-${DEBIAN_RELEASE}" \
      org.opencontainers.image.base.digest="${BASE_DIGEST}"
