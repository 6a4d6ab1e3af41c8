"""Panels over the room: opens each, and carries out what comes of it."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from rich.text import Text
from textual.app import App
from textual.screen import Screen

from chaton.client.replies import MemberFacts
from chaton.client.requests import Verify
from chaton.errors import ChatonError
from chaton.tui import finding
from chaton.tui.desk import Desk
from chaton.tui.panes import name_of
from chaton.tui.people import MemberPanel
from chaton.tui.screens import Choice, Chooser, Invitation, LinkPanel, Question, TextPanel
from chaton.tui.talk import Talk


class Panels:
    """See the module.

    Args:
        app: Where they are shown.
        desk: What they ask.
        talk: The room's pane.
        go: Shows a room.
        invitation: A link that is at hand from the beginning.
    """

    def __init__(
        self, app: App[int], desk: Desk, talk: Talk, go: Callable[[str], Awaitable[None]], invitation: Invitation | None
    ) -> None:
        self._app = app
        self._desk = desk
        self._talk = talk
        self._go = go
        self._invitation = invitation

    @property
    def columns(self) -> int:
        """How wide the screen is."""
        return self._app.size.width

    async def sure(self, sentence: Text) -> bool:
        """Whether a person confirms. To be asked by a worker."""
        question: Screen[Any] = Question(sentence)
        return bool(await self._app.push_screen_wait(question))

    def read(self, title: str, text: Text) -> None:
        """Show a text to read."""
        self._app.push_screen(TextPanel(title, text))

    def meet(self, room: str, facts: MemberFacts) -> None:
        """Show what is known of somebody; ``v`` notes that codes were compared."""

        def compared(is_so: bool | None) -> None:
            if is_so:
                self._desk.chores.begin(self._compared(room, facts))

        self._app.push_screen(MemberPanel(facts, self._talk.look), compared)

    async def _compared(self, room: str, facts: MemberFacts) -> None:
        try:
            await self._desk.backend.perform(Verify(room=room, who=facts.identity, ok=True))
            self._desk.note(f"{facts.nick} is noted as compared", "good", room)
            await self._desk.look_at_members(room)
        except ChatonError as error:
            self._desk.note(str(error), "bad", room)

    def hand_over(self, invitation: Invitation) -> None:
        """Show an invite link."""
        self.offer(invitation)
        self._app.push_screen(LinkPanel(invitation, self._talk.copied))

    def offer(self, invitation: Invitation) -> None:
        """Keep an invite link at hand, for when it is wanted."""
        self._invitation = invitation

    def show_link(self) -> bool:
        """Show the last invite link once more; whether there is one."""
        if self._invitation is not None:
            self.hand_over(self._invitation)
        return self._invitation is not None

    def search(self, text: str) -> None:
        """Find lines of the room, and go to one."""
        book = self._desk.book
        if book is not None:
            find = partial(finding.lines, self._desk, book.facts.room, look=self._talk.look)
            title = f"search {name_of(book.facts)}"
            self._choose(title, find, lambda seq: self._talk.go_to_line(int(seq)), text)

    def switch(self) -> None:
        """Find a room by its name, and go there."""
        self._choose("go to room", partial(finding.rooms, self._desk), self._go, "")

    async def go(self, room: str) -> None:
        """Show a room."""
        await self._go(room)

    def leave(self) -> None:
        """End the program."""
        self._app.run_worker(self._app.run_action("quit"), exit_on_error=True)

    def _choose(
        self,
        title: str,
        find: Callable[[str], Awaitable[list[Choice]]],
        then: Callable[[str], Awaitable[None]],
        text: str,
    ) -> None:
        async def choose() -> None:
            chosen = await self._app.push_screen_wait(Chooser(title, find, text))
            if chosen:
                await then(chosen)
                self._desk.changed()

        self._app.run_worker(choose())
