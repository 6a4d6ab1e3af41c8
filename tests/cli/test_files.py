"""Files by commands and by the clients that stay."""

import hashlib
import json
import re
import stat
from pathlib import Path

import pexpect
import pytest

from chaton.cli.progress import ProgressLine
from chaton.client.news import Progress
from chaton.identity.ids import BlobId, RoomId
from chaton.session.text import SafeText
from tests.cli.test_clients import ended, terminal

DATA = hashlib.shake_256(b"file").digest(600_000)


@pytest.fixture
def plan(tmp_path):
    path = tmp_path / "here" / "my plan.pdf"
    path.parent.mkdir()
    path.write_bytes(DATA)
    return path


@pytest.fixture
def bob(room, person):
    bob = person("bob")
    bob.join(room.link(), "bob")
    return bob


def number_of(person, room="ops"):
    events = person.events("tail", room, "--json")
    (told,) = [event for event in events if event["kind"] == "file"]
    return told["seq"]


def test_send_and_get(room, bob, plan, tmp_path):
    """Names are those of the directory that one is in; progress is for terminals."""
    done = room.run("send", "ops", "--attach", "my plan.pdf", "second draft", cwd=plan.parent)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (told,) = bob.events("tail", "ops", "--json")
    assert (told["kind"], told["file"], told["file_size"]) == ("file", "my plan.pdf", len(DATA))
    assert (told["text"], told["own"]) == ("second draft", False)
    line = bob.ok("tail", "ops")
    sentence = f"<alice> sent a file: my plan.pdf, 585.9 KB, /get {told['seq']}: second draft\n"
    assert re.fullmatch(r"\[\d\d:\d\d\] " + re.escape(sentence), line)
    done = bob.run("get", "ops", told["seq"], "--out", "new", cwd=tmp_path)
    saved = tmp_path / "new" / "my plan.pdf"
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{saved}\n", "")
    assert saved.read_bytes() == DATA
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    (event,) = bob.events("get", "ops", told["id"][:8], "--out", tmp_path / "new", "--json")
    second = str(tmp_path / "new" / "my plan (1).pdf")
    assert (event["event"], event["path"], event["size"]) == ("saved", second, len(DATA))


def test_without_a_directory_it_goes_to_the_downloads(room, bob, plan, tmp_path):
    room.ok("send", "ops", "--attach", plan)
    home = tmp_path / "home"
    home.mkdir()
    path = Path(bob.ok("get", "ops", f"#{number_of(bob)}", HOME=str(home)).strip())
    assert path == home / "Downloads" / plan.name
    assert path.read_bytes() == DATA


def test_a_direct_message_with_a_file(room, bob, plan, tmp_path):
    event = room.events("send", "ops", "--to", "bob", "--attach", plan, "-m", "psst", "--json")[0]
    assert bob.events("tail", "ops", "--json") == []
    (told,) = bob.events("tail", "@alice", "--json")
    assert (told["id"], told["to"], told["text"]) == (event["id"], "bob", "psst")
    assert f"/get {told['id'][:8]}" in bob.ok("tail", "@alice")
    path = Path(bob.ok("get", "@alice", told["seq"], "--out", tmp_path / "bobs").strip())
    assert path.read_bytes() == DATA
    path = Path(bob.ok("get", "ops", told["id"][:8], "--out", tmp_path / "bobs").strip())
    assert path.name == "my plan (1).pdf"


