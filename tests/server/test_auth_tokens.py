"""Tokens: which are accepted, and what each of the others is refused for."""

import base64
import hashlib
import hmac
from pathlib import Path
from typing import Any

import jwt
import orjson
import pytest
from attrs import define

from server_ref.auth import LEEWAY_S, MAX_KNOWN, KeyFileError, TokenVerifier, load_keys
from server_ref.refusal import Refusal
from server_ref.rights import Rights

from .auth_kit import ALGORITHMS, a_key, a_token, claims, key_file, private_pem, public_pem


@define
class SettableClock:
    """A clock that stands where it is set."""

    ms: int

    def now_ms(self) -> int:
        """Return the instant."""
        return self.ms


def a_verifier(folder: Path, *kinds: str, **options: Any) -> TokenVerifier:
    """Return a verifier that knows a key of each kind."""
    keys = load_keys(key_file(folder, *(a_key(kind) for kind in kinds or ("ed25519",))))
    return TokenVerifier(keys, **options)


def reason(verifier: TokenVerifier, token: str | None) -> str:
    """Check that a token is refused with 401, and return why. The token itself is not in the message."""
    with pytest.raises(Refusal) as caught:
        verifier.rights_of(token)
    assert caught.value.status == 401
    assert caught.value.headers["www-authenticate"].startswith("Bearer")
    assert not token or token not in caught.value.message
    return caught.value.message


