"""`resonate-trio dev` with tokens, TLS and limits: what the options do, and what stops it from starting."""

import ssl
from pathlib import Path

import httpx
import pytest
import trustme
from attrs import frozen
from click.testing import CliRunner

from resonate_trio.cli import main
from resonate_trio.protocol import Envelope, Head, PromiseCreate, encode_request
from server_ref.config import AuthConfig, ServerConfig, TlsConfig
from server_ref.serving import StartError, run

from .auth_kit import a_key, a_token, key_file
from .test_serve import HTTP_SERVERS, a_server, check_refusal

CREATE = PromiseCreate("a-1", 2**60, {})


@frozen
class Certificate:
    """A certificate for localhost, in files, and who is to be trusted for it."""

    cert: Path
    key: Path
    both: Path
    trust: ssl.SSLContext


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Make a certificate."""
    folder = tmp_path_factory.mktemp("certificate")
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    cert, key, both = folder / "cert.pem", folder / "key.pem", folder / "both.pem"
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    issued.private_key_and_cert_chain_pem.write_to_path(both)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    return Certificate(cert, key, both, trust)


def post(url: str, token: str | None = None, trust: ssl.SSLContext | None = None) -> httpx.Response:
    """Create a promise."""
    body = encode_request(Envelope(Head("c", auth=token), CREATE))
    return httpx.post(url, content=body, verify=trust or True)


@pytest.mark.slow
@pytest.mark.parametrize("http_server", HTTP_SERVERS)
def test_tokens_and_tls_together(tmp_path: Path, http_server: str, certificate: Certificate) -> None:
    """With a key and a certificate, only who has a token gets in, by HTTPS alone; nothing is logged of either."""
    keys = key_file(tmp_path, a_key("p256"))
    options = ["--auth-key", str(keys), "--auth-issuer", "us", "--auth-audience", "here"]
    options += ["--tls-cert", str(certificate.cert), "--tls-key", str(certificate.key)]
    with a_server("dev", "--server", http_server, *options, cwd=tmp_path) as server:
        url = f"https://127.0.0.1:{server.port}/"
        good = a_token("p256", iss="us", aud="here", prefix="a-")
        assert post(url, good, certificate.trust).status_code == 200
        assert post(url, a_token("p256", iss="us", aud="here", prefix="b-"), certificate.trust).status_code == 403
        assert post(url, a_token("p256", iss="them", aud="here"), certificate.trust).status_code == 401
        assert post(url, None, certificate.trust).status_code == 401
        assert httpx.get(url + "health", verify=certificate.trust).status_code == 200
        with pytest.raises(httpx.ConnectError, match=r"(?i)certificate"):
            post(url, good)
        for garbage in ("GET /health HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01", ""):
            with server.connect(garbage):
                pass
        assert post(url, good, certificate.trust).status_code == 200
        server.process.terminate()
        assert server.process.wait(20) == 0
        assert server.process.stderr is not None
        assert server.process.stderr.read() == ""


@pytest.mark.slow
def test_key_may_be_in_the_file_of_the_certificate(tmp_path: Path, certificate: Certificate) -> None:
    """One file is enough."""
    with a_server("dev", "--tls-cert", str(certificate.both), cwd=tmp_path) as server:
        assert post(f"https://localhost:{server.port}/", trust=certificate.trust).status_code == 200


@pytest.mark.slow
def test_limits_are_options(tmp_path: Path) -> None:
    """What is beyond them is refused."""
    options = ["--max-body", "2000", "--max-id-length", "10", "--max-tags", "1", "--max-polls", "1"]
    with a_server("dev", *options, cwd=tmp_path) as server:
        assert server.ask(PromiseCreate("x" * 10, 2**60, {"a": ""})).status_code == 200
        assert server.ask(PromiseCreate("x" * 11, 2**60, {})).status_code == 400
        assert server.ask(PromiseCreate("x", 2**60, {"a": "", "b": ""})).status_code == 400
        assert server.ask(PromiseCreate("x", 2**60, {"a": "x" * 2000})).status_code == 413
        with server.connect("GET /poll/g/a HTTP/1.1\r\nHost: x\r\n\r\n") as worker:
            assert b" 200 " in worker.recv(1000)
            assert httpx.get(f"http://127.0.0.1:{server.port}/poll/g/b").status_code == 503


# --- Refusing to start ----------------------------------------------------------------------------


@pytest.mark.slow
def test_unusable_key_is_one_clear_line(tmp_path: Path) -> None:
    """A server without its keys would let nobody in, or everybody."""
    assert "none.pem" in check_refusal("dev", "--port", "0", "--auth-key", "none.pem", cwd=tmp_path)


@pytest.mark.slow
def test_unusable_certificate_is_one_clear_line(tmp_path: Path) -> None:
    """It names the file."""
    assert "none.pem" in check_refusal("dev", "--port", "0", "--tls-cert", "none.pem", cwd=tmp_path)


def start_error(config: ServerConfig) -> str:
    """Check that a server does not start, and return why."""
    with pytest.raises(StartError) as caught:
        run(config, pytest.fail)
    return str(caught.value)


def test_certificate_with_the_key_of_another_is_refused(tmp_path: Path, certificate: Certificate) -> None:
    """The message says that they do not belong together."""
    other = tmp_path / "other.pem"
    trustme.CA().issue_cert("localhost").private_key_pem.write_to_path(other)
    assert "belong together" in start_error(ServerConfig(port=0, tls=TlsConfig(certificate.cert, other)))


def test_certificate_without_its_key_is_refused(certificate: Certificate) -> None:
    """Neither in its own file, nor in another."""
    assert "no PEM file" in start_error(ServerConfig(port=0, tls=TlsConfig(certificate.cert)))


def test_private_key_for_tokens_is_refused(tmp_path: Path, certificate: Certificate) -> None:
    """A file that holds a private key is not what the server is to have."""
    config = ServerConfig(port=0, auth=AuthConfig(certificate.key))
    assert "PRIVATE KEY" in start_error(config)


def test_missing_library_for_tokens_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is optional; who asks for it without having it is told its name."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    config = ServerConfig(port=0, auth=AuthConfig(key_file(tmp_path, a_key("p256"))))
    assert "resonate-trio[auth]" in start_error(config)


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        (["--auth-issuer", "us"], "--auth-key"),
        (["--auth-audience", "here"], "--auth-key"),
        (["--tls-key", "key.pem"], "--tls-cert"),
    ],
)
def test_option_without_what_it_needs_is_refused(options: list[str], missing: str) -> None:
    """A server that asks nobody for a token because of a forgotten option would be a trap."""
    ended = CliRunner().invoke(main, ["dev", *options])
    assert ended.exit_code == 2
    assert missing in ended.output


@pytest.mark.parametrize(
    "option",
    [
        *("--auth-key", "--auth-issuer", "--auth-audience", "--tls-cert", "--tls-key", "--max-body"),
        *("--receive-timeout", "--max-id-length", "--max-tags", "--max-polls", "--max-requests"),
        "--max-request-bytes",
    ],
)
def test_help_lists_the_option(option: str) -> None:
    """Each is in the help of both commands."""
    for command in ("serve", "dev"):
        assert option in CliRunner().invoke(main, [command, "--help"]).output


@pytest.mark.parametrize(
    "options",
    [["--max-id-length", "1025"], ["--max-tags", "0"], ["--receive-timeout", "0"], ["--max-polls", "x"]],
    ids=" ".join,
)
def test_limit_out_of_range_is_refused(options: list[str]) -> None:
    """Limits that no request could keep, or that the protocol does not allow, are errors of usage."""
    assert CliRunner().invoke(main, ["dev", *options]).exit_code == 2
