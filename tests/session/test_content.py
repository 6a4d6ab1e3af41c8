"""Plaintexts of every kind, and threads in every order, against the vectors."""

import dataclasses
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaton.identity.ids import Identity, Instance, MessageId
from chaton.session.content import _KINDS, Edit, Plaintext, Text, Unreadable
from chaton.session.thread import Line, Post, Result, Shows, Thread
from tests.session.vectors import load

VECTORS = load("content")
NAMES = {"id": "message", "op": "add", "caption": "text"}


def facts(content: object) -> dict:
    found = {}
    for field in dataclasses.fields(content):
        value = getattr(content, field.name)
        raw = value.encode() if isinstance(value, str) else value.reveal() if hasattr(value, "reveal") else value
        found[field.name] = raw.hex() if isinstance(raw, bytes) else int(raw)
    return found


@pytest.mark.parametrize("case", VECTORS["plaintexts"], ids=lambda case: case["name"])
def test_plaintexts(case: dict) -> None:
    raw = bytes.fromhex(case["plaintext"])
    read = Plaintext.decode(raw)
    assert (read.clock, read.counter) == (case["clock"], case["ctr"])
    if case["class"] == "ok":
        assert case["kind"] == read.content.KIND
        names = {NAMES.get(name, name): value for name, value in case["fields"].items()}
        expected = {("name" if name == "name" else name): value for name, value in names.items()}
        assert facts(read.content) == expected
        assert read.encode() == raw
    else:
        assert read.content == Unreadable(case["kind"])


@given(st.binary(min_size=17, max_size=400))
def test_any_plaintext_reads(raw: bytes) -> None:
    read = Plaintext.decode(raw)
    if not isinstance(read.content, Unreadable):
        assert read.encode() == raw


def post(event: dict) -> Post | None:
    if "redact" in event:
        return Post(event["s"], MessageId.from_hex(event["redact"]), Identity.zero(), Instance.zero(), None)
    if event["plaintext"] is None:
        return None
    content = Plaintext.decode(bytes.fromhex(event["plaintext"])).content
    who = Identity.from_hex(event["identity"]), Instance.from_hex(event["inst"])
    return Post(event["s"], MessageId.from_hex(event["id"]), *who, content)


def shown(line: Line) -> dict:
    content = line.content
    ended = {Shows.DELETED: "deleted", Shows.REDACTED: "redacted", Shows.CONTENT: "ok"}
    unreadable = isinstance(content, Unreadable)
    return {
        "s": line.s,
        "id": str(line.id),
        "kind": content.kind if unreadable else content.KIND,
        "shows": ended.get(line.shows) or ("malformed" if unreadable and content.kind in _KINDS else "unknown"),
        "text": None if line.text is None else line.text.encode().hex(),
        "edited": line.edited,
        "reactions": [
            {"identity": str(one.identity), "inst": str(one.inst), "emoji": one.emoji.encode().hex()}
            for one in sorted(line.reactions, key=lambda one: (one.identity, one.inst, one.emoji.encode()))
        ],
    }


@pytest.mark.parametrize("case", VECTORS["threads"], ids=lambda case: case["name"])
def test_threads_are_the_same_in_every_order(case: dict) -> None:
    by_s = {event["s"]: event for event in case["events"]}
    for order in case["orders"]:
        thread = Thread()
        results = {}
        for s in order:
            posted = post(by_s[s])
            if posted is not None:
                results[s] = thread.post(posted)
        if order == sorted(order):
            told = {event["s"]: event["result"] for event in case["events"] if event["result"] != "unopened"}
            assert {s: result.value for s, result in results.items()} == told
        assert [shown(line) for line in thread.in_order()] == case["lines"]


def test_a_result_says_line_accept_or_ignore() -> None:
    assert {result.value for result in Result} == {"line", "accept", "ignore"}


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_the_last_edit_counts_in_whatever_order_they_are_opened(order: tuple[int, ...]) -> None:
    line = MessageId(bytes(32))
    said = [Text("first"), Edit(line, "second"), Edit(line, "third")]
    posts = [
        Post(s, MessageId(bytes([s]) * 32), Identity.zero(), Instance.zero(), content) for s, content in enumerate(said)
    ]
    thread = Thread()
    for s in order:
        thread.post(posts[s])
    assert [(shown.text, shown.edited) for shown in thread.in_order()] == [("third", True)]
