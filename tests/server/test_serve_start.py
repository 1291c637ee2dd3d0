"""What serving decides before anything runs, and what the command imports."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from resonate_trio.cli import main
from server_ref.config import ServerConfig
from server_ref.serving import StartError, bind, run, url_of


def test_url_names_the_port_that_was_found() -> None:
    """With port 0, any free port is taken, and the URL says which."""
    with bind("127.0.0.1", 0) as sock:
        port = sock.getsockname()[1]
        assert port > 0
        assert url_of(sock) == f"http://127.0.0.1:{port}"


def test_url_of_ipv6_has_brackets() -> None:
    """An address with colons is set apart from the port."""
    try:
        sock = bind("::1", 0)
    except StartError:
        pytest.skip("this machine has no IPv6")
    with sock:
        assert url_of(sock) == f"http://[::1]:{sock.getsockname()[1]}"


def test_taken_port_is_a_start_error() -> None:
    """Two servers cannot listen at one port."""
    with bind("127.0.0.1", 0) as sock, pytest.raises(StartError, match="in use"):
        bind("127.0.0.1", sock.getsockname()[1])


def test_missing_hypercorn_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is optional; who asks for it without having it is told its name."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(StartError, match=r"resonate-trio\[hypercorn\]"):
        run(ServerConfig(port=0, http_server="hypercorn"), pytest.fail)


def test_version_is_printed() -> None:
    """`--version` names the command and its version."""
    shown = CliRunner().invoke(main, ["--version"], prog_name="resonate-trio")
    assert shown.exit_code == 0
    assert shown.output.startswith("resonate-trio 0.")


@pytest.mark.parametrize("command", ["serve", "dev"])
def test_help_lists_every_option(command: str) -> None:
    """Each option of a command is in its help; only `serve` has a database."""
    shown = CliRunner().invoke(main, [command, "--help"])
    assert shown.exit_code == 0
    for option in ["--host", "--port", "--debug", "--server", "--url", "RESONATE_DEBUG"]:
        assert option in shown.output
    assert ("--db" in shown.output) == (command == "serve")


def test_port_out_of_range_is_refused() -> None:
    """A port that cannot be is an error of usage."""
    assert CliRunner().invoke(main, ["dev", "--port", "65536"]).exit_code == 2


def test_command_imports_no_server_before_it_runs() -> None:
    """`resonate-trio --help` is quick: what serves HTTP is imported by the command that needs it."""
    code = "import sys, server_ref.config, resonate_trio.cli; print({'uvicorn', 'starlette'} & set(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True)
    assert ended.stdout.strip() == "set()"
