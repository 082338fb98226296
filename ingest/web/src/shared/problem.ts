// Whether a feedback token was shown that is not good (any longer).
export async function refusesToken(response: Response): Promise<boolean> {
  if (response.status !== 401) return false;
  const problem = (await response.clone().json().catch(() => null)) as { field?: unknown } | null;
  return problem?.field === "feedback_token";
}

// How long to wait, by the server's word.
function waitOf(response: Response): string {
  const seconds = Number(response.headers.get("Retry-After"));
  if (!(seconds > 0)) return "a moment";
  if (seconds < 120) return seconds === 1 ? "a second" : `${seconds} seconds`;
  return `${Math.ceil(seconds / 60)} minutes`;
}

// What a refusal means, in words for the person at the page: from the status, and from the door's own problem+json.
export async function problemOf(response: Response, fallback: string): Promise<string> {
  if (response.status === 503) return "The server is full or short of something right now. Please try again in a moment.";
  if (response.status === 429) return `That was a lot in a short time. Please wait ${waitOf(response)}.`;
  if (await refusesToken(response)) return "This answer can no longer be rated: its permission has run out.";
  if (response.status === 401 || response.status === 403) return "The server wants to know who you are before it takes this.";
  try {
    const problem = (await response.json()) as { detail?: unknown; title?: unknown };
    const words = typeof problem.detail === "string" ? problem.detail : problem.title;
    if (typeof words === "string" && words) return `${fallback}: ${words}`;
  } catch {
    // No JSON: the status has to do.
  }
  return `${fallback} (HTTP ${response.status}).`;
}
