"""Operations of the service itself: health, metrics, pages."""

from prometheus_client import CONTENT_TYPE_LATEST

from ingest.web.openapi.parts import Json, operation, reference, response

_JSON = "application/json"


def service_paths() -> Json:
    return {
        "/healthz": {"get": _open("healthz", "Liveness", {"200": response("Alive.", {_JSON: reference("Health")})})},
        "/readyz": {"get": _readyz()},
        "/metrics": {"get": _metrics()},
        "/": {"get": _page("uploadPage", "The upload page")},
        "/docs": {"get": _page("docsPage", "This document as a page")},
        "/openapi.json": {"get": _document()},
    }


def _open(name: str, summary: str, responses: Json) -> Json:
    return operation(name, summary, tag="Service", responses=responses, needs_key=False)


def _readyz() -> Json:
    readiness = {_JSON: reference("Readiness")}
    responses = {
        "200": response("Ready.", readiness),
        "503": response("Not ready; names the unavailable dependencies.", readiness),
    }
    return _open("readyz", "Readiness", responses)


def _metrics() -> Json:
    responses = {
        "200": response(
            "With `--workers`, the metrics of all processes of the command.", {CONTENT_TYPE_LATEST: {"type": "string"}}
        )
    }
    return operation("metrics", "Prometheus metrics", tag="Service", responses=responses)


def _page(name: str, summary: str) -> Json:
    policy = {"Content-Security-Policy": {}, "X-Content-Type-Options": {"const": "nosniff"}}
    return _open(name, summary, {"200": response("The page.", {"text/html": {"type": "string"}}, policy)})


def _document() -> Json:
    return _open("openapi", "This document", {"200": response("OpenAPI 3.1.", {_JSON: {"type": "object"}})})
