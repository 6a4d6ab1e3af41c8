"""One's own bundles, and those of others (docs/protocol.md §4)."""

from collections.abc import Callable

from chaton.errors import BundleRefused, ProtocolError
from chaton.identity.bundle import Bundle
from chaton.identity.ids import BundleId, Identity
from chaton.limits import (
    BUNDLE_AHEAD_MS,
    BUNDLE_KEY_GRACE_MS,
    BUNDLE_LIFE_GUEST_MS,
    BUNDLE_LIFE_MS,
    BUNDLE_ROTATE_MS,
)
from chaton.session.context import Context
from chaton.session.memory import OwnBundleEntry, PeerEntry
from chaton.vault.bundle import OwnBundle, make_bundle, restore_bundle


class Keyring:
    """The bundles one has made, and whose private keys are not erased yet."""

    def __init__(self, context: Context, entries: list[OwnBundleEntry]) -> None:
        self._context = context
        self._entries = {entry.id: entry for entry in entries}
        self._opened = {entry.id: restore_bundle(entry.raw, entry.box, entry.mlkem) for entry in entries}

    @property
    def current(self) -> OwnBundle | None:
        """The newest one."""
        return max(self._opened.values(), key=lambda own: own.bundle.counter, default=None)

    @property
    def shown(self) -> OwnBundle | None:
        """The newest one that the relay has taken, so that others can seal to it."""
        taken = (own for own in self._opened.values() if self._entries[own.id].shown)
        return max(taken, key=lambda own: own.bundle.counter, default=None)

    def find(self, bundle: BundleId) -> OwnBundle | None:
        """The one of this id, while its keys are kept."""
        return self._opened.get(bundle)

    def due(self) -> bool:
        """Whether a new one must be published: hourly, and by a one-shot command only when none is valid."""
        current, now = self.current, self._context.now
        if current is None or now >= current.bundle.expires or self._ahead(current):
            return True
        return self._context.lasting and now - current.bundle.counter >= BUNDLE_ROTATE_MS

    def renew(self, *, guest: bool) -> OwnBundle:
        """Make the next one; the keys of those before stay 10 min, for parcels under way.

        What was made while the clock was ahead was refused by the relay, and no longer counts. What the relay took
        before does, even with its keys erased: it refuses anything older, and what it has would look like a clone's.
        """
        taken = self._taken()
        for ahead in [own.id for own in self._opened.values() if self._ahead(own)]:
            self._erase(ahead)
        context, current = self._context, self.current
        counter = max(current.bundle.counter + 1 if current else 0, taken + 1, context.now)
        life = BUNDLE_LIFE_GUEST_MS if guest else BUNDLE_LIFE_MS
        own = make_bundle(context.seed, counter=counter, expires=counter + life, entropy=context.entropy)
        for entry in self._entries.values():
            if not entry.replaced:
                entry.replaced = context.now
                context.keep(entry)
        entry = OwnBundleEntry(raw=own.bundle.raw, id=own.id, box=own.box, mlkem=own.mlkem, taken=taken)
        self._entries[own.id], self._opened[own.id] = entry, own
        context.keep(entry)
        return own

    def published(self, raw: bytes) -> None:
        """The relay gives this one out now."""
        for entry in self._entries.values():
            if entry.raw == raw and not entry.shown:
                entry.shown = True
                self._context.keep(entry)

    def erase_replaced(self) -> None:
        """Erase private keys 10 min after they were replaced, by the own clock, whatever the relay says.

        A clock that was set back must not keep them for as long as it takes to catch up: the 10 min begin again. Nor
        must they go at once, as what replaced them may have been refused for the clock it was made under.
        """
        now = self._context.now
        for entry in [entry for entry in self._entries.values() if entry.replaced]:
            if now < entry.replaced:
                entry.replaced = now
                self._context.keep(entry)
            elif now - entry.replaced >= BUNDLE_KEY_GRACE_MS:
                self._erase(entry.id)

    def _taken(self) -> int:
        """The highest counter that the relay has taken."""
        entries = self._entries.values()
        return max((self._opened[one.id].bundle.counter if one.shown else one.taken for one in entries), default=0)

    def _ahead(self, own: OwnBundle) -> bool:
        return not self._entries[own.id].shown and own.bundle.counter > self._context.now + BUNDLE_AHEAD_MS

    def _erase(self, bundle: BundleId) -> None:
        del self._opened[bundle]
        self._context.forget(self._entries.pop(bundle))

    def is_of_a_clone(self, raw: bytes) -> bool:
        """Whether a bundle is truly signed by one's own key, newer than one's own, and not one's own work (§4)."""
        current = self.current
        try:
            bundle = Bundle.decode(raw)
        except ProtocolError:
            return False
        if bundle.identity != self._context.me or current is None or bundle.counter < current.bundle.counter:
            return False
        return all(entry.raw != raw for entry in self._entries.values())


class Peers:
    """What is known of other identities, and the bundles that may be sealed to.

    Args:
        context: The session's.
        entries: What was remembered.
        known: Whether one has to do with an identity: it is in a room of one's own, or the peer of a direct room.
    """

    def __init__(self, context: Context, entries: list[PeerEntry], known: Callable[[Identity], bool]) -> None:
        self._context = context
        self._entries = {entry.identity: entry for entry in entries}
        self._bundles: dict[Identity, Bundle] = {}
        self._known = known

    def entry(self, identity: Identity) -> PeerEntry:
        """What is remembered of an identity."""
        return self._entries.setdefault(identity, PeerEntry(identity=identity))

    def ignored(self, identity: Identity) -> bool:
        """Whether a person has asked not to see its messages."""
        return identity in self._entries and self._entries[identity].ignored

    def learn(self, raw: bytes) -> Bundle:
        """Take in a bundle that the relay shows.

        Raises:
            Malformed: Not a bundle.
            BadSignature: Not signed by its identity.
            BundleRefused: stranger, rollback, future, expired; what was known of the identity is unchanged.
        """
        bundle = Bundle.decode(raw)
        if not self._known(bundle.identity):
            raise BundleRefused("a bundle of somebody one has nothing to do with", reason="stranger")
        entry = self.entry(bundle.identity)
        bundle.check_counter(entry.counter, entry.seen)
        bundle.check_time(self._context.now)
        if entry.bundle != bundle.raw:
            entry.bundle, entry.counter, entry.seen = bundle.raw, bundle.counter, bundle.id
            self._context.keep(entry)
        self._bundles[bundle.identity] = bundle
        return bundle

    def saw_counter(self, identity: Identity, counter: int) -> None:
        """A message of theirs names their bundle's counter, so that nobody can hold them at an older bundle."""
        entry = self.entry(identity)
        if entry.counter < counter <= self._context.now + BUNDLE_AHEAD_MS:
            entry.counter, entry.seen = counter, None
            self._context.keep(entry)

    def usable(self, identity: Identity, at_least: int = 0) -> Bundle | None:
        """The bundle to seal to now, if one is known that is not expired nor older than what was seen."""
        entry = self._entries.get(identity)
        if entry is None:
            return None
        bundle = self._bundles.get(identity)
        try:
            bundle = bundle or Bundle.decode(entry.bundle)
            bundle.check_time(self._context.now)
        except ProtocolError:
            return None
        self._bundles[identity] = bundle
        return bundle if bundle.counter >= max(entry.counter, at_least) else None
