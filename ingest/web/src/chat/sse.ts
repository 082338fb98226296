// Server-sent events out of a body: https://html.spec.whatwg.org/multipage/server-sent-events.html, as far as the door speaks it.
export interface ServerEvent {
  id: string | null; // as of this event; null: the server gave none
  data: string;
  retryMs: number | null;
}

const SILENCE_MAX_MS = 45_000; // the door sends a comment every 15 s, unless it was told otherwise

// A connection whose path has died says nothing, not even that it is closed.
function within<T>(ms: number, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("silent")), ms);
    void work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

// Throws where the connection breaks, or is silent for too long.
export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerEvent> {
  const reader = body.pipeThrough(new TextDecoderStream() as unknown as ReadableWritablePair<string, Uint8Array>).getReader();
  let rest = "";
  let id: string | null = null;
  let retryMs: number | null = null;
  let data: string[] = [];
  try {
    for (;;) {
      const { done, value } = await within(SILENCE_MAX_MS, reader.read());
      if (done) return;
      const lines = (rest + value).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop() ?? "";
      for (const line of lines) {
        if (line === "") {
          if (data.length > 0) yield { id, data: data.join("\n"), retryMs };
          data = [];
          continue;
        }
        const colon = line.indexOf(":");
        if (colon === 0) continue; // a comment keeps the connection alive
        const field = colon < 0 ? line : line.slice(0, colon);
        const text = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
        if (field === "data") data.push(text);
        else if (field === "id") id = text;
        else if (field === "retry" && /^\d+$/.test(text)) retryMs = Number(text);
      }
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}
