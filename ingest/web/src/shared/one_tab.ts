import { randomHex } from "./ids";

// Does `work` while no other tab does work of that name. Where the browser denies locks, as it may to a page that may store nothing,
// no other tab knows of it either; where it has none, as on a page that came by plain HTTP, a lease stands in their place.
export async function oneTab(name: string, work: () => Promise<void>, signal?: AbortSignal): Promise<void> {
  if (!navigator.locks) return withLease(name, work, signal);
  let begun = false;
  const begin = (): Promise<void> => {
    begun = true;
    return work();
  };
  try {
    await navigator.locks.request(name, signal ? { signal } : {}, begin);
  } catch (error) {
    if (begun || signal?.aborted) throw error;
    await work();
  }
}

const LEASE_MS = 5000; // browsers let a tab in the background look up once a second, and one that is hidden for long once a minute
const RENEW_MS = 1000;
const SETTLE_MS = 50; // for two that take it at once to see whose it is: the later one's

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

// None lasts longer, whatever a clock that was set back makes of it.
const isValid = (until: number): boolean => until > Date.now() && until <= Date.now() + LEASE_MS;

class Lease {
  private readonly tab = randomHex(8);

  constructor(private readonly key: string) {}

  private holder(): { tab: string; until: number } | null {
    return JSON.parse(localStorage.getItem(this.key) ?? "null") as { tab: string; until: number } | null;
  }

  private write(): void {
    localStorage.setItem(this.key, JSON.stringify({ tab: this.tab, until: Date.now() + LEASE_MS }));
  }

  private isOurs(): boolean {
    return this.holder()?.tab === this.tab;
  }

  async take(signal?: AbortSignal): Promise<void> {
    do {
      for (let other = this.holder(); other && isValid(other.until); other = this.holder()) {
        await pause(RENEW_MS / 2);
        signal?.throwIfAborted();
      }
      this.write();
      await pause(SETTLE_MS);
      signal?.throwIfAborted();
    } while (!this.isOurs());
  }

  renew = (): void => {
    if (this.isOurs()) this.write();
  };

  leave = (): void => {
    if (this.isOurs()) localStorage.removeItem(this.key);
  };
}

async function withLease(name: string, work: () => Promise<void>, signal?: AbortSignal): Promise<void> {
  const lease = new Lease(`${name}.lease`);
  try {
    await lease.take(signal);
  } catch (error) {
    if (signal?.aborted) {
      lease.leave();
      throw error;
    }
    return work(); // localStorage is full or forbidden
  }
  const timer = setInterval(lease.renew, RENEW_MS);
  addEventListener("pagehide", lease.leave);
  try {
    await work();
  } finally {
    clearInterval(timer);
    removeEventListener("pagehide", lease.leave);
    lease.leave();
  }
}
