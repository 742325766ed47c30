# One image for every role: `docker run IMAGE serve --role proxy --host 0.0.0.0`, `worker`, `migrate`, ...
# tests/integration/test_image.py runs the commands of the first stage in a folder.
FROM python:3.11-slim AS build
WORKDIR /app
COPY requirements.txt requirements-build.txt pyproject.toml README.md LICENSE NOTICE ./
RUN python -m venv .venv && .venv/bin/pip install --no-cache-dir --no-deps --require-hashes -r requirements-build.txt
RUN .venv/bin/pip install --no-cache-dir --no-deps --require-hashes --no-build-isolation -r requirements.txt
COPY clients/python clients/python
COPY proxy proxy
COPY ingest ingest
RUN .venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation ./clients/python .
RUN .venv/bin/pip uninstall --yes --requirement requirements-build.txt && .venv/bin/pip check

FROM python:3.11-slim
RUN useradd --system --uid 10001 darkroom && install -d -o darkroom /data
COPY --from=build /app/.venv /app/.venv
ENV DATA_DIR=/data LOG_FORMAT=json PATH=/app/.venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1
WORKDIR /data
USER 10001
VOLUME /data
EXPOSE 8000
# For servers; disable it for `worker` and `migrate`, which serve nothing.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=2)"]
ENTRYPOINT ["darkroom"]
CMD ["serve", "--host", "0.0.0.0"]
