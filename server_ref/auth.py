"""Who may do what, by JSON Web Tokens: signed with private keys whose public halves are in a PEM file.

Which algorithms are accepted follows from the keys, never from the token: a token that names `none`, or an HMAC
computed with the text of a public key, is refused like any other that was not signed with one of the private keys.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, final

import jwt
from attrs import define, field, frozen
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from server_ref.clock import Clock, SystemClock
from server_ref.refusal import Refusal
from server_ref.rights import Rights

LEEWAY_S: Final = 5.0
"""By how much the clock of who issues tokens may differ from ours."""
MAX_TOKEN_LENGTH: Final = 16 * 1024
MIN_RSA_BITS: Final = 2048
MAX_KNOWN: Final = 1_000
"""How many tokens are kept: to verify one takes longer than to perform a request."""

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey

_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_EC: Final[Mapping[str, str]] = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_BLOCK: Final = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_WHY: Final[Mapping[type[Exception], str]] = {
    jwt.ExpiredSignatureError: "has expired",
    jwt.ImmatureSignatureError: "is not valid yet",
    jwt.InvalidIssuerError: "is of another issuer than this server trusts",
    jwt.InvalidAudienceError: "is for another audience than this server (see --auth-audience)",
}


@final
class KeyFileError(Exception):
    """A file of public keys cannot be used. The message says why, and what to do."""


@final
@frozen
class VerifyingKey:
    """A public key, and the algorithms that its private half signs with."""

    key: PublicKey
    algorithms: Sequence[str]


@final
@define
class TokenVerifier:
    """Tells the rights that a token gives.

    Attributes:
        keys: a token must be signed by the private half of one of them.
        issuer: whom its claim `iss` must name, None for anybody.
        audience: whom its claim `aud` must name. With None it must have no such claim, as RFC 7519 demands of a
            server that knows no name of its own.
        clock: says when a token that was verified before has expired.
    """

    keys: Sequence[VerifyingKey]
    issuer: str | None = None
    audience: str | None = None
    clock: Clock = field(factory=SystemClock)
    _decoder: jwt.PyJWT = field(factory=jwt.PyJWT, init=False, repr=False)
    _known: dict[str, Rights] = field(factory=dict, init=False, repr=False)

    def rights_of(self, token: str | None) -> Rights:
        """Return what the bearer of a token may do.

        Raises:
            Refusal: there is no token, or it is not valid (status 401).
        """
        if not token:
            raise _unauthorized("a token is needed, as head.auth or in the header Authorization: Bearer", "Bearer")
        rights = self._known.get(token)
        if rights is not None and self.clock.now_ms() < (rights.expires_at + LEEWAY_S) * 1000:
            return rights
        rights = self._verify(token)
        if len(self._known) >= MAX_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[token] = rights
        return rights

    def _verify(self, token: str) -> Rights:
        try:
            claims = self._claims(token)
        except Exception as error:  # whatever a token makes the library raise, it is none of ours
            why = _WHY.get(type(error), "is not valid")
            if isinstance(error, jwt.MissingRequiredClaimError):
                why = f"lacks the claim {error.claim}"
            raise _invalid(why) from None
        return _rights(claims)

    def _claims(self, token: str) -> Mapping[str, object]:
        if len(token) > MAX_TOKEN_LENGTH:
            raise jwt.InvalidTokenError
        algorithm = jwt.get_unverified_header(token)["alg"]
        required = ["exp"]
        required += ["iss"] if self.issuer is not None else []
        required += ["aud"] if self.audience is not None else []
        for candidate in self.keys:
            if algorithm not in candidate.algorithms:
                continue
            try:
                return self._decoder.decode(
                    token,
                    candidate.key,
                    algorithms=candidate.algorithms,
                    options={"require": required},
                    issuer=self.issuer,
                    audience=self.audience,
                    leeway=LEEWAY_S,
                )
            except jwt.InvalidSignatureError:
                continue
        raise jwt.InvalidSignatureError


def _rights(claims: Mapping[str, object]) -> Rights:
    """Read the claims that are ours: `role` and `prefix`."""
    expires_at = float(str(claims["exp"]))
    if claims.get("role") == "admin":
        return Rights(is_admin=True, expires_at=expires_at)
    prefix = claims.get("prefix", "")
    if not isinstance(prefix, str):
        raise _invalid("has a claim prefix that is no string")
    return Rights(prefix=prefix, expires_at=expires_at)


def _invalid(why: str) -> Refusal:
    return _unauthorized(f"the token {why}", 'Bearer error="invalid_token"')


def _unauthorized(message: str, challenge: str) -> Refusal:
    return Refusal(401, message, {"www-authenticate": challenge})


# --- Keys -----------------------------------------------------------------------------------------


def load_keys(path: Path) -> Sequence[VerifyingKey]:
    """Read the public keys from a PEM file: one, or several while one replaces another.

    Raises:
        KeyFileError: the file cannot be read, or holds no key, or one that cannot be used.
    """
    try:
        text = path.read_text("ascii")
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no PEM file"
        raise KeyFileError(f"the public keys in {path} cannot be read: {reason}") from error
    keys = [_load(block[0], block[1], path) for block in _BLOCK.finditer(text)]
    if not keys:
        raise KeyFileError(f"{path} holds no public key: expected -----BEGIN PUBLIC KEY-----")
    return keys


def _load(pem: str, label: str, path: Path) -> VerifyingKey:
    if not label.endswith("PUBLIC KEY"):
        kept = ": keep that one where the tokens are made" if label.endswith("PRIVATE KEY") else ""
        raise KeyFileError(f"{path} holds a {label}, expected public keys only{kept}")
    try:
        key = load_pem_public_key(pem.encode())
    except Exception as error:  # the library raises what it likes on bytes that are no key
        raise KeyFileError(f"{path} holds a public key that cannot be read: {error}") from error
    match key:
        case rsa.RSAPublicKey() if key.key_size >= MIN_RSA_BITS:
            return VerifyingKey(key, _RSA)
        case ec.EllipticCurvePublicKey() if key.curve.name in _EC:
            return VerifyingKey(key, (_EC[key.curve.name],))
        case ed25519.Ed25519PublicKey():
            return VerifyingKey(key, ("EdDSA",))
    raise KeyFileError(
        f"{path} holds a public key of a kind that is not accepted: "
        f"expected RSA of at least {MIN_RSA_BITS} bits, EC on P-256, P-384 or P-521, or Ed25519"
    )
