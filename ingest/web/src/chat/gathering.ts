import type { ChatEvent } from "./stream";

const EVERY_MS = 100;

// Hands events on; tokens that come fast as a few larger ones: to show and to store one costs as much as the conversation is long. As long
// as that takes nothing is handed on behind it, so that half of the time is left for who wants to click or scroll.
export class Gathering {
  private token: (ChatEvent & { type: "token" }) | null = null; // what has come since the last was handed on
  private timer: ReturnType<typeof setTimeout> | undefined;
  private notBefore = 0;

  constructor(private readonly handOn: (event: ChatEvent) => void) {}

  take(event: ChatEvent): void {
    if (event.type !== "token") {
      this.flush();
      this.handOn(event);
      return;
    }
    this.token = { ...event, content: (this.token?.content ?? "") + event.content };
    const wait = this.notBefore - Date.now();
    if (wait <= 0) this.flush();
    else this.timer ??= setTimeout(() => this.flush(), wait);
  }

  flush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (!this.token) return;
    const token = this.token;
    this.token = null;
    const begun = Date.now();
    this.notBefore = begun + EVERY_MS;
    this.handOn(token);
    // React draws what a store says in a microtask: behind it, it is drawn.
    queueMicrotask(() => {
      const now = Date.now();
      this.notBefore = now + Math.max(EVERY_MS, now - begun);
    });
  }
}
