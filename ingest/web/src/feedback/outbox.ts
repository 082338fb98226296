// What the user has said and the server has not yet taken. It is kept in the browser and sent, in order, each with one
// Idempotency-Key for all its tries, so that a lost answer makes no second feedback. One tab sends for all (Web Locks).
import { problemOf } from "../shared/problem";
import { randomHex, userId } from "../shared/ids";
import { Store } from "../shared/store";

export interface Letter {
  key: string; // its Idempotency-Key
  slot: string; // what it is about: letters of one slot change the same assessments, in order
  kind: "create" | "change" | "erase";
  turnId: string;
  name: string; // which assessment of the slot; "" where a create makes several
  path: string; // of a create: path and query
  body: unknown; // null: none
  capability: string | null;
}

export interface Slot {
  ids: Record<string, string>; // name -> assessment_id, once the server has said
}

export type Delivery = { state: "idle" } | { state: "sending" } | { state: "waiting"; reason: string } | { state: "refused"; reason: string };

export const letters = new Store<Letter[]>("assay.outbox", []);
export const slots = new Store<Record<string, Slot>>("assay.slots", {});
export const delivery = new Store<Delivery>("assay.delivery", { state: "idle" });

export function post(letter: Omit<Letter, "key">): void {
  letters.update((all) => [...all, { ...letter, key: randomHex() }]);
  void deliver();
}

export const idOf = (slot: string, name: string): string | undefined => slots.get()[slot]?.ids[name];

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
  return navigator.locks ? navigator.locks.request("assay.outbox", work).then(() => {}) : work();
}

// The first letter that waits. False: none is left, or the server is away and it is tried again later.
async function deliverOne(): Promise<boolean> {
  const letter = letters.get()[0];
  if (!letter) {
    if (delivery.get().state !== "refused") delivery.set({ state: "idle" });
    return false;
  }
  const request = requestOf(letter);
  if (!request) return drop(letter); // a change of something that was never taken
  if (delivery.get().state !== "waiting") delivery.set({ state: "sending" });
  let response: Response;
  try {
    response = await fetch(request.path, {
      method: request.method,
      headers: {
        "Idempotency-Key": letter.key,
        "X-User-ID": userId(),
        ...(letter.body === null ? {} : { "Content-Type": "application/json" }),
        ...(letter.capability ? { Authorization: `Bearer ${letter.capability}` } : {}),
      },
      body: letter.body === null ? null : JSON.stringify(letter.body),
      signal: AbortSignal.timeout(20_000),
    });
  } catch {
    return later("The server can't be reached. What you said is kept here and sent as soon as it is back.", null);
  }
  if (response.status >= 500 || response.status === 429 || response.status === 408) {
    const seconds = Number(response.headers.get("Retry-After"));
    return later("The server is busy. What you said is kept here and sent in a moment.", seconds > 0 ? seconds * 1000 : null);
  }
  failures = 0;
  if (response.ok) await note(letter, response);
  else if (response.status !== 404 || letter.kind !== "erase") delivery.set({ state: "refused", reason: await problemOf(response, "That was not taken") });
  return drop(letter);
}

function requestOf(letter: Letter): { method: string; path: string } | null {
  if (letter.kind === "create") return { method: "POST", path: letter.path };
  const id = idOf(letter.slot, letter.name);
  if (!id) return null;
  // A front door that can't look up where the create went is told: see PATCH /feedback/{assessment_id}.
  const query = letter.path.includes("?") ? letter.path.slice(letter.path.indexOf("?")) : "";
  return { method: letter.kind === "change" ? "PATCH" : "DELETE", path: `/feedback/${encodeURIComponent(id)}${query}` };
}

async function note(letter: Letter, response: Response): Promise<void> {
  delivery.set({ state: "sending" });
  if (letter.kind === "change") return;
  if (letter.kind === "erase") {
    slots.update((all) => without(all, letter.slot, letter.name));
    return;
  }
  const said = (await response.json().catch(() => ({}))) as { assessment_id?: string; assessment_ids?: Record<string, string> };
  const ids = said.assessment_ids ?? (said.assessment_id ? { [letter.name]: said.assessment_id } : {});
  slots.update((all) => ({ ...all, [letter.slot]: { ids: { ...all[letter.slot]?.ids, ...ids } } }));
}

function without(all: Record<string, Slot>, slot: string, name: string): Record<string, Slot> {
  const { [name]: _gone, ...ids } = all[slot]?.ids ?? {};
  return { ...all, [slot]: { ids } };
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
