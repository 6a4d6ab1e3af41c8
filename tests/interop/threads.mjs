// §7.7: what a room shows, from its events in whatever order they became known.

import { equal, hex, utf8 } from "./bytes.mjs";
import * as M from "./message.mjs";

const EDITABLE = [M.TEXT, M.ACTION, M.REPLY];
const LINES = [M.TEXT, M.ACTION, M.REPLY, M.FILE];
const isOwn = (line, act) => equal(line.identity, act.identity) && equal(line.inst, act.inst);

// An event has `s` and `id`, and `identity`, `inst` and `content` (null if never opened), or `redact`, the id that a
// REDACT of sufficient rank names. Gives the lines in order, and by s what each event came to.
export function replay(events) {
  const [lines, results] = [new Map(), new Map()];
  for (const event of [...events].sort((a, b) => (a.s < b.s ? -1 : 1))) results.set(event.s, play(event, lines));
  return { results, lines: [...lines.values()] };
}

function play(event, lines) {
  if (event.redact) return accepted(redact(lines.get(hex(event.redact))));
  const { content } = event;
  if (!content) return "unopened";
  if (content.class !== "ok" || LINES.includes(content.kind)) {
    const { s, id, identity, inst } = event;
    const text = content.class === "ok" ? (content.fields.text ?? content.fields.caption) : null;
    const line = { s, id, identity, inst, kind: content.kind, shows: content.class, text };
    lines.set(hex(id), { ...line, edited: false, reactions: [] });
    return "line";
  }
  const line = content.fields.id && lines.get(hex(content.fields.id));
  return accepted(ACTS[content.kind](line, event, content.fields));
}

const accepted = (isDone) => (isDone ? "accept" : "ignore");
const isGone = (line) => !line || line.shows === "deleted" || line.shows === "redacted";

function clear(line, shows) {
  Object.assign(line, { shows, text: null, reactions: [], edited: false });
  return true;
}
const redact = (line) => !isGone(line) && clear(line, "redacted");

const ACTS = {
  [M.EDIT](line, act, { text }) {
    if (isGone(line) || !isOwn(line, act) || line.shows !== "ok" || !EDITABLE.includes(line.kind)) return false;
    Object.assign(line, { text, edited: true });
    return true;
  },
  [M.DELETE]: (line, act) => !isGone(line) && isOwn(line, act) && clear(line, "deleted"),
  [M.REACT](line, act, { op, emoji }) {
    if (isGone(line)) return false;
    const at = line.reactions.findIndex((one) => isOwn(one, act) && equal(utf8(one.emoji), utf8(emoji)));
    if (at >= 0 === (op === 1)) return false;
    if (op === 0) line.reactions.splice(at, 1);
    else line.reactions.push({ identity: act.identity, inst: act.inst, emoji });
    return true;
  },
  [M.ALIVE]: () => false,
};
