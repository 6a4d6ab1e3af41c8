"""``chaton doctor``: what could be wrong on this machine. Nothing it prints is secret."""

import importlib.metadata
import os
import shutil
import ssl
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import click

from chaton.cli.common import command, json_option, parse_address, profile_directory, run
from chaton.errors import ChatonError

_Verdict: TypeAlias = Literal["ok", "note", "wrong"]
_STYLES: dict[_Verdict, str] = {"ok": "green", "note": "yellow", "wrong": "red"}
_LIBRARIES = ("apsw-sqlite3mc", "click", "cryptography", "msgspec", "platformdirs", "precis-i18n", "pynacl", "segno")
_UNENCRYPTED = b"SQLite format 3"
_CLOCK_OFF_MS = 5 * 60_000


class Finding(NamedTuple):
    """One thing that was looked at."""

    verdict: _Verdict
    what: str
    detail: str


@command("doctor", examples="  chaton doctor\n  chaton doctor relay.example:5555     compares clocks too\n")
@click.argument("relay", metavar="[HOST:PORT]", required=False)
@json_option
def doctor(relay: str | None, as_json: bool) -> None:
    """Check versions, permissions, TLS, the encrypted store, the terminal, and the clock against a relay's.

    Exit code 1 if something is wrong.
    """
    from chaton.cli.output import paint, put, put_json

    findings = [*_versions(), *_permissions(profile_directory()), *_tls(), *_store(), *_terminal(), *_clock(relay)]
    for finding in findings:
        if as_json:
            put_json({"v": 1, "event": "check", **finding._asdict()})
        else:
            verdict = paint(f"{finding.verdict:5}", _STYLES[finding.verdict], sys.stdout)
            put(f"{verdict}  {finding.what}: {finding.detail}")
    if any(finding.verdict == "wrong" for finding in findings):
        sys.exit(1)


def _versions() -> Iterator[Finding]:
    import chaton

    yield Finding("ok", "Chaton", f"{chaton.__version__}, Python {sys.version.split()[0]}, {sys.platform}")
    missing, found = [], []
    for name in _LIBRARIES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    yield Finding("ok", "libraries", ", ".join(found))
    if missing:
        yield Finding("wrong", "libraries", f"not installed: {', '.join(missing)}")


def _permissions(directory: Path) -> Iterator[Finding]:
    if not directory.exists():
        yield Finding("note", "profile", f"none in {directory} yet: chaton up or chaton join makes one")
        return
    open_to_others = []
    for path in (directory, *directory.glob("profile.*")):
        status = path.stat()
        if stat.S_IMODE(status.st_mode) & 0o077 or status.st_uid != os.getuid():
            open_to_others.append(path.name)
    if open_to_others:
        yield Finding("wrong", "profile", f"{directory}: open to others: {', '.join(open_to_others)}; chmod go= them")
    else:
        yield Finding("ok", "profile", f"{directory} is closed to others")
    database = directory / "profile.db"
    if database.exists():
        with database.open("rb") as file:
            is_plain = file.read(len(_UNENCRYPTED)) == _UNENCRYPTED
        yield Finding("wrong" if is_plain else "ok", "profile.db", "NOT encrypted" if is_plain else "encrypted")


def _tls() -> Iterator[Finding]:
    verdict: _Verdict = "ok" if ssl.HAS_TLSv1_3 else "wrong"
    yield Finding(verdict, "TLS", f"{ssl.OPENSSL_VERSION}, TLS 1.3 {'is there' if ssl.HAS_TLSv1_3 else 'is missing'}")


def _store() -> Iterator[Finding]:
    """A profile is made and read once more: only that proves that the cipher works."""
    from chaton.client.profile import Profile

    try:
        with tempfile.TemporaryDirectory() as directory:
            with Profile.create(Path(directory) / "trial") as made:
                me = made.me
            with Profile.open(Path(directory) / "trial") as again:
                is_same = again.me == me
    except ChatonError as error:
        yield Finding("wrong", "encrypted store", str(error))
        return
    yield Finding("ok" if is_same else "wrong", "encrypted store", "a trial profile was written and read")


def _terminal() -> Iterator[Finding]:
    streams = {"input": sys.stdin, "output": sys.stdout, "errors": sys.stderr}
    terminals = [name for name, stream in streams.items() if stream.isatty()]
    columns, rows = shutil.get_terminal_size()
    term = os.environ.get("TERM", "not set")
    yield Finding(
        "ok", "terminal", f"TERM {term}, {columns} x {rows}, terminal for: {', '.join(terminals) or 'nothing'}"
    )
    encoding = sys.stdout.encoding.lower()
    is_utf8 = encoding.replace("-", "") == "utf8"
    hint = "" if is_utf8 else "; set LANG to a UTF-8 locale, or other people's texts cannot be printed"
    yield Finding("ok" if is_utf8 else "wrong", "encoding", encoding + hint)
    if os.environ.get("TMUX"):
        yield Finding("note", "tmux", "copying from the window needs: tmux set -g set-clipboard on")


def _clock(relay: str | None) -> Iterator[Finding]:
    if relay is None:
        yield Finding("note", "clock", "name a relay, as chaton doctor HOST:PORT, to compare clocks with it")
        return
    from chaton.cli.relaying import greet

    try:
        facts = run(greet(*parse_address(relay)))
    except ChatonError as error:
        yield Finding("wrong", "relay", f"{relay}: {error}")
        return
    yield Finding("ok", "relay", f"{relay} is well: version {facts['version']}, pin {facts['pin']}")
    off_ms = facts["clock_ms"]
    is_off = abs(off_ms) > _CLOCK_OFF_MS
    detail = f"{off_ms:+} ms between {relay} and this machine" + ("; set the wrong one right" if is_off else "")
    yield Finding("wrong" if is_off else "ok", "clock", detail)
