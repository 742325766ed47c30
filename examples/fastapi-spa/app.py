"""A photo album. Browsers upload straight to Darkroom; this back end keeps what receipts prove.

README.md has the commands, and says what each step shows.
"""

import json
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import uuid4

import httpx
from fastapi import Body, Cookie, Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

from darkroom import VerificationError, sign_ticket, sign_token, verify_receipt, verify_webhook

DARKROOM_URL = os.environ["DARKROOM_URL"]  # as browsers reach it; also here
UPLOAD_KEYS = os.environ["UPLOAD_KEYS"]  # these three are also the server's
SIGNING_KEYS = os.environ["SIGNING_KEYS"]
WEBHOOK_SECRET = os.environ["WEBHOOK_SECRET"]
darkroom = httpx.Client(base_url=DARKROOM_URL, headers={"Authorization": f"Bearer {os.environ['DARKROOM_KEY']}"})

FOLDER = Path(__file__).parent
JS_CLIENT = FOLDER.parents[1] / "clients/js/dist"  # outside a checkout: node_modules/darkroom-client/dist
KEPT = ("uploadId", "dimensions", "placeholder", "visibility", "animated")  # of an upload's JSON: to render it later
POLICY = (  # inline styles: the placeholder is one. If Darkroom has a CDN_URL, allow that in img-src, too
    f"default-src 'self'; connect-src 'self' {DARKROOM_URL}; img-src {DARKROOM_URL} data:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
)
TABLES = """
CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, name TEXT UNIQUE);  -- no name: a deleted account
CREATE TABLE IF NOT EXISTS sessions (token TEXT PRIMARY KEY, user_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS photos (
    upload_id TEXT PRIMARY KEY,  -- unique, because a receipt can be handed in twice
    user_id TEXT NOT NULL, title TEXT NOT NULL, upload TEXT, status TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS webhooks (id TEXT PRIMARY KEY);
"""


@contextmanager
def transaction() -> Iterator[sqlite3.Connection]:
    """Commits at the end, or rolls back after an exception."""
    with closing(sqlite3.connect("album.db", timeout=20)) as db, db:
        db.row_factory = sqlite3.Row
        yield db


with transaction() as setup:
    setup.executescript(TABLES)


def refuse_other_sites(request: Request) -> None:
    """Cookies are SameSite, so other sites cannot use them. This also stops pages of other subdomains and ports."""
    site = request.headers.get("sec-fetch-site", "same-origin")  # browsers send it; Darkroom's webhooks do not
    if request.method != "GET" and site != "same-origin":
        raise HTTPException(403)


def session_user(session: Annotated[str, Cookie()] = "") -> sqlite3.Row:
    with transaction() as db:
        found = db.execute("SELECT users.* FROM users JOIN sessions ON user_id = id WHERE token = ?", [session])
        user: sqlite3.Row | None = found.fetchone()
    if user is None:
        raise HTTPException(401)
    return user


User = Annotated[sqlite3.Row, Depends(session_user)]
Text = Annotated[str, Body(embed=True, min_length=1, max_length=100)]
app = FastAPI(dependencies=[Depends(refuse_other_sites)])


@app.get("/")
def page() -> FileResponse:
    return FileResponse(FOLDER / "static/index.html", headers={"Content-Security-Policy": POLICY})


@app.post("/api/session", status_code=204)
def log_in(name: Text, response: Response) -> None:
    """Stands for your own login: here, who names a user is that user."""
    token = secrets.token_urlsafe()
    with transaction() as db:
        db.execute("INSERT OR IGNORE INTO users VALUES (?, ?)", [str(uuid4()), name])
        db.execute("INSERT INTO sessions SELECT ?, id FROM users WHERE name = ?", [token, name])
    response.set_cookie("session", token, httponly=True, samesite="lax")  # in production also secure=True: only HTTPS


@app.get("/api/session")
def session(user: User) -> dict[str, str]:
    return {"name": user["name"], "darkroom": DARKROOM_URL}


@app.post("/api/tickets")
def make_ticket(user: User, private: Annotated[bool, Body(embed=True)]) -> dict[str, str]:
    """Lets the page upload one image. The owner and the visibility are ours to say: the page cannot change them."""
    visibility: Literal["private", "public"] = "private" if private else "public"
    return {"ticket": sign_ticket(UPLOAD_KEYS, owner=user["id"], visibility=visibility, max_bytes=10_000_000)}


