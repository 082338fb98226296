import { useSyncExternalStore } from "react";

// A value that several components show.
export class Shown<T> {
  private readonly listeners = new Set<() => void>();

  constructor(protected value: T) {}

  get(): T {
    return this.value;
  }

  set(value: T): void {
    this.value = value;
    for (const listener of this.listeners) listener();
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };
}

type Written = "kept" | "full" | "forbidden";

// What became of what localStorage is to keep: "less" where something was given up for the rest.
export type Keeping = "all" | "less" | "full" | "forbidden";
export const keeping = new Shown<Keeping>("all");

// … and that localStorage keeps, one for each tab, told of what other tabs write. While localStorage does not take it (it is full, or
// forbidden) the tab goes by its own value alone: what another one writes meanwhile would undo what was said here.
export class Store<T> extends Shown<T> {
  private last: { text: string; value: T } | null = null; // as localStorage was last seen: the same text is not read again, nor are its parts made anew

  constructor(
    private readonly key: string,
    initial: T,
  ) {
    super(initial);
    this.value = this.read() ?? initial;
    addEventListener("storage", (event) => {
      if (event.key === key && !unkept.has(this)) super.set(this.read() ?? initial);
    });
  }

  override set(value: T): void {
    super.set(value);
    unkept.add(this);
    keepAll();
  }

  // Not what this tab last saw: another one may have written in between.
  stored(): T {
    return unkept.has(this) ? this.value : (this.read() ?? this.value);
  }

  update(change: (value: T) => T): void {
    this.set(change(this.stored()));
  }

  write(): Written {
    try {
      const text = JSON.stringify(this.value);
      localStorage.setItem(this.key, text);
      this.last = { text, value: this.value };
      return "kept";
    } catch (error) {
      return error instanceof DOMException && error.name === "QuotaExceededError" ? "full" : "forbidden";
    }
  }

  private read(): T | undefined {
    try {
      const text = localStorage.getItem(this.key);
      if (text === null) return undefined;
      if (this.last?.text !== text) this.last = { text, value: JSON.parse(text) as T };
      return this.last.value;
    } catch {
      return undefined;
    }
  }
}

const unkept = new Set<{ write(): Written }>(); // whose value localStorage has not taken yet
let giveUp = (): boolean => false;
let givingUp = false;
let gaveUp = false; // since the user last heard of it

// `drop` gives up something that a store keeps, what is missed least; false: nothing is left that may go.
export function whenFull(drop: () => boolean): void {
  giveUp = drop;
}

function makeRoom(): boolean {
  if (givingUp) return false;
  givingUp = true;
  try {
    const gave = giveUp();
    gaveUp ||= gave;
    return gave;
  } finally {
    givingUp = false;
  }
}

function keepAll(): void {
  let written = writeAll();
  while (written === "full" && makeRoom()) written = writeAll();
  say(written !== "kept" ? written : gaveUp ? "less" : "all");
}

function writeAll(): Written {
  let state: Written = "kept";
  for (const store of unkept) {
    const written = store.write();
    if (written === "kept") unkept.delete(store);
    else state = written;
  }
  return state;
}

let toSay: Keeping = "all";

// A moment later: feedback that finds no room and is sent at once is no news.
function say(state: Keeping): void {
  if (toSay === state) return;
  toSay = state;
  setTimeout(() => keeping.get() !== toSay && keeping.set(toSay), 300);
}

export function heardOfIt(): void {
  gaveUp = false;
  toSay = "all";
  keeping.set("all");
}

addEventListener("storage", () => unkept.size > 0 && keepAll()); // another tab may have made room

export function useStore<T>(store: Shown<T>): T {
  return useSyncExternalStore(store.subscribe, () => store.get());
}
