"""The relay's commands: run one, make its certificates, ask whether one is well."""

import asyncio
import contextlib
import logging
import ssl
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chaton.cli.common import command, is_debug, json_option, parse_address, parse_pin, run
from chaton.errors import Malformed, PinMismatch, Unreachable
from chaton.limits import DAY_MS

if TYPE_CHECKING:
    from chaton.relay.config import Config

HEALTH_TIMEOUT_S = 10
_READ_BYTES = 65_536


@command(
    "serve",
    examples="""\
  chaton serve                                        for this machine alone
  chaton serve --listen 0.0.0.0:5555 --owner ID       ID: what `chaton identity show` prints
  chaton serve --config /etc/chaton.toml              everything else is set there; SIGHUP reads it again
  chaton serve --config /etc/chaton.toml --check-config      says what it would use, and starts nothing
""",
)
@click.option("--listen", metavar="HOST:PORT", help="Where to listen. [default: 127.0.0.1:5555]")
@click.option("--data", metavar="DIR", help="The directory of the store.")
@click.option("--cert", metavar="FILE", help="The certificate, PEM. Without it one is made in the data directory.")
@click.option("--key", metavar="FILE", help="Its private key, PEM.")
@click.option("--owner", "owners", metavar="ID", multiple=True, help="Who may create rooms. Can be repeated.")
@click.option("--memory", is_flag=True, help="Keep nothing on disk.")
@click.option("--metrics", metavar="HOST:PORT", help="Where this machine gets figures for Prometheus.")
@click.option("--config", "file", metavar="FILE", type=click.Path(path_type=Path), help="A TOML file; options win.")
@click.option("--check-config", "only_check", is_flag=True, help="Check all of it, print it as a file, and end.")
def serve(file: Path | None, only_check: bool, memory: bool, owners: tuple[str, ...], **given: str | None) -> None:
    """Run a relay until SIGTERM or Ctrl-C.

    Prints `listening on HOST:PORT pin PIN` once it accepts connections. Only the identities of --owner, and clients
    on this machine, may create rooms; everybody else joins by an invite link. The relay reads no message.
    """
    from chaton.relay.config import load
    from chaton.relay.server import serve as serve_until_stopped

    overrides: dict[str, Any] = {**given, "memory": memory or None, "owners": list(owners) or None}
    config = load(file, overrides)
    if only_check:
        _check(config)
        return
    _log_to_stderr()
    run(serve_until_stopped(config, ready=_ready, reread=lambda: load(file, overrides)))


def _check(config: "Config") -> None:
    from chaton.cli.output import put, tell
    from chaton.relay.checking import check

    for line in check(config):
        put(line)
    tell("chaton serve can start with this")


def _ready(host: str, port: int, pin: object) -> None:
    from chaton.cli.output import put

    # Somebody who only wanted the first line may be gone by now; the relay goes on.
    with contextlib.suppress(BrokenPipeError):
        put(f"listening on {netloc(host, port)} pin {pin}")


def netloc(host: str, port: int) -> str:
    """``HOST:PORT``, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _log_to_stderr() -> None:
    level = logging.DEBUG if is_debug() else logging.INFO
    logging.basicConfig(stream=sys.stderr, level=level, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("asyncio").setLevel(logging.WARNING)


@command(
    "certs",
    examples="""\
  chaton certs                                        localhost, 127.0.0.1 and ::1, for a year
  chaton certs --host chat.example --ip 192.0.2.7     these names instead
  chaton certs --days 90                              once more: keys are kept, so pin and links stay good
""",
)
@click.option("--host", "hosts", metavar="NAME", multiple=True, help="A DNS name. Can be repeated.")
@click.option("--ip", "addresses", metavar="ADDR", multiple=True, help="An IP address. Can be repeated.")
@click.option("--days", type=int, default=365, show_default=True, help="How long it is valid.")
@click.option(
    "--out", metavar="DIR", type=click.Path(path_type=Path), default=Path("certs"), show_default=True,
    help="The directory.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace the keys: the pin changes, and every link stops working.")
def certs(hosts: tuple[str, ...], addresses: tuple[str, ...], days: int, out: Path, force: bool) -> None:
    """Write or renew the relay's certificates: ca.pem, ca.key, server.pem, server.key.

    Keys that are there are kept. Clients check the pin of the server's key, which is printed, and nothing else.
    """
    from chaton.cli.output import put, tell
    from chaton.relay.certs import generate

    pin = generate(out, hosts, addresses, days, now=datetime.now(UTC), force=force)
    tell(f"wrote {out}/server.pem and {out}/ca.pem for {days} days; their keys are {out}/server.key and {out}/ca.key")
    put(f"pin {pin}")


@command(
    "health",
    examples="""\
  chaton health relay.example:5555                    exit code 4: unreachable
  chaton health relay.example:5555 --pin PIN          exit code 5: another key than this one
