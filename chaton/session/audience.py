"""The audience loop: before each send, everybody who may read and has not been served is given the chain's key (§6).

That one loop serves first delivery, joiners, members who come back and those who ask (NEED).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from chaton.errors import ParcelRefused, ProtocolError
from chaton.identity.bundle import Bundle
from chaton.identity.ids import Identity, RoomId
from chaton.limits import BATCH_MAX
from chaton.session.context import Context
from chaton.session.errand import Errand
from chaton.session.keyring import Peers
from chaton.vault.parcel import seal_parcel
from chaton.wire import frames
from chaton.wire.parts import ParcelTo

_ROUNDS_MAX = 3  # A recipient who publishes a new bundle while we seal gets the key sealed again, this often.
# To learn bundles and to seal to them is about 30 ms of work; to carry as many parcels, 2 s on a line of 1 Mbit/s.
_AT_ONCE = BATCH_MAX // 2

_Item = TypeVar("_Item")


def batches(items: Sequence[_Item], size: int = BATCH_MAX) -> Iterator[Sequence[_Item]]:
    """Cut a sequence into frames' worth."""
    return (items[start : start + size] for start in range(0, len(items), size))


def fetch_bundles(peers: Peers, identities: Sequence[Identity]) -> Errand[None]:
    """Ask the relay for bundles. What cannot be accepted is left out: its owner is unreachable, nobody else is."""
    for batch in batches(identities):
        answer = yield frames.Bundles(0, list(map(bytes, batch)))
        _learn(peers, answer.bundles)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One body to be sealed, to each recipient apart.

    Attributes:
        kind: The parcel's kind, ``body`` what is sealed.
        at_least: Seal only to a bundle of at least this counter: the one that a NEED names.
        tell: Told how many recipients are done with, before each batch of them.
    """

    context: Context
    peers: Peers
    room: RoomId
    kind: int
    body: bytes
    at_least: int = 0
    tell: Callable[[int], None] = lambda _done: None

    def to(self, recipients: Sequence[Identity]) -> Errand[set[Identity]]:
        """Post a parcel to each recipient; returns those for whom the relay keeps one now."""
        served: set[Identity] = set()
        for number, some in enumerate(batches(recipients, _AT_ONCE)):
            self.tell(number * _AT_ONCE)
            yield from self._to_some(some, served)
        return served

    def _to_some(self, recipients: Sequence[Identity], served: set[Identity]) -> Errand[None]:
        asked: set[Identity] = set()
        # Again for those whose message has named a newer bundle while we asked for others'.
        while missing := [one for one in recipients if one not in asked and self._bundle(one) is None]:
            asked.update(missing)
            yield from fetch_bundles(self.peers, missing)
        left = list(recipients)
        for _ in range(_ROUNDS_MAX):
            bundles = [bundle for identity in left if (bundle := self._bundle(identity))]
            if not bundles:
                return
            left = yield from self._post(bundles, served)

    def _bundle(self, identity: Identity) -> Bundle | None:
        return self.peers.usable(identity, self.at_least)

    def _post(self, bundles: Sequence[Bundle], served: set[Identity]) -> Errand[list[Identity]]:
        """Post one batch, add who is served; returns those whose bundle was a newer one, learned now."""
        parcels = [sealed for bundle in bundles if (sealed := self._sealed(bundle))]
        answer = yield frames.Parcels(0, self.room, parcels)
        refused = {raw[3:35] for raw in answer.stale} | set(answer.absent)
        served.update(Identity(one.to) for one in parcels if one.to not in refused)
        # The relay names who has newer keys, not who gets this: only those it was sealed to a moment ago count.
        asked = {one.to for one in parcels}
        return [identity for identity in _learn(self.peers, answer.stale) if identity in asked]

    def _sealed(self, to: Bundle) -> ParcelTo | None:
        """One parcel, or None for a bundle that nothing can be sealed to: its owner is skipped, nobody else is."""
        context = self.context
        try:
            raw = seal_parcel(context.seed, self.room, to, self.kind, self.body, context.entropy)
        except ParcelRefused:
            return None
        return ParcelTo(to.identity, raw)


def _learn(peers: Peers, raws: Sequence[bytes]) -> list[Identity]:
    learned = []
    for raw in raws:
        try:
            learned.append(peers.learn(raw).identity)
        except ProtocolError:
            continue
    return learned
