"""What the tests of tokens share: keys that are made once, and short ways to sign."""

import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

ALGORITHMS: Final[Mapping[str, tuple[str, ...]]] = {
    "rsa": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "p256": ("ES256",),
    "p384": ("ES384",),
    "p521": ("ES512",),
    "ed25519": ("EdDSA",),
}
"""The kinds of keys, and the algorithms that each signs with."""


def a_key(kind: str, number: int = 0) -> PrivateKey:
    """Return a private key. The same kind and number give the same one."""
    return _made(kind, number)


@cache
def _made(kind: str, _number: int) -> PrivateKey:
    curves = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}
    if kind in curves:
        return ec.generate_private_key(curves[kind])
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, 2048)


def public_pem(key: PrivateKey) -> str:
    """Return the public half as it is handed to a server."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def private_pem(key: PrivateKey) -> str:
    """Return the private half, which no server should be handed."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def key_file(folder: Path, *keys: PrivateKey) -> Path:
    """Write a file of public keys."""
    path = folder / "keys.pem"
    path.write_text("".join(map(public_pem, keys)))
    return path


def claims(*, expires_in: float = 300, **others: Any) -> dict[str, Any]:
    """Return claims that are valid for some minutes. With None, a claim is left out."""
    valid = {"exp": time.time() + expires_in, **others}  # ruff: ignore[banned-api]
    return {name: value for name, value in valid.items() if value is not None}


def a_token(kind: str = "ed25519", *, number: int = 0, algorithm: str | None = None, **others: Any) -> str:
    """Sign a token."""
    return jwt.encode(claims(**others), a_key(kind, number), algorithm or ALGORITHMS[kind][0])
