// §2.1 and §2.2: who is in the room. A state is never changed: each record gives a new one or is refused.

import { equal, hex, insist, zeros } from "./bytes.mjs";
import * as R from "./record.mjs";

export const MOST_RECORDS = 10_000;
const MOST_NICKS = 20;
const [MODERATOR, ADMIN, OWNER] = [1, 2, 3];
const LEAST_RANK = {
  [R.INVITE]: ADMIN,
  [R.UNINVITE]: ADMIN,
  [R.ADMIT]: ADMIN,
  [R.LEAVE]: 0,
  [R.REMOVE]: MODERATOR,
  [R.BAN]: ADMIN,
  [R.ROLE]: ADMIN,
  [R.INFO]: ADMIN,
  [R.REDACT]: MODERATOR,
  [R.CLOSE]: OWNER,
  [R.MUTE]: MODERATOR,
  [R.NICK]: 0,
};

export const isBot = (member) => (member.flags & 2) !== 0;
export const readersOf = (state) => [...state.members.values()].filter((member) => !isBot(member));

function byInst(map, inst) {
  return [...map.values()].find((one) => equal(one.inst, inst));
}
// The member that has this very membership, or nothing.
export function liveMember(state, identity, inst) {
  const member = state.members.get(hex(identity));
  return member && equal(member.inst, inst) ? member : undefined;
}

function genesis(record) {
  insist(record.type === R.GENESIS && record.n === 0, "position");
  insist(equal(record.prev, zeros(32)) && equal(record.room, zeros(32)), "position");
  const id = R.roomId(record.bytes);
  const owner = { identity: record.actor, inst: id, role: OWNER, muted: false, flags: 0 };
  Object.assign(owner, { invite: zeros(32), nick: zeros(0), nickN: 0, nicks: 0 });
  const state = { room: id, n: 0, head: id, epoch: 0, closed: false, successor: zeros(32), info: record.info };
  Object.assign(state, { approval: record.policy === 1, max: record.max, banned: new Set() });
  return { ...state, members: new Map([[hex(record.actor), owner]]), pending: new Map(), invites: new Map() };
}

// The state before the first record is null.
export function fold(before, bytes) {
  const record = R.readRecord(bytes);
  R.checkSignatures(record);
  if (before === null) return { state: genesis(record), record };
  insist(record.type !== R.GENESIS && equal(record.room, before.room), "position");
  insist(record.n === before.n + 1 && equal(record.prev, before.head), "position");
  const state = { ...before, members: new Map(before.members), pending: new Map(before.pending) };
  Object.assign(state, { invites: new Map(before.invites), banned: new Set(before.banned) });
  Object.assign(state, { n: record.n, head: R.nextHead(before.head, bytes) });
  const signer = before.members.get(hex(record.actor));
  if (record.type !== R.JOIN) insist(signer && signer.role >= LEAST_RANK[record.type], "authority");
  ACTS[record.type](state, record, signer);
  insist(!before.closed && (record.n < MOST_RECORDS || record.type === R.CLOSE), "state");
  return { state, record };
}

function change(state, member, changes) {
  state.members.set(hex(member.identity), { ...member, ...changes });
}

function dropInvitesOf(state, identity) {
  for (const [name, invite] of state.invites) if (equal(invite.creator, identity)) state.invites.delete(name);
}

function putOut(state, member) {
  state.members.delete(hex(member.identity));
  dropInvitesOf(state, member.identity);
  if (!isBot(member)) state.epoch += 1;
}

function target(state, record, signer) {
  const member = byInst(state.members, record.inst);
  insist(member, "state");
  insist(signer.role > member.role, "authority");
  return member;
}

const ACTS = {
  [R.INVITE](state, record) {
    insist(!state.invites.has(hex(record.key)), "state");
    const { key, uses, exp, flags, n, actor } = record;
    state.invites.set(hex(key), { key, uses, exp, flags, n, creator: actor });
  },
  [R.UNINVITE](state, record) {
    insist(state.invites.delete(hex(record.key)), "state");
  },
  [R.JOIN](state, record) {
    const name = hex(record.actor);
    const invite = state.invites.get(hex(record.key));
    insist(invite, "authority");
    insist(!state.members.has(name) && !state.pending.has(name) && !state.banned.has(name), "state");
    insist(state.members.size + state.pending.size < state.max, "state");
    if (invite.uses === 1) state.invites.delete(hex(record.key));
    else state.invites.set(hex(record.key), { ...invite, uses: invite.uses - 1 });
    const joiner = { identity: record.actor, inst: state.head, role: 0, muted: false, flags: invite.flags };
    Object.assign(joiner, { invite: record.key, nick: record.info, nickN: record.n, nicks: 0 });
    (state.approval ? state.pending : state.members).set(name, joiner);
  },
  [R.ADMIT](state, record) {
    const one = byInst(state.pending, record.inst);
    insist(one, "state");
    state.pending.delete(hex(one.identity));
    state.members.set(hex(one.identity), one);
  },
  [R.LEAVE](state, record, signer) {
    insist(equal(record.inst, signer.inst) && signer.role !== OWNER, "authority");
    putOut(state, signer);
  },
  [R.REMOVE](state, record, signer) {
    const waiting = byInst(state.pending, record.inst);
    const one = waiting ?? target(state, record, signer);
    if (waiting) state.pending.delete(hex(one.identity));
    else putOut(state, one);
    state.invites.delete(hex(one.invite));
    if (record.flags & 1) state.banned.add(hex(one.identity));
  },
  [R.BAN](state, record) {
    const name = hex(record.identity);
    insist(!state.members.has(name) && !state.pending.has(name), "state");
    insist(state.banned.has(name) !== (record.op === 1), "state");
    if (record.op === 1) state.banned.add(name);
    else state.banned.delete(name);
  },
  [R.ROLE](state, record, signer) {
    const member = target(state, record, signer);
    const isHandover = record.role === OWNER;
    insist(isHandover ? signer.role === OWNER : signer.role > record.role, "authority");
    insist(!(isHandover && member.muted) && !isBot(member) && member.role !== record.role, "state");
    change(state, member, { role: record.role });
    if (isHandover) change(state, signer, { role: ADMIN });
    if (record.role < ADMIN) dropInvitesOf(state, member.identity);
  },
  [R.INFO](state, record) {
    state.info = record.info;
  },
  [R.REDACT]() {},
  [R.CLOSE](state, record) {
    Object.assign(state, { closed: true, successor: record.successor });
  },
  [R.MUTE](state, record, signer) {
    const member = target(state, record, signer);
    insist(member.muted !== (record.op === 1), "state");
    change(state, member, { muted: record.op === 1 });
  },
  [R.NICK](state, record, signer) {
    insist(!signer.muted, "authority");
    insist(signer.nicks < MOST_NICKS, "state");
    change(state, signer, { nick: record.info, nickN: record.n, nicks: signer.nicks + 1 });
  },
};
