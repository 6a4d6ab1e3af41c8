"""The configuration: a file, options on top, and a sentence for each mistake."""

import tomllib
from pathlib import Path

import msgspec
import pytest

from chaton.errors import UsageError
from chaton.identity.ids import Identity, Nonce
from chaton.limits import DAY_MS, MEMBERS_MAX
from chaton.relay import config as config_module
from chaton.relay.config import AddressRates, Config, Limits, Rates, load, parse_listen
from chaton.relay.hub.memory import Session
from chaton.relay.throttle import Kind, Rate, Throttle

OWNER = Identity(bytes(range(32)))
NOW = 1_800_000_000_000


@pytest.fixture
def write(tmp_path):
    def to_file(text):
        path = tmp_path / "relay.toml"
        path.write_text(text)
        return path

    return to_file


class TestLoading:
    def test_without_a_file_all_defaults(self):
        config = load(None)
        assert config == load(None, {})
        assert config.address == ("127.0.0.1", 5555)
        assert (config.cert, config.key, config.owners, config.memory) == (None, None, (), False)
        assert config.retention_days == 30
        assert config.retention_ms == 30 * DAY_MS
        assert config.data.is_absolute()
        assert config.limits.frame_before_login_bytes == 4_096
        assert (config.limits.nicks_per_day, config.limits.leaves_per_day) == (20, 20)
        assert (config.metrics, config.metrics_address) == (None, None)

    def test_an_empty_file_changes_nothing(self, write):
        assert load(write("")) == load(None)

    def test_every_key(self, write):
        config = load(
            write(f"""
            listen = "[::]:7000"
            data = "/srv/chaton"
            cert = "/srv/server.pem"
            key = "/srv/server.key"
            owners = ["{OWNER}"]
            memory = true
            retention_days = 7
            retention_bytes = 5_000_000
            room_blob_bytes = 6_000_000
            blob_bytes = 7_000_000
            metrics = "[::1]:7001"
            [limits]
            connections_max = 50
            connections_per_address_max = 5
            frame_before_login_bytes = 2048
            queue_bytes_max = 100_000
            nicks_per_day = 3
            leaves_per_day = 4
            [limits.identity]
            messages = {{ per_second = 0.5, burst = 7 }}
            [limits.address]
            bytes = {{ per_second = 1e6, burst = 2e6 }}
            """)
        )
        assert config == Config(
            listen="[::]:7000",
            data=Path("/srv/chaton"),
            cert=Path("/srv/server.pem"),
            key=Path("/srv/server.key"),
            owners=(OWNER,),
            memory=True,
            retention_days=7,
            retention_bytes=5_000_000,
            room_blob_bytes=6_000_000,
            blob_bytes=7_000_000,
            metrics="[::1]:7001",
            limits=Limits(
                identity=Rates(messages=Rate(per_second=0.5, burst=7)),
                address=AddressRates(bytes=Rate(per_second=1e6, burst=2e6)),
                connections_max=50,
                connections_per_address_max=5,
                frame_before_login_bytes=2048,
                queue_bytes_max=100_000,
                nicks_per_day=3,
                leaves_per_day=4,
            ),
        )
        assert config.address == ("::", 7000)
        assert isinstance(config.owners[0], Identity)

    def test_options_count_instead_of_the_file_and_none_is_not_given(self, write):
        path = write('listen = "10.0.0.1:1"\nretention_days = 7')
        config = load(path, {"listen": "10.0.0.2:2", "retention_days": None, "memory": True, "owners": [str(OWNER)]})
        assert config.address == ("10.0.0.2", 2)
        assert (config.retention_days, config.memory, config.owners) == (7, True, (OWNER,))

    def test_paths_in_the_file_are_relative_to_it_and_options_are_not(self, write, monkeypatch):
        monkeypatch.setenv("HOME", "/home/ann")
        path = write('data = "d"\ncert = "~/c.pem"\nkey = "../k"')
        config = load(path, {"data": "here"})
        assert (config.data, config.cert, config.key) == (Path("here"), Path("/home/ann/c.pem"), path.parent / "../k")
        assert load(path).data == path.parent / "d"

    def test_the_example_in_the_module_is_right(self, write):
        example = config_module.__doc__.split("::\n")[1].split("Every key")[0].replace("<64 hex digits>", str(OWNER))
        document = tomllib.loads(example)
        path = write(example)
        given = {"listen": "0.0.0.0:5555", "metrics": "127.0.0.1:9555", "data": "/var/lib/chaton"}
        expected = load(None, given | {"owners": [str(OWNER)]})
        files = {"cert": path.parent / "server.pem", "key": path.parent / "server.key"}
        assert load(path) == msgspec.structs.replace(expected, **files)
        assert set(document) == {*Config.__struct_fields__} - {"memory"}


