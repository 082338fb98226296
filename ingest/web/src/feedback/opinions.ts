// What the user thinks of each answer, as the page shows it; each change of it becomes a letter to the server.
import type { Turn } from "../chat/conversation";
import { userId } from "../shared/ids";
import { Store } from "../shared/store";
import { type Letter, post } from "./outbox";

export const DIMENSIONS = ["accuracy", "helpfulness", "relevance"] as const;
export type Dimension = (typeof DIMENSIONS)[number];
export const CATEGORIES = ["wrong", "incomplete", "off topic", "hard to follow", "unsafe", "other"] as const;

export interface Opinion {
  thumb: "up" | "down" | null;
  comment: string;
  categories: string[];
  ratings: Partial<Record<Dimension, number>>;
  ratingsSent: boolean;
}

const none: Opinion = { thumb: null, comment: "", categories: [], ratings: {}, ratingsSent: false };
export const opinions = new Store<Record<string, Opinion>>("assay.opinions", {});
export const opinionOf = (all: Record<string, Opinion>, turn: Turn): Opinion => all[turn.id] ?? none;

function target(turn: Turn): URLSearchParams {
  return new URLSearchParams(turn.traceId ? { trace_id: turn.traceId } : { client_request_id: turn.id });
}

function said(turn: Turn, change: Partial<Opinion>): Opinion {
  const before = opinionOf(opinions.get(), turn);
  opinions.update((all) => ({ ...all, [turn.id]: { ...before, ...change } }));
  return before;
}

function letter(turn: Turn, slot: string, kind: Letter["kind"], name: string, path: string, body: unknown): void {
  post({ slot: `${turn.id}/${slot}`, kind, turnId: turn.id, name, path, body, capability: turn.capability });
}

// The same thumb again takes it back.
export function giveThumb(turn: Turn, thumb: "up" | "down"): void {
  const before = opinionOf(opinions.get(), turn);
  if (before.thumb === thumb) return takeBack(turn);
  said(turn, { thumb, ...(thumb === "up" ? { categories: [] } : {}) });
  const query = target(turn);
  query.set("user_id", userId());
  if (before.thumb === null) return letter(turn, "thumb", "create", "user_feedback", `/feedback?${query}`, { is_correct: thumb === "up", comment: before.comment || null });
  letter(turn, "thumb", "change", "user_feedback", `?${target(turn)}`, { value: thumb === "up" });
  if (thumb === "up" && before.categories.length > 0) letter(turn, "categories", "erase", "user_categories", `?${target(turn)}`, null);
}

export function takeBack(turn: Turn): void {
  const before = said(turn, { thumb: null, comment: "", categories: [] });
  if (before.thumb !== null) letter(turn, "thumb", "erase", "user_feedback", `?${target(turn)}`, null);
  if (before.categories.length > 0) letter(turn, "categories", "erase", "user_categories", `?${target(turn)}`, null);
}

export function giveComment(turn: Turn, comment: string): void {
  const before = said(turn, { comment });
  if (before.thumb === null || before.comment === comment) return;
  letter(turn, "thumb", "change", "user_feedback", `?${target(turn)}`, { rationale: comment });
}

export function giveCategories(turn: Turn, categories: string[]): void {
  const before = said(turn, { categories });
  if (categories.length === 0) {
    if (before.categories.length > 0) letter(turn, "categories", "erase", "user_categories", `?${target(turn)}`, null);
  } else if (before.categories.length === 0) {
    const query = target(turn);
    query.set("user_id", userId());
    letter(turn, "categories", "create", "user_categories", `/feedback?${query}`, { name: "user_categories", value: categories });
  } else {
    letter(turn, "categories", "change", "user_categories", `?${target(turn)}`, { value: categories });
  }
}

// The first three go together, all or none; later each changes by itself.
export function giveRating(turn: Turn, dimension: Dimension, score: number): void {
  const before = opinionOf(opinions.get(), turn);
  if (before.ratings[dimension] === score) return;
  const ratings = { ...before.ratings, [dimension]: score };
  if (before.ratingsSent) {
    said(turn, { ratings });
    return letter(turn, "ratings", "change", dimension, `?${target(turn)}`, { value: score / 5 });
  }
  const complete = DIMENSIONS.every((name) => ratings[name] !== undefined);
  said(turn, { ratings, ratingsSent: complete });
  if (!complete) return;
  const query = target(turn);
  query.set("user_id", userId());
  for (const name of DIMENSIONS) query.set(name, String(ratings[name]));
  letter(turn, "ratings", "create", "", `/detailed-feedback?${query}`, null);
}