def signed_by_hand(header: dict[str, Any], payload: dict[str, Any], secret: bytes | None = None) -> str:
    """Return a token as an attacker makes it, who is held back by no library."""

    def encoded(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    message = encoded(orjson.dumps(header)) + b"." + encoded(orjson.dumps(payload))
    signature = b"" if secret is None else hmac.new(secret, message, hashlib.sha256).digest()
    return (message + b"." + encoded(signature)).decode()


# --- Accepted -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "algorithm"), [(kind, a) for kind, all_ in ALGORITHMS.items() for a in all_])
def test_token_of_each_kind_of_key_is_accepted(tmp_path: Path, kind: str, algorithm: str) -> None:
    """RSA, EC on three curves and Ed25519, with each algorithm that such a key signs with."""
    verifier = a_verifier(tmp_path, kind)
    assert verifier.rights_of(a_token(kind, algorithm=algorithm)).prefix == ""


def test_several_keys_are_accepted(tmp_path: Path) -> None:
    """While one key replaces another, tokens of both are valid."""
    verifier = TokenVerifier(load_keys(key_file(tmp_path, a_key("rsa"), a_key("ed25519"), a_key("ed25519", 1))))
    for token in (a_token("rsa"), a_token(), a_token(number=1)):
        assert isinstance(verifier.rights_of(token), Rights)
    assert "is not valid" in reason(verifier, a_token(number=2))


def test_role_and_prefix_are_read(tmp_path: Path) -> None:
    """An admin has no limits; a prefix limits everybody else; without either, all ids are allowed."""
    verifier = a_verifier(tmp_path)
    admin = verifier.rights_of(a_token(role="admin", prefix="a"))
    limited = verifier.rights_of(a_token(role="worker", prefix="a"))
    neither = verifier.rights_of(a_token())
    assert (admin.is_admin, admin.prefix) == (True, "")
    assert (limited.is_admin, limited.prefix) == (False, "a")
    assert (neither.is_admin, neither.prefix) == (False, "")


@pytest.mark.parametrize("role", [["admin"], True, "ADMIN", "admin ", {"admin": True}, ""])
def test_role_is_admin_by_that_word_alone(tmp_path: Path, role: object) -> None:
    """Nothing that resembles it makes an admin."""
    assert not a_verifier(tmp_path).rights_of(a_token(role=role)).is_admin


def test_clocks_may_differ_a_little(tmp_path: Path) -> None:
    """A token that expired a moment ago, or is valid from a moment ahead, is no attack."""
    verifier = a_verifier(tmp_path)
    verifier.rights_of(a_token(expires_in=-LEEWAY_S / 2))
    verifier.rights_of(a_token(nbf=claims(expires_in=LEEWAY_S / 2)["exp"]))


def test_issuer_and_audience_are_accepted(tmp_path: Path) -> None:
    """A token for several audiences is for each of them."""
    verifier = a_verifier(tmp_path, issuer="us", audience="here")
    verifier.rights_of(a_token(iss="us", aud="here"))
    verifier.rights_of(a_token(iss="us", aud=["there", "here"]))


# --- Refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, ""])
def test_no_token_is_refused(tmp_path: Path, token: str | None) -> None:
    """The message says where a token is looked for."""
    assert "head.auth" in reason(a_verifier(tmp_path), token)


@pytest.mark.parametrize(
    "token",
    ["x", "a.b", "a.b.c", "..", "a.b.c.d", "é", "\0", "Bearer x", "e30.e30.e30", "x" * 100_000, "." * 10_000],
)
def test_garbage_is_refused(tmp_path: Path, token: str) -> None:
    """Whatever is no token is refused, whatever the library makes of it."""
    assert "is not valid" in reason(a_verifier(tmp_path), token)


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", ""])
def test_unsigned_token_is_refused(tmp_path: Path, algorithm: str) -> None:
    """`alg: none` is no way in."""
    assert "is not valid" in reason(
        a_verifier(tmp_path), signed_by_hand({"alg": algorithm, "typ": "JWT"}, claims(role="admin"))
    )


@pytest.mark.parametrize("kind", ALGORITHMS)
def test_token_signed_with_the_public_key_is_refused(tmp_path: Path, kind: str) -> None:
    """The text of a public key is known to all, so it is no secret to sign with (HS256)."""
    verifier = a_verifier(tmp_path, kind)
    for pem in (
        public_pem(a_key(kind)),
        public_pem(a_key(kind)).strip(),
        key_file(tmp_path, a_key(kind)).read_text(),
    ):
        for algorithm in ("HS256", "hs256", ALGORITHMS[kind][0]):
            token = signed_by_hand({"alg": algorithm, "typ": "JWT"}, claims(role="admin"), pem.encode())
            assert "is not valid" in reason(verifier, token)


def test_algorithm_of_another_kind_of_key_is_refused(tmp_path: Path) -> None:
    """The algorithm follows from the key, so naming another one does not help."""
    header = {"alg": "ES256", "typ": "JWT"}
    assert "is not valid" in reason(a_verifier(tmp_path, "p384"), signed_by_hand(header, claims(), b"x"))


def test_token_that_brings_its_own_key_is_refused(tmp_path: Path) -> None:
    """A key within the header (`jwk`, `jku`, `x5c`, `kid`) is not looked at."""
    header = {
        "jwk": {"kty": "oct", "k": "eA"},
        "jku": "http://127.0.0.1:1/keys",
        "kid": "../../etc/passwd",
        "x5c": ["eA=="],
    }
    token = jwt.encode(claims(), a_key("ed25519", 1), "EdDSA", headers=header)
    assert "is not valid" in reason(a_verifier(tmp_path), token)


def test_token_of_another_key_is_refused(tmp_path: Path) -> None:
    """Of the same kind, but not ours."""
    assert "is not valid" in reason(a_verifier(tmp_path), a_token(number=1))


def test_token_that_was_changed_is_refused(tmp_path: Path) -> None:
    """What a token says, and its signature, belong together."""
    verifier = a_verifier(tmp_path)
    (head, _, signature), payload = a_token(prefix="a").split("."), a_token(role="admin").split(".")[1]
    assert "is not valid" in reason(verifier, f"{head}.{payload}.{signature}")
    assert "is not valid" in reason(verifier, f"{head}.{payload}.")


def test_expired_token_is_refused(tmp_path: Path) -> None:
    """The message says what is wrong with it."""
    assert "has expired" in reason(a_verifier(tmp_path), a_token(expires_in=-LEEWAY_S - 2))


def test_token_that_expires_meanwhile_is_refused(tmp_path: Path) -> None:
    """That a token was valid once does not make it valid for ever."""
    clock = SettableClock(0)
    verifier = a_verifier(tmp_path, clock=clock)
    token = a_token(expires_in=-LEEWAY_S + 1)
    expires_at = verifier.rights_of(token).expires_at
    clock.ms = round((expires_at + LEEWAY_S) * 1000) + 2000
    # The library goes by the wall clock, which has not come so far: so it was asked again.
    verifier._known[token] = Rights(is_admin=True, expires_at=expires_at)
    assert not verifier.rights_of(token).is_admin


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_token_that_is_not_valid_yet_is_refused(tmp_path: Path, claim: str) -> None:
    """Neither one for later, nor one that was issued in the future."""
    later = claims(expires_in=LEEWAY_S + 60)["exp"]
    assert "is not valid yet" in reason(a_verifier(tmp_path), a_token(**{claim: later}))


def test_token_that_never_expires_is_refused(tmp_path: Path) -> None:
    """A token that is lost must not be a way in for ever."""
    assert "lacks the claim exp" in reason(a_verifier(tmp_path), a_token(exp=None))


def test_wrong_issuer_is_refused(tmp_path: Path) -> None:
    """Another one, or none at all."""
    verifier = a_verifier(tmp_path, issuer="us")
    assert "issuer" in reason(verifier, a_token(iss="them"))
    assert "lacks the claim iss" in reason(verifier, a_token())


def test_wrong_audience_is_refused(tmp_path: Path) -> None:
    """Another one, none at all, or one where the server has no name of its own."""
    verifier = a_verifier(tmp_path, audience="here")
    assert "audience" in reason(verifier, a_token(aud="there"))
    assert "lacks the claim aud" in reason(verifier, a_token())
    assert "--auth-audience" in reason(a_verifier(tmp_path), a_token(aud="here"))


@pytest.mark.parametrize("exp", [[], "soon", {}, 1e400, True, -1])
def test_odd_expiry_is_refused(tmp_path: Path, exp: object) -> None:
    """A claim of a wrong type is no claim."""
    assert "the token" in reason(a_verifier(tmp_path), a_token(exp=exp))


@pytest.mark.parametrize("prefix", [1, ["a"], {}, False])
def test_odd_prefix_is_refused(tmp_path: Path, prefix: object) -> None:
    """A prefix that is no text limits nothing that could be said, so nothing is allowed."""
    assert "prefix" in reason(a_verifier(tmp_path), a_token(prefix=prefix))


def test_deep_header_is_refused(tmp_path: Path) -> None:
    """A header that no parser can take is no fault of the server."""
    deep = base64.urlsafe_b64encode(b"[" * 9000).rstrip(b"=").decode()
    assert "is not valid" in reason(a_verifier(tmp_path), f"{deep}.e30.e30")


def test_only_so_many_tokens_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who issues tokens by the thousand does not fill the memory of the server."""
    monkeypatch.setattr("server_ref.auth.MAX_KNOWN", 3)
    assert MAX_KNOWN > 3
    verifier = a_verifier(tmp_path)
    for number in range(5):
        verifier.rights_of(a_token(sub=str(number)))
    assert len(verifier._known) == 3


# --- Files of keys --------------------------------------------------------------------------------


def refused(path: Path) -> str:
    """Check that a file is refused in a message that names it."""
    with pytest.raises(KeyFileError) as caught:
        load_keys(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_missing_file_of_keys_is_refused(tmp_path: Path) -> None:
    """The message says so."""
    assert "No such file" in refused(tmp_path / "none.pem")


@pytest.mark.parametrize("text", ["", "hello", "-----BEGIN PUBLIC KEY-----", "é"])
def test_file_without_keys_is_refused(tmp_path: Path, text: str) -> None:
    """The message says what is expected."""
    path = tmp_path / "keys.pem"
    path.write_text(text)
    assert "PEM" in refused(path) or "BEGIN PUBLIC KEY" in refused(path)


def test_broken_key_is_refused(tmp_path: Path) -> None:
    """A block that is no key is not passed over."""
    path = key_file(tmp_path, a_key("ed25519"))
    path.write_text(path.read_text() + "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    assert "cannot be read" in refused(path)


def test_private_key_is_refused(tmp_path: Path) -> None:
    """A server that has the private key is a leak of it."""
    path = tmp_path / "keys.pem"
    path.write_text(private_pem(a_key("p256")))
    assert "keep that one where the tokens are made" in refused(path)


WEAK_RSA = """\
-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCtxtPuPJIwoqHE2S2NKe38daIg
58bRxNu7QcUV3xXA/bSeQQnrM/WeTktD8e9vTc2bTuCT2mZjyQAekUrD+qxTCV64
MpG33wjiz3UQiJKzx/JJy6sFV9Am7co9QPcXLCqarQlay3sIzhRbTF9tQfd1fPPi
HZRkYVlNw6UAb2kv3QIDAQAB
-----END PUBLIC KEY-----
"""


def test_weak_key_is_refused(tmp_path: Path) -> None:
    """RSA keys of 1,024 bits can be broken."""
    path = tmp_path / "keys.pem"
    path.write_text(WEAK_RSA)
    assert "2048 bits" in refused(path)
