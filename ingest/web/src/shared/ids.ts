// Ids that this browser mints. 128 random bits each: nobody guesses them, and none comes twice.
export function randomHex(bytes = 16): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (b) => b.toString(16).padStart(2, "0")).join("");
}

function tried<T>(use: () => T): T | null {
  try {
    return use();
  } catch {
    return null; // localStorage is full or forbidden
  }
}

const unkept = new Map<string, string>(); // what localStorage did not take, until the tab closes

function remembered(key: string, make: () => string): string {
  const known = tried(() => localStorage.getItem(key)) ?? unkept.get(key);
  if (known) return known;
  const made = make();
  const kept = tried(() => (localStorage.setItem(key, made), true));
  if (!kept) unkept.set(key, made);
  return made;
}

function forget(key: string): void {
  unkept.delete(key);
  tried(() => localStorage.removeItem(key));
}

// Who writes here: an anonymous name that this browser keeps, and the conversation's session.
export const userId = (): string => remembered("assay.user", () => `visitor-${randomHex(6)}`);
export const sessionId = (): string => remembered("assay.session", () => `session-${randomHex()}`);
export const newSession = (): void => forget("assay.session");
// Before anything is asked in a new one.
export const returnToSession = (id: string): void => void remembered("assay.session", () => id);
