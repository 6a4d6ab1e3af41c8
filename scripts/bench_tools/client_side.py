"""What the client spends: messages beside the libsodium calls they contain, a new key for a room of 1,000, catching up.

Processor seconds of this process. "libsodium alone" are the same calls on the same lengths, straight from the bindings
of PyNaCl, with BLAKE2b from hashlib as Chaton has it.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from statistics import median
from typing import Any

from nacl import bindings
from table import figure, spread

from chaton.identity.ids import ChainId, Head, Identity, Instance, InviteKey, RoomId
from chaton.identity.statement import Seed
from chaton.limits import BUNDLE_LIFE_MS, CHAIN_MESSAGES, DAY_MS, MEMBERS_MAX, RECORDS_MAX
from chaton.room.envelope import Envelope, message_id
from chaton.room.records import AnyBody, Genesis, Invite, Join, Nick, sign_record
from chaton.room.transcript import History
from chaton.session.audience import Delivery
from chaton.session.context import Context
from chaton.session.keyring import Peers
from chaton.session.reader import Opened, Reader
from chaton.session.view import View
from chaton.vault.bundle import make_bundle
from chaton.vault.chain import ReadChain, SendChain
from chaton.vault.entropy import system_entropy
from chaton.vault.parcel import KIND_CHAIN
from chaton.wire import frames

_NOW = 1_800_000_000_000
_PLAIN = b"\x01" + bytes(16) + b"disk 91 % on db1, cleaning up"
_INFO = bytes(64)  # As long as a sealed nick; nobody opens it here.
_ROUNDS = 5


@dataclass
class Log:
    """A room of some members and the records that made it."""

    seeds: list[Seed]
    raws: list[bytes]
    view: View


def table(*, quick: bool, tell: Callable[[str], None]) -> list[str]:
    """Everything, as lines of Markdown."""
    records, backlog, members = (2_000, 2_000, 250) if quick else (RECORDS_MAX - 1, 10_000, MEMBERS_MAX)
    tell("client: making a room and its log")
    log = _make_log(records, members)
    lines = ["| client | libsodium alone | Chaton | ratio | wanted |", "| --- | --- | --- | --- | --- |"]
    lines += _messages(log, 2_000)
    tell("client: a new key for everybody")
    lines.append(_rekey(log))
    tell("client: folding the log")
    lines.append(_fold(log))
    tell("client: opening the backlog")
    lines.append(_backlog(log, backlog))
    return lines


def _make_log(records: int, members: int) -> Log:
    seeds = [Seed(system_entropy(Seed.SIZE)) for _ in range(members)]
    key = Seed(system_entropy(Seed.SIZE))
    owner = seeds[0]
    genesis = sign_record(
        Genesis(Head(system_entropy(32)), 0, MEMBERS_MAX, b""), seed=owner, room=RoomId.zero(), n=0, prev=Head.zero(),
        t=_NOW,
    )  # fmt: skip
    view = View.of_log(Identity(seeds[1].public), [genesis.raw], History.of_room(RoomId(genesis.head)), 0)
    raws = [genesis.raw]

    def add(who: Seed, body: AnyBody, invite: Seed | None = None) -> None:
        state = view.state
        record = sign_record(
            body, seed=who, room=state.room, n=state.n + 1, prev=state.head, t=_NOW, invite=invite
        )  # fmt: skip
        view.pass_record(record.raw)
        raws.append(record.raw)

    add(owner, Invite(InviteKey(key.public), members - 1, _NOW + DAY_MS, 0))
    for seed in seeds[1:]:
        add(seed, Join(InviteKey(key.public), _INFO), key)
    number = 0
    while len(raws) < records:
        add(seeds[number % members], Nick(_INFO))
        number += 1
    return Log(seeds, raws, view)


def _chain(log: Log, sender: Seed, prev: ChainId | None = None) -> SendChain:
    state = log.view.state
    me = Identity(sender.public)
    return SendChain.begin(
        room=state.room, sender=me, inst=Instance(state.members[me].inst), n=state.n, head=state.head,
        epoch=state.epoch, prev=prev or ChainId.zero(), prev_count=CHAIN_MESSAGES if prev else 0, born=_NOW,
        entropy=system_entropy,
    )  # fmt: skip


def _seal(log: Log, chain: SendChain) -> Envelope:
    view = log.view
    return chain.seal(
        n=view.state.n, head=view.state.head, s=view.history.s, transcript=view.history.last, plaintext=_PLAIN,
        entropy=system_entropy,
    )  # fmt: skip


def _timed(act: Callable[[], Any], count: int) -> float:
    """µs of processor time for one of ``count``."""
    before = time.process_time()
    act()
    return (time.process_time() - before) / count * 1e6


def _messages(log: Log, count: int) -> list[str]:
    figures: dict[str, list[float]] = {"seal": [], "seal alone": [], "open": [], "open alone": []}
    for _ in range(_ROUNDS):
        chains = [_chain(log, log.seeds[0]) for _ in range(count // CHAIN_MESSAGES)]
        readers = [ReadChain.accept(chain.grant()) for chain in chains]
        sealed: list[bytes] = []

        def seal(chains: list[SendChain] = chains, sealed: list[bytes] = sealed) -> None:
            sealed.extend(_seal(log, chain).raw for chain in chains for _ in range(CHAIN_MESSAGES))

        def unseal(readers: list[ReadChain] = readers, sealed: list[bytes] = sealed) -> None:
            raws = iter(sealed)
            for start in readers:
                reader = start
                for _ in range(CHAIN_MESSAGES):
                    envelope = Envelope.decode(next(raws))
                    reader.check_signature(envelope)
                    _, reader = reader.open(envelope)

        figures["seal"].append(_timed(seal, count))
        figures["open"].append(_timed(unseal, count))
        figures["seal alone"].append(_timed(lambda: _sodium_seals(count), count))
        figures["open alone"].append(_timed(lambda: _sodium_opens(count), count))
    return [
        _row("seal a message, µs", figures["seal"], figures["seal alone"], "≤ 1.5×"),
        _row("open a message, µs", figures["open"], figures["open alone"], "≤ 1.5×"),
    ]


def _row(name: str, values: Sequence[float], floors: Sequence[float], wanted: str) -> str:
    times = median(value / floor for value, floor in zip(values, floors, strict=True))
    return f"| {name} | {spread(floors)} | {spread(values)} | {times:.2f}× | {wanted} |"


_PERSONS = (b"chaton1.msg", b"chaton1.next", b"chaton1.enc", b"chaton1.com")
_HEADER, _PADDED, _SIGNED = bytes(145), bytes(256), bytes(32 + 477)


def _sodium_keys(key: bytes) -> bytes:
    for person in _PERSONS[:2]:
        blake2b(bytes(34), digest_size=32, key=key, person=person).digest()
    blake2b(_HEADER, digest_size=32, key=key, person=_PERSONS[3]).digest()
    return blake2b(b"", digest_size=32, key=key, person=_PERSONS[2]).digest()


def _sodium_seals(count: int) -> None:
    _, secret = bindings.crypto_sign_seed_keypair(bytes(32))
    for _ in range(count):
        box_key = _sodium_keys(secret[:32])
        drawn = bindings.randombytes(32)
        nonce = blake2b(drawn + _HEADER + _PADDED, digest_size=24, key=box_key, person=b"chaton1.iv").digest()
        bindings.crypto_secretbox(_PADDED, nonce, box_key)
        bindings.crypto_sign(_SIGNED, secret)


def _sodium_opens(count: int) -> None:
    public, secret = bindings.crypto_sign_seed_keypair(bytes(32))
    signed = bindings.crypto_sign(_SIGNED, secret)
    box = bindings.crypto_secretbox(_PADDED, bytes(24), _sodium_keys(secret[:32]))
    for _ in range(count):
        bindings.crypto_core_ed25519_is_valid_point(public)
        bindings.crypto_sign_open(signed, public)
        bindings.crypto_secretbox_open(box, bytes(24), _sodium_keys(secret[:32]))


def _rekey(log: Log) -> str:
    """A new chain, its key sealed to everybody: bundles fetched and checked, parcels sealed and encoded apart."""
    others = log.seeds[1:]
    bundles = {
        Identity(seed.public): make_bundle(
            seed, counter=_NOW, expires=_NOW + BUNDLE_LIFE_MS, entropy=system_entropy
        ).bundle.raw
        for seed in others
    }  # fmt: skip
    totals = []
    for _ in range(_ROUNDS):
        context = Context(log.seeds[0], system_entropy, lasting=True, now=_NOW)
        body = _chain(log, log.seeds[0]).grant().encode()
        delivery = Delivery(context, Peers(context, [], lambda _identity: True), log.view.room, KIND_CHAIN, body)
        before = time.process_time()
        errand, answer = delivery.to(list(bundles)), None
        try:
            while True:
                asked = errand.send(answer)
                answer = (
                    frames.BundleList(0, [bundles[Identity(one)] for one in asked.identities])
                    if isinstance(asked, frames.Bundles)
                    else frames.ParcelsStored(0, [], [])
                )
        except StopIteration as done:
            if len(done.value) != len(others):
                raise RuntimeError("not everybody was served") from done
        totals.append(time.process_time() - before)
    each = median(totals) / len(others) * 1e6
    name = f"first message after a kick, {len(others) + 1:,} members, s"
    return f"| {name} | – | {spread(totals)} | {figure(each)} µs a member | ≤ 0.5 s for 1,000 |"


def _fold(log: Log) -> str:
    totals = []
    for _ in range(2):
        before = time.process_time()
        View.of_log(log.view.me, log.raws, History.of_room(log.view.room), 0)
        totals.append(time.process_time() - before)
    each = median(totals) / len(log.raws) * 1e6
    return f"| fold {len(log.raws):,} records, s | – | {spread(totals)} | {figure(each)} µs a record | stated |"


def _backlog(log: Log, count: int) -> str:
    prev, raws, reader = None, [], Reader(log.view)
    for _ in range(count // CHAIN_MESSAGES):
        chain = _chain(log, log.seeds[0], prev)
        prev = chain.id
        reader.accept(log.view.room, Identity(log.seeds[0].public), chain.grant())
        raws += [_seal(log, chain).raw for _ in range(CHAIN_MESSAGES)]
    before = time.process_time()
    for raw in raws:
        log.view.pass_message(message_id(raw))
        if not isinstance(reader.receive(raw), Opened):
            raise RuntimeError("a message of the backlog did not open")  # noqa: TRY004
    took = time.process_time() - before
    each = took / len(raws) * 1e6
    return f"| open {len(raws):,} messages of backlog, s | – | {figure(took)} | {figure(each)} µs a message | stated |"
