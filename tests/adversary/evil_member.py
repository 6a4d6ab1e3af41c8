"""The real client of a member who means harm: its keys, its session and its connection, with signing and sealing open."""

from dataclasses import dataclass
from typing import Any

from chaton.client.chatroom import ChatRoom
from chaton.client.client import Client
from chaton.identity.bundle import Bundle
from chaton.identity.ids import ChainId, Identity
from chaton.identity.statement import Seed
from chaton.room.envelope import Envelope, Header
from chaton.room.records import Record, sign_record
from chaton.session.content import Content, Text
from chaton.session.room import Room
from chaton.vault.chain import ReadChain, SendChain, message_key
from chaton.vault.entropy import system_entropy
from chaton.vault.message import seal_message
from chaton.vault.parcel import KIND_CHAIN, seal_parcel
from chaton.wire import frames


@dataclass
class EvilMember:
    """One member's place in one room."""

    client: Client
    chat: ChatRoom

    @property
    def identity(self) -> Identity:
        return self.client.identity

    @property
    def seed(self) -> Seed:
        return self.client.profile.seed

    @property
    def room(self) -> Room:
        return self.chat.room

    async def ask(self, frame: frames.AnyClientFrame) -> Any:
        """Say anything to the relay; returns its answer, or raises its refusal."""

        def errand():
            return (yield frame)

        return await self.chat.driver.run(errand())

    def plain(self, content: Content | str) -> bytes:
        """The plaintext of a message."""
        content = Text(content) if isinstance(content, str) else content
        return bytes([content.KIND]) + bytes(16) + content.encode()

    def chain(self, **how: Any) -> SendChain:
        """A chain of one's own; any of its fields may be false."""
        state, member = self.room.view.state, self.room.member
        usual = {
            "room": state.room, "sender": self.identity, "inst": member.inst, "n": state.n, "head": state.head,
            "epoch": state.epoch, "prev": ChainId.zero(), "prev_count": 0, "born": 0, "entropy": system_entropy,
        }  # fmt: skip
        return SendChain.begin(**(usual | how))

    def seal(self, chain: SendChain, content: Content | str, **how: Any) -> Envelope:
        """A message in a chain of one's own; what it claims to have seen may be false."""
        view = self.room.view
        usual = {
            "n": view.state.n, "head": view.state.head, "s": view.history.s, "transcript": view.history.last,
            "plaintext": self.plain(content), "entropy": system_entropy,
        }  # fmt: skip
        return chain.seal(**(usual | how))

    def seal_as(self, read: ReadChain, signer: Seed, content: Content | str) -> Envelope:
        """A message in a chain that one can only read, under a signature of whomever."""
        view, statement = self.room.view, read.statement
        header = Header(
            statement.room, statement.id, read.index, view.state.n, view.state.head, view.history.s, view.history.last
        )
        key = message_key(read.secret, statement.id, read.index)
        return seal_message(key, header, self.plain(content), signer, system_entropy)

    def chain_of(self, victim: Identity) -> ReadChain:
        """What this member was given of somebody's chain."""
        chains = (known.read for known in self.room.reader.chains.values() if known.statement.sender == victim)
        return [read for read in chains if read is not None][-1]

    async def post(self, to: Identity, kind: int, body: bytes) -> bytes:
        """Seal a parcel to a member's current keys and have it carried; returns its bytes."""
        await self.ask_bundles(to)
        bundle = self.chat.driver.session.peers.usable(to)
        raw = self.parcel(bundle, kind, body)
        await self.ask(frames.Parcels(0, self.room.view.room, [frames.ParcelTo(to, raw)]))
        return raw

    def parcel(self, bundle: Bundle, kind: int, body: bytes) -> bytes:
        """A parcel for the owner of a bundle."""
        return seal_parcel(self.seed, self.room.view.room, bundle, kind, body, system_entropy)

    async def ask_bundles(self, who: Identity) -> None:
        answer = await self.ask(frames.Bundles(0, [who]))
        for raw in answer.bundles:
            self.chat.driver.session.peers.learn(raw)

    async def give(self, chain: SendChain, *to: Identity) -> None:
        """Give out the key of a chain."""
        for identity in to:
            await self.post(identity, KIND_CHAIN, chain.grant().encode())

    async def send(self, envelope: Envelope) -> Any:
        """Hand an envelope to the relay."""
        return await self.ask(frames.Send(0, self.room.view.room, envelope.raw))

    def record(self, body: Any, **how: Any) -> Record:
        """A record signed by this member, at any place of the log, under any actor's key."""
        state = self.room.view.state
        usual = {"seed": self.seed, "room": state.room, "n": state.n + 1, "prev": state.head, "t": 0}
        return sign_record(body, **(usual | how))
