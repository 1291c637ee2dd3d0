"""What the tests of tokens share: keys made once, short ways to sign, and a server that asks for tokens."""

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

import attrs
import httpx
import jwt
from attrs import frozen
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from resonate_trio.protocol import Envelope, Head, Request, encode_request
from server_ref.app import create_app
from server_ref.auth import TokenVerifier, VerifyingKey
from server_ref.engine import Engine

from .engine_kit import an_engine

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


@frozen
class Door:
    """A server that asks for tokens, without a network."""

    engine: Engine
    client: httpx.AsyncClient

    async def ask(
        self,
        request: Request,
        token: str | None = None,
        *,
        bearer: str | None = None,
        debug_time: int | None = None,
    ) -> httpx.Response:
        """Send a request with a token in its head, or as a bearer."""
        headers = {"authorization": f"Bearer {bearer}"} if bearer else {}
        envelope = Envelope(Head("c", auth=token, debug_time=debug_time), request)
        return await self.client.post("/", content=encode_request(envelope), headers=headers)

    async def ids(self, request: Request, token: str) -> list[str]:
        """Search page by page, and return all ids."""
        found: list[str] = []
        while True:
            data = (await self.ask(request, token)).json()["data"]
            (page,) = (data[name] for name in ("promises", "tasks", "schedules") if name in data)
            found += [record["id"] for record in page]
            if "cursor" not in data:
                return found
            assert data["cursor"] == found[-1]
            request = attrs.evolve(request, cursor=data["cursor"])


@asynccontextmanager
async def a_door(**options: Any) -> AsyncGenerator[Door]:
    """Open a server that trusts one key."""
    public: Any = a_key("ed25519").public_key()
    verifier = TokenVerifier([VerifyingKey(public, ("EdDSA",))])
    async with an_engine(**options) as engine:
        transport = httpx.ASGITransport(create_app(engine, rights_of=verifier.rights_of))
        async with httpx.AsyncClient(transport=transport, base_url="http://server") as client:
            yield Door(engine, client)


def inner(request: Any) -> Envelope[Any]:
    """Put a request into an envelope, to be part of another one."""
    return Envelope(Head("i"), request)
