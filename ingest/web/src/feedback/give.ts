// The user says something: the page shows it at once, and a letter takes it to the server.
import type { Turn } from "../chat/conversation";
import { userId } from "../shared/ids";
import { DIMENSIONS, type Dimension, type Opinion, change, opinionOf, opinions } from "./opinions";
import { type Letter, post } from "./outbox";

// Not user_…: what analyses by the guide takes all of these for numbers.
const CATEGORIES_NAME = "feedback_categories";

const before = (turn: Turn): Opinion => opinionOf(opinions.get(), turn.id);

function target(turn: Turn): URLSearchParams {
  return new URLSearchParams(turn.traceId ? { trace_id: turn.traceId } : { client_request_id: turn.id });
}

function targetAsUser(turn: Turn): URLSearchParams {
  const query = target(turn);
  query.set("user_id", userId());
  return query;
}

function send(turn: Turn, slot: string, letter: Pick<Letter, "name" | "say" | "before">): void {
  post({ ...letter, slot: `${turn.id}/${slot}`, turnId: turn.id, target: `?${target(turn)}`, capability: turn.capability });
}

function sendThumb(turn: Turn, was: Opinion, now: Opinion): void {
  const body = { is_correct: now.thumb === "up", comment: now.comment || null };
  const say = now.thumb && { create: { path: `/feedback?${targetAsUser(turn)}`, body }, change: body };
  send(turn, "thumb", { name: "user_feedback", say, before: { thumb: was.thumb, comment: was.comment } });
}

function sendCategories(turn: Turn, was: Opinion, now: Opinion): void {
  const value = now.categories;
  const create = { path: `/feedback?${targetAsUser(turn)}`, body: { name: CATEGORIES_NAME, value } };
  send(turn, "categories", { name: CATEGORIES_NAME, say: value.length > 0 ? { create, change: { value } } : null, before: { categories: was.categories } });
}

// The same thumb again takes it back. A thumb up leaves nothing of what was wrong.
export function giveThumb(turn: Turn, thumb: "up" | "down"): void {
  const was = before(turn);
  if (was.thumb === thumb) return takeBack(turn);
  const now = change(turn.id, { thumb, ...(thumb === "up" && { comment: "", categories: [] }) });
  sendThumb(turn, was, now);
  if (now.categories.length < was.categories.length) sendCategories(turn, was, now);
}

export function takeBack(turn: Turn): void {
  const was = before(turn);
  const now = change(turn.id, { thumb: null, comment: "", categories: [] });
  sendThumb(turn, was, now);
  if (was.categories.length > 0) sendCategories(turn, was, now);
}

export function giveComment(turn: Turn, comment: string): void {
  const was = before(turn);
  sendThumb(turn, was, change(turn.id, { comment }));
}

export function giveCategories(turn: Turn, categories: string[]): void {
  const was = before(turn);
  sendCategories(turn, was, change(turn.id, { categories }));
}

// The first three go together, all or none; later each changes by itself.
export function giveRating(turn: Turn, dimension: Dimension, score: number): void {
  const was = before(turn);
  if (was.ratings[dimension] === score) return;
  const ratings = { ...was.ratings, [dimension]: score };
  const complete = DIMENSIONS.every((name) => ratings[name] !== undefined);
  change(turn.id, { ratings, ratingsSent: complete });
  if (!complete) return;
  const query = targetAsUser(turn);
  for (const name of DIMENSIONS) query.set(name, String(ratings[name]));
  const say = { create: { path: `/detailed-feedback?${query}`, body: null }, change: { value: score / 5 } };
  send(turn, "ratings", { name: dimension, say, before: { ratings: was.ratings, ratingsSent: was.ratingsSent } });
}

// What is not sent yet is only taken off the page.
export function takeRatingsBack(turn: Turn): void {
  const { ratings, ratingsSent } = before(turn);
  change(turn.id, { ratings: {}, ratingsSent: false });
  if (!ratingsSent) return;
  for (const name of DIMENSIONS) send(turn, "ratings", { name, say: null, before: { ratings, ratingsSent } });
}
