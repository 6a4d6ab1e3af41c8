"""The test vectors, an Entropy that replays what was recorded, and the people who meet in the tests."""

import hashlib
import json
from pathlib import Path
from typing import Any

from chaton.identity.ids import ChainId, Head, Identity, Instance, RoomId, Transcript
from chaton.identity.statement import Seed
from chaton.vault.bundle import OwnBundle, make_bundle
from chaton.vault.chain import SendChain
from chaton.vault.entropy import Entropy

FOLDER = Path(__file__).parent.parent / "vectors"
NOW = 1_800_000_000_000
DAY = 86_400_000

ROOM = RoomId(b"r" * 32)
HEAD = Head(b"h" * 32)
TRANSCRIPT = Transcript(b"t" * 32)
ZERO_CHAIN = ChainId.zero()


def load(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text())


class Recorded:
    """Gives the recorded pieces in order; asking for another size, or for more, fails the test."""

    def __init__(self, *hexes: str) -> None:
        self.pieces = [bytes.fromhex(piece) for piece in hexes]

    def __call__(self, size: int) -> bytes:
        piece = self.pieces.pop(0)
        assert len(piece) == size
        return piece


class Counting:
    """Never the same bytes twice, and the same ones in each run."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.drawn = 0

    def __call__(self, size: int) -> bytes:
        self.drawn += 1
        return hashlib.shake_256(f"{self.name} {self.drawn}".encode()).digest(size)


def person(name: str) -> tuple[Seed, Identity]:
    seed = Seed(hashlib.sha256(name.encode()).digest())
    return seed, Identity(seed.public)


def own_bundle(name: str, counter: int = NOW) -> OwnBundle:
    seed, _ = person(name)
    return make_bundle(seed, counter=counter, expires=counter + DAY, entropy=Counting(f"{name} {counter}"))


def send_chain(entropy: Entropy) -> SendChain:
    _, ada = person("ada")
    return SendChain.begin(
        room=ROOM, sender=ada, inst=Instance(HEAD), n=7, head=HEAD, epoch=1,
        prev=ZERO_CHAIN, prev_count=0, born=NOW, entropy=entropy,
    )  # fmt: skip


def flipped(raw: bytes, position: int, bit: int) -> bytes:
    changed = bytearray(raw)
    changed[position] ^= 1 << bit
    return bytes(changed)