class TestRefusals:
    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("lisen = 'x'", "lisen: there is no such key"),
            ("[limits]\nconnection_max = 1", "limits.connection_max: there is no such key"),
            ("[limits.identity]\nmesages = {}", "limits.identity.mesages: there is no such key"),
            (
                "[limits.address.bytes]\nper_second = 1\nburst = 1\nextra = 2",
                "limits.address.bytes.extra: there is no such key",
            ),
            ("limits = 3", "limits: expected object, got int"),
            ("retention_days = 0", "retention_days: expected int >= 1"),
            ("retention_days = '7'", "retention_days: expected int, got str"),
            ("retention_days = 7.5", "retention_days: expected int, got float"),
            ("room_blob_bytes = -1", "room_blob_bytes: expected int >= 0"),
            ("blob_bytes = 1e9", "blob_bytes: expected int, got float"),
            ("retention_bytes = 1", "retention_bytes: expected int >= 1048576"),
            ("memory = 1", "memory: expected bool, got int"),
            ("data = 3", "data: expected str, got int"),
            ("owners = 'x'", "owners: expected array, got str"),
            ("owners = [3]", "owners[0]: expected str, got int"),
            (f"owners = ['{OWNER}', 'ann']", "owners[1]: identity is written as 64 lower-case hex digits"),
            (f"owners = ['{str(OWNER).upper()}']", "owners[0]: identity is written as 64 lower-case hex digits"),
            ("[limits]\nframe_before_login_bytes = 100", "limits.frame_before_login_bytes: expected int >= 1024"),
            ("[limits]\nnicks_per_day = 0", "limits.nicks_per_day: expected int >= 1"),
            (
                "[limits.identity]\nmessages = { per_second = 0, burst = 1 }",
                "limits.identity.messages.per_second: expected float > 0.0",
            ),
            (
                "[limits.identity]\nmessages = { per_second = nan, burst = 1 }",
                "limits.identity.messages.per_second: expected float",
            ),
            (
                "[limits.identity]\nmessages = { per_second = 1, burst = 0.5 }",
                "limits.identity.messages.burst: expected float >= 1.0",
            ),
            (
                "[limits.identity]\nmessages = { per_second = 1 }",
                "limits.identity.messages: object missing required field burst",
            ),
            ("listen = 'nowhere'", "listen: 'nowhere' is not HOST:PORT"),
            ("cert = 'a.pem'", "cert and key belong together"),
            ("key = 'a.key'", "cert and key belong together"),
        ],
    )
    def test_a_value_that_is_not_allowed(self, write, text, sentence):
        with pytest.raises(UsageError) as caught:
            load(write(text))
        assert sentence in str(caught.value)
        assert caught.value.hint

    def test_an_unknown_key_is_told_the_known_ones(self, write):
        with pytest.raises(UsageError) as caught:
            load(write("[limits.identity]\nmesages = 1"))
        assert (
            caught.value.hint == "the keys here are: messages, records, parcels, requests, pieces, bytes, connections"
        )

    @pytest.mark.parametrize(
        "overrides", [{"lisen": "x"}, {"listen": "x"}, {"data": ""}, {"owners": ["x"]}, {"cert": "c"}]
    )
    def test_options_are_checked_alike(self, overrides):
        with pytest.raises(UsageError) as caught:
            load(None, overrides)
        assert next(iter(overrides)) in str(caught.value)

    def test_files_that_are_no_configuration(self, tmp_path, write):
        with pytest.raises(UsageError, match="cannot be read: No such file"):
            load(tmp_path / "none.toml")
        with pytest.raises(UsageError, match="cannot be read: Is a directory"):
            load(tmp_path)
        with pytest.raises(UsageError, match=r"is not a TOML file.*line 1"):
            load(write("listen = 1 2"))
        (tmp_path / "relay.toml").write_bytes(b"\xff\xfe")
        with pytest.raises(UsageError, match="is not a TOML file"):
            load(tmp_path / "relay.toml")

    @pytest.mark.parametrize("text", ["a = " + "9" * 5_000, "a = " + "[" * 5_000], ids=["number", "nesting"])
    def test_files_without_end(self, write, text):
        with pytest.raises(UsageError, match="is not a TOML file"):
            load(write(text))

    @pytest.mark.parametrize("value", ["~nobody-of-this-name/c.pem", r"c\u0000.pem"])
    def test_paths_that_are_none(self, write, value):
        with pytest.raises(UsageError, match="cert: expected a path"):
            load(write(f'cert = "{value}"\nkey = "k"'))


