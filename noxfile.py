"""The checks that CI runs: `nox`, or one of them: `nox -s lint`."""

import shutil
import tempfile
from pathlib import Path

import nox

nox.options.sessions = ["lint", "types", "docs", "tests"]
nox.options.reuse_existing_virtualenvs = True

PACKAGES = ("resonate_trio", "server_ref")

# What flake8-async knows and ruff does not: yields in nurseries, cancellation that is swallowed, polling that
# should be an event, tasks that outlive what they use, and the like.
ASYNC_RULES = [f"ASYNC{number}" for number in (101, 103, 104, 105, 111, 112, 113, 118, 121, 122, 125)]
# Where a cancellation is kept until what it cancels has ended, and raised then.
KEEPS_CANCELLED = {
    f"resonate_trio/{name}.py" for name in ("_context/_cancel_scope", "_context/_frame", "_execution/_calling")
}


def _install(session: nox.Session) -> None:
    if session.virtualenv.is_sandboxed:
        session.install("--quiet", "--editable", ".[dev]")


@nox.session
def lint(session: nox.Session) -> None:
    """Style, spelling, and the project's own metadata."""
    _install(session)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    files = {str(path) for package in PACKAGES for path in Path(package).rglob("*.py")}
    rules = [rule for rule in ASYNC_RULES if rule not in {"ASYNC103", "ASYNC104"}]
    session.run("flake8-async", "--enable", ",".join(ASYNC_RULES), *sorted(files - KEEPS_CANCELLED), log=False)
    session.run("flake8-async", "--enable", ",".join(rules), *sorted(KEEPS_CANCELLED), log=False)
    session.run(
        "codespell", *PACKAGES, "tests", "benchmarks", "docs", *(str(page) for page in Path().glob("*.md"))
    )
    session.run("validate-pyproject", "pyproject.toml")


@nox.session
def types(session: nox.Session) -> None:
    """Strict types."""
    _install(session)
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation, where a warning is an error."""
    _install(session)
    session.run("sphinx-build", "-n", "-W", "-q", "-b", "html", "docs", "docs/_build/html")


@nox.session
def tests(session: nox.Session) -> None:
    """The tests, with coverage."""
    _install(session)
    session.run("coverage", "run", "-m", "pytest", *session.posargs)
    session.run("coverage", "combine")
    session.run("coverage", "report")


@nox.session
def wheel(session: nox.Session) -> None:
    """The wheel, as users get it: installed by itself, away from the sources."""
    with tempfile.TemporaryDirectory() as folder:
        session.run("python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ".")
        (built,) = Path(folder).glob("*.whl")
        python = str(Path(folder, "venv", "bin", "python"))
        session.run("python", "-m", "venv", f"{folder}/venv")
        session.run(python, "-m", "pip", "install", "--quiet", str(built), external=True)
        with session.chdir(folder):
            session.run(python, "-c", "import resonate_trio, server_ref.engine, resonate_trio.cli", external=True)
            session.run(f"{folder}/venv/bin/resonate-trio", "--version", external=True)
    shutil.rmtree("build", ignore_errors=True)
