"""``chaton export`` and what a shell completes: both from the profile alone, with the relay gone."""

import json
import stat
from html.parser import HTMLParser

import pytest

from tests.cli.conftest import Relay, run

HOSTILE = "<script>alert(1)</script> \x1b[31mred\x1b[0m \u202egnp.exe & <b>bold</b>"


class Tags(HTMLParser):
    """Which elements a page has, and its text."""

    def __init__(self):
        super().__init__()
        self.tags, self.text = set(), ""

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def away(person, tmp_path):
    """Alice, who has said something hostile and something with two lines, and whose relay is gone."""
    relay = Relay("--listen", "127.0.0.1:0", "--memory")
    try:
        alice, bob = person("alice"), person("bob")
        alice.ok("room", "new", "ops", "--relay", relay.address, "--pin", relay.pin, "--nick", "alice")
        bob.join(alice.ok("invite", "ops").strip(), "bob")
        alice.ok("send", "ops", "-m", HOSTILE)
        alice.ok("send", "ops", "-m", "one\ntwo")
        alice.ok("tail", "ops")
    finally:
        relay.program.close()
    return alice


def test_as_text(away):
    text = away.ok("export", "ops")
    assert text.startswith("ops\n-- 2")
    assert "* bob joined, invited by alice" in text
    assert "one\n  | two" in text
    assert "alert(1)" in text
    assert not {"\x1b", "\u202e"} & set(text)


def test_as_json(away):
    lines = [json.loads(line) for line in away.ok("export", "ops", "--json").splitlines()]
    assert {line["event"] for line in lines} == {"message"}
    assert [line["kind"] for line in lines] == ["record", "text", "text"]
    assert lines[-1]["text"] == "one\ntwo"


def test_as_a_page_that_does_nothing(away, tmp_path):
    page = tmp_path / "ops.html"
    assert away.ok("export", "ops", "--html", "--out", page) == ""
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    read = Tags()
    read.feed(page.read_text())
    assert read.tags == {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p"}
    assert "<script>alert(1)</script>" in read.text
    again = away.run("export", "ops", "--html", "--out", page)
    assert (again.returncode, "exists" in again.stderr) == (2, True)


def test_only_what_is_younger(away):
    assert "one" in away.ok("export", "ops", "--since", "1h")
    assert away.run("export", "ops", "--since", "yesterday").returncode == 2


def completed(person, *words):
    """What the shell proposes for the last word."""
    line = " ".join(["chaton", "--profile", str(person.profile), *words])
    done = run(_CHATON_COMPLETE="bash_complete", COMP_WORDS=line, COMP_CWORD=str(len(words) + 2))
    assert (done.returncode, done.stderr) == (0, "")
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


def test_rooms_and_people_are_completed(away):
    assert completed(away, "tail", "o") == ["ops"]
    assert completed(away, "tail", "x") == []
    assert completed(away, "kick", "ops", "b") == ["bob"]
    assert completed(away, "verify", "ops", "b") == ["bob"]


def test_nobody_is_asked_for_a_passphrase_by_a_shell(away, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("correct horse\n")
    away.ok("identity", "passphrase", "--passphrase-file", secret)
    assert completed(away, "tail", "o") == []


def test_without_a_profile_nothing_is_completed_and_none_is_made(person):
    nobody = person("nobody")
    assert completed(nobody, "tail", "") == []
    assert not nobody.profile.exists()
