"""Every word with which the relay says no, and the sentence that says what to do next.

All words are listed in docs/guide.md; a client may act on them, so none changes its meaning.
"""

from collections.abc import Sequence
from typing import Final

from chaton.limits import DETAIL_CHARS_MAX

SENTENCES: Final = {
    "bad-login": "the login was not signed for this relay and connection: connect again, and check the relay's pin",
    "not-logged-in": "log in first, then ask again",
    "bad-signature": "the peek was not signed by this invite for this connection: connect again",
    "limited": "that was too much in too short a time: wait, then send the same again",
    "store-failed": "the relay's disk refused; nothing was changed: try again in a while, or tell the operator",
    "no-room": "this relay has no such room: check the link or the room's id",
    "no-right": "this relay makes rooms only for its owners and from its own machine: ask its operator (--owner)",
    "bad-record": "the record is not one of Chaton/1, or of another room: update the client",
    "bad-invite": "the invite is used up, taken back or of another room: ask an admin for a new link",
    "invite-expired": "the invite has expired: ask an admin for a new link",
    "banned": "you are banned from this room: only an admin can lift that",
    "room-full": "the room is full: an admin has to make place first",
    "not-allowed": "the room's rules do not allow this",
    "not-member": "you are not a member of this room: join it by an invite first",
    "head-moved": "the log has moved: take in these records, and sign again if it still makes sense",
    "turn-taken": "somebody else signs right now: wait for that, or ask for a turn",
    "closed": "the room is closed: nothing more is said in it",
    "muted": "you are muted in this room: ask a moderator to unmute you",
    "format": "the message is not one of Chaton/1, or of another room: update the client",
    "bad-history": "the message names a history that this relay does not have: catch up, then compare safety codes",
    "epoch-moved": "somebody has left since: catch up, start a new chain and send again",
    "bad-bundle": "the bundle is not one that you signed: make a new one",
    "old-bundle": "a newer bundle of yours is known: if you did not make it, your key was copied",
    "clock": "the bundle's times do not fit the relay's clock: check this machine's clock, then make a new one",
    "bad-parcel": "the parcel is not one of Chaton/1: update the client",
    "bad-offset": "the relay has another part of this attachment: ask how much of it there is, and go on from there",
    "bad-piece": "this is no piece of that attachment: send it again from its start, under a new id",
    "too-large": "the attachment is longer than this relay takes: send a smaller one, or tell its operator",
    "blob-taken": "somebody else has an attachment of this id in this room: send it under a new id",
    "blob-quota": "there is no space left for attachments: wait until older ones are dropped, or tell the operator",
    "no-blob": "the relay has no such attachment: it is not complete, or too old; ask its sender for it again",
    "stranger": "you share no room with this identity on this relay: meet in a room first",
}


class No(Exception):
    """A request is refused and has changed nothing.

    Args:
        code: A word of ``SENTENCES``.
        detail: A sentence that fits better than the word's own.
        retry_ms: When the same request may succeed, 0 where waiting does not help.
        records: What the asker lacks of the log.
    """

    def __init__(
        self, code: str, detail: str | None = None, *, retry_ms: int = 0, records: Sequence[bytes] = ()
    ) -> None:
        super().__init__(code)
        self.code = code
        self.detail = (detail or SENTENCES[code])[:DETAIL_CHARS_MAX]
        self.retry_ms = retry_ms
        self.records = list(records)
