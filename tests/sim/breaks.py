"""The code broken on purpose, once for each rule of the oracle, to see that it is caught."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple
from unittest.mock import patch

from chaton.identity.ids import MessageId
from chaton.relay.hub import talk
from chaton.relay.hub.decide import Hub
from chaton.relay.hub.effects import Reply
from chaton.session import sender
from chaton.session.inbox import Inbox
from chaton.session.reader import Reader
from chaton.session.room import Room
from chaton.session.sender import Sender
from chaton.session.thread import Thread
from chaton.session.timeline import Timeline
from chaton.session.view import View
from chaton.vault.chain import SendChain
from chaton.wire.frames import Accepted


class Break(NamedTuple):
    """What is put in the place of what, in which mode that shows, and as which rule."""

    owner: Any
    name: str
    instead: Callable[[Any], Any]
    mode: str
    rule: str


def _nothing(_original: Any) -> Any:
    return lambda *_args, **_how: None


def _other_transcript(original: Any) -> Any:
    return lambda self, message: original(self, MessageId(bytes(31) + bytes(message)[:1]))


def _told_too_early(original: Any) -> Any:
    def decide(*args: Any) -> Any:
        decision = original(*args)
        decision.now += [effect for effect in decision.then if _accepts(effect)]
        return decision

    return decide


def _accepts(effect: Any) -> bool:
    return isinstance(effect, Reply) and isinstance(effect.frame, Accepted)


def _told_twice(original: Any) -> Any:
    def post(self: Inbox, entry: Any) -> None:
        original(self, entry)
        self.context.tell(self.timeline.said(entry))

    return post


def _taken_in_silence(original: Any) -> Any:
    return lambda self, message: original(self, message) and None


def _epoch_forgotten(_original: Any) -> Any:
    return lambda self: self.chain if self.chain and self.chain.index < 100 else None


def _index_stays(original: Any) -> Any:
    def seal(self: SendChain, **how: Any) -> Any:
        envelope = original(self, **how)
        self.index -= 1
        return envelope

    return seal


def _another_name(original: Any) -> Any:
    def said(self: Timeline, *args: Any) -> Any:
        told = original(self, *args)
        return told if told.own else replace(told, identity=self.view.me)

    return said


def _raises(_original: Any) -> Any:
    def presence(*_args: Any, **_how: Any) -> None:
        raise ValueError("a bug")

    return presence


def _backwards(original: Any) -> Any:
    return lambda self: original(self)[::-1]


BREAKS: dict[str, Break] = {
    "transcript": Break(View, "pass_message", _other_transcript, "honest", "prefix"),
    "durable": Break(Hub, "_decide", _told_too_early, "honest", "durable"),
    "keys": Break(Reader, "accept", _nothing, "gentle", "unread"),
    "silence": Break(Inbox, "_warn", _nothing, "member", "silent"),
    "twice": Break(Inbox, "post", _told_twice, "honest", "twice"),
    "typed": Break(Sender, "came_back", _taken_in_silence, "honest", "typed"),
    "removed": Break(Sender, "_live", _epoch_forgotten, "gentle", "removed"),
    "nonce": Break(SendChain, "seal", _index_stays, "honest", "nonce"),
    "window": Break(sender, "WINDOW", lambda _: 64, "honest", "memory"),
    "bounds": Break(Reader, "_hold", lambda _: _hold_all, "member", "memory"),
    "exception": Break(Room, "presence", _raises, "honest", "ValueError in presence"),
    "outbox": Break(Sender, "came_back", _nothing, "gentle", "converge"),
    "names": Break(Timeline, "said", _another_name, "honest", "forged"),
    "fork": Break(View, "agrees", lambda _: lambda *_args: True, "relay", "fork"),
    "gaps": Break(talk, "_check_order", _nothing, "honest", "false-alarm"),
    "order": Break(Thread, "in_order", _backwards, "honest", "order"),
}


def _hold_all(self: Reader, chain: Any, message: Any) -> None:
    self.held.setdefault(chain, []).append(message)


@contextmanager
def broken(name: str) -> Iterator[Break]:
    """Break one thing for a while."""
    one = BREAKS[name]
    with patch.object(one.owner, one.name, one.instead(getattr(one.owner, one.name))):
        yield one