@app.post("/api/photos", status_code=201)
def keep_photo(user: User, receipt: Annotated[str, Body()], title: Text) -> dict[str, Any]:
    """Believes the receipt, and nothing else of what the page says about the upload."""
    try:
        upload_id = verify_receipt(receipt, UPLOAD_KEYS, owner=user["id"]).upload_id
    except VerificationError as error:
        raise HTTPException(400, "The receipt is not valid.") from error
    with transaction() as db:
        db.execute("INSERT OR IGNORE INTO photos VALUES (?, ?, ?, NULL, 'preparing')", [upload_id, user["id"], title])
    # Only now ask Darkroom: a webhook that comes before the row finds nothing to update, but then this status says it.
    answer = darkroom.get(f"/images/{upload_id}")
    if answer.status_code == 404:  # deleted meanwhile
        with transaction() as db:
            db.execute("DELETE FROM photos WHERE upload_id = ?", [upload_id])
        raise HTTPException(404, "The photo was deleted.")
    upload = answer.raise_for_status().json()
    with transaction() as db:
        update(db, upload, {"complete": "ready", "failed": "failed"}.get(upload["status"]))
        return shown(db.execute("SELECT * FROM photos WHERE upload_id = ?", [upload_id]).fetchone())


@app.get("/api/photos")
def list_photos(user: User) -> list[dict[str, Any]]:
    with transaction() as db:
        query = "SELECT * FROM photos WHERE user_id = ? AND upload IS NOT NULL ORDER BY rowid DESC"
        return [shown(row) for row in db.execute(query, [user["id"]])]


@app.delete("/api/account", status_code=204)
def delete_account(user: User, response: Response) -> None:
    """All or nothing: if Darkroom does not answer, the account is as before, and the user can try again."""
    with transaction() as db:
        # The id stays, so that the webhook finds what a ticket that is still valid uploads after this.
        db.execute("UPDATE users SET name = NULL WHERE id = ?", [user["id"]])
        db.execute("DELETE FROM sessions WHERE user_id = ?", [user["id"]])
        db.execute("DELETE FROM photos WHERE user_id = ?", [user["id"]])
        darkroom.delete("/images", params={"owner": user["id"]}).raise_for_status()
    response.delete_cookie("session")


async def raw_body(request: Request) -> bytes:
    return await request.body()


@app.post("/hooks/darkroom", status_code=204)
def receive_webhook(request: Request, body: Annotated[bytes, Depends(raw_body)]) -> None:
    """Any error here makes Darkroom send the webhook again later."""
    try:
        event = verify_webhook(body, request.headers, WEBHOOK_SECRET)
    except VerificationError as error:
        raise HTTPException(400) from error
    upload = event["data"]
    with transaction() as db:
        # In the transaction of its effect: a webhook whose handling fails is not remembered as handled.
        if db.execute("INSERT OR IGNORE INTO webhooks VALUES (?)", [request.headers["webhook-id"]]).rowcount == 0:
            return  # sent twice
        if event["type"] == "image.deleted":
            db.execute("DELETE FROM photos WHERE upload_id = ?", [upload["uploadId"]])
        elif db.execute("SELECT 1 FROM users WHERE id = ? AND name IS NULL", [upload["owner"]]).fetchone():
            answer = darkroom.delete(f"/images/{upload['uploadId']}")  # uploaded while the account was being deleted
            if answer.status_code != 404:
                answer.raise_for_status()
        else:
            update(db, upload, event["type"].removeprefix("image."))


def update(db: sqlite3.Connection, upload: dict[str, Any], status: str | None) -> None:
    """Updates a photo that is there. It inserts none: webhooks may come late, also after `image.deleted`."""
    values = [json.dumps({name: upload[name] for name in KEPT}), status, upload["uploadId"]]
    db.execute("UPDATE photos SET upload = ?, status = coalesce(?, status) WHERE upload_id = ?", values)


def shown(photo: sqlite3.Row) -> dict[str, Any]:
    """What the page gets of a photo; for a private one, with a token that is valid for an hour."""
    upload = json.loads(photo["upload"])
    token = {"token": sign_token(photo["upload_id"], SIGNING_KEYS)} if upload["visibility"] == "private" else {}
    return {**upload, **token, "title": photo["title"], "status": photo["status"]}


app.mount("/static", StaticFiles(directory=FOLDER / "static"))
app.mount("/darkroom-client", StaticFiles(directory=JS_CLIENT))
