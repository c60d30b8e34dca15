"""C2PA manifests: written into a finished mp4, and read from any file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import c2pa

from vast_core.errors import InputError, StorageError
from vast_core.files import replacing
from vast_core.registry import Origin

from .signing import CERTIFICATES, KEY, Credentials

__all__ = ["SOURCE_TYPE", "Manifest", "read", "sign"]

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""IPTC's word for what an avatar is: a trained model's pictures, drawn into the footage of a person."""
FACTS = "org.vast.origin"
"""Label of the assertion that has run, recipe and weights."""
OFFLINE = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
"""Nothing is fetched from the network, whatever a file asks for."""


@attrs.frozen(kw_only=True)
class Manifest:
    """What a verifier reads from a file."""

    state: str
    """``Trusted``, ``Valid`` or ``Invalid``, as C2PA defines them."""
    signer: str
    source_type: str | None
    """The digital source type of the action that made the file; None if no action states one."""
    facts: Mapping[str, Any]
    """Run, recipe and weights, if vast made the file."""
    problems: tuple[str, ...]
    """C2PA's codes."""


def sign(path: Path, origin: Origin, credentials: Credentials, *, watermark: bool) -> None:
    """Write a signed manifest into the mp4 at ``path``.

    Raises :class:`InputError` if the certificates are refused, and :class:`StorageError` if the disk is full.
    """
    software = dict(zip(("name", "version"), origin.software.split(" ", 1), strict=False))
    actions = [{"action": "c2pa.created", "digitalSourceType": SOURCE_TYPE, "softwareAgent": software}]
    if watermark:
        actions.append({"action": "c2pa.watermarked.unbound", "softwareAgent": software})
    names = ("avatar", "run", "recipe", "weights", "consent")
    facts = {name: getattr(origin, name) for name in names}
    written = {
        "claim_generator_info": [software],
        "title": f"{origin.avatar} (synthetic)",
        "format": "video/mp4",
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": actions}}, {"label": FACTS, "data": facts}],
    }
    info = c2pa.C2paSignerInfo(
        alg=credentials.algorithm.encode(),
        sign_cert=credentials.certificates,
        private_key=credentials.key,
        ta_url=None if credentials.timestamps is None else credentials.timestamps.encode(),
    )
    with replacing(path) as temporary, path.open("rb") as source, temporary.open("w+b") as target:
        try:
            with c2pa.Signer.from_info(info) as signer, c2pa.Builder(json.dumps(written), _context()) as builder:
                builder.sign(signer, "video/mp4", source, target)
        except (c2pa.C2paError.Io, OSError) as error:
            raise StorageError(f"{path}: cannot be signed ({error}); free space on that disk") from error
        except c2pa.C2paError as error:
            raise InputError(
                f"the C2PA manifest cannot be signed with {credentials.who} ({error}); correct {KEY} and {CERTIFICATES}"
            ) from error


def read(path: Path, roots: bytes | None = None) -> Manifest | None:
    """The manifest of a file; None if it has none. ``roots`` are certificates (PEM) to trust."""
    try:
        with path.open("rb") as file, c2pa.Reader(_kind(path), file, context=_context(roots)) as reader:
            store = json.loads(reader.json())
            active = reader.get_active_manifest() or {}
            state = str(reader.get_validation_state())
    except (c2pa.C2paError.ManifestNotFound, c2pa.C2paError.NotSupported):
        return None
    except c2pa.C2paError as error:
        return Manifest(state="Invalid", signer="", source_type=None, facts={}, problems=(str(error),))
    own = {assertion["label"]: assertion["data"] for assertion in active.get("assertions", ())}
    actions = [action for label, data in own.items() if label.startswith("c2pa.actions") for action in data["actions"]]
    signature = active.get("signature_info") or {}
    return Manifest(
        state=state,
        signer=signature.get("common_name") or signature.get("issuer") or "nobody",
        source_type=next((action["digitalSourceType"] for action in actions if "digitalSourceType" in action), None),
        facts=own.get(FACTS, {}),
        problems=tuple(problem["code"] for problem in store.get("validation_status", ())),
    )


def _context(roots: bytes | None = None) -> c2pa.Context:
    trust = {} if roots is None else {"trust": {"trust_anchors": roots.decode()}}
    return c2pa.Context(c2pa.Settings.from_dict({**OFFLINE, **trust}))


def _kind(path: Path) -> str:
    """The type of a file, by its first bytes."""
    with path.open("rb") as file:
        head = file.read(12)
    if head[4:8] == b"ftyp":
        return "video/mp4"
    if head.startswith(b"\x89PNG"):
        return "image/png"
    if head.startswith(b"\xff\xd8"):
        return "image/jpeg"
    if head.startswith(b"RIFF"):
        return "video/avi"
    return path.suffix.lstrip(".").lower() or "application/octet-stream"
