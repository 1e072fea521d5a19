"""Signatures over what is submitted: Ed25519, detached, over the manifests' digests of a set of documents.

A signature shows that the holder of a key vouched for exactly these documents. It does not show that the figures
are true, nor who the holder is: a name stands beside a key only where the reader's own list of signers says so.

Needs the package ``cryptography`` (the extra ``sign``); without it signatures are read, shown as unchecked, and
nothing can be signed.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from suite.canonical import canonical_json, digest, pretty_json
from suite.documents import Signature
from suite.errors import UserError

FOLDER = "signatures"
SCHEMA = "lightboard/signature/1"
SIGNERS_VARIABLE = "LIGHTBOARD_SIGNERS"
_LINE = re.compile(r"(?P<name>\S.*?)\s+(?P<key>ed25519:[0-9a-f]{64})")


def available() -> bool:
    """Whether signatures can be made and checked here."""
    return find_spec("cryptography") is not None


def _ed25519() -> Any:
    if not available():
        raise UserError("signing needs the package cryptography: pip install 'lightboard[sign]'")
    from cryptography.hazmat.primitives.asymmetric import ed25519

    return ed25519


def message(subjects: Mapping[str, str]) -> bytes:
    """The bytes that are signed; the schema in them keeps a signature from meaning anything elsewhere."""
    return canonical_json({"schema": SCHEMA, "subjects": dict(subjects)})


def fingerprint(key: str) -> str:
    """The first 32 hex digits of the SHA-256 of a public key (``ed25519:<64 hex digits>``)."""
    return hashlib.sha256(bytes.fromhex(key.removeprefix("ed25519:"))).hexdigest()[:32]


def generate(path: Path) -> str:
    """Write a new private key (PKCS 8, PEM, readable by its owner only); gives the public one."""
    ed25519 = _ed25519()
    from cryptography.hazmat.primitives import serialization

    private = ed25519.Ed25519PrivateKey.generate()
    content = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UserError(f"{path} exists; a key is never overwritten: name another file") from None
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
    return _public(private)


def _public(private: Any) -> str:
    raw: bytes = private.public_key().public_bytes_raw()
    return f"ed25519:{raw.hex()}"


def sign(subjects: Mapping[str, str], keyfile: Path) -> Signature:
    """A signature over these documents (place -> subject) with the private key of a file."""
    ed25519 = _ed25519()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        private = serialization.load_pem_private_key(keyfile.read_bytes(), password=None)
    except OSError as error:
        raise UserError(f"{keyfile}: {error.strerror}; make a key with lightboard keygen") from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise UserError(
            f"{keyfile}: no unencrypted private key in PEM; make one with lightboard keygen"
        ) from None
    if not isinstance(private, ed25519.Ed25519PrivateKey):
        raise UserError(f"{keyfile}: not an Ed25519 key; make one with lightboard keygen")
    ordered = dict(sorted(subjects.items()))
    made = private.sign(message(ordered)).hex()
    return Signature(subjects=ordered, key=_public(private), signature=made)


def holds(signature: Signature) -> bool:
    """Whether the signature was made with its key over its subjects."""
    ed25519 = _ed25519()
    from cryptography.exceptions import InvalidSignature

    try:
        key = ed25519.Ed25519PublicKey.from_public_bytes(
            bytes.fromhex(signature.key.removeprefix("ed25519:"))
        )
        key.verify(bytes.fromhex(signature.signature), message(signature.subjects))
    except (InvalidSignature, ValueError):
        return False
    return True


def file_name(signature: Signature) -> str:
    """The name of a signature's file: the key's fingerprint, then what was signed."""
    what = digest(dict(signature.subjects)).removeprefix("sha256:")
    return f"{fingerprint(signature.key)[:16]}-{what[:16]}.json"


def content(signature: Signature) -> bytes:
    return pretty_json(signature.model_dump(mode="json", by_alias=True)).encode("utf-8")


# --- whose keys ---------------------------------------------------------------------------------------------


def signers(path: Path | None = None) -> dict[str, str]:
    """Public key -> name, from a list of one's own: lines ``NAME ed25519:<64 hex digits>``, ``#`` for comments.

    ``path`` None: the file that LIGHTBOARD_SIGNERS names, or nobody.
    """
    given = path or (Path(named) if (named := os.environ.get(SIGNERS_VARIABLE)) else None)
    if given is None:
        return {}
    try:
        lines = given.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{given}: cannot be read ({type(error).__name__}); it lists signers") from None
    found: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        match = _LINE.fullmatch(text)
        if match is None:
            raise UserError(f"{given}, line {number}: expected NAME ed25519:<64 hex digits>")
        found[match["key"]] = match["name"]
    return found


def who(key: str, known: Mapping[str, str]) -> str:
    """A key in words: its name where the reader's list has one, and its fingerprint."""
    named = known.get(key)
    told = f"key {fingerprint(key)}"
    return f"{named} ({told})" if named else f"the unnamed {told}"
