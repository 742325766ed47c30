"""The service itself: its health, its metrics, its pages."""

from prometheus_client import CONTENT_TYPE_LATEST

from ingest.web.openapi.parts import Json, answer, call, reference

_JSON = "application/json"


def service_paths() -> Json:
    return {
        "/healthz": {"get": _open("healthz", "Alive", {"200": answer("Alive.", {_JSON: reference("Health")})})},
        "/readyz": {"get": _readyz()},
        "/metrics": {"get": _metrics()},
        "/": {"get": _page("uploadPage", "A page to upload with")},
        "/docs": {"get": _page("docsPage", "This document as a page")},
        "/openapi.json": {"get": _document()},
    }


def _open(name: str, summary: str, answers: Json) -> Json:
    return call(name, summary, tag="Service", answers=answers, needs_key=False)


def _readyz() -> Json:
    readiness = {_JSON: reference("Readiness")}
    answers = {"200": answer("Ready.", readiness), "503": answer("Not ready; names what is missing.", readiness)}
    return _open("readyz", "Able to serve", answers)


def _metrics() -> Json:
    answers = {"200": answer("Of the process that answers.", {CONTENT_TYPE_LATEST: {"type": "string"}})}
    return call("metrics", "Prometheus metrics", tag="Service", answers=answers)


def _page(name: str, summary: str) -> Json:
    policy = {"Content-Security-Policy": {}, "X-Content-Type-Options": {"const": "nosniff"}}
    return _open(name, summary, {"200": answer("The page.", {"text/html": {"type": "string"}}, policy)})


def _document() -> Json:
    return _open("openapi", "This document", {"200": answer("OpenAPI 3.1.", {_JSON: {"type": "object"}})})
