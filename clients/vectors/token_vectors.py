"""Tokens of private URLs, by openssl."""

from signing import BOTH, IDS, NEW, NOW, OLD, OTHER, UNICODE, Document, openssl, other_last_bits


def token_vectors() -> Document:
    (one, two), later = IDS, NOW + 3600
    good = token(NEW, one, later)
    head, signature = good.rsplit(".", 1)
    padded = f"{good}{'=' * (-len(signature) % 4)}"
    valid = [
        {"name": name, "keys": keys, "uploadId": upload_id, "expires": expires, "token": token(key, upload_id, expires)}
        for name, keys, key, upload_id, expires in (
            ("one key", NEW, NEW, one, later),
            ("the first key signs", BOTH, NEW, one, later),
            ("another upload", NEW, NEW, two, later),
            ("one second left", NEW, NEW, one, NOW + 1),
            ("a key with letters outside of ASCII", UNICODE, UNICODE, one, later),
        )
    ]
    rotated = [
        {"name": "the second key still verifies", "keys": BOTH, "uploadId": one, "token": token(OLD, one, later)}
    ]
    invalid = [
        {"name": name, "keys": BOTH, "uploadId": one, "token": each}
        for name, each in (
            ("empty", ""),
            ("expired this second", token(NEW, one, NOW)),
            ("expired long ago", token(NEW, one, 1)),
            ("of another upload", token(NEW, two, later)),
            ("of another key", token(OTHER, one, later)),
            ("of both keys as one", token(BOTH, one, later)),
            ("a later time than was signed", f"v1.{later + 1}.{signature}"),
            ("another version", f"v2{good[2:]}"),
            ("no version", good.removeprefix("v1.")),
            ("no signature", f"{head}."),
            ("a part of the signature", good[:-1]),
            ("a padded signature", padded),
            ("a newline at the end", f"{good}\n"),
            ("a space at the start", f" {good}"),
            ("a time with a leading zero", token(NEW, one, f"0{later}")),
            ("a time with a sign", token(NEW, one, f"+{later}")),
            ("a negative time", token(NEW, one, -later)),
            ("a time with a point", token(NEW, one, f"{later}.0")),
            ("a time in other digits", token(NEW, one, str(later).translate({48 + n: 0x660 + n for n in range(10)}))),
            ("a time with 400 digits", token(NEW, one, "9" * 400)),
            ("a signature with other last bits", f"{head}.{other_last_bits(signature)}"),
            ("another part", f"{good}.x"),
        )
    ]
    return {"madeWith": "openssl dgst -sha256 -mac HMAC", "sign": valid, "verify": rotated, "refuse": invalid}


def token(key: str, upload_id: str, expires: int | str) -> str:
    return f"v1.{expires}.{openssl(key, f'v1:{upload_id}:{expires}')}"
