"""Who signs: the user's key, or a local test key that is made once for each user."""

from __future__ import annotations

import datetime
import os
import tempfile
from pathlib import Path

import attrs
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from vast_core.errors import InputError, StorageError
from vast_core.files import replacing
from vast_core.places import data_folder, expanded

__all__ = ["CERTIFICATES", "KEY", "TIMESTAMPS", "Credentials", "credentials", "local_root"]

KEY, CERTIFICATES, TIMESTAMPS = "VAST_SIGNING_KEY", "VAST_SIGNING_CERTIFICATES", "VAST_SIGNING_TIMESTAMPS"
"""Environment variables: file of the private key (PEM, PKCS 8, not encrypted), file of its certificates (PEM, the
signer's first), and the address of a time stamp authority (RFC 3161), which is optional."""
YEARS = 10
_ORGANISATION = "vast, local test key"
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


@attrs.frozen(kw_only=True)
class Credentials:
    """A key with its certificates."""

    key: bytes = attrs.field(repr=False)
    """PEM."""
    certificates: bytes
    """PEM, the signer's first."""
    algorithm: str
    """C2PA's name: ``es256``, ``ps256``, ``ed25519`` and others."""
    timestamps: str | None
    who: str
    """In words."""


def credentials() -> Credentials:
    """The user's credentials, as the environment names them, or local ones.

    Raises :class:`InputError` if a file that is named cannot be used, and :class:`StorageError` if local credentials
    cannot be stored.
    """
    names = [os.environ.get(name, "").strip() for name in (KEY, CERTIFICATES)]
    stamps = os.environ.get(TIMESTAMPS, "").strip() or None
    if not any(names):
        folder = _folder()
        who = f"a local test key, which proves nothing about who made them ({folder}); {KEY} names your own"
        return _read(folder / "key.pem", folder / "certificates.pem", stamps, who)
    if not all(names):
        raise InputError(f"set both {KEY} and {CERTIFICATES}, or neither")
    key, certificates = (expanded(name) for name in names)
    found = _read(key, certificates, stamps, "")
    subject = x509.load_pem_x509_certificate(found.certificates).subject.rfc4514_string()
    return attrs.evolve(found, who=f"the key of {subject}")


def local_root() -> bytes:
    """The root certificate (PEM) of the local test key, which a verifier on this machine may trust."""
    return (_folder() / "root.pem").read_bytes()


def _read(key: Path, certificates: Path, timestamps: str | None, who: str) -> Credentials:
    try:
        private, chain = key.read_bytes(), certificates.read_bytes()
    except OSError as error:
        raise InputError(
            f"{error.filename}: cannot be read ({error.strerror}); see {KEY} and {CERTIFICATES}"
        ) from error
    try:
        algorithm = _algorithm(serialization.load_pem_private_key(private, None))
        x509.load_pem_x509_certificates(chain)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InputError(f"{key}, {certificates}: are no PEM files of a key and its certificates ({error})") from error
    return Credentials(key=private, certificates=chain, algorithm=algorithm, timestamps=timestamps, who=who)


def _algorithm(key: object) -> str:
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey):
        return "ps256"
    raise TypeError(f"{type(key).__name__} is no key that C2PA knows")


def _folder() -> Path:
    """The folder of the local credentials, which are made if there are none."""
    folder = data_folder() / "signing"
    if not _complete(folder):
        _make(folder)
    return folder


def _make(folder: Path) -> None:
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name, name = _name("root"), _name("signer")
    root = (
        _certificate(root_name, root_name, root_key, root_key)
        .add_extension(x509.BasicConstraints(True, 0), True)
        .add_extension(_usage(signs_certificates=True), True)
        .sign(root_key, hashes.SHA256())
    )
    own = (
        _certificate(name, root_name, key, root_key)
        .add_extension(x509.BasicConstraints(False, None), True)
        .add_extension(_usage(signs_certificates=False), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
        .sign(root_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    root_pem = root.public_bytes(pem)
    contents = {"root.pem": root_pem, "key.pem": private, "certificates.pem": own.public_bytes(pem) + root_pem}
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # The folder appears with all its files at once, so that of two processes the first one decides.
        with tempfile.TemporaryDirectory(prefix=".signing-", dir=folder.parent) as place:
            made = Path(place, folder.name)
            made.mkdir(mode=0o700)
            for file, content in contents.items():
                with replacing(made / file) as temporary:
                    temporary.write_bytes(content)
                (made / file).chmod(0o600)
            made.rename(folder)
    except OSError as error:
        if not _complete(folder):  # else another process was first
            raise StorageError(
                f"{folder}: cannot be created ({error.strerror}); remove it if it is there, or name a key of your own "
                f"with {KEY}"
            ) from error


def _complete(folder: Path) -> bool:
    return (folder / "certificates.pem").is_file()


def _name(role: str) -> x509.Name:
    parts = {NameOID.ORGANIZATION_NAME: _ORGANISATION, NameOID.COMMON_NAME: f"{_ORGANISATION}: {role}"}
    return x509.Name([x509.NameAttribute(kind, text) for kind, text in parts.items()])


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, root: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=365 * YEARS))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root.public_key()), False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
