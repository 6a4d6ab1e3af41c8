"""What a chat needs from its two sides: who carries requests out, and who shows what comes of them."""

from collections.abc import AsyncIterator
from typing import Protocol

from chaton.client import slash
from chaton.client.news import AnyNotice
from chaton.client.replies import AnyReply, LineFacts, MemberFacts, RoomFacts, SentFacts
from chaton.client.requests import AnyRequest
from chaton.errors import ChatonError


class Backend(Protocol):
    """What carries requests out: this process, or the one that has the profile open."""

    async def perform(self, request: AnyRequest) -> AnyReply:
        """Carry out one request."""

    def notices(self) -> AsyncIterator[AnyNotice]:
        """What happens from now on."""


class Face(Protocol):
    """How a client shows things. ``asks`` says whether somebody can be asked to confirm."""

    asks: bool

    def entered(self, facts: RoomFacts, members: list[MemberFacts]) -> None:
        """One is in a room and can type."""

    def history(self, lines: list[LineFacts]) -> None:
        """What was said before."""

    def notice(self, notice: AnyNotice) -> None:
        """Something happened."""

    def reply(self, request: AnyRequest, reply: AnyReply) -> None:
        """A command is carried out."""

    def typed(self, text: str) -> None:
        """A line was typed, or pasted; what it asks for comes later."""

    def sent(self, facts: SentFacts, ref: int) -> None:
        """A message is in the room."""

    def failed(self, error: ChatonError, room: str, ref: int) -> None:
        """A line or command was refused."""

    def question(self, sentence: str) -> None:
        """Something has to be confirmed by the next line."""

    def local(self, command: slash.Local) -> None:
        """A command for the client itself: help, clear."""

    def ended(self, room: str, code: str, detail: str) -> None:
        """This is the end; ``quit`` is one's own wish."""