""",
)
@click.argument("address", metavar="HOST:PORT")
@click.option("--pin", metavar="PIN", help="The pin that it must show.")
@json_option
def health(address: str, pin: str | None, as_json: bool) -> None:
    """Ask whether a relay is well: connect by TLS and wait for its greeting.

    Prints its version and pin, how far its clock is from ours, how long it keeps messages, and how many it takes.

    The pin that is printed is what this connection showed. Compare it with what the relay's operator tells you.
    """
    from chaton.cli.output import put, put_json
    from chaton.session.text import clean_line

    wanted = parse_pin(pin) if pin else None
    facts = run(greet(*parse_address(address)))
    version, shown = clean_line(facts["version"]), facts["pin"]
    if wanted is not None and shown != wanted:
        raise PinMismatch(f"{address} shows the pin {shown} instead of {wanted}")
    if as_json:
        put_json({"v": 1, "event": "health", "relay": address, **facts, "version": version})
    else:
        put(f"{address} is well: version {version}, pin {shown}, clock {facts['clock_ms']:+} ms from ours")
        put(_limits_line(facts["limits"]))


def _limits_line(limits: dict[str, int]) -> str:
    days = limits["retention_ms"] / DAY_MS
    a_minute, at_once = limits["messages_per_minute"], limits["messages_at_once"]
    blob = limits["blob_bytes_max"]
    attachments = f"attachments of up to {blob / 2**20:.4g} MiB" if blob else "no attachments"
    return (
        f"it keeps messages {days:g} days, and takes {a_minute} a minute of one identity, {at_once} at once, "
        f"and {attachments}"
    )


async def greet(host: str, port: int) -> dict[str, Any]:
    """Connect and read the relay's Welcome: its version, pin, limits, and how far its clock is from ours.

    Raises:
        Unreachable: Nothing answers there in time, or not as a relay does.
    """
    from chaton.client.dial import reason
    from chaton.relay.server import clock

    try:
        async with asyncio.timeout(HEALTH_TIMEOUT_S):
            pin, welcome = await _welcomed(host, port)
    except TimeoutError as cause:
        raise Unreachable(f"{netloc(host, port)} did not answer within {HEALTH_TIMEOUT_S} seconds") from cause
    except ssl.SSLError as cause:
        raise Unreachable(f"{netloc(host, port)} answers, but not as a relay of Chaton does") from cause
    except OSError as cause:
        why = reason(cause)
        said = f"is not reachable: {why}" if why else "answers, but not as a relay of Chaton does"
        raise Unreachable(f"{netloc(host, port)} {said}") from cause
    limits = {name: getattr(welcome.limits, name) for name in welcome.limits.__struct_fields__}
    return {"version": welcome.version, "pin": str(pin), "clock_ms": welcome.now - clock(), "limits": limits}


async def _welcomed(host: str, port: int) -> tuple[Any, Any]:
    from chaton.identity.certificate import pin_of_der
    from chaton.relay.peer import ALPN
    from chaton.wire.connection import reader_of_relay
    from chaton.wire.frames import Welcome

    # Whoever answers is to be shown as it is: the pin is for the person to compare.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols([ALPN])
    stream, writer = await asyncio.open_connection(host, port, ssl=context)
    frames = reader_of_relay()
    try:
        tls = writer.get_extra_info("ssl_object")
        while data := await stream.read(_READ_BYTES):
            for frame in frames.feed(data):
                if isinstance(frame, Welcome):
                    return pin_of_der(tls.getpeercert(binary_form=True)), frame
    except Malformed as cause:
        raise Unreachable(f"{netloc(host, port)} answers, but not as a relay of Chaton does") from cause
    finally:
        writer.close()
    raise Unreachable(f"{netloc(host, port)} closed the connection without a greeting")
