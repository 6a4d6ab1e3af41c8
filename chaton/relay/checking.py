"""``chaton serve --check-config``: what a relay would start with, found out without starting one or writing anything.

What is found is written as the TOML file that says all of it, every key; what is no key stands in comments.
"""

import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from chaton.errors import StoreTooNew, UsageError
from chaton.relay import certs, tls
from chaton.relay.config import Config
from chaton.relay.server import metrics_class
from chaton.relay.store.sqlite import DATABASE
from chaton.relay.store.upgrade import SCHEMA_VERSION

_MAGIC: Final = b"SQLite format 3\0"
_HEADER_BYTES: Final = 100
_VERSION_AT: Final = slice(60, 64)
_DATA_HINT: Final = "name another directory with --data, or give this one to the user that the relay runs as"
_DELETE: Final = "\x7f"  # JSON leaves it as it is, TOML must not have it.


def check(config: Config) -> list[str]:
    """Look at everything that a start would use; the lines of the file that says what that is.

    A relay that is running meanwhile is not disturbed, and does not disturb.

    Raises:
        UsageError: It could not start: the sentence says why.
    """
    notes = [*_certificate(config), *_store(config)]
    if config.metrics is not None:
        metrics_class()
    return [*(f"# {_one_line(note)}" for note in notes), *_table(_plain(config), "")]


def _certificate(config: Config) -> Iterator[str]:
    pair = tls.own_pair(config)
    if config.cert is None and not (pair.certificate.exists() and pair.key.exists()):
        _refuse_unwritable(pair.certificate.parent)
        yield f"certificate: will be made in {pair.certificate.parent.absolute()}"
        return
    pin = tls.read_pin(pair)
    tls.make_context(pair)
    end = certs.expiry_of(pair.certificate.read_bytes())
    passed = ", which has passed; Chaton's clients do not mind" if end < datetime.now(UTC) else ""
    yield f"certificate: {pair.certificate.absolute()}"
    yield f"pin: {pin}"
    yield f"valid until: {end:%Y-%m-%d}{passed}"


def _store(config: Config) -> Iterator[str]:
    if config.memory:
        yield "store: in memory"
        return
    _refuse_unwritable(config.data)
    path = config.data.absolute() / DATABASE
    header = _header(path)
    if not header:
        yield f"store: will be made as {path}"
        return
    if not header.startswith(_MAGIC):
        raise UsageError(f"{path} is not a database", hint="bring it back from a backup, or name another directory")
    version = int.from_bytes(header[_VERSION_AT])
    if version > SCHEMA_VERSION:
        raise UsageError(f"{path} was written by a later version of Chaton", hint=StoreTooNew.hint)
    yield f"store: {path}, {path.stat().st_size} bytes"
    if 0 < version < SCHEMA_VERSION:
        yield f"the store is of version {version}: a start will copy it beside itself and upgrade it"


def _header(path: Path) -> bytes:
    """The first bytes of the database: opening it with SQLite would leave files behind."""
    try:
        with path.open("rb") as file:
            return file.read(_HEADER_BYTES)
    except FileNotFoundError:
        return b""
    except OSError as cause:
        raise UsageError(f"{path} cannot be read: {cause.strerror}", hint=_DATA_HINT) from cause


def _refuse_unwritable(directory: Path) -> None:
    """Whether a directory can be written, or made: then it is the nearest one above that counts."""
    above = directory
    while not above.exists() and above != above.parent:
        above = above.parent
    if not above.is_dir():
        raise UsageError(f"{above} is not a directory", hint=_DATA_HINT)
    if not os.access(above, os.R_OK | os.W_OK | os.X_OK):
        raise UsageError(f"{above} cannot be written", hint=_DATA_HINT)


def _plain(config: Config) -> dict[str, Any]:
    """All keys that have a value, in types that TOML has; paths from the root, as the file may be kept elsewhere."""

    def encode(value: object) -> str:
        return str(value.absolute()) if isinstance(value, Path) else str(value)

    plain: dict[str, Any] = msgspec.to_builtins(config, enc_hook=encode, builtin_types=(bytes,))
    plain["owners"] = [str(owner) for owner in config.owners]  # An Identity is bytes to msgspec.
    return plain


def _table(table: Mapping[str, Any], name: str) -> Iterator[str]:
    """The values of a table, then the tables in it; a rate has its own line."""
    inner = {key: value for key, value in table.items() if isinstance(value, dict) and "burst" not in value}
    if name:
        yield ""
        yield f"[{name}]"
    for key, value in table.items():
        if key not in inner and value is not None:
            yield f"{key} = {_value(value)}"
    for key, value in inner.items():
        yield from _table(value, f"{name}.{key}" if name else key)


def _one_line(text: str) -> str:
    """A comment has no control characters, and a path may."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {_value(one)}' for key, one in value.items())} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    # JSON writes booleans, numbers and texts as TOML does, as far as they occur here.
    return json.dumps(value, ensure_ascii=False).replace(_DELETE, "\\u007f")
