"""What is measured: how each server is started, which protocol it speaks, which version it is, how to install it."""

import importlib.metadata
import platform
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rooms import make_rooms

from chaton import __version__
from chaton.identity.ids import Pin
from chaton.relay import certs

_HERE = Path(__file__).resolve().parent
_START_S = 20
_FREELY = "{ per_second = 1e9, burst = 1e9 }"
_KINDS = ("messages", "records", "parcels", "requests", "bytes", "connections")

# What a benchmark must raise: its members all come from one address, and talk faster than people.
RAISED = "\n".join((
    "[limits]",
    "connections_max = 100000",
    "connections_per_address_max = 100000",
    *(f"{who}.{kind} = {_FREELY}" for who in ("identity", "address") for kind in _KINDS),
))  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where a server lives: a directory for its files, and the certificate that all of them use."""

    directory: Path
    certificate: Path
    key: Path


@dataclass
class Running:
    """A server at work, and what the generator must be told about it."""

    process: subprocess.Popen[str]
    arguments: dict[str, Any]

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()


@dataclass(frozen=True)
class Server:
    """One kind of server.

    Attributes:
        name: As the table says.
        protocol: As the generator says.
        install: What to type where it is missing.
        missing: Whether it is.
        version: What it says of itself.
        start: Starts it, for rooms of these sizes.
    """

    name: str
    protocol: str
    install: str
    missing: Callable[[], bool]
    version: Callable[[], str]
    start: Callable[[Place, Sequence[int]], Running]


@contextmanager
def running(server: Server, place: Place, sizes: Sequence[int]) -> Iterator[Running]:
    """A server for as long as it is needed. Its first room has ``sizes[0]`` members."""
    place.directory.mkdir(parents=True)
    started = server.start(place, sizes)
    try:
        yield started
    finally:
        started.stop()
        shutil.rmtree(place.directory, ignore_errors=True)


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """One P-256 certificate for everybody."""
    certs.generate(directory, ["localhost"], ["127.0.0.1"], 2, now=datetime.now(UTC), force=False)
    return directory / certs.SERVER_CERTIFICATE, directory / certs.SERVER_KEY


def _launch(place: Place, *command: str) -> subprocess.Popen[str]:
    errors = (place.directory / "stderr").open("w", encoding="utf-8")
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=place.directory)


def _first_line(process: subprocess.Popen[str], place: Place) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if "listening on" not in line:
        process.kill()
        raise RuntimeError(f"{process.args!r} did not start: {(place.directory / 'stderr').read_text()[-500:]}")
    return line


def _of_line(process: subprocess.Popen[str], place: Place) -> Running:
    port = int(_first_line(process, place).split()[2].rpartition(":")[2])
    return Running(process, {"port": port, "pid": process.pid})


def _of_port(process: subprocess.Popen[str], port: int) -> Running:
    end = time.monotonic() + _START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.02)
        else:
            return Running(process, {"port": port, "pid": process.pid})
    process.kill()
    raise RuntimeError(f"{process.args!r} did not start")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def _start_floor(place: Place, _sizes: Sequence[int]) -> Running:
    command = (sys.executable, str(_HERE / "floor.py"), str(place.certificate), str(place.key))
    return _of_line(_launch(place, *command), place)


def _start_chaton(place: Place, sizes: Sequence[int], *, memory: bool = True) -> Running:
    config = place.directory / "relay.toml"
    config.write_text(RAISED, encoding="ascii")
    process = _launch(
        place, sys.executable, "-P", "-m", "chaton", "serve", "--listen", "127.0.0.1:0", "--config", str(config),
        "--cert", str(place.certificate), "--key", str(place.key),
        *(["--memory"] if memory else ["--data", str(place.directory / "data")]),
    )  # fmt: skip
    found = re.search(r":(\d+) pin (\w+)", _first_line(process, place))
    assert found is not None
    port, pin, members = int(found[1]), Pin.from_hex(found[2]), place.directory / "members"
    make_rooms(port, pin, sizes, members)
    return Running(process, {"port": port, "pid": process.pid, "pin": found[2], "members": members})


def _start_chaton_on_disk(place: Place, sizes: Sequence[int]) -> Running:
    return _start_chaton(place, sizes, memory=False)


_MOSQUITTO = """\
listener {port} 127.0.0.1
certfile {certificate}
keyfile {key}
tls_version tlsv1.3
allow_anonymous true
persistence false
set_tcp_nodelay true
max_queued_messages 0
log_dest none
user root
"""


def _start_mosquitto(place: Place, _sizes: Sequence[int]) -> Running:
    port, config = _free_port(), place.directory / "mosquitto.conf"
    config.write_text(_MOSQUITTO.format(port=port, certificate=place.certificate, key=place.key), encoding="utf-8")
    return _of_port(_launch(place, _found("mosquitto"), "-c", str(config)), port)


_NATS = """\
host: 127.0.0.1
port: {port}
max_connections: 100000
tls {{ cert_file: "{certificate}", key_file: "{key}", timeout: 10 }}
"""


def _start_nats(place: Place, _sizes: Sequence[int]) -> Running:
    port, config = _free_port(), place.directory / "nats.conf"
    config.write_text(_NATS.format(port=port, certificate=place.certificate, key=place.key), encoding="utf-8")
    return _of_port(_launch(place, _found("nats-server"), "-c", str(config), "-l", "/dev/null"), port)


def _start_websockets(place: Place, _sizes: Sequence[int]) -> Running:
    command = (sys.executable, str(_HERE / "peer_websockets.py"), str(place.certificate), str(place.key))
    return _of_line(_launch(place, *command), place)


def _found(program: str) -> str:
    """Debian puts servers where not everybody looks."""
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin") or ""


def _said(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip().partition("\n")[0]


def _version_of(package: str) -> str:
    try:
        return f"{package} {importlib.metadata.version(package)}"
    except importlib.metadata.PackageNotFoundError:
        return ""


def _python() -> str:
    return f"Python {platform.python_version()}, {ssl.OPENSSL_VERSION}"


FLOOR = Server("bare Python", "bare", "", lambda: False, _python, _start_floor)
CHATON = Server("Chaton", "chaton", "", lambda: False, lambda: f"Chaton {__version__}, --memory", _start_chaton)
CHATON_ON_DISK = Server(
    "Chaton, SQLite", "chaton", "", lambda: False, lambda: f"Chaton {__version__}, synchronous=FULL",
    _start_chaton_on_disk,
)  # fmt: skip
MOSQUITTO = Server(
    "mosquitto", "mqtt", "apt-get install mosquitto", lambda: not _found("mosquitto"),
    lambda: _said(_found("mosquitto"), "-h"), _start_mosquitto,
)  # fmt: skip
NATS = Server(
    "NATS", "nats", "apt-get install nats-server", lambda: not _found("nats-server"),
    lambda: _said(_found("nats-server"), "-v"), _start_nats,
)  # fmt: skip
WEBSOCKETS = Server(
    "websockets, uvloop", "ws", ".venv/bin/pip install websockets uvloop",
    lambda: not (_version_of("websockets") and _version_of("uvloop")),
    lambda: f"{_version_of('websockets')}, {_version_of('uvloop')}", _start_websockets,
)  # fmt: skip
PEERS = (NATS, MOSQUITTO, WEBSOCKETS)
EVERYBODY = (FLOOR, CHATON, *PEERS)