def test_a_caption_from_standard_input(room, bob, plan):
    room.ok("send", "ops", "--attach", plan, "-", input="from a pipe\n")
    room.ok("send", "ops", "--attach", plan, input="not asked for")
    assert [event["text"] for event in bob.events("tail", "ops", "--json")] == ["from a pipe", ""]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("send", "ops", "--attach", "/nowhere/x"), 2, "cannot be read: no such file"),
        (("send", "ops", "--attach", "/"), 2, "cannot be read: is a directory"),
        (("send", "ops", "--attach", "/dev/null"), 2, "is a device, a pipe or a socket"),
        (("send", "ops", "--attach", "~nobody-of-this-name/x"), 2, "begins with nobody's home"),
        (("get", "ops", "99"), 3, "there is no message 99"),
        (("get", "ops", "first"), 2, "is no number of a message"),
        (("get", "ops", "TEXT"), 3, "carries no file"),
        (("get", "ops", "FILE", "--out", "/dev/null"), 1, "no file can be saved in /dev/null"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, tuple) else "",
)
def test_what_cannot_be(room, plan, words, code, sentence):
    said = room.events("send", "ops", "hello", "--json")[0]
    sent = room.events("send", "ops", "--attach", plan, "--json")[0]
    numbers = {"TEXT": said["seq"], "FILE": sent["seq"]}
    done = room.run(*(numbers.get(word, word) for word in words))
    assert (done.returncode, done.stdout) == (code, "")
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_the_json_client_sends_and_fetches(room, bob, plan, started, tmp_path):
    client = started(bob.start("open", "ops", "--json", cwd=tmp_path))
    client.event("joined")
    client.say(f'/send "{plan}" second draft')
    progress = client.event("progress", up=True)
    assert (progress["name"], progress["done"], progress["total"]) == ("my plan.pdf", 0, 600_160)
    done = client.event("progress", up=True, done=600_160)
    told = client.event("message", kind="file")
    assert {progress["room"], done["room"]} == {room.room}
    assert client.event("sent")["id"] == told["id"]
    client.say(f"/get {told['seq']} {tmp_path / 'bobs'}")
    client.event("progress", up=False, done=600_160)
    saved = client.event("saved")
    assert Path(saved["path"]).read_bytes() == DATA
    client.say("/get ^ relative/../bobs")
    client.say("/send /nowhere/x")
    refused = client.event("refused", code="usage")
    assert (refused["ref"], "no such file" in refused["detail"]) == (4, True)
    code, rest, _ = client.end()
    events = [json.loads(line) for line in rest.splitlines()]
    assert (code, events[-1]["code"]) == (0, "quit")


def test_a_file_under_way_holds_up_no_message_and_is_waited_for_at_the_end(room, bob, plan, started):
    """Lines behind it go out; at the end of input it is finished first."""
    client = started(bob.start("open", "ops", "--json"))
    client.event("joined")
    client.process.stdin.write(f'/send "{plan}"\nhello\n'.encode())
    client.process.stdin.flush()
    code, rest, _ = client.end()
    refs = [event["ref"] for event in map(json.loads, rest.splitlines()) if event["event"] == "sent"]
    assert (code, sorted(refs)) == (0, [1, 2])


def test_progress_is_told_to_whoever_asks_by_the_control_socket(room, bob, plan, started, tmp_path):
    holder = started(bob.start("open", "ops", "--json"))
    holder.event("joined")
    other = started(bob.start("open", "ops", "--json"))
    other.event("joined")
    bob.ok("send", "ops", "--attach", plan)
    for client in (holder, other):
        assert client.event("progress", up=True, done=600_160)["name"] == "my plan.pdf"
    number = other.event("message", kind="file")["seq"]
    path = Path(bob.ok("get", "ops", number, "--out", "bobs", cwd=tmp_path).strip())
    assert path == tmp_path / "bobs" / plan.name
    assert path.read_bytes() == DATA
    for client in (holder, other):
        client.event("progress", up=False, done=600_160)


def test_the_line_client_shows_files_and_how_far_they_are(room, bob, plan, tmp_path):
    client = terminal(bob, "open", "ops", "--plain")
    client.expect("/quit or Ctrl[+]D ends")
    room.ok("send", "ops", "--attach", plan, "second draft")
    client.expect(r"\[\d\d:\d\d\] <alice> sent a file: my plan.pdf, 585.9 KB, /get (\d+): second draft\r\n")
    client.sendline(f"/get {client.match[1]} {tmp_path / 'bobs'}")
    client.expect(r"\r\* fetching my plan.pdf: 0 % of 586.1 KB")
    client.expect(r"\r\* fetching my plan.pdf: 100 % of 586.1 KB *\r\n")
    client.expect(re.escape(f"saved as {tmp_path}") + r"[^\n]*my plan.pdf, 585.9 KB\r\n")
    client.sendline(r"/send " + str(plan).replace(" ", r"\ "))
    client.expect(r"\* sending my plan.pdf: 100 % of 586.1 KB *\r\n")
    client.expect(r"<bob> sent a file: my plan.pdf, 585.9 KB, /get \d+(\x1b\[0m)?\r\n")
    client.sendline("/quit")
    client.expect(pexpect.EOF)
    assert ended(client) == 0
    assert (tmp_path / "bobs" / "my plan.pdf").read_bytes() == DATA


def test_without_a_terminal_a_line_for_each_tenth(capsys):
    line = ProgressLine()
    for done in range(0, 1_002, 7):
        line.show(Progress(RoomId.zero(), BlobId.zero(), SafeText("x"), done, 1_001, up=True))
        line.clear()
    told = capsys.readouterr()
    assert told.out == ""
    percents = [
        int(percent) for percent in re.findall(r"^\* sending x: (\d+) % of 1001 bytes$", told.err, re.MULTILINE)
    ]
    assert [percent // 10 for percent in percents] == list(range(1, 11))
    assert told.err.count("\n") == 10
