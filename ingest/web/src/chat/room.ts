// What is given up when the browser's storage is full.
import { letters, slots } from "../feedback/outbox";
import { opinions } from "../feedback/opinions";
import { conversation, isOver } from "./conversation";

// The oldest turn that is over, never the newest, nor one whose feedback waits to be sent.
export function dropOldest(): boolean {
  const turns = conversation.stored();
  const waiting = new Set(letters.stored().map((letter) => letter.turnId));
  const oldest = turns.slice(0, -1).find((turn) => isOver(turn) && !waiting.has(turn.id));
  if (!oldest) return false;
  const rest = turns.filter((turn) => turn !== oldest);
  conversation.set(rest);
  forgetAllBut(new Set([...waiting, ...rest.map((turn) => turn.id)]));
  return true;
}

function forgetAllBut(turnIds: Set<string>): void {
  opinions.update((all) => Object.fromEntries(Object.entries(all).filter(([turnId]) => turnIds.has(turnId))));
  slots.update((all) => Object.fromEntries(Object.entries(all).filter(([slot]) => turnIds.has(slot.split("/")[0] ?? ""))));
}
