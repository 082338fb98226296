// The conversation as this browser keeps it: it survives a reload, and an answer that was under way goes on.
import { Store } from "../shared/store";
import { newSession, randomHex } from "../shared/ids";
import { type ChatEvent, type Resumption, askStreaming, resumeStreaming, stopStreaming } from "./stream";

export type TurnState = "streaming" | "reconnecting" | "done" | "stopped" | "failed";

export interface Turn {
  id: string; // the client_request_id of its trace
  question: string;
  answer: string;
  state: TurnState;
  traceId: string | null;
  lastEventId: string | null;
  capability: string | null;
  reason: string | null; // of a failed one
  askedAt: number;
}

const TURNS_MAX = 100;
export const conversation = new Store<Turn[]>("assay.conversation", []);

const running = new Map<string, AbortController>();

function change(id: string, make: (turn: Turn) => Partial<Turn>): void {
  conversation.update((turns) => turns.map((turn) => (turn.id === id ? { ...turn, ...make(turn) } : turn)));
}

function apply(id: string, event: ChatEvent): void {
  switch (event.type) {
    case "started":
      return change(id, () => ({ traceId: event.traceId }));
    case "token":
      return change(id, (turn) => ({ answer: turn.answer + event.content, lastEventId: event.eventId, state: "streaming" }));
    case "done":
      return change(id, () => ({ state: "done", traceId: event.traceId, capability: event.capability }));
    case "reconnecting":
      return change(id, () => ({ state: "reconnecting" }));
    case "failed":
      return change(id, () => ({ state: "failed", reason: event.reason }));
  }
}

async function run(id: string, events: (signal: AbortSignal) => AsyncGenerator<ChatEvent>): Promise<void> {
  const controller = new AbortController();
  running.set(id, controller);
  try {
    for await (const event of events(controller.signal)) apply(id, event);
  } catch {
    // Stopped: stop() has said so.
  } finally {
    running.delete(id);
  }
}

export function ask(message: string): void {
  const id = `req-${randomHex()}`;
  const turn: Turn = { id, question: message, answer: "", state: "streaming", traceId: null, lastEventId: null, capability: null, reason: null, askedAt: Date.now() };
  conversation.update((turns) => [...turns, turn].slice(-TURNS_MAX));
  void run(id, (signal) => askStreaming({ message, clientRequestId: id }, signal));
}

export function stop(turn: Turn): void {
  running.get(turn.id)?.abort();
  if (turn.traceId) void stopStreaming(turn.traceId).catch(() => {});
  change(turn.id, () => ({ state: "stopped" }));
}

// After a reload: what was under way in this browser goes on, unless another tab has it.
export function resumeAll(): void {
  for (const turn of conversation.get()) {
    if (turn.state !== "streaming" && turn.state !== "reconnecting") continue;
    if (running.has(turn.id)) continue;
    if (!turn.traceId) {
      change(turn.id, () => ({ state: "failed", reason: "The page was closed before the answer had begun." }));
      continue;
    }
    const at: Resumption = { traceId: turn.traceId, clientRequestId: turn.id, lastEventId: turn.lastEventId };
    void run(turn.id, (signal) => resumeStreaming(at, signal));
  }
}

export function startAnew(): void {
  for (const controller of running.values()) controller.abort();
  newSession();
  conversation.set([]);
}
