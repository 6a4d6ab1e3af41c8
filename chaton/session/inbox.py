"""What comes from others in a room: their messages and the keys to them, opened, written down and told."""

from collections.abc import Iterable
from dataclasses import dataclass

from msgspec.structs import asdict

from chaton.errors import ChainRefused
from chaton.identity.ids import ChainId, Identity, Instance, MessageId
from chaton.room.envelope import HEADER_BYTES, message_id
from chaton.session.content import Plaintext
from chaton.session.context import Context
from chaton.session.keyring import Peers
from chaton.session.memory import (
    ChainEntry,
    EarlyEntry,
    EventEntry,
    ForkEntry,
    HeldEntry,
    RecalledEntry,
    RoomEntry,
)
from chaton.session.notices import Warned
from chaton.session.reader import Held, KnownChain, Opened, Outcome, Reader, Unopened
from chaton.session.sender import Sender
from chaton.session.telling import WHY_UNREAD, Teller
from chaton.session.text import clean_line
from chaton.session.timeline import Timeline
from chaton.session.view import View
from chaton.vault.chain import Grant
from chaton.wire import frames


@dataclass(frozen=True, slots=True)
class Inbox:
    """The receiving side of one room."""

    context: Context
    peers: Peers
    entry: RoomEntry
    view: View
    reader: Reader
    timeline: Timeline
    teller: Teller
    sender: Sender

    def take_message(self, entry: EventEntry, event: frames.Event) -> None:
        """Open the room's last event, a message of somebody else, or hold it until its key comes."""
        recalled = self.timeline.recalled.pop(MessageId(entry.id), None)
        if recalled is not None:
            self._told_again(recalled, entry)
            return
        outcome = self._judge(entry, event)
        entry.chain = ChainId(event.body[35:67]) if len(event.body) >= HEADER_BYTES else None
        entry.sender = Identity(event.sender)  # The relay's word, until the message is opened.
        self._settle(entry, outcome, event.body)
        if isinstance(outcome, Held):
            nick = self.teller.called(entry.sender)
            self._warn("waiting", f"a message of {nick} cannot be shown before its key comes", entry.s)
            self.sender.ask(outcome.chain, entry.sender)
        self._forget_dropped()

    def _judge(self, entry: EventEntry, event: frames.Event) -> Outcome:
        if event.kind == frames.KIND_PRUNED:
            return Unopened(entry.s, "bare")
        if MessageId(entry.id) in self.timeline.messages:
            return Unopened(entry.s, "index")
        return self.reader.receive(event.body)

    def _told_again(self, recalled: RecalledEntry, event: EventEntry) -> None:
        """What was judged before the room was begun anew stands where it is told now: it opens only once."""
        entry = EventEntry(**asdict(recalled) | {"s": event.s, "at": event.at})
        self.context.forget(recalled)
        self.context.keep(entry)
        if entry.state == "unopened":
            self.timeline.note(entry)
            if entry.s != recalled.s:
                self._warn_unread(entry.reason, entry.s)
            return
        self.put_back(entry)

    def put_back(self, entry: EventEntry) -> None:
        """Let a message that was opened before, or one's own, stand where it is, as its sender's last one."""
        self.timeline.post(entry)
        if entry.state == "opened" and entry.sender and entry.inst and entry.chain:
            self.reader.last[entry.sender, entry.inst] = (entry.s, entry.chain)

    def tell_untold(self) -> None:
        """All is told: warn if that is less than before the room was begun anew."""
        if count := len(self.timeline.recalled):
            what = f"{count} message{'s' * (count > 1)} that you have read"
            detail = f"{what} {'are' if count > 1 else 'is'} told no more: withheld by the relay, or lost"
            self._warn("untold", detail, 0)

    def tell_gone(self, bare: list[tuple[int, MessageId]]) -> None:
        """Warn of messages that the relay had nothing but the ids of, unless the log says that they were redacted."""
        gone = [s for s, message in bare if message not in self.timeline.redactions]
        if gone:
            what = f"{len(gone)} message{'s' * (len(gone) > 1)} that came meanwhile"
            detail = f"{what} cannot be shown: too old for the relay, and deleted there, or withheld by it"
            self._warn("gone", detail, gone[-1])
        self.entry.gone_s = bare[-1][0]
        self.context.keep(self.entry)

    def _settle(self, entry: EventEntry, outcome: Outcome, raw: bytes) -> None:
        """Write down and tell what became of a message."""
        match outcome:
            case Held():
                entry.state = "held"
                self.context.keep(HeldEntry(room=self.view.room, s=entry.s, n=self.view.n, raw=raw))
            case Unopened():
                entry.state, entry.reason = "unopened", outcome.reason
                self._tell_unopened(outcome, raw)
            case _:
                self._opened(entry, outcome)
        self.timeline.note(entry)

    def _opened(self, entry: EventEntry, opened: Opened) -> None:
        entry.state, entry.sender, entry.inst, entry.plain = "opened", opened.sender, opened.inst, opened.plain
        entry.lost, entry.pruned, entry.lost_before, entry.stale = (
            opened.lost, opened.pruned, opened.lost_before, opened.stale,
        )  # fmt: skip
        assert entry.chain is not None
        self._keep_chain(entry.chain)
        self._tell_lost(opened)
        self.peers.saw_counter(opened.sender, Plaintext.decode(opened.plain).counter)
        self.post(entry)

    def _tell_lost(self, opened: Opened) -> None:
        nick = self.teller.called(opened.sender)
        lost = opened.lost + opened.lost_before
        if lost:
            what = "deleted by the relay's retention" if opened.pruned else "withheld by the relay, or lost"
            detail = f"{lost} message{'s' * (lost > 1)} of {nick} before this: {what}"
            self._warn("pruned" if opened.pruned else "withheld", detail, opened.s)
        if opened.doubled:
            count = f"{opened.doubled} message{'s' * (opened.doubled > 1)}"
            detail = f"{nick} takes {count} before this for unsent: the relay lies, or the profile is an older copy"
            self._warn("doubled", detail, opened.s)
        if opened.stale:
            detail = f"{nick} sent this before knowing of a removal; who was removed may have read it"
            self._warn("stale", detail, opened.s)

    def _tell_unopened(self, outcome: Unopened, raw: bytes) -> None:
        if outcome.fork and outcome.inst is not None and outcome.inst not in self.entry.excused:
            self._fork(raw, outcome.s, outcome.inst)
            return
        self._warn_unread(outcome.reason, outcome.s)

    def _warn_unread(self, reason: str, s: int) -> None:
        why = WHY_UNREAD.get(reason, "it is damaged, or made by a program that breaks the rules")
        self._warn("undecryptable", f"a message cannot be shown: {why}", s)

    def _fork(self, evidence: bytes, s: int, claimant: Instance) -> None:
        """Somebody holds another history: stop sending, keep the evidence, tell the person (§7)."""
        self.entry.forked = True
        if claimant not in self.entry.claimants:
            self.entry.claimants.append(claimant)
        self.context.keep(self.entry)
        self.context.keep(ForkEntry(room=self.view.room, s=s, at=self.context.now, evidence=evidence))
        # In a direct room both memberships have one name.
        who = self.teller.called(self.entry.peer or self.view.register.seats[claimant].identity)
        detail = f"{who} holds another history of this room: the relay shows people different things, or {who} lies; "
        self._warn("fork", detail + "sending is stopped until you compare codes (/verify) and go on (/verify ok)", s)

    def excuse(self) -> None:
        """The person has compared codes and goes on: the claims seen so far are only refused from now on."""
        self.entry.excused = sorted({*self.entry.excused, *self.entry.claimants})
        self.entry.claimants = []
        self.entry.forked = False
        self.context.keep(self.entry)
        self.sender.pump()

    def _warn(self, code: str, detail: str, seq: int) -> None:
        self.context.tell(Warned(self.view.room, code, clean_line(detail), seq))

    def take_grant(self, sender: Identity, grant: Grant) -> None:
        """Judge a chain key, and open what waited for it. An unwanted one is dropped without an answer."""
        waiting = {message.s: message.raw for message in self.reader.held.get(grant.statement.id, [])}
        try:
            outcomes = self.reader.accept(self.view.room, sender, grant)
        except ChainRefused as refusal:
            if refusal.reason == "fork" and grant.statement.inst not in self.entry.excused:
                self._fork(grant.statement.encode(), self.view.history.s, grant.statement.inst)
            return
        if outcomes is None:
            if grant.statement.id not in self.reader.chains:
                self.context.keep(self._early_entry(sender, grant))
                self._forget_dropped()
            return
        self._keep_chain(grant.statement.id)
        for outcome in outcomes:
            assert not isinstance(outcome, Held)
            self._release(outcome, waiting[outcome.s])

    def _early_entry(self, sender: Identity, grant: Grant) -> EarlyEntry:
        return EarlyEntry(room=self.view.room, sender=sender, grant=grant.encode())

    def _release(self, outcome: Opened | Unopened, raw: bytes) -> None:
        """A message that was held is judged."""
        entry = self.timeline.messages[message_id(raw)]
        self.context.forget(HeldEntry(room=self.view.room, s=entry.s, n=0, raw=raw))
        self._settle(entry, outcome, raw)
        self.context.keep(entry)

    def take_over(self, earlier: "Inbox", *, same: bool) -> None:
        """Go on from an earlier time in the room, in the same membership or in another."""
        for recalled in earlier.timeline.recalled.values():
            self.context.forget(recalled)
        if same:
            self.timeline.recalled = earlier.timeline.recalled
            self._forget_places(earlier.view.history.s)
        self.timeline.take_over(earlier.timeline)
        for recalled in self.timeline.recalled.values():
            self.context.keep(recalled)
        self.reader.take_over(earlier.reader, same=same)
        self._keep_chains(self.reader.touched())
        self._forget_dropped()
        self.judge_early()

    def _forget_places(self, last: int) -> None:
        """All events of this membership will be told again, maybe in other places than they had up to ``last``."""
        for s in range(self.view.history.first + 1, last + 1):
            self.context.forget(EventEntry(room=self.view.room, s=s, at=0, kind=0, id=b""))

    def _keep_chain(self, chain: ChainId) -> None:
        """Keep a chain as it stands, and those that it has just ended."""
        self._keep_chains([self.reader.chains[chain], *self.reader.touched()])

    def _keep_chains(self, chains: Iterable[KnownChain]) -> None:
        for known in chains:
            read = known.read
            self.context.keep(ChainEntry(
                room=self.view.room,
                statement=known.statement.encode(),
                id=known.statement.id,
                index=read.index if read else 0,
                secret=read.secret if read else None,
                started=known.started,
                pruned=known.pruned,
            ))  # fmt: skip

    def judge_early(self) -> None:
        """The fold has moved: judge the chain keys that waited for it."""
        for grant in self.reader.ripe():
            self.context.forget(self._early_entry(grant.statement.sender, grant))
            self.take_grant(grant.statement.sender, grant)

    def _forget_dropped(self) -> None:
        """What the reader's bounds have dropped is not kept on disk either."""
        for held in self.reader.dropped_messages:
            self.context.forget(HeldEntry(room=self.view.room, s=held.s, n=held.n, raw=held.raw))
        for grant in self.reader.dropped_grants:
            self.context.forget(self._early_entry(grant.statement.sender, grant))
        self.reader.dropped_messages.clear()
        self.reader.dropped_grants.clear()

    def ask_again(self) -> None:
        """Ask once more for the keys that messages still wait for: an answer may have been lost."""
        for chain, messages in self.reader.held.items():
            entry = self.timeline.messages.get(message_id(messages[0].raw))
            if entry is not None and entry.sender is not None:
                self.sender.ask(chain, entry.sender)

    def post(self, entry: EventEntry) -> None:
        """Let an opened or own message take its place, and show it."""
        shown = self.timeline.post(entry)
        if shown is not None and not self.peers.ignored(shown.identity):
            self.context.tell(shown)
