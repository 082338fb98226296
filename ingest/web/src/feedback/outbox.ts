// What the user has said and the server has not yet taken. It is kept in the browser and sent, in order, each with one
// Idempotency-Key for all its tries, so that a lost answer makes no second feedback. One tab sends for all (Web Locks).
import { problemOf, refusesToken } from "../shared/problem";
import { randomHex, userId } from "../shared/ids";
import { oneTab } from "../shared/one_tab";
import { Store } from "../shared/store";
import { type Opinion, change } from "./opinions";

export interface Letter {
  key: string; // its Idempotency-Key
  slot: string; // what it is about: letters of one slot change the same assessments, in order
  turnId: string;
  name: string; // which assessment of the slot
  // Said anew where nothing of that name stands, else a change of it. Null: it is taken back.
  say: { create: { path: string; body: unknown }; change: unknown } | null;
  target: string; // the query that tells a front door where the create went, if it can't look it up itself
  capability: string | null;
  before: Partial<Opinion>; // what the server has of the slot, where it takes all letters before this one
}

export interface Slot {
  ids: Record<string, string>; // name -> assessment_id, once the server has said
}

export type Delivery = { state: "idle" } | { state: "waiting"; reason: string } | { state: "refused"; reason: string };

export const letters = new Store<Letter[]>("assay.letters", []);
export const slots = new Store<Record<string, Slot>>("assay.slots", {});
export const delivery = new Store<Delivery>("assay.delivery", { state: "idle" });

export function post(letter: Omit<Letter, "key">): void {
  letters.update((all) => [...all, { ...letter, key: randomHex() }]);
  settle("refused"); // it was seen, and something else is said now
  void deliver();
}

// From a state that is over.
function settle(state: Delivery["state"]): void {
  if (delivery.get().state === state) delivery.set({ state: "idle" });
}

const NO_PERMISSION = "This answer can't be rated: its permission has never reached this page.";

const idOf = (slot: string, name: string): string | undefined => slots.get()[slot]?.ids[name];

let active = false;
let retryTimer: ReturnType<typeof setTimeout> | undefined;
let failures = 0;

export function deliver(): Promise<void> {
  clearTimeout(retryTimer);
  if (active) return Promise.resolve();
  active = true;
  const work = async (): Promise<void> => {
    try {
      while (await deliverOne());
    } finally {
      active = false;
    }
  };
  return oneTab("assay.outbox", work);
}

// The first letter that waits. False: none is left, or the server is away and it is tried again later.
async function deliverOne(): Promise<boolean> {
  const letter = letters.stored()[0];
  if (!letter) {
    settle("waiting");
    return false;
  }
  const request = requestOf(letter);
  if (!request) return drop(letter); // taken back before it was ever taken
  let response: Response;
  try {
    response = await send(letter, request, letter.capability);
    if (letter.capability && (await refusesToken(response))) {
      // A server that asks nobody for a key asks for no token either, but refuses a bad one.
      const again = await send(letter, request, null);
      if (again.status !== 401) response = again;
    }
  } catch {
    return later("The server can't be reached. What you said is kept here and sent as soon as it is back.", null);
  }
  if (response.status >= 500 || response.status === 429 || response.status === 408) {
    const seconds = Number(response.headers.get("Retry-After"));
    return later("The server is busy. What you said is kept here and sent in a moment.", seconds > 0 ? seconds * 1000 : null);
  }
  failures = 0;
  settle("waiting");
  if (response.ok) {
    await note(letter, request, response);
  } else if (response.status === 404 && request.method !== "POST") {
    forgetId(letter); // it is gone: what was to be taken back is, and what was to be changed is said anew
    if (letter.say) return true;
  } else {
    refuse(letter, await wordsFor(letter, response));
  }
  return drop(letter);
}

async function wordsFor(letter: Letter, response: Response): Promise<string> {
  if (response.status === 401 && !letter.capability) return NO_PERMISSION;
  if (response.status === 403 && letter.capability) return "This answer's permission does not cover that.";
  return problemOf(response, "That was not taken");
}

interface Call {
  method: "POST" | "PATCH" | "DELETE";
  path: string;
  body: unknown; // null: none
}

function requestOf({ slot, name, say, target }: Letter): Call | null {
  const id = idOf(slot, name);
  if (!id) return say && { method: "POST", ...say.create };
  const path = `/feedback/${encodeURIComponent(id)}${target}`;
  return say ? { method: "PATCH", path, body: say.change } : { method: "DELETE", path, body: null };
}

function send(letter: Letter, { method, path, body }: Call, capability: string | null): Promise<Response> {
  return fetch(path, {
    method,
    headers: {
      "Idempotency-Key": letter.key,
      "X-User-ID": userId(),
      ...(body === null ? {} : { "Content-Type": "application/json" }),
      ...(capability ? { Authorization: `Bearer ${capability}` } : {}),
    },
    body: body === null ? null : JSON.stringify(body),
    signal: AbortSignal.timeout(20_000),
  });
}

async function note(letter: Letter, { method }: Call, response: Response): Promise<void> {
  if (method === "DELETE") forgetId(letter);
  if (method !== "POST") return;
  const said = (await response.json().catch(() => ({}))) as { assessment_id?: string; assessment_ids?: Record<string, string> };
  const ids = said.assessment_ids ?? (said.assessment_id ? { [letter.name]: said.assessment_id } : {});
  slots.update((all) => ({ ...all, [letter.slot]: { ids: { ...all[letter.slot]?.ids, ...ids } } }));
}

// The page shows again what the server has; where more has been said of the same slot, that is to be tried first.
function refuse(letter: Letter, reason: string): void {
  const next = letters.stored().find((other) => other.slot === letter.slot && other.key !== letter.key);
  if (next) {
    letters.update((all) => all.map((other) => (other.key === next.key ? { ...other, before: letter.before } : other)));
  } else {
    change(letter.turnId, letter.before);
    delivery.set({ state: "refused", reason });
  }
}

function forgetId({ slot, name }: Letter): void {
  slots.update((all) => {
    const { [name]: _gone, ...ids } = all[slot]?.ids ?? {};
    return { ...all, [slot]: { ids } };
  });
}

function drop(letter: Letter): boolean {
  letters.update((all) => all.filter((other) => other.key !== letter.key));
  return true;
}

function later(reason: string, afterMs: number | null): boolean {
  delivery.set({ state: "waiting", reason });
  const backoff = Math.min(500 * 2 ** failures++, 15_000);
  retryTimer = setTimeout(() => void deliver(), afterMs ?? backoff * (0.75 + Math.random() / 2));
  return false;
}

addEventListener("online", () => void deliver());
