# One image for every role: `docker run --init IMAGE serve --role proxy --host 0.0.0.0`, `worker`, `migrate`, ...
# tests/integration/test_image.py runs the commands of the first stage in a folder; `make image-test` builds and runs it all.
#
# `make pin-images` adds the base's digest below; --build-arg BASE=python:3.11-slim@sha256:... names another. docs/releasing.md
# says how a build is repeated to the same bytes.
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
ARG SOURCE_DATE_EPOCH
WORKDIR /app
# No version: Debian keeps one at a time, and binutils stays in this stage.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends binutils && rm -rf /var/lib/apt/lists/*
COPY requirements.txt requirements-build.txt ./
RUN python -m venv --without-pip .venv && python -m pip --python .venv install --no-cache-dir --no-compile --no-deps --require-hashes -r requirements-build.txt
RUN python -m pip --python .venv install --no-cache-dir --no-compile --no-deps --require-hashes --no-build-isolation -r requirements.txt
# From here on what changes more often than the packages above, whose layers a builder keeps.
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY clients/python clients/python
COPY proxy proxy
COPY ingest ingest
RUN python -m pip --python .venv install --no-cache-dir --no-compile --no-deps --no-build-isolation ./clients/python .
# Before the uninstallation, as it reads the lock file with a package of the build.
COPY tools tools
RUN .venv/bin/python -B -m tools.sbom > sbom.json
RUN python -m pip --python .venv uninstall --yes --requirement requirements-build.txt && python -m pip --python .venv check
# What no role uses: descriptions of other AWS services, other viewers of the API's description, a stray folder of
# bullmq, tests, sources of extensions, debug symbols (of libraries that auditwheel has not changed: strip breaks those).
RUN find .venv/lib/python3.*/site-packages/botocore/data -mindepth 1 -maxdepth 1 -type d ! -name cloudfront ! -name s3 ! -name signin ! -name sso ! -name sso-oidc ! -name sts -exec rm -r {} + \
    && rm -r .venv/lib/python3.*/site-packages/node_modules .venv/lib/python3.*/site-packages/offapi/redoc.js .venv/lib/python3.*/site-packages/offapi/scalar.js \
    && find .venv -type d '(' -name tests -o -path '*/numpy/f2py' -o -path '*/numpy/distutils' ')' -prune -exec rm -r {} + \
    && find .venv -type f -regex '.*\.\(pyi\|pyx\|pxd\|pxi\|h\|hpp\|cpp\|a\)' -delete \
    && find .venv/lib/python3.*/site-packages/asyncpg .venv/lib/python3.*/site-packages/sqlalchemy .venv/lib/python3.*/site-packages/uvloop -name '*.so' -exec strip --strip-unneeded {} +
# Bytecode: a read-only root has no place for it at run time. Files in an image do not change, so it is not checked.
RUN python -m compileall -q -f --invalidation-mode unchecked-hash .venv/lib

FROM ${BASE}
ARG SOURCE_DATE_EPOCH
LABEL org.opencontainers.image.title="Darkroom" org.opencontainers.image.description="An on-demand image origin" org.opencontainers.image.licenses="Apache-2.0"
# Group 0, to which the uids that OpenShift assigns belong too. Bytecode of the standard library, which the base lacks.
RUN useradd --uid 10001 --gid 0 --no-create-home --no-log-init darkroom \
    && install -d -o 10001 -g 0 -m 0770 /data \
    && python -m compileall -q -f --invalidation-mode unchecked-hash -x '/(ensurepip|idlelib|lib2to3|site-packages|test)/' /usr/local/lib/python3.*
COPY --from=build /app/.venv /app/.venv
COPY --from=build /app/sbom.json /app/sbom.json
ENV DATA_DIR=/data LOG_FORMAT=json PORT=8000 PATH=/app/.venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1
WORKDIR /data
USER 10001
VOLUME /data
EXPOSE 8000
# For servers; disable it for `worker` and `migrate`, which serve nothing. Without Python, which would take 0.1 s to start.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/$PORT && printf 'GET /healthz HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && read -r -t 2 _ status _ <&3 && [[ $status = 200 ]]"]
ENTRYPOINT ["darkroom"]
CMD ["serve", "--host", "0.0.0.0"]
