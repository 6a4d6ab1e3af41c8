"""What an operator may choose: one TOML file, options of ``chaton serve`` on top of it, every key checked.

::

    listen = "0.0.0.0:5555"             # or "[::]:5555"
    data = "/var/lib/chaton"            # relative paths in the file are relative to the file
    cert = "server.pem"
    key = "server.key"
    owners = ["<64 hex digits>"]        # who may create rooms, besides clients on the loopback address
    retention_days = 30
    retention_bytes = 1_073_741_824
    room_blob_bytes = 1_073_741_824
    blob_bytes = 10_737_418_240
    metrics = "127.0.0.1:9555"          # or "[::1]:9555"

    [limits]
    connections_max = 12_000

    [limits.identity]
    messages = { per_second = 10, burst = 100 }

Every key has a default. The defaults let a room of 1,000 work, behind one address too: its members log in together
after the relay was restarted, and the first message after a kick brings a parcel for each of them.
"""

import re
import tomllib
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import msgspec
import platformdirs
from msgspec import Meta, Struct

from chaton.errors import Malformed, UsageError
from chaton.identity.ids import Identity
from chaton.limits import BLOB_BYTES_MAX, DAY_MS, FRAME_BYTES_MAX, MEMBERS_MAX
from chaton.relay.throttle import Kind, Meter, Rate

DEFAULT_LISTEN: Final = "127.0.0.1:5555"
_PORT_MAX = 65_535
_PORT = re.compile(r"[0-9]{1,5}")
_MIB = 2**20
_PATHS = ("data", "cert", "key")

_Count: TypeAlias = Annotated[int, Meta(ge=1, le=10_000_000)]


