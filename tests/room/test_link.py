"""Links against the vectors: each has one spelling, and a slip of the finger is noticed."""

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaton.errors import Malformed
from chaton.identity.ids import Head, Pin, RoomId
from chaton.identity.secret import InviteSeed, RoomInfoKey
from chaton.identity.statement import invite_signer
from chaton.room.link import Address, Link

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "link.json").read_text())


@pytest.mark.parametrize("case", VECTORS["valid"], ids=lambda case: case["fields"]["host"][:20])
def test_valid_links_read_and_write(case: dict) -> None:
    fields = case["fields"]
    link = Link(
        Address(fields["host"], fields["port"], Pin.from_hex(fields["spki"])),
        RoomId.from_hex(fields["room"]),
        fields["n"],
        Head.from_hex(fields["head"]),
        InviteSeed(bytes.fromhex(fields["seed"])),
        RoomInfoKey(bytes.fromhex(fields["rik"])),
    )
    assert link.encode() == case["link"]
    read = Link.decode(case["link"])
    assert (read.address, read.room, read.n, read.head) == (link.address, link.room, link.n, link.head)
    assert read.encode() == case["link"]
    assert invite_signer(read.seed).reveal().hex() == case["invite_seed"]
    assert invite_signer(read.seed).public.hex() == case["invite_public"]


@pytest.mark.parametrize("case", VECTORS["malformed"], ids=lambda case: case["why"])
def test_malformed_links_are_refused(case: dict) -> None:
    with pytest.raises(Malformed):
        Link.decode(case["link"])


@given(st.data())
def test_a_changed_character_is_refused(data: st.DataObject) -> None:
    text = VECTORS["valid"][0]["link"]
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda character: character != text[at]))
    with pytest.raises(Malformed):
        Link.decode(text[:at] + other + text[at + 1 :])


def test_a_link_that_is_cut_at_any_byte_is_refused() -> None:
    body = VECTORS["valid"][0]["link"].removeprefix("chaton:")
    raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    for size in range(len(raw)):
        with pytest.raises(Malformed):
            Link.decode("chaton:" + base64.urlsafe_b64encode(raw[:size]).rstrip(b"=").decode())


@given(st.text())
def test_any_text_reads_or_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        Link.decode(text)


def test_a_link_never_prints_its_secrets() -> None:
    link = Link.decode(VECTORS["valid"][0]["link"])
    shown = repr(link)
    assert VECTORS["valid"][0]["fields"]["seed"] not in shown
    assert VECTORS["valid"][0]["fields"]["rik"] not in shown
