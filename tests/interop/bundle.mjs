// §4: the keys that others seal parcels to.

import { MlKem768 } from "mlkem";
import { ascii, concat, equal, insist, Reader, u64, u8 } from "./bytes.mjs";
import { H, publicKey, random, sign, verify, x25519Public } from "./crypto.mjs";

const TEN_MINUTES = 600_000n;
export const FOURTEEN_DAYS = 14n * 86_400_000n;

// The private keys, the signed bytes and their id. `x25519` has 32 bytes, `mlkemSeed` d | z 64.
export async function makeBundle(seed, ctr, exp, x25519 = random(32), mlkemSeed = random(64)) {
  const [mlkemPublic, mlkemPrivate] = await new MlKem768().deriveKeyPair(mlkemSeed);
  const head = concat(ascii("CB"), u8(1), publicKey(seed), u64(ctr), u64(exp));
  const signed = concat(head, x25519Public(x25519), mlkemPublic);
  const bytes = concat(signed, sign("bundle", seed, signed));
  return { bytes, ctr, bid: H("chaton1.bundle", bytes), x25519, mlkem: mlkemPrivate };
}

export function readBundle(bytes) {
  const reader = new Reader(bytes);
  reader.magic("CB");
  const bundle = { bytes, identity: reader.take(32), ctr: reader.u64(), exp: reader.u64() };
  Object.assign(bundle, { x25519: reader.take(32), mlkem: reader.take(1184) });
  const signed = bytes.slice(0, reader.at);
  const signature = reader.take(64);
  reader.end();
  verify("bundle", bundle.identity, signed, signature);
  return { ...bundle, bid: H("chaton1.bundle", bytes) };
}

// Judges an opened bundle at `now` (ms); `seen` is the highest counter and its bundle's id, if one is known.
export function acceptBundle(bundle, now, seen, isKnown) {
  insist(isKnown, "stranger");
  insist(bundle.ctr >= seen.ctr, "rollback");
  insist(bundle.ctr !== seen.ctr || !seen.bid || equal(bundle.bid, seen.bid), "rollback");
  insist(bundle.ctr <= now + TEN_MINUTES, "future");
  insist(now < bundle.exp && bundle.exp <= bundle.ctr + FOURTEEN_DAYS, "expired");
}