class Rates(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How fast one identity may ask."""

    messages: Rate = Rate(per_second=10, burst=100)
    records: Rate = Rate(per_second=2, burst=200)
    # One message may need a parcel for each other member, in several rooms at once.
    parcels: Rate = Rate(per_second=200, burst=8 * MEMBERS_MAX)
    requests: Rate = Rate(per_second=50, burst=1_000)
    # What comes faster than the disk takes it waits in memory, and a piece is long.
    pieces: Rate = Rate(per_second=16, burst=64)
    bytes: Rate = Rate(per_second=4 * _MIB, burst=64 * _MIB)
    connections: Rate = Rate(per_second=0.5, burst=30)

    def by_kind(self) -> dict[Kind, Rate]:
        """What a ``Throttle`` takes."""
        return {kind: getattr(self, kind.value) for kind in Kind}


class AddressRates(Rates, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How fast one address may ask, which may be that of a whole room."""

    messages: Rate = Rate(per_second=500, burst=10_000)
    records: Rate = Rate(per_second=50, burst=2 * MEMBERS_MAX)
    parcels: Rate = Rate(per_second=10_000, burst=200 * MEMBERS_MAX)
    requests: Rate = Rate(per_second=2_000, burst=20 * MEMBERS_MAX)
    pieces: Rate = Rate(per_second=256, burst=1_024)
    bytes: Rate = Rate(per_second=64 * _MIB, burst=1_024 * _MIB)
    connections: Rate = Rate(per_second=20, burst=2 * MEMBERS_MAX)


class Limits(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What bounds the relay's work, for all, for one address, for one identity.

    Attributes:
        identity: Rates of each identity.
        address: Rates of each address, which may be that of many people.
        connections_max: Connections at once, logged in or not.
        connections_per_address_max: Of these from one address.
        frame_before_login_bytes: The longest frame of who is in no room, and has no more than 2,400 bytes to say.
        queue_bytes_max: What waits in memory for a reader that falls behind; more is fed to it from the store.
        nicks_per_day: NICK records of one identity in 24 hours.
        leaves_per_day: LEAVE records of one identity in 24 hours.
    """

    identity: Rates = Rates()
    address: AddressRates = AddressRates()
    connections_max: _Count = 12_000
    connections_per_address_max: _Count = 2 * MEMBERS_MAX
    frame_before_login_bytes: Annotated[int, Meta(ge=1_024, le=FRAME_BYTES_MAX)] = 4_096
    queue_bytes_max: Annotated[int, Meta(ge=64 * 1_024, le=1_024 * _MIB)] = 2 * _MIB
    nicks_per_day: _Count = 20
    leaves_per_day: _Count = 20

    def meter(self) -> Meter:
        """Counts that begin now and hold to these limits."""
        daily = {"nick": self.nicks_per_day, "leave": self.leaves_per_day}
        return Meter(self.identity.by_kind(), self.address.by_kind(), daily)


class Config(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A relay's configuration.

    Attributes:
        listen: HOST:PORT as written; ``address`` is what it means.
        data: The directory of the store; not used with ``memory``.
        cert: PEM file of the server certificate; None where the relay finds or makes its own.
        key: PEM file of its key. Given with ``cert`` or not at all.
        owners: Who may create rooms from anywhere.
        memory: Keep everything in memory and nothing on disk.
        retention_days: How long message bodies are kept.
        retention_bytes: How many bytes of them are kept, over all rooms; the oldest go first.
        room_blob_bytes: How many bytes of attachments one room may have here; 0: none are taken.
        blob_bytes: How many bytes of attachments are kept, over all rooms; 0: none are taken.
        metrics: HOST:PORT of this machine alone where figures are told for Prometheus; None: nowhere.
    """

    listen: str = DEFAULT_LISTEN
    data: Path = msgspec.field(default_factory=lambda: platformdirs.user_data_path("chaton") / "relay")
    cert: Path | None = None
    key: Path | None = None
    owners: tuple[Identity, ...] = ()
    memory: bool = False
    retention_days: Annotated[int, Meta(ge=1, le=36_500)] = 30
    retention_bytes: Annotated[int, Meta(ge=_MIB, le=2**50)] = 1_024 * _MIB
    room_blob_bytes: Annotated[int, Meta(ge=0, le=2**50)] = 1_024 * _MIB
    blob_bytes: Annotated[int, Meta(ge=0, le=2**50)] = 10 * 1_024 * _MIB
    metrics: str | None = None
    limits: Limits = Limits()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on."""
        return parse_listen(self.listen)

    @property
    def metrics_address(self) -> tuple[str, int] | None:
        """Host and port of the metrics, None where there are none."""
        return _parse_loopback(self.metrics) if self.metrics is not None else None

    @property
    def retention_ms(self) -> int:
        """``retention_days`` in ms."""
        return self.retention_days * DAY_MS

    @property
    def blob_bytes_max(self) -> int:
        """The largest ciphertext of an attachment that is taken, in bytes."""
        return min(BLOB_BYTES_MAX, self.room_blob_bytes, self.blob_bytes)


def load(path: Path | None, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read a configuration.

    Args:
        path: The TOML file; None for the defaults alone.
        overrides: Options of the command line by their keys in the file, as text where the file has text. They count
            instead of what the file says; one that is None was not given.

    Raises:
        UsageError: The file cannot be read or is no TOML, a key is unknown, or a value is not allowed: the sentence
            names the key and what is allowed.
    """
    given = {key: value for key, value in (overrides or {}).items() if value is not None}
    document = (_read(path) if path is not None else {}) | given
    _refuse_unknown(document, Config, "")
    try:
        config = msgspec.convert(document, Config, dec_hook=_decode)
    except msgspec.ValidationError as cause:
        raise _not_allowed(str(cause)) from cause
    parse_listen(config.listen)
    if config.metrics is not None:
        _parse_loopback(config.metrics)
    if (config.cert is None) != (config.key is None):
        raise UsageError("cert and key belong together, and only one of them is given", hint="give both, or neither")
    return config


def parse_listen(text: str, key: str = "listen") -> tuple[str, int]:
    """Host and port of ``HOST:PORT``, such as ``127.0.0.1:5555``, ``relay.example:5555`` or ``[::1]:5555``.

    Port 0 leaves the choice of a free port to the system.

    Raises:
        UsageError: It is written otherwise.
    """
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    name = host[1:-1] if bracketed else host
    host_is_well = bool(name) and _is_ipv6(name) if bracketed else bool(name) and not set(name) & set(":[]/@ \t\n")
    port_is_well = _PORT.fullmatch(port) is not None and int(port) <= _PORT_MAX
    if not (colon and host_is_well and port_is_well):
        raise UsageError(
            f"{key}: {text[:80]!a} is not HOST:PORT",
            hint=f"write it like 127.0.0.1:5555 or [::1]:5555, with a port of 0 to {_PORT_MAX}",
        )
    return name, int(port)


def _parse_loopback(text: str) -> tuple[str, int]:
    """Host and port of ``metrics``: an address, as a name may mean another one tomorrow."""
    host, port = parse_listen(text, "metrics")
    try:
        is_of_this_machine = ip_address(host).is_loopback
    except ValueError:
        is_of_this_machine = False
    if not is_of_this_machine:
        raise UsageError(
            f"metrics: {host!a} is not an address of this machine alone",
            hint="write 127.0.0.1:9555 or [::1]:9555, and let a proxy with a password carry it further",
        )
    return host, port


def _is_ipv6(text: str) -> bool:
    try:
        return ip_address(text).version == 6  # noqa: PLR2004  # The protocol's own name.
    except ValueError:
        return False


def _read(path: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as cause:
        raise UsageError(f"{path} cannot be read: {cause.strerror}", hint="name another file with --config") from cause
    except (ValueError, RecursionError) as cause:  # Endless numbers and endless nesting have no error of their own.
        raise UsageError(f"{path} is not a TOML file: {cause}", hint="correct that line") from cause
    for key in _PATHS:
        if isinstance(document.get(key), str) and not document[key].startswith("~"):
            document[key] = str(path.parent / document[key])
    return document


def _refuse_unknown(table: Mapping[str, Any], struct: type[Struct], where: str) -> None:
    """Look for unknown keys before anything else, as their message can name the keys that there are."""
    fields = {field.name: field.type for field in msgspec.structs.fields(struct)}
    for key, value in table.items():
        if key not in fields:
            raise UsageError(f"{where}{key}: there is no such key", hint=f"the keys here are: {', '.join(fields)}")
        inner = fields[key]
        if isinstance(value, dict) and isinstance(inner, type) and issubclass(inner, Struct):
            _refuse_unknown(value, inner, f"{where}{key}.")


def _not_allowed(said: str) -> UsageError:
    """From msgspec's ``Expected `int` >= 1 - at `$.retention_days```: the key first."""
    what, _, where = said.partition(" - at `$.")
    return UsageError(
        f"{where.rstrip('`') or 'config'}: {what[:1].lower()}{what[1:].replace('`', '')}",
        hint="correct this key in the file of --config, or the option of this name",
    )


def _decode(kind: type, value: object) -> object:
    """Values that TOML has no type for. What is raised here travels to ``load`` with the key's name."""
    if not isinstance(value, str):
        raise ValueError(f"Expected `str`, got `{type(value).__name__}`")  # noqa: TRY004  # What msgspec catches.
    if kind is Identity:
        try:
            return Identity.from_hex(value)
        except Malformed as cause:
            raise ValueError(str(cause)) from cause
    if not value or "\0" in value:
        raise ValueError("Expected a path, got none")
    try:
        return Path(value).expanduser()
    except RuntimeError as cause:
        raise ValueError("Expected a path, got the home of somebody who is not here") from cause