class TestListen:
    @pytest.mark.parametrize(
        ("text", "meant"),
        [
            ("127.0.0.1:5555", ("127.0.0.1", 5555)),
            ("0.0.0.0:0", ("0.0.0.0", 0)),
            ("relay.example:65535", ("relay.example", 65_535)),
            ("[::1]:5555", ("::1", 5555)),
            ("[::]:1", ("::", 1)),
            ("[fe80::1%eth0]:5555", ("fe80::1%eth0", 5555)),
        ],
    )
    def test_hosts_and_ports(self, text, meant):
        assert parse_listen(text) == meant

    @pytest.mark.parametrize(
        "text",
        # Parts missing or out of range; IPv6 without brackets and brackets without IPv6; whole URLs.
        [
            *("", ":", "5555", "localhost", ":5555", "localhost:", "localhost:65536", "localhost:-1", "h:+1", "h:1_0"),
            *(
                "h: 1",
                "h:٣",
                "h:0000080",
                "h:" + "9" * 5_000,
                "h\n:1",
                "a b:1",
                "::1:5555",
                "[::1]",
                "[::1]5555",
                "[]:5555",
            ),
            *("[127.0.0.1]:5555", "[h]:5555", "h]:1", "https://h:1", "user@h:1"),
        ],
    )
    def test_anything_else_is_refused(self, text):
        with pytest.raises(UsageError, match="is not HOST:PORT") as caught:
            parse_listen(text)
        assert "[::1]:5555" in caught.value.hint
        assert len(str(caught.value)) < 200


class TestDefaults:
    @pytest.mark.parametrize("scope", ["identity", "address"])
    def test_every_kind_has_a_rate(self, scope):
        rates = getattr(Limits(), scope)
        assert list(rates.by_kind()) == list(Kind)
        assert {kind.value for kind in Kind} == {*Rates.__struct_fields__}

    @pytest.mark.parametrize(
        ("of_room", "of_relay", "longest"), [(2**40, 2**40, 104_883_200), (5_000, 6_000, 5_000), (5_000, 0, 0)]
    )
    def test_an_attachment_is_no_longer_than_what_there_is_space_for(self, of_room, of_relay, longest):
        assert Config(room_blob_bytes=of_room, blob_bytes=of_relay).blob_bytes_max == longest

    def test_an_address_may_do_more_than_an_identity(self):
        limits = Limits()
        for kind, rate in limits.identity.by_kind().items():
            of_address = limits.address.by_kind()[kind]
            assert of_address.per_second > rate.per_second
            assert of_address.burst > rate.burst

    def test_the_meter_holds_to_the_limits(self):
        limits = Limits(identity=Rates(messages=Rate(per_second=1, burst=1)), nicks_per_day=1, leaves_per_day=2)
        meter, ann = limits.meter(), Session(1, "10.0.0.1", local=False, nonce=Nonce.zero(), identity=OWNER)
        assert [meter.take("messages", ann, 1, NOW) for _ in range(2)] == [0, 1_000]
        assert [meter.take_daily("nick", ann, NOW) for _ in range(2)] == [0, DAY_MS]
        assert [meter.take_daily("leave", ann, NOW) for _ in range(3)] == [0, 0, DAY_MS]
        assert {meter.take(kind, ann, 1, NOW) for kind in ("records", "parcels", "requests", "pieces", "bytes")} == {0}

    def test_a_rekey_of_the_largest_room_passes_at_once(self):
        identity, address = Throttle(Limits().identity.by_kind()), Throttle(Limits().address.by_kind())
        for _ in range(4):
            for kind, amount in ((Kind.PARCELS, MEMBERS_MAX), (Kind.BYTES, MEMBERS_MAX * 1_800), (Kind.MESSAGES, 1)):
                assert identity.take(NOW, "ann", kind, amount) == 0
                assert address.take(NOW, "10.0.0.1", kind, amount) == 0

    def test_the_largest_room_comes_back_at_once_from_one_address(self):
        limits = Limits()
        address = Throttle(limits.address.by_kind())
        assert limits.connections_per_address_max >= MEMBERS_MAX
        for _ in range(MEMBERS_MAX):
            for kind, amount in ((Kind.CONNECTIONS, 1), (Kind.REQUESTS, 10), (Kind.BYTES, 4_000)):
                assert address.take(NOW, "10.0.0.1", kind, amount) == 0
