// One streamed answer: asked for, read, picked up again where the connection broke.
import { sessionId, userId } from "../shared/ids";
import { problemOf } from "../shared/problem";
import { readEvents } from "./sse";

export type ChatEvent =
  | { type: "started"; traceId: string; resumeToken: string; capability: string | null }
  | { type: "token"; content: string; eventId: string | null }
  | { type: "done"; stopped: boolean; cut: boolean; capability: string | null }
  | { type: "reconnecting" }
  | { type: "displaced" } // another reader has the answer now
  | { type: "failed"; reason: string; capability: string | null };

export interface Question {
  message: string;
  clientRequestId: string;
}

// Where a stream that broke, or that a reload interrupted, goes on.
export interface Resumption {
  traceId: string;
  resumeToken: string; // proves that this browser began it
  lastEventId: string | null;
}

const RETRIES = 6;

const pathOf = (traceId: string): string => `/chat/stream/${encodeURIComponent(traceId)}`;
const identity = (): Record<string, string> => ({ "X-Session-ID": sessionId(), "X-User-ID": userId() });

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });

const failed = (reason: string): ChatEvent => ({ type: "failed", reason, capability: null });

function started({ headers }: Response): ChatEvent & { type: "started" } {
  return { type: "started", traceId: headers.get("X-Trace-Id") ?? "", resumeToken: headers.get("X-Resume-Token") ?? "", capability: headers.get("X-Feedback-Token") };
}

const HEAD_MAX_MS = 20_000;

// Of a path that has died nothing is heard, not even that it has.
async function fetchHead(path: string, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
  const controller = new AbortController();
  const abort = (): void => controller.abort(signal.reason);
  signal.addEventListener("abort", abort);
  const timer = setTimeout(() => controller.abort(), HEAD_MAX_MS);
  try {
    return await fetch(path, { headers, signal: controller.signal });
  } finally {
    clearTimeout(timer);
  }
}

// Throws only when `signal` was aborted. Ends after `done`, `displaced` or `failed`.
export async function* askStreaming(question: Question, signal: AbortSignal): AsyncGenerator<ChatEvent> {
  let response: Response;
  try {
    response = await fetch("/chat/stream", {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Client-Request-Id": question.clientRequestId, ...identity() },
      body: JSON.stringify({ message: question.message }),
      signal,
    });
  } catch (error) {
    if (signal.aborted) throw error;
    yield failed("The server can't be reached. Your question was not asked.");
    return;
  }
  if (!response.ok || !response.body) {
    yield failed(await problemOf(response, "The question was not taken"));
    return;
  }
  const begun = started(response);
  if (begun.traceId) yield begun;
  yield* follow(response.body, { ...begun, lastEventId: null }, signal);
}

// The rest of a stream that this browser began.
export async function* resumeStreaming(at: Resumption, signal: AbortSignal): AsyncGenerator<ChatEvent> {
  yield* follow(null, at, signal);
}

// Returns what the answer so far can be rated with, if anything. A server that does not hear of it ends by itself what nobody reads.
export async function stopStreaming(traceId: string, resumeToken: string): Promise<string | null> {
  try {
    const response = await fetch(pathOf(traceId), {
      method: "DELETE",
      headers: { ...identity(), "X-Resume-Token": resumeToken },
      keepalive: true,
      signal: AbortSignal.timeout(10_000),
    });
    const said = (await response.json()) as { feedback_token?: unknown };
    return typeof said.feedback_token === "string" ? said.feedback_token : null;
  } catch {
    return null;
  }
}

async function* follow(first: ReadableStream<Uint8Array> | null, at: Resumption, signal: AbortSignal): AsyncGenerator<ChatEvent> {
  let body = first;
  let lastEventId = at.lastEventId;
  let retryMs = 500;
  for (let failures = 0; ; ) {
    if (body) {
      try {
        for await (const event of readEvents(body)) {
          if (event.id !== null) lastEventId = event.id;
          if (event.retryMs !== null) retryMs = event.retryMs;
          const said = parse(event.data, lastEventId);
          if (!said) continue;
          failures = 0;
          yield said;
          if (said.type !== "token") return;
        }
      } catch (error) {
        if (signal.aborted) throw error;
      }
    }
    // The connection broke before the end.
    if (!at.traceId) {
      yield failed("The connection broke before the answer had begun.");
      return;
    }
    if (failures++ >= RETRIES) {
      yield failed("The connection broke, and the rest of the answer could not be fetched.");
      return;
    }
    yield { type: "reconnecting" };
    await pause(Math.min(retryMs * 2 ** (failures - 1), 8000), signal);
    body = null;
    try {
      const response = await fetchHead(pathOf(at.traceId), { ...identity(), "X-Resume-Token": at.resumeToken, ...(lastEventId === null ? {} : { "Last-Event-ID": lastEventId }) }, signal);
      if (response.ok && response.body && response.status !== 204) {
        yield started(response);
        body = response.body;
      } else if (response.status < 500 && response.status !== 429) {
        // Not held any longer, or never here: asking again would say the same.
        yield failed("The answer was cut off, and the server no longer holds its rest.");
        return;
      }
    } catch (error) {
      if (signal.aborted) throw error;
    }
  }
}

function parse(data: string, eventId: string | null): ChatEvent | null {
  try {
    const said = JSON.parse(data) as Record<string, unknown>;
    const text = (name: string): string => (typeof said[name] === "string" ? (said[name] as string) : "");
    if (said.type === "token") return { type: "token", content: text("content"), eventId };
    if (said.type === "done") return { type: "done", stopped: said.stopped === true, cut: said.cut === true, capability: text("feedback_token") || null };
    // What ends the chat names its trace; else it is only this reader's end.
    if (said.type === "error") return said.trace_id ? { type: "failed", reason: text("error") || "The answer failed.", capability: text("feedback_token") || null } : { type: "displaced" };
  } catch {
    // Not for us.
  }
  return null;
}
