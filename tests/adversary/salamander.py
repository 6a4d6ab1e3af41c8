"""One SecretBox ciphertext that opens under two keys (Dodis, Grubbs, Ristenpart, Woodage 2018: an invisible salamander).

Poly1305 is no commitment: with two keys known, two blocks of the ciphertext can be solved for so that one tag fits both.
"""

from secrets import token_bytes
from struct import pack, unpack

from nacl.secret import SecretBox

_P = 2**130 - 5
_CLAMP = 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
_CONSTANT = unpack("<4I", b"expand 32-byte k")
_ROUNDS = ((4, 0, 12, 7), (8, 4, 0, 9), (12, 8, 4, 13), (0, 12, 8, 18))


def _doubled(state: list[int]) -> list[int]:
    """Twenty rounds of Salsa20: columns and rows in turn."""
    words = list(state)
    for step in range(20):
        for line in range(4):
            for to, one, other, turn in _ROUNDS:
                places = [(word + 5 * line) % 16 if step % 2 == 0 else _row(word, line) for word in (to, one, other)]
                total = (words[places[1]] + words[places[2]]) & 0xFFFFFFFF
                words[places[0]] ^= ((total << turn) | (total >> (32 - turn))) & 0xFFFFFFFF
    return words


def _row(word: int, line: int) -> int:
    """The place of a column's word, when rows are columns."""
    place = (word + 5 * line) % 16
    return place % 4 * 4 + place // 4


def _state(key: bytes, block: bytes) -> list[int]:
    k, n = unpack("<8I", key), unpack("<4I", block)
    return [_CONSTANT[0], *k[:4], _CONSTANT[1], *n, _CONSTANT[2], *k[4:], _CONSTANT[3]]


def one_time_key(key: bytes, nonce: bytes) -> tuple[int, int]:
    """``r`` and ``s`` of the Poly1305 that SecretBox makes of key and nonce: the first 32 bytes of XSalsa20."""
    mixed = _doubled(_state(key, nonce[:16]))
    inner = pack("<8I", *(mixed[place] for place in (0, 5, 10, 15, 6, 7, 8, 9)))
    state = _state(inner, nonce[16:] + bytes(8))
    block = pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(state, _doubled(state), strict=True)))
    return int.from_bytes(block[:16], "little") & _CLAMP, int.from_bytes(block[16:32], "little")


def for_two_keys(keys: tuple[bytes, bytes], nonce: bytes, body: bytes, at: int) -> bytes:
    """Tag and ciphertext that open under both keys: ``body``, whole blocks, of which two from ``at`` on are exchanged."""
    ones = [one_time_key(key, nonce) for key in keys]
    blocks = [int.from_bytes(body[start : start + 16] + b"\x01", "little") for start in range(0, len(body), 16)]
    blocks[at] = blocks[at + 1] = 0
    (a, b), (a2, b2) = (tuple(pow(r, len(blocks) - at - place, _P) for place in range(2)) for r, _ in ones)
    sums = [sum(block * pow(r, len(blocks) - place, _P) for place, block in enumerate(blocks)) for r, _ in ones]
    while True:
        tag = int.from_bytes(token_bytes(16), "little")
        # x·a + y·b = what is missing to the tag, for both keys: two lines that cross in one point of the field.
        one, other = ((tag - s) % 2**128 - total for (_, s), total in zip(ones, sums, strict=True))
        inverse = pow(a * b2 - a2 * b, -1, _P)
        x, y = (one * b2 - other * b) * inverse % _P, (other * a - one * a2) * inverse % _P
        if all(2**128 <= block < 2**129 for block in (x, y)):
            solved = b"".join((block - 2**128).to_bytes(16, "little") for block in (x, y))
            return tag.to_bytes(16, "little") + body[: 16 * at] + solved + body[16 * at + 32 :]


def keystream(key: bytes, nonce: bytes, size: int) -> bytes:
    """What SecretBox adds to a plaintext."""
    return SecretBox(key).encrypt(bytes(size), nonce).ciphertext[16:]
