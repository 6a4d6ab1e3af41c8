"""A relay's operator, as real processes: checking the configuration, health, metrics, what the log says, a restore."""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

import pytest

from chaton.relay.config import load
from tests.cli.conftest import Program, Relay, ok, run

OWNER = "ab" * 32
BACKUP = """
import sys, apsw
source = apsw.Connection(sys.argv[1], flags=apsw.SQLITE_OPEN_READONLY)
with apsw.Connection(sys.argv[2]).backup("main", source, "main") as backup:
    backup.step()
"""


# --- serve --check-config ---


@pytest.fixture
def file(tmp_path):
    """A whole and right configuration with a certificate."""
    ok("certs", "--out", tmp_path)
    path = tmp_path / "relay.toml"
    path.write_text(
        f'listen = "127.0.0.1:0"\ndata = "data"\ncert = "server.pem"\nkey = "server.key"\nowners = ["{OWNER}"]\n'
        'metrics = "[::1]:9555"\n[limits.identity]\nmessages = { per_second = 0.5, burst = 7 }\n'
    )
    return path


def check(*options):
    return run("serve", "--check-config", *options)


def test_what_is_printed_is_the_same_configuration(file, tmp_path):
    pin = ok("certs", "--out", tmp_path).removeprefix("pin ").strip()
    done = check("--config", file, "--memory")
    assert (done.returncode, done.stderr) == (0, "chaton serve can start with this\n")
    assert f"# pin: {pin}\n" in done.stdout
    assert "# valid until: 20" in done.stdout
    again = tmp_path / "elsewhere" / "all.toml"
    again.parent.mkdir()
    again.write_text(done.stdout)
    assert load(again) == load(file, {"memory": True})
    assert check("--config", again).stdout == done.stdout


def test_every_key_is_printed_that_has_a_value(file):
    printed = tomllib.loads(check("--config", file).stdout)
    assert set(printed) >= {"listen", "data", "cert", "key", "owners", "memory", "metrics", "limits"}
    assert set(printed["limits"]["address"]) == set(printed["limits"]["identity"])
    assert printed["owners"] == [OWNER]


def test_nothing_is_made(tmp_path):
    data = tmp_path / "not" / "there"
    done = check("--data", data, "--listen", "[::1]:1")
    assert done.returncode == 0
    assert f"# certificate: will be made in {data}/certs\n" in done.stdout
    assert f"# store: will be made as {data}/relay.db\n" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_relay_that_runs_is_left_alone(started, tmp_path):
    relay = Relay("--listen", "127.0.0.1:0", "--data", tmp_path)
    started(relay.program)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    done = check("--listen", relay.address, "--data", tmp_path)
    assert done.returncode == 0
    assert f"# pin: {relay.pin}\n" in done.stdout
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda at: (at / "relay.toml").write_text("lisen = 1"), "lisen: there is no such key"),
        (lambda at: (at / "relay.toml").write_text('listen = "0.0.0.0:99999"'), "is not HOST:PORT"),
        (lambda at: (at / "relay.toml").write_text('metrics = "0.0.0.0:1"'), "not an address of this machine alone"),
        (lambda at: (at / "relay.toml").unlink(), "relay.toml cannot be read: No such file"),
        (lambda at: (at / "server.pem").unlink(), "server.pem cannot be read: No such file"),
        (lambda at: (at / "server.key").write_text("no key"), "server.key is not the key of"),
        (lambda at: (at / "data").write_text("in the way"), "data is not a directory"),
        (lambda at: database(at, b"no database at all"), "relay.db is not a database"),
        (lambda at: database(at, b"SQLite format 3\0" + bytes(44) + b"\0\0\0\x63"), "later version of Chaton"),
        (lambda at: (at / "data" / "relay.db").mkdir(parents=True), "relay.db cannot be read: Is a directory"),
    ],
    ids=lambda value: None if callable(value) else value,
)
def test_each_mistake_is_a_sentence_and_exit_code_2(file, tmp_path, spoil, sentence):
    spoil(tmp_path)
    done = check("--config", file)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert done.stderr.count("chaton: error: ") == done.stderr.count("chaton: hint: ") == 1


def database(at: Path, start: bytes) -> None:
    (at / "data").mkdir()
    (at / "data" / "relay.db").write_bytes(start + bytes(4_096))


@pytest.mark.skipif(os.getuid() == 0, reason="nothing is closed to root")
def test_a_directory_that_is_closed(tmp_path):
    tmp_path.chmod(0o500)
    done = check("--data", tmp_path / "data")
    tmp_path.chmod(0o700)
    assert done.returncode == 2
    assert "cannot be written" in done.stderr


def test_an_odd_path_is_written_so_that_toml_reads_it(tmp_path):
    data = tmp_path / 'a "b" \\ ü ☂ \x7f'
    assert tomllib.loads(check("--data", data).stdout)["data"] == str(data)


# --- metrics and health ---


def test_metrics(started, tmp_path):
    program = started(
        Program(["serve", "--listen", "127.0.0.1:0", "--data", str(tmp_path), "--metrics", "127.0.0.1:0"])
    )
    program.line()
    port = re.search(rb"metrics are told on port (\d+) of this machine", read_until(program, b"metrics are told"))[1]
    with urllib.request.urlopen(f"http://127.0.0.1:{int(port)}/metrics", timeout=20) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        assert b"chaton_connections 0.0\n" in answer.read()
    program.process.terminate()
    assert program.end()[0] == 0


