"""What every part of a session shares: who one is, what time it is, and where effects go."""

from dataclasses import dataclass, field

from chaton.identity.ids import Identity
from chaton.identity.statement import Seed
from chaton.session.effects import Effect, Forget, Keep, Tell, Transmit
from chaton.session.errand import Desk
from chaton.session.memory import Entry
from chaton.session.notices import Notice
from chaton.vault.entropy import Entropy
from chaton.wire.frames import AnyClientFrame


@dataclass(slots=True)
class Context:
    """One person on one relay.

    Attributes:
        me: One's own identity.
        now: The client's clock in ms, as of the last input.
        lasting: Whether the session stays (a window, a plain client) or is here for one command.
    """

    seed: Seed
    entropy: Entropy
    lasting: bool
    now: int
    effects: list[Effect] = field(default_factory=list)
    me: Identity = field(init=False)
    desk: Desk = field(init=False)

    def __post_init__(self) -> None:
        """Let the desk's questions, and how far it is, go out as effects."""
        self.me = Identity(self.seed.public)
        self.desk = Desk(self.transmit, self.tell)

    def recent(self, since: int | None, ms: int) -> bool:
        """Whether less than ``ms`` have passed since then; if the clock was set back meanwhile, nobody knows: no."""
        return since is not None and 0 <= self.now - since < ms

    def transmit(self, frame: AnyClientFrame) -> None:
        """Send a frame."""
        self.effects.append(Transmit(frame))

    def keep(self, entry: Entry) -> None:
        """Remember an entry across restarts."""
        self.effects.append(Keep(entry))

    def forget(self, entry: Entry) -> None:
        """Remember it no longer."""
        self.effects.append(Forget(type(entry), entry.place()))

    def tell(self, notice: Notice) -> None:
        """Show a notice."""
        self.effects.append(Tell(notice))
