"""The window: panes around one room, and the keys that move between rooms and lines."""

import os
from typing import ClassVar, Final

from rich.text import Text
from textual import events, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal

from chaton.client import emoji
from chaton.client.gateway import Backend
from chaton.client.words import count
from chaton.errors import ChatonError
from chaton.tui import looks, signals
from chaton.tui.acting import Actor
from chaton.tui.book import Book
from chaton.tui.composer import Composer
from chaton.tui.desk import Desk, now_ms
from chaton.tui.keys import restore_alt_keys
from chaton.tui.panels import Panels
from chaton.tui.panes import Bar, People, RoomList, name_of, safety, title
from chaton.tui.people import line_facts_text
from chaton.tui.screens import Invitation, TypedOn
from chaton.tui.talk import Talk

_DRAW_S: Final = 0.05  # What changes in a burst is drawn together.
_MINUTE_S: Final = 5  # How often what says "4 min ago" is drawn anew.
_DRAFT_S: Final = 2
_QUIT_MS: Final = 2_000  # Two Ctrl+C within this end the program.
_LEAST: Final = (40, 8)  # Columns and rows that show everything.
_ROOM_LEAST: Final = 30  # Columns that panes leave to the room.
_ROOMS_COLUMNS: Final = 22
_PEOPLE_COLUMNS: Final = 26
_ROOMS_FROM: Final = 84  # Columns from which the list of rooms is shown by itself.


