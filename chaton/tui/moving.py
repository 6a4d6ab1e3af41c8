"""What takes long and how far it is: files on their way, and the client's own work; one bar shows all of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from rich.text import Text

from chaton.client.news import Progress
from chaton.client.words import size_text, work_sentence
from chaton.session.notices import Working
from chaton.tui.book import Book
from chaton.tui.looks import Look
from chaton.tui.panes import fitted, name_of

_BAR_CELLS: Final = 20
_FILE_CELLS: Final = 30


@dataclass(slots=True)
class Moving:
    """See the module.

    Attributes:
        files: By direction and name.
        works: By room and kind.
    """

    files: dict[tuple[bool, str], Progress] = field(default_factory=dict)
    works: dict[tuple[str, str], Working] = field(default_factory=dict)

    def take(self, step: Progress | Working) -> None:
        """Something is further, or over."""
        if isinstance(step, Progress):
            self.files[step.up, step.name] = step
        elif step.done == step.total:
            self.works.pop((str(step.room), step.what), None)
        else:
            self.works[str(step.room), step.what] = step

    def end_files(self, *, up: bool) -> None:
        """Files in one direction have come to their end, or were given up."""
        self.files = {key: one for key, one in self.files.items() if key[0] != up}

    def text(self, books: Mapping[str, Book], current: str, look: Look) -> Text:
        """All of it side by side, the ``current`` room's work first; that for another room says for which."""
        text = Text()
        for one in self.files.values():
            share = one.done / one.total if one.total else 1.0
            full = round(share * _BAR_CELLS)
            text.append(f"{'↑' if one.up else '↓'} {fitted(one.name, _FILE_CELLS)} ", look.text)
            text.append("━" * full, look.good).append("━" * (_BAR_CELLS - full), look.rule)
            text.append(f" {share:.0%} of {size_text(one.total)}   ", look.dim)
        for place in sorted(self.works, key=lambda place: place[0] != current):
            book = books.get(place[0]) if place[0] != current else None
            where = f"{name_of(book.facts)}: " if book is not None else ""
            text.append(f"{where}{work_sentence(self.works[place])}   ", look.dim)
        return text
