# /// script
# requires-python = ">=3.11"
# dependencies = ["pyjwt==2.15.1", "standardwebhooks==1.1.0"]
# ///
"""Writes the shared test vectors, by tools that are not Darkroom's: PyJWT, openssl and standardwebhooks.

`uv run clients/vectors/generate.py`, or run it in an environment with the packages above. The files are committed; the
script writes the same files each time.
"""

import json
from pathlib import Path

from receipt_vectors import receipt_vectors
from signing import NOW, Document
from ticket_vectors import ticket_vectors
from token_vectors import token_vectors
from webhook_vectors import webhook_vectors


def write(name: str, document: Document) -> None:
    text = json.dumps({"now": NOW, **document}, indent=2, ensure_ascii=False)
    (Path(__file__).parent / name).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write("tokens.json", token_vectors())
    write("tickets.json", ticket_vectors())
    write("receipts.json", receipt_vectors())
    write("webhooks.json", webhook_vectors())