def read_until(program, words: bytes) -> bytes:
    said = b""
    while words not in said:
        line = program.process.stderr.readline()
        assert line, said
        said += line
    return said


def test_health_tells_the_limits(started, tmp_path):
    config = tmp_path / "relay.toml"
    config.write_text(
        "retention_days = 7\nroom_blob_bytes = 5_242_880\n[limits.identity]\nmessages = { per_second = 0.5, burst = 9 }\n"
    )
    relay = Relay("--config", config, "--listen", "127.0.0.1:0", "--data", tmp_path, "--memory")
    started(relay.program)
    first, second = ok("health", relay.address).splitlines()
    version = ok("--version").split()[1]
    assert re.fullmatch(rf".* is well: version {version}, pin {relay.pin}, clock [+-]\d+ ms from ours", first)
    assert (
        second
        == "it keeps messages 7 days, and takes 30 a minute of one identity, 9 at once, \
and attachments of up to 5 MiB"
    )
    told = json.loads(ok("health", relay.address, "--json"))
    limits = {"retention_ms": 7 * 86_400_000, "messages_per_minute": 30, "messages_at_once": 9}
    limits["blob_bytes_max"] = 5_242_880
    assert (told["version"], told["pin"], told["limits"]) == (version, relay.pin, limits)
    assert abs(told["clock_ms"]) < 60_000


# --- what the log holds ---


def garbage(address: str, data: bytes, *, tls: bool) -> None:
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=20) as bare:
        connection = bare
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_alpn_protocols(["chaton/1"])
            connection = context.wrap_socket(bare)
        connection.sendall(data)
        try:
            while connection.recv(65_536):
                continue
        except OSError:
            assert not tls  # Before TLS the relay cuts it; inside it says goodbye.
        connection.close()


def test_the_log_of_a_lively_relay_names_nobody(person, tmp_path):
    """Rooms, joins, talk, a kick, garbage, a full house, reloads: nothing of it says who, or from where."""
    config = tmp_path / "relay.toml"
    config.write_text("[limits.address]\nconnections = { per_second = 0.001, burst = 20 }\n")
    relay = Relay("--debug", "--listen", "127.0.0.1:0", "--data", tmp_path / "data", "--config", config)
    alice, ben = person("alice"), person("ben")
    room = alice.ok(
        "room", "new", "zebrafish", "--relay", relay.address, "--pin", relay.pin, "--nick", "quokka"
    ).strip()
    link = alice.ok("invite", "zebrafish").strip()
    ben_is = ben.join(link, "narwhal")
    ben.ok("send", "zebrafish", "hippopotamus")
    alice.ok("tail", "zebrafish")
    alice.ok("kick", "zebrafish", "narwhal", "--reason", "platypus")
    assert ben.run("send", "zebrafish", "again").returncode == 3
    garbage(relay.address, b"GET / HTTP/1.1\r\n\r\n", tls=False)
    garbage(relay.address, b"\xff" * 64, tls=True)
    while run("health", relay.address).returncode == 0:
        pass
    config.write_text("retention_days = 0\n")
    relay.program.process.send_signal(signal.SIGHUP)
    seen = read_until(relay.program, b"nothing was reloaded")
    config.write_text("")
    relay.program.process.send_signal(signal.SIGHUP)
    seen += read_until(relay.program, b"are reloaded")
    alice_is = json.loads(alice.ok("identity", "show", "--json"))["identity"]
    relay.program.process.terminate()
    code, _, rest = relay.program.end()
    log = seen.decode() + rest
    assert code == 0
    for words in ("connections over a limit were cut", "spoke another protocol", "retention_days", "are reloaded"):
        assert words in log
    assert "Traceback" not in log
    names = ["zebrafish", "quokka", "narwhal", "hippopotamus", "platypus"]
    for secret in (*names, room[:8], alice_is[:8], ben_is[:8], relay.pin[:8], "127.0.0", link[:24]):
        assert secret.lower() not in log.lower()


# --- a backup is for a lost disk, not for going back ---


def restored(tmp_path: Path, port: str) -> Relay:
    """The relay of ``data`` once more, at the same port, with the store of the copy."""
    for path in (tmp_path / "data").glob("relay.db*"):
        path.unlink()
    shutil.copy(tmp_path / "copy.db", tmp_path / "data" / "relay.db")
    return Relay("--listen", f"127.0.0.1:{port}", "--data", tmp_path / "data")


@pytest.mark.parametrize("later", [False, True], ids=["nothing later", "something later"])
def test_clients_after_a_restore(person, started, tmp_path, later):
    relay = Relay("--listen", "127.0.0.1:0", "--data", tmp_path / "data")
    started(relay.program)
    alice = person("alice")
    alice.ok("room", "new", "ops", "--relay", relay.address, "--pin", relay.pin, "--nick", "alice")
    alice.ok("send", "ops", "before")
    paths = [tmp_path / "data" / "relay.db", tmp_path / "copy.db"]
    subprocess.run([sys.executable, "-c", BACKUP, *paths], check=True)
    if later:
        alice.ok("send", "ops", "after")
    relay.program.process.terminate()
    assert relay.program.end()[0] == 0
    started(restored(tmp_path, relay.address.rpartition(":")[2]).program)
    done = alice.run("send", "ops", "and on")
    assert done.returncode == (3 if later else 0), done.stderr
    assert ("no longer knows events" in done.stderr) == later
