"""What docs/operating.md says is so: keys, defaults, limits, metrics, the unit, backup and restore; and TLS from outside."""

import asyncio
import importlib
import json
import os
import pkgutil
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

import chaton.relay
from chaton import limits
from chaton.relay.config import AddressRates, Config, Limits, Rate, Rates, load
from chaton.relay.metrics import Metrics
from chaton.relay.server import SqliteStore
from chaton.wire import frames
from tests.relay.client import client_context
from tests.relay.helpers import ANN, OWNER, events, follow, open_room, say, seat
from tests.relay.play import Script

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operating.md").read_text()
WITHOUT_FIXED_DEFAULT = {"data", "cert", "key", "metrics"}
FAST = Rate(per_second=1e9, burst=1e9)
UNLIMITED = Limits(identity=Rates(messages=FAST, bytes=FAST), address=AddressRates(messages=FAST, bytes=FAST))
UNITS = {"SECOND_MS", "MINUTE_MS", "HOUR_MS", "DAY_MS"}
# Which programs hold to a number of limits.py is seen by where its name stands.
RELAY_READS = ("relay", "wire", "room", "identity")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def section(title: str) -> str:
    return re.split(r"^## ", PAGE.split(f"\n## {title}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]


def every_key() -> str:
    return next(block for block in blocks("toml") if "[limits.address]" in block)


# --- the configuration file ---


def test_every_key_and_its_default():
    text, commented = re.subn(r"^# (?=\w+ = )", "", every_key(), flags=re.MULTILINE)
    documented, default = tomllib.loads(text), msgspec.to_builtins(Config(data=Path("x")), enc_hook=str)
    assert commented == len(WITHOUT_FIXED_DEFAULT)
    for key in WITHOUT_FIXED_DEFAULT:
        assert isinstance(documented.pop(key), str)
        default.pop(key)
    default["owners"] = []
    assert documented == default


def test_the_files_on_the_page_can_be_used(tmp_path):
    for number, block in enumerate(blocks("toml")):
        path = tmp_path / f"{number}.toml"
        path.write_text(block)
        assert load(path).owners == ()
    path.write_text(every_key())
    assert load(path) == load(None)


# --- limits ---


def documented_limits() -> dict[str, float]:
    rows = re.findall(r"^\| `([A-Z_]+)` \| ([\d,]+) \| \S", section("Every limit"), re.MULTILINE)
    assert len(rows) == len(dict(rows))
    return {name: int(value.replace(",", "")) for name, value in rows}


def test_every_number_of_the_protocol_that_bounds_a_relay():
    sources = [path for place in RELAY_READS for path in (ROOT / "chaton" / place).rglob("*.py")]
    words = set(re.findall(r"\b[A-Z_]+\b", "\n".join(path.read_text() for path in sources)))
    bounding = {name for name in vars(limits) if name.isupper() and name in words} - UNITS
    assert {"RECORDS_MAX", "FRAME_BYTES_MAX", "SILENCE_MS"} <= bounding
    documented = documented_limits()
    assert {name: documented.get(name) for name in bounding} == {name: getattr(limits, name) for name in bounding}


def test_every_number_of_the_relay_itself():
    found = {}
    for module in pkgutil.walk_packages(chaton.relay.__path__, "chaton.relay."):
        names = vars(importlib.import_module(module.name)).items()
        found |= {name: value for name, value in names if name.endswith("_MAX") and not name.startswith("_")}
    assert {"ROOMS_MAX", "PEEKS_MAX", "KEYS_MAX", "ASKERS_MAX"} <= found.keys()
    documented = documented_limits()
    assert {name: documented.get(name) for name in found} == found
    assert documented.keys() <= found.keys() | vars(limits).keys()


# --- metrics ---


async def test_every_metric(house):
    house.options["metrics"] = "127.0.0.1:0"
    metrics = house.open().metrics
    assert isinstance(metrics, Metrics)
    told = set(re.findall(r"^# TYPE (chaton_\w+)", metrics.text().decode(), re.MULTILINE))
    documented = set(re.findall(r"`(chaton_\w+)`", section("Metrics")))
    assert documented - {"chaton_commit_failures_total"} <= told
    assert {name for name in told if not name.endswith("_created")} == documented


# --- the unit ---


def unit() -> str:
    (block,) = blocks("ini")
    return block


def test_the_unit_has_what_is_usual():
    settings = dict(line.split("=", 1) for line in unit().splitlines() if "=" in line and not line.startswith("#"))
    wanted = {
        "NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes",
        "StateDirectory": "chaton", "ExecReload": "/bin/kill -HUP $MAINPID", "MemoryDenyWriteExecute": "yes",
        "RestrictAddressFamilies": "AF_INET AF_INET6 AF_UNIX", "CapabilityBoundingSet": "",
    }  # fmt: skip
    assert {key: settings.get(key) for key in wanted} == wanted
    assert int(settings["LimitNOFILE"]) >= Config().limits.connections_max + 64
    assert "SystemCallFilter=@system-service" in unit()


def test_the_unit_is_as_safe_as_the_page_says(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here")
    path = tmp_path / "chaton.service"
    path.write_text(unit())
    judged = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", path],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", judged.stdout)
    if found is None:
        pytest.skip(f"this systemd-analyze cannot judge a file: {judged.stderr.strip()}")
    assert float(found[1]) <= 2.0
    path.write_text(re.sub(r"^(Exec\w+)=\S+", rf"\1={sys.executable}", unit(), flags=re.MULTILINE))
    checked = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, check=False)
    assert "chaton.service:" not in checked.stderr, checked.stderr  # An unknown setting is told with its line.


# --- backup and restore ---


def backup_command(data: Path, target: Path) -> str:
    command = next(block for block in blocks("sh") if ".backup(" in block)
    assert "python -c" in command
    command = command.replace("python -c", f"{sys.executable} -c", 1)
    return command.replace("/var/lib/chaton", str(data)).replace("/var/backups/chaton", str(target))


async def shell(command: str) -> None:
    process = await asyncio.create_subprocess_exec("sh", "-euc", command, stderr=asyncio.subprocess.PIPE)
    _, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, said.decode()


@pytest.mark.parametrize("house", ["disk"], indirect=True)
async def test_a_backup_of_a_running_relay_is_restored(house, tmp_path):
    """The page's own command, while a member talks; what it copied is a prefix of what was said, and goes on."""
    house.open(limits=UNLIMITED)
    script, data, target = Script(OWNER), house.options["data"], tmp_path / "backup"
    owner, _ann = await open_room(house, script), await seat(house, script, ANN)
    for _ in range(50):
        await say(owner, script)
    acknowledged = script.history.s
    (data / "certs").mkdir()
    target.mkdir()
    copying = asyncio.create_task(shell(backup_command(data, target)))
    said = 0
    while not copying.done():
        await say(owner, script)
        said += 1
    await copying
    assert said
    assert (target / "relay.db").stat().st_mode & 0o077 == 0
    await follow(owner, script)
    told = await events(owner, script.history.s)
    await house.close()

    house.options["data"] = tmp_path / "restored"
    house.options["data"].mkdir()
    shutil.copy(target / "relay.db", house.options["data"] / "relay.db")
    house.open()
    again = await house.client(OWNER)
    (room,) = again.logged_in.rooms
    assert acknowledged <= room.s <= script.history.s
    await follow(again, script)
    assert await events(again, room.s) == [event for event in told if event.s <= room.s]


@pytest.mark.parametrize("house", ["disk"], indirect=True)
async def test_what_has_seen_nothing_later_goes_on_after_a_restore(house, tmp_path):
    house.open()
    script, data, target = Script(OWNER), house.options["data"], tmp_path / "backup"
    owner = await open_room(house, script)
    await say(owner, script)
    (data / "certs").mkdir()
    target.mkdir()
    await shell(backup_command(data, target))
    await house.close()
    for name in ("relay.db", "relay.db-wal", "relay.db-shm"):
        (data / name).unlink(missing_ok=True)
    shutil.copy(target / "relay.db", data / "relay.db")
    house.open()
    again = await house.client(OWNER)
    await say(again, script)
    ahead = await again.ask(frames.Follow, script.room, script.history.s + 1)
    assert ahead.code == "bad-history"  # What a client is told that has seen more than the backup has.


async def test_a_second_backup_over_the_first(tmp_path):
    """What a timer does: the same two paths every night."""
    data = tmp_path / "data"
    SqliteStore(data).close()
    (data / "certs").mkdir()
    for _ in range(2):
        await shell(backup_command(data, tmp_path))
    assert SqliteStore(tmp_path).close() is None


async def test_the_size_that_a_message_takes(tmp_path):
    store = SqliteStore(tmp_path)
    command = next(block for block in blocks("sh") if "page_count" in block)
    await shell(command.replace("python", sys.executable, 1).replace("/var/lib/chaton", str(tmp_path)))
    store.close()


# --- TLS, judged from outside ---


def scanned(address: tuple[str, int], report: Path) -> dict:
    program = os.environ.get("CHATON_TEST_SSLYZE") or shutil.which("sslyze")
    if program is None:
        pytest.skip("no sslyze: install it in an environment of its own, and name it in CHATON_TEST_SSLYZE")
    target = f"{address[0]}:{address[1]}"
    options = ["--quiet", "--mozilla_config=disable", f"--json_out={report}", "--resum", "--certinfo"]
    versions = ["--sslv2", "--sslv3", "--tlsv1", "--tlsv1_1", "--tlsv1_2", "--tlsv1_3", "--elliptic_curves"]
    attacks = ["--heartbleed", "--robot", "--reneg", "--compression", "--openssl_ccs"]
    subprocess.run([program, *options, *versions, *attacks, target], check=True, timeout=100)
    (result,) = json.loads(report.read_text())["server_scan_results"]
    assert result["connectivity_status"] == "COMPLETED", result
    return {name: part["result"] for name, part in result["scan_result"].items()}


@pytest.mark.parametrize("house", ["memory"], indirect=True)
async def test_sslyze_finds_tls_1_3_and_nothing_else(house, tmp_path):
    house.open()
    found = await asyncio.to_thread(scanned, house.relay.address, tmp_path / "report.json")
    for version in ("ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1", "tls_1_2"):
        assert not found[f"{version}_cipher_suites"]["is_tls_version_supported"]
    suites = {each["cipher_suite"]["name"] for each in found["tls_1_3_cipher_suites"]["accepted_cipher_suites"]}
    assert suites == {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
    (deployment,) = found["certificate_info"]["certificate_deployments"]
    leaf = deployment["received_certificate_chain"][0]
    assert leaf["public_key"]["ec_curve_name"] == "secp256r1"
    assert leaf["signature_hash_algorithm"]["name"] == "sha256"
    assert deployment["received_chain_has_valid_order"]
    # Without tickets there is no early data either, which sslyze cannot try: it does not say the protocol's name.
    assert found["session_resumption"]["tls_ticket_resumption_result"] == "SERVER_IS_TLS_1_3_ONLY"
    assert not found["tls_compression"]["supports_compression"]
    assert not found["heartbleed"]["is_vulnerable_to_heartbleed"]
    assert not found["openssl_ccs_injection"]["is_vulnerable_to_ccs_injection"]
    assert not found["session_renegotiation"]["is_vulnerable_to_client_renegotiation_dos"]
    assert found["robot"]["robot_result"] == "NOT_VULNERABLE_RSA_NOT_SUPPORTED"
    # Whatever OpenSSL offers by default: Python 3.11 can name one curve or all. None of them is weak.
    curves = {curve["name"] for curve in found["elliptic_curves"]["supported_curves"]}
    assert "X25519" in curves
    assert curves <= {"X25519", "X448", "secp256r1", "secp384r1", "secp521r1"}


class Look(NamedTuple):
    """What a relay said first, and whether it gave a ticket."""

    data: bytes
    ticket: bool


def looked_at(address, context: ssl.SSLContext) -> Look:
    """A handshake by hand, and what comes after it."""
    with socket.create_connection(address, timeout=20) as bare, context.wrap_socket(bare) as tls:
        try:
            data = tls.recv(65_536)
        except (ConnectionError, ssl.SSLEOFError):
            data = b""
        return Look(data, tls.session is not None and tls.session.has_ticket)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_no_older_tls(house, version):
    house.open()
    context = client_context()
    context.set_ciphers("ALL:@SECLEVEL=0")  # Else this side would be the one to refuse.
    context.minimum_version = context.maximum_version = version
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.to_thread(looked_at, house.relay.address, context)


async def test_the_handshake_seen_from_outside(house):
    house.open()
    seen = await asyncio.to_thread(looked_at, house.relay.address, client_context())
    assert seen.data  # The relay speaks first.
    assert not seen.ticket
    house.relay._context.num_tickets = 1
    assert (
        await asyncio.to_thread(looked_at, house.relay.address, client_context())
    ).ticket  # The look is no blind one.


@pytest.mark.parametrize("protocols", [[], ["h2"], ["chaton/2"], ["http/1.1", "h2"]])
async def test_without_the_protocols_name_nothing_is_said(house, protocols):
    house.open()
    context = client_context()
    context.set_alpn_protocols(protocols)
    assert (await asyncio.to_thread(looked_at, house.relay.address, context)).data == b""
