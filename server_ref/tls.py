"""Encryption: a certificate and its key, for whatever speaks HTTP."""

import ssl
from pathlib import Path
from typing import final


@final
class TlsError(Exception):
    """The certificate cannot be used. The message says why."""


def load_tls(cert: Path, key: Path | None) -> ssl.SSLContext:
    """Read a chain of certificates, and its key, which may be in the same file.

    Raises:
        TlsError: they cannot be read, or do not belong together.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(cert, key, password="")  # without one, OpenSSL would ask at the terminal
    except OSError as error:
        what = f"the certificate {cert} with the key {key or cert}"
        raise TlsError(f"cannot use {what}: {_reason(error)}") from error
    return context


def _reason(error: OSError) -> str:
    if not isinstance(error, ssl.SSLError):
        return error.strerror or str(error)
    if error.reason == "KEY_VALUES_MISMATCH":
        return "they do not belong together"
    return f"one of them is no PEM file, or is encrypted ({error.reason or 'no reason given'})"
