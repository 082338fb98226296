// What the user thinks of each answer, as the page shows it.
import { Store } from "../shared/store";

export const DIMENSIONS = ["accuracy", "helpfulness", "relevance"] as const;
export type Dimension = (typeof DIMENSIONS)[number];
export const isDimension = (name: string): name is Dimension => (DIMENSIONS as readonly string[]).includes(name);
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
export const opinionOf = (all: Record<string, Opinion>, turnId: string): Opinion => all[turnId] ?? none;

// Returns what it has become.
export function change(turnId: string, by: Partial<Opinion>): Opinion {
  opinions.update((all) => ({ ...all, [turnId]: { ...opinionOf(all, turnId), ...by } }));
  return opinionOf(opinions.get(), turnId);
}
