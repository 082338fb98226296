// Ids that this browser mints. 128 random bits each: nobody guesses them, and none comes twice.
export function randomHex(bytes = 16): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (b) => b.toString(16).padStart(2, "0")).join("");
}

function remembered(key: string, make: () => string): string {
  const known = localStorage.getItem(key);
  if (known) return known;
  const made = make();
  localStorage.setItem(key, made);
  return made;
}

// Who writes here: an anonymous name that this browser keeps, and the conversation's session.
export const userId = (): string => remembered("assay.user", () => `visitor-${randomHex(6)}`);
export const sessionId = (): string => remembered("assay.session", () => `session-${randomHex()}`);
export const newSession = (): void => localStorage.removeItem("assay.session");