class Window(App[int]):
    """See the module.

    Args:
        backend: Carries requests out.
        room: The id of the room to show first; empty for any.
        invitation: A link to show first.
        hosting: The relay ends with this window: it is asked about first, where others are online.
    """

    CSS = """
    #middle { height: 1fr; }
    """
    TITLE = "Chaton"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "quit", show=False),
        Binding("ctrl+c", "interrupt", show=False),
        Binding("f1", "help", show=False),
        Binding("f2,alt+m", "people", show=False),
        Binding("f3", "rooms", show=False),
        Binding("f4", "invitation", show=False),
        Binding("ctrl+t", "other_theme", show=False),
        Binding("ctrl+l", "redraw", show=False),
        Binding("ctrl+r", "search", show=False),
        Binding("alt+a", "unread", show=False),
        Binding("alt+up,ctrl+p", "step(-1)", show=False),
        Binding("alt+down,ctrl+n", "step(1)", show=False),
        *(Binding(f"alt+{number % 10}", f"room({number - 1})", show=False) for number in range(1, 11)),
    ]

    def __init__(
        self, backend: Backend, room: str = "", invitation: Invitation | None = None, *, hosting: bool = False
    ) -> None:
        restore_alt_keys()
        # Without colours the terminal's own are used; Textual by itself would draw in shades of grey.
        super().__init__(ansi_color=True if os.environ.get("NO_COLOR") else None)
        self.desk = Desk(backend, self._changed, self._called)
        self.look = looks.Look.of(looks.DARK)
        self.talk = Talk(self.desk, self.look)
        self._rooms = RoomList(self.look)
        self._people = People(self.look)
        self._title = Bar(id="title")
        self._status = Bar(id="status", wraps=True)
        self._hosting = hosting
        self._first = room
        self.panels = Panels(self, self.desk, self.talk, self.go, invitation)
        self.actor = Actor(self.desk, self.panels)
        self._caller = signals.Caller()
        self._is_due = False
        self._shown: str | None = None  # Nothing has been drawn yet.
        self._entitled = ""
        self._interrupted = -_QUIT_MS
        self._rooms_wish: bool | None = None
        self._people_wish = False
        self._is_focused = True
        self._is_small = False

    # --- the screen ---

    def compose(self) -> ComposeResult:
        """A title, the panes, what one types, and whether the room is safe."""
        yield self._title
        with Horizontal(id="middle"):
            yield self._rooms
            yield self.talk
            yield self._people
        yield self._status

    def on_mount(self) -> None:
        """Dress, then begin."""
        self.register_theme(looks.DARK)
        self.register_theme(looks.LIGHT)
        self.theme_changed_signal.subscribe(self, lambda _theme: self._dress())
        self.theme = looks.first_theme()
        self._dress()
        self._people.display = False
        self.talk.composer.focus()
        self.set_interval(_MINUTE_S, self._draw_clock)
        self.set_interval(_DRAFT_S, self._keep_draft)
        self._listen()
        self._begin()

    def _dress(self) -> None:
        self.look = looks.Look.of(self.current_theme, colours=not os.environ.get("NO_COLOR"))
        self._rooms.look = self._people.look = self.look
        self.talk.restyle(self.look)
        self._draw()

    @work
    async def _begin(self) -> None:
        try:
            await self.desk.begin(self._first)
        except ChatonError as error:
            self.desk.note(str(error), "bad")
        book = self.desk.book
        if book is not None and not book.items():
            self.desk.note(f"you are in {name_of(book.facts)} as {book.facts.nick}; F1 shows commands and keys")
        self._draw()
        self.panels.show_link()

    @work
    async def _listen(self) -> None:
        try:
            await self.desk.listen()
        except ChatonError as error:
            self.desk.note(str(error), "bad")
        self.desk.note("the program that has this profile open has ended: quit, and open the room again", "bad")

    # --- drawing ---

    def _changed(self) -> None:
        """Something is another: draw soon, and once for all that changes meanwhile."""
        if not self._is_due and self.is_running:
            self._is_due = True
            self.set_timer(_DRAW_S, self._draw)

    def _draw(self) -> None:
        self._is_due = False
        book = self.desk.book
        if self._shown != self.desk.current:
            self._shown = self.desk.current
            self.talk.turn_to(book)
        self.talk.draw()
        self._rooms.show(list(self.desk.books.values()), self.desk.current)
        if book is not None:
            self._people.show(book.members)
        self._draw_bars(book)
        self._entitle(book)

    def _draw_bars(self, book: Book | None) -> None:
        if book is None:
            self._title.say(Text("Chaton", self.look.strong))
            self._status.say(Text("no room yet · F1 help · Ctrl+Q quit", self.look.dim))
        else:
            small = Text(f"small: {_LEAST[0]} columns and {_LEAST[1]} rows show all", self.look.warning)
            elsewhere = [] if self._rooms.display else self.desk.books.values()
            self._title.say(small if self._is_small else title(book, self.look, elsewhere))
            self._status.say(safety(book, self.look, now_ms(), self.size.width))

    def _draw_clock(self) -> None:
        self.talk.timeline.update(force=True)
        self._draw_bars(self.desk.book)

    def _entitle(self, book: Book | None) -> None:
        unread = sum(one.unread for one in self.desk.books.values())
        wanted = signals.title(name_of(book.facts) if book is not None else "Chaton", unread)
        if wanted != self._entitled:
            self._entitled = wanted
            self._write(wanted)

    def _write(self, sequence: str) -> None:
        """Hand something to the terminal that is no part of the screen."""
        if self._driver is not None:
            self._driver.write(sequence)

    def _called(self, book: Book) -> None:
        if not self._is_focused or book is not self.desk.book:
            self._write(self._caller.call(name_of(book.facts), now_ms()))

    def on_resize(self, event: events.Resize) -> None:
        """Narrow screens show the room alone."""
        self._is_small = event.size.width < _LEAST[0] or event.size.height < _LEAST[1]
        self._arrange()

    def _arrange(self) -> None:
        """Panes are shown as wished, where enough is left for the room between them."""
        left = self.size.width
        wished = left >= _ROOMS_FROM if self._rooms_wish is None else self._rooms_wish
        self._rooms.display = wished and left - _ROOMS_COLUMNS >= _ROOM_LEAST
        left -= _ROOMS_COLUMNS if self._rooms.display else 0
        self._people.display = self._people_wish and left - _PEOPLE_COLUMNS >= _ROOM_LEAST
        self._changed()

    # --- typing ---

    def on_composer_submitted(self, message: Composer.Submitted) -> None:
        """Say it, or do it."""
        self.talk.timeline.go_to_end()
        self._keep_draft()
        text = message.text if message.pasted else emoji.replaced(message.text)
        self._act(text, message.room, message.pasted)

    @work
    async def _act(self, text: str, room: str, pasted: bool) -> None:
        await self.actor.take(text, room, pasted=pasted)
        self._draw()

    def _keep_draft(self) -> None:
        if self._shown:
            self.desk.keep_draft(self._shown, self.talk.composer.text)

    def on_typed_on(self, message: TypedOn) -> None:
        """Somebody typed on while a panel came."""
        self.talk.composer.insert(message.text)

    # --- moving ---

    async def go(self, room: str) -> None:
        """Show a room."""
        self._keep_draft()
        try:
            await self.desk.show(room)
        except ChatonError as error:
            self.desk.note(str(error), "bad")
        self._draw()

    async def action_room(self, number: int) -> None:
        """Go to a room by its number in the list."""
        rooms = list(self.desk.books)
        if number < len(rooms):
            await self.go(rooms[number])

    async def action_step(self, step: int) -> None:
        """Go to the next room, or the one before."""
        rooms = list(self.desk.books)
        if rooms:
            now = rooms.index(self.desk.current) if self.desk.current in rooms else 0
            await self.go(rooms[(now + step) % len(rooms)])

    async def action_unread(self) -> None:
        """Go to the next room with something new: where one is named first. In this room, to where new begins."""
        book = self.desk.book
        waiting = [one for one in self.desk.books.values() if one.unread and one is not book]
        waiting.sort(key=lambda one: (not one.mentions, not one.facts.peer))
        if waiting:
            await self.go(waiting[0].facts.room)
        elif book is not None:
            self.talk.timeline.go_to(book.marker + 1)

    def action_switch(self) -> None:
        """Find a room by its name."""
        self.panels.switch()

    def action_search(self) -> None:
        """Search the room."""
        self.panels.search("")

    def on_talk_looked(self) -> None:
        """What is at the end is seen; what is above is not."""
        self._look()

    def _look(self) -> None:
        looking = self._is_focused and self.talk.timeline.at_end
        if looking and not self.desk.looking:
            self.desk.looking = True
            self.desk.see()
        elif not looking and self.desk.looking:
            self.desk.look_away()

    def on_app_focus(self) -> None:
        """Somebody looks again."""
        self._is_focused = True
        self._look()

    def on_app_blur(self) -> None:
        """Nobody looks."""
        self._is_focused = False
        self._look()

    async def on_room_list_picked(self, message: RoomList.Picked) -> None:
        """Go to a room."""
        await self.go(message.room)

    def on_people_picked(self, message: People.Picked) -> None:
        """Look at somebody."""
        book = self.desk.book
        found = [one for one in book.members if one.identity == message.identity] if book is not None else []
        if book is not None and found:
            self.panels.meet(book.facts.room, found[0])

    def on_talk_wondered(self, message: Talk.Wondered) -> None:
        """Tell everything about one message."""
        self.panels.read(f"message #{message.line.seq}", line_facts_text(message.line))

    # --- the program ---

    def action_help(self) -> None:
        """Show the commands and the keys."""
        self._act("/help", self.desk.current, False)

    def action_invitation(self) -> None:
        """Show the last invite link once more."""
        if not self.panels.show_link():
            self.desk.note("there is no link to show: /invite makes one")

    def action_people(self) -> None:
        """Show who is there, or not."""
        self._people_wish = not self._people_wish
        self._arrange()

    def action_rooms(self) -> None:
        """Show the list of rooms, or not."""
        self._rooms_wish = not self._rooms.display
        self._arrange()

    def action_other_theme(self) -> None:
        """Light instead of dark, or the other way."""
        self.theme = looks.LIGHT.name if self.theme == looks.DARK.name else looks.DARK.name

    def action_redraw(self) -> None:
        """Draw everything anew."""
        self.refresh(layout=True)

    def action_interrupt(self) -> None:
        """Ctrl+C: clear what is typed; pressed again where nothing is, quit."""
        composer, now = self.talk.composer, now_ms()
        if composer.text:
            composer.put("")
        elif now - self._interrupted < _QUIT_MS:
            self._end()
        else:
            self._interrupted = now
            self.talk.advise(Text("Ctrl+C again, or Ctrl+Q, quits; you stay a member", self.look.warning))

    async def action_quit(self) -> None:
        """End the program."""
        self._end()

    @work
    async def _end(self) -> None:
        others = [one for one in self.desk.online() if self._hosting]
        question = f"The relay ends with this window, and {count(len(others), 'other member')} would be cut off."
        if others and not await self.panels.sure(Text(question)):
            return
        await self.keep()
        self.exit(0)

    @property
    def bug(self) -> Exception | None:
        """What of ours has ended the window, if anything has."""
        return self._exception

    def _fatal_error(self) -> None:
        """A bug of ours. Textual would print every local variable, and with them what was said; the caller tells it."""
        self._close_messages_no_wait()

    async def keep(self) -> None:
        """Hand over what was typed and what was seen, for the next time."""
        self._keep_draft()
        await self.desk.close()
