"""Claims of tickets that clients sign, and that they refuse."""

import json
from typing import Any

Claims = dict[str, Any]


def cases(now: int) -> list[list[dict[str, Any]]]:
    """Claims that a client signs, at their limits, and those that it refuses, because the server would."""
    right: list[Claims] = [
        *({name: "x" * 128} for name in ("owner", "externalId")),
        {"owner": "鍵" * 128},
        {"externalId": "\U0001f4f7" * 128},
        {"owner": " a b "},
        {"metadata": {}},
        {"metadata": {"text": "x" * 4085}},
        {"metadata": {"text": "é" * 2042}},
        {"metadata": nested(16)},
        {"metadata": {"text": "\n\\u0000", "none": None, "yes": True, "number": -1.5}},
        *({"visibility": visibility} for visibility in ("public", "private")),
        *({"focus": focus} for focus in ("0,1", "1,0.25", "0.0,1.0", f"0.{'3' * 20},1.{'0' * 20}")),
        {"maxBytes": 1},
        {"exp": now + 1},
        {"exp": now + 86_400},
        {"jti": "!" + "x" * 253 + "~"},
    ]
    wrong: list[Claims] = [
        *({name: value} for name in ("owner", "externalId") for value in ("", "x" * 129, "a\nb", "a\0", 42, ["a"])),
        *({"owner": owner} for owner in ("a\tb", "a\u2028b", "a\u00a0b", "a\u200bb")),
        {"metadata": {"text": "x" * 4086}},
        {"metadata": {"text": "x" * 4084 + "é"}},
        {"metadata": nested(17)},
        {"metadata": {"text": "a\0"}},
        {"metadata": {"a\0": 1}},
        *({"metadata": value} for value in ([], [{"a": 1}], "{}", 1, True)),
        *({"visibility": value} for value in ("", "secret", "Private", 1)),
        *({"focus": value} for value in ("", "2,0", "0.5", "0.5,", "0.5,0.5\n", "0.5,1.5", "-0,1")),
        *({"focus": value} for value in (".5,.5", "0.5, 0.5", f"0.{'3' * 21},0", 0.5, [0.5, 0.5], ["0.5,0.5"])),
        *({"maxBytes": value} for value in (0, -1, 1.5, "5", True)),
        *({"exp": exp} for exp in (now, now - 1, now + 86_401)),
        *({"jti": value} for value in ("", "a b", "é", "x" * 256, 1)),
    ]
    return [[{"name": name_of(claims), "claims": claims} for claims in kind] for kind in (right, wrong)]


def nested(depth: int) -> Claims:
    """An object that nests `depth` objects and arrays, itself included."""
    value: Any = []
    for _ in range(depth - 2):
        value = [value]
    return {"a": value}


def name_of(claims: Claims) -> str:
    text = json.dumps(claims)
    return text if len(text) <= 60 else f"{text[:60]}… ({len(text)} characters)"
