"""Certificates as real openssl and real TLS see them, and what a failed or repeated run leaves on the disk."""

import json
import os
import shutil
import socket
import ssl
import stat
import subprocess
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from chaton.errors import Malformed, StoreError, UsageError
from chaton.identity.certificate import pin_of_der
from chaton.identity.ids import Pin
from chaton.relay import certs

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "login.json").read_text())["certificates"]
FILES = ["ca.key", "ca.pem", "server.key", "server.pem"]
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command is not installed")


def make(out, hosts=(), addresses=(), days=365, *, now=None, force=False):
    return certs.generate(out, hosts, addresses, days, now=now or datetime.now(UTC), force=force)


def openssl(*args):
    return subprocess.run(["openssl", *map(str, args)], capture_output=True, check=True).stdout


def server(out):
    return x509.load_pem_x509_certificate((out / "server.pem").read_bytes())


def authority(out):
    return x509.load_pem_x509_certificate((out / "ca.pem").read_bytes())


def alternative_names(out):
    names = server(out).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.DNSName), [str(a) for a in names.get_values_for_type(x509.IPAddress)]


def contents(out):
    return {path.name: path.read_bytes() for path in out.iterdir()}


class TestPin:
    @pytest.mark.parametrize("vector", VECTORS, ids=[v["note"] for v in VECTORS])
    def test_of_the_vectors(self, vector):
        der = bytes.fromhex(vector["der"])
        assert pin_of_der(der) == Pin.from_hex(vector["spki"])
        assert certs.pin_of(ssl.DER_cert_to_PEM_cert(der).encode()) == Pin.from_hex(vector["spki"])

    @pytest.mark.parametrize("der", [b"", b"\x30", b"no certificate", b"\x30\x84\xff\xff\xff\xff"])
    def test_of_no_certificate(self, der):
        with pytest.raises(Malformed):
            pin_of_der(der)

    def test_of_a_certificate_with_bytes_after_it(self):
        with pytest.raises(Malformed):
            pin_of_der(bytes.fromhex(VECTORS[0]["der"]) + b"\0")

    @settings(max_examples=500)
    @given(at=st.integers(0, len(VECTORS[0]["der"]) // 2 - 1), value=st.integers(0, 255), cut=st.booleans())
    def test_of_a_damaged_certificate_raises_nothing_else(self, at, value, cut):
        der = bytearray.fromhex(VECTORS[0]["der"])
        der[at] = value
        try:
            pin_of_der(bytes(der[: at if cut else None]))
        except Malformed:
            assert cut or value != bytes.fromhex(VECTORS[0]["der"])[at]

    @needs_openssl
    def test_is_what_openssl_computes(self, tmp_path):
        pin = make(tmp_path)
        public = openssl("x509", "-in", tmp_path / "server.pem", "-noout", "-pubkey")
        (tmp_path / "public.pem").write_bytes(public)
        der = openssl("pkey", "-pubin", "-in", tmp_path / "public.pem", "-outform", "DER")
        (tmp_path / "public.der").write_bytes(der)
        assert openssl("dgst", "-sha256", "-r", tmp_path / "public.der").split()[0].decode() == str(pin)

    def test_of_a_chain_is_that_of_its_first_certificate(self, tmp_path):
        pin = make(tmp_path)
        assert certs.pin_of((tmp_path / "server.pem").read_bytes()) == pin
        assert certs.pin_of((tmp_path / "ca.pem").read_bytes()) != pin

    @pytest.mark.parametrize("read", [certs.pin_of, certs.expiry_of])
    def test_of_a_file_that_is_no_certificate_says_what_to_name(self, read):
        with pytest.raises(UsageError) as caught:
            read(b"-----BEGIN PRIVATE KEY-----")
        assert "BEGIN CERTIFICATE" in caught.value.hint


@needs_openssl
class TestWithOpenssl:
    def test_verifies_the_chain_strictly(self, tmp_path):
        make(tmp_path, ["relay.example"], ["192.0.2.7", "2001:db8::7"])
        ca, chain = tmp_path / "ca.pem", tmp_path / "server.pem"
        strict = ("verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", ca)
        for name in (("-verify_hostname", "relay.example"), ("-verify_ip", "192.0.2.7"), ("-verify_ip", "2001:db8::7")):
            assert openssl(*strict, *name, chain).endswith(b": OK\n")
        assert openssl("verify", "-x509_strict", "-CAfile", ca, ca).endswith(b": OK\n")
        with pytest.raises(subprocess.CalledProcessError):
            openssl(*strict, "-verify_hostname", "other.example", chain)

    def test_reads_the_extensions(self, tmp_path):
        make(tmp_path)
        text = openssl("x509", "-in", tmp_path / "server.pem", "-noout", "-text").decode()
        for expected in (
            "CA:FALSE",
            "Digital Signature",
            "TLS Web Server Authentication",
            "X509v3 Subject Key Identifier",
            "X509v3 Authority Key Identifier",
            "DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1",
            "prime256v1",
        ):
            assert expected in text
        text = openssl("x509", "-in", tmp_path / "ca.pem", "-noout", "-text").decode()
        assert "CA:TRUE, pathlen:0" in text
        assert "Certificate Sign, CRL Sign" in text

    def test_finds_key_and_certificate_to_fit(self, tmp_path):
        make(tmp_path)
        for name in ("ca", "server"):
            public = openssl("pkey", "-in", tmp_path / f"{name}.key", "-pubout")
            assert public == openssl("x509", "-in", tmp_path / f"{name}.pem", "-noout", "-pubkey")

    def test_verifies_after_renewal_against_the_authority_that_was_handed_out_before(self, tmp_path):
        make(tmp_path, days=3650)
        shutil.copy(tmp_path / "ca.pem", tmp_path / "handed-out.pem")
        make(tmp_path, days=3650, now=datetime.now(UTC) + timedelta(minutes=5))
        assert (tmp_path / "ca.pem").read_bytes() != (tmp_path / "handed-out.pem").read_bytes()
        make(tmp_path, days=30)
        verify = ("verify", "-x509_strict", "-CAfile", tmp_path / "handed-out.pem", tmp_path / "server.pem")
        assert openssl(*verify).endswith(b": OK\n")


def test_serves_tls_with_the_whole_chain(tmp_path):
    pin = make(tmp_path)
    ours, theirs = socket.socketpair()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem", tmp_path / "server.key")

    def serve():
        with context.wrap_socket(theirs, server_side=True) as tls:
            tls.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    trusting = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    with trusting.wrap_socket(ours, server_hostname="localhost") as tls:
        assert pin_of_der(tls.getpeercert(binary_form=True)) == pin
        tls.send(b"x")
    thread.join()


class TestFirstRun:
    def test_makes_a_closed_directory_and_four_files(self, tmp_path):
        out = tmp_path / "parent" / "certs"
        before = os.umask(0)
        try:
            make(out)
        finally:
            os.umask(before)
        assert stat.S_IMODE(out.stat().st_mode) == 0o700
        assert sorted(contents(out)) == FILES  # and no temporary file is left
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()}
        assert modes == {"ca.key": 0o600, "ca.pem": 0o644, "server.key": 0o600, "server.pem": 0o644}

    def test_lives_as_long_as_asked_and_the_authority_ten_years(self, tmp_path):
        now = datetime(2026, 5, 1, 12, 30, 15, 123456, tzinfo=UTC)
        make(tmp_path, days=30, now=now)
        assert certs.expiry_of((tmp_path / "server.pem").read_bytes()) == datetime(2026, 5, 31, 12, 30, 15, tzinfo=UTC)
        assert authority(tmp_path).not_valid_after_utc - now > timedelta(days=3649)
        assert server(tmp_path).not_valid_before_utc < now

    def test_names_exactly_what_was_asked_for(self, tmp_path):
        make(tmp_path, ["Relay.Example", "relay.example", "*.lan"], ["::1", "0:0::1", "10.0.0.1"])
        assert alternative_names(tmp_path) == (["relay.example", "*.lan"], ["::1", "10.0.0.1"])

    def test_of_several_at_once_agrees_on_one_key(self, tmp_path):
        with ThreadPoolExecutor(8) as pool:
            pins = set(pool.map(lambda _: make(tmp_path), range(8)))
        assert len(pins) == 1
        server(tmp_path).verify_directly_issued_by(authority(tmp_path))
        assert sorted(contents(tmp_path)) == FILES


class TestRenewal:
    def test_keeps_keys_pin_names_and_authority(self, tmp_path):
        now = datetime.now(UTC)
        pin = make(tmp_path, ["relay.example"], ["192.0.2.7"], now=now)
        first = contents(tmp_path)
        assert make(tmp_path, now=now + timedelta(days=200)) == pin
        second = contents(tmp_path)
        assert [name for name in FILES if first[name] != second[name]] == ["server.pem"]
        assert alternative_names(tmp_path) == (["relay.example"], ["192.0.2.7"])
        assert server(tmp_path).not_valid_after_utc > now + timedelta(days=560)

    def test_may_name_other_hosts(self, tmp_path):
        pin = make(tmp_path, ["old.example"])
        assert make(tmp_path, ["new.example"]) == pin
        assert alternative_names(tmp_path) == (["new.example"], [])

    def test_renews_an_authority_that_would_end_first(self, tmp_path):
        now = datetime.now(UTC)
        make(tmp_path, now=now)
        key = (tmp_path / "ca.key").read_bytes()
        make(tmp_path, now=now + timedelta(days=3500))
        assert (tmp_path / "ca.key").read_bytes() == key
        assert authority(tmp_path).not_valid_after_utc >= server(tmp_path).not_valid_after_utc

    @pytest.mark.parametrize("lost", ["ca.pem", "ca.key", "server.pem"])
    def test_makes_again_what_was_lost_and_keeps_the_pin(self, tmp_path, lost):
        pin = make(tmp_path)
        (tmp_path / lost).unlink()
        assert make(tmp_path) == pin
        server(tmp_path).verify_directly_issued_by(authority(tmp_path))

    def test_repairs_a_broken_authority_certificate(self, tmp_path):
        pin = make(tmp_path)
        (tmp_path / "ca.pem").write_bytes(b"torn")
        assert make(tmp_path) == pin
        server(tmp_path).verify_directly_issued_by(authority(tmp_path))

    def test_closes_a_key_that_others_could_read(self, tmp_path):
        make(tmp_path)
        (tmp_path / "server.key").chmod(0o644)
        make(tmp_path)
        assert stat.S_IMODE((tmp_path / "server.key").stat().st_mode) == 0o600

    def test_with_force_replaces_both_keys(self, tmp_path):
        pin = make(tmp_path, ["relay.example"])
        first = contents(tmp_path)
        assert make(tmp_path, force=True) != pin
        assert all(first[name] != data for name, data in contents(tmp_path).items())
        assert stat.S_IMODE((tmp_path / "server.key").stat().st_mode) == 0o600
        assert alternative_names(tmp_path) == (["relay.example"], [])


def private_pem(key, encryption=None):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


class TestRefusals:
    @pytest.mark.parametrize(
        "host",
        [
            "",
            "a b",
            "relay.example:5555",
            "-a.example",
            "a..b",
            "münchen.example",
            "x" * 64,
            "a." * 127 + "aa",
            "a.*.b",
            "a\n",
            "\x1b[2J",
        ],
    )
    def test_a_bad_host_writes_nothing(self, tmp_path, host):
        with pytest.raises(UsageError, match="is not a host name") as caught:
            make(tmp_path / "out", [host])
        assert str(caught.value).isprintable()
        assert caught.value.hint
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
    def test_an_address_as_a_host(self, tmp_path, host):
        with pytest.raises(UsageError, match="IP address, not a host"):
            make(tmp_path, [host])

    @pytest.mark.parametrize("address", ["", "localhost", "127.0.0.1:80", "[::1]", "fe80::1%eth0", "1.2.3", "01.2.3.4"])
    def test_a_bad_address(self, tmp_path, address):
        with pytest.raises(UsageError, match="is not an IP address"):
            make(tmp_path, [], [address])

    @pytest.mark.parametrize("days", [-1, 0, 3651, 10**9])
    def test_a_bad_number_of_days(self, tmp_path, days):
        with pytest.raises(UsageError, match="cannot be valid for") as caught:
            make(tmp_path / "out", days=days)
        assert "3650" in caught.value.hint
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        "pem",
        [
            b"",
            b"torn",
            private_pem(ec.generate_private_key(ec.SECP384R1())),
            private_pem(rsa.generate_private_key(65537, 2048)),
            private_pem(ec.generate_private_key(ec.SECP256R1()), BestAvailableEncryption(b"secret")),
        ],
        ids=["empty", "torn", "P-384", "RSA", "encrypted"],
    )
    def test_a_key_that_cannot_be_used_is_left_alone(self, tmp_path, pem):
        (tmp_path / "server.key").write_bytes(pem)
        with pytest.raises(StoreError, match=r"server\.key is not an unencrypted P-256") as caught:
            make(tmp_path)
        assert "--force" in caught.value.hint
        assert (tmp_path / "server.key").read_bytes() == pem

    def test_a_server_certificate_whose_names_cannot_be_kept(self, tmp_path):
        pin = make(tmp_path)
        (tmp_path / "server.pem").write_bytes(b"torn")
        with pytest.raises(StoreError) as caught:
            make(tmp_path)
        assert "--host" in caught.value.hint
        assert make(tmp_path, ["relay.example"]) == pin

    def test_a_file_where_the_directory_should_be(self, tmp_path):
        (tmp_path / "out").write_text("")
        with pytest.raises(StoreError, match="out cannot be made a directory"):
            make(tmp_path / "out")

    def test_a_directory_where_a_key_should_be(self, tmp_path):
        (tmp_path / "server.key").mkdir()
        with pytest.raises(StoreError, match=r"server\.key cannot be read"):
            make(tmp_path)

    def test_a_dangling_link_where_a_key_should_be(self, tmp_path):
        (tmp_path / "server.key").symlink_to(tmp_path / "nowhere")
        with pytest.raises(StoreError, match=r"server\.key cannot be read"):
            make(tmp_path)
        assert (tmp_path / "server.key").is_symlink()

    def test_a_directory_that_may_not_be_written(self, tmp_path, monkeypatch):
        def forbidden(**_options):  # Root, as whom this may run, may write everywhere.
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(tempfile, "mkstemp", forbidden)
        with pytest.raises(StoreError, match=r"ca\.key cannot be written: Permission denied") as caught:
            make(tmp_path)
        assert "--out" in caught.value.hint

    def test_a_disk_that_refuses_leaves_the_old_files_and_no_temporary_one(self, tmp_path, monkeypatch):
        make(tmp_path)
        first = contents(tmp_path)

        def full(_descriptor):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match="No space left on device"):
            make(tmp_path, force=True)
        assert contents(tmp_path) == first
