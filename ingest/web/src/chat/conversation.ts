// The conversation as this browser keeps it: it survives a reload, and an answer that was under way goes on.
import { newSession, randomHex, returnToSession, sessionId } from "../shared/ids";
import { oneTab } from "../shared/one_tab";
import { Shown, Store } from "../shared/store";
import { Gathering } from "./gathering";
import { type ChatEvent, type Resumption, askStreaming, resumeStreaming, stopStreaming } from "./stream";

export type TurnState = "streaming" | "reconnecting" | "done" | "stopping" | "stopped" | "failed";

export interface Turn {
  id: string; // the client_request_id of its trace
  question: string;
  answer: string;
  state: TurnState;
  traceId: string | null;
  resumeToken: string | null; // comes with the trace
  lastEventId: string | null;
  capability: string | null;
  cut?: boolean; // by the model, at its limit of length
  reason: string | null; // of a failed one
  askedAt: number;
}

const TURNS_MAX = 500;
export const conversation = new Store<Turn[]>("assay.conversation", []);

// The conversation before this one, as long as nothing has been asked in this one.
export const before = new Shown<{ turns: Turn[]; session: string } | null>(null);

export const isOpen = (turn: Turn): boolean => turn.state === "streaming" || turn.state === "reconnecting";
export const isOver = (turn: Turn): boolean => !isOpen(turn) && turn.state !== "stopping";

const YIELD_MS = 1000; // two that take an answer from each other do it no faster

const running = new Map<string, AbortController>();

function change(id: string, make: (turn: Turn) => Partial<Turn>): void {
  conversation.update((turns) => turns.map((turn) => (turn.id === id ? { ...turn, ...make(turn) } : turn)));
}

function apply(turn: Turn, event: ChatEvent): Partial<Turn> {
  // Another tab has brought it to its end, while this one was kept from running.
  if ((turn.state === "done" || turn.state === "failed") && event.type !== "done") return {};
  const stopped = turn.state === "stopping" || turn.state === "stopped"; // maybe in another tab; it stays so
  switch (event.type) {
    case "started":
      return { traceId: event.traceId || turn.traceId, resumeToken: event.resumeToken || turn.resumeToken, capability: event.capability ?? turn.capability };
    case "token":
      return { ...withNew(event, turn), ...(!stopped && { state: "streaming" }) };
    case "done":
      return { state: event.stopped ? "stopped" : "done", cut: event.cut, capability: event.capability ?? turn.capability };
    case "reconnecting":
      return stopped ? {} : { state: "reconnecting" };
    case "displaced":
      return {};
    case "failed":
      return { capability: event.capability ?? turn.capability, ...(!stopped && { state: "failed", reason: event.reason }) };
  }
}

// An id is how many bytes of the answer its reader has: another tab may have stored some of them already.
function withNew({ content, eventId }: ChatEvent & { type: "token" }, turn: Turn): Partial<Turn> {
  const whole = { answer: turn.answer + content, lastEventId: eventId };
  if (eventId === null || turn.lastEventId === null) return whole;
  const missing = Number(eventId) - Number(turn.lastEventId);
  if (missing <= 0) return {};
  const bytes = new TextEncoder().encode(content);
  if (missing >= bytes.length) return whole;
  return { answer: turn.answer + new TextDecoder().decode(bytes.slice(bytes.length - missing)), lastEventId: eventId };
}

// One tab follows a turn (Web Locks) and the others show what it stores, since the server has one reader for an answer. When that tab
// is closed or loaded anew, the one that has waited longest goes on.
async function run(id: string, events: (signal: AbortSignal) => AsyncGenerator<ChatEvent>): Promise<void> {
  const controller = new AbortController();
  const { signal } = controller;
  let displaced = false;
  const follow = async (): Promise<void> => {
    const gathering = new Gathering((event) => change(id, (turn) => apply(turn, event)));
    try {
      for await (const event of events(signal)) {
        gathering.take(event);
        displaced = event.type === "displaced";
      }
    } finally {
      gathering.flush();
    }
  };
  running.set(id, controller);
  try {
    await oneTab(`assay.turn.${id}`, follow, signal);
  } catch {
    // Stopped: stop() has said so.
  } finally {
    running.delete(id);
  }
  if (!displaced) return;
  await new Promise((resolve) => setTimeout(resolve, YIELD_MS));
  await run(id, (again) => goOn(id, again));
}

async function* goOn(id: string, signal: AbortSignal): AsyncGenerator<ChatEvent> {
  const turn = conversation.stored().find((one) => one.id === id);
  if (!turn || !isOpen(turn)) return; // another tab has brought it to its end
  if (!turn.traceId || !turn.resumeToken) {
    yield { type: "failed", reason: "The page was closed before the answer had begun.", capability: null };
    return;
  }
  const at: Resumption = { traceId: turn.traceId, resumeToken: turn.resumeToken, lastEventId: turn.lastEventId };
  yield* resumeStreaming(at, signal);
}

export function ask(message: string): void {
  const id = `req-${randomHex()}`;
  const turn: Turn = { id, question: message, answer: "", state: "streaming", traceId: null, resumeToken: null, lastEventId: null, capability: null, reason: null, askedAt: Date.now() };
  before.set(null);
  conversation.update((turns) => [...turns, turn].slice(-TURNS_MAX));
  void run(id, (signal) => askStreaming({ message, clientRequestId: id }, signal));
}

export function stop(turn: Turn): void {
  running.get(turn.id)?.abort();
  change(turn.id, () => ({ state: "stopping" }));
  void finishStop(turn);
}

async function finishStop({ id, traceId, resumeToken }: Turn): Promise<void> {
  const capability = traceId && resumeToken ? await stopStreaming(traceId, resumeToken) : null;
  change(id, (turn) => (turn.state === "stopping" ? { state: "stopped", capability: capability ?? turn.capability } : {}));
}

// After a reload: what was under way in this browser goes on.
export function resumeAll(): void {
  for (const turn of conversation.get()) {
    if (turn.state === "stopping") void finishStop(turn);
    if (isOpen(turn)) void run(turn.id, (signal) => goOn(turn.id, signal));
  }
}

export function startAnew(): void {
  for (const turn of conversation.get()) if (isOpen(turn)) stop(turn);
  before.set({ turns: conversation.get(), session: sessionId() });
  newSession();
  conversation.set([]);
}

export function goBack(): void {
  const last = before.get();
  if (!last) return;
  before.set(null);
  returnToSession(last.session);
  conversation.set(last.turns);
  resumeAll(); // what was not stopped yet when it was left
}
