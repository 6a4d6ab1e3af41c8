// §7.8 and §9.7: an attachment from its ciphertext.

import { concat, equal, insist, u64, u8, zeros } from "./bytes.mjs";
import { plainHash, unlock } from "./crypto.mjs";

const PIECE = 65_536;
const LARGEST = 100 * 1024 * 1024;
const BOX_OVERHEAD = 16;

const piecesOf = (size) => Math.max(1, Math.ceil(size / PIECE));

// Fetches what a FILE names and gives its bytes, after its length and its hash were found to be right.
export async function fetchFile(relay, room, { blob, key, hash, size }) {
  insist(size <= LARGEST, "format");
  const total = Number(size) + BOX_OVERHEAD * piecesOf(Number(size));
  let sealed = zeros(0);
  while (sealed.length < total) {
    const piece = await relay.request("Get", room, blob, sealed.length);
    const isNext = piece.size === BigInt(total) && piece.offset === BigInt(sealed.length) && piece.data.length > 0;
    insist(isNext && sealed.length + piece.data.length <= total, "format");
    sealed = concat(sealed, piece.data);
  }
  insist(equal(plainHash(sealed), hash), "hash");
  return openPieces(sealed, key, piecesOf(Number(size)));
}

function openPieces(sealed, key, count) {
  const opened = [];
  for (let i = 0; i < count; i += 1) {
    const nonce = concat(zeros(15), u8(i === count - 1 ? 1 : 0), u64(i));
    const box = sealed.subarray(i * (PIECE + BOX_OVERHEAD), (i + 1) * (PIECE + BOX_OVERHEAD));
    opened.push(unlock(key, concat(nonce, box)));
  }
  return concat(...opened);
}
