import { useSyncExternalStore } from "react";

// A value that several components show and localStorage keeps: one for each tab, told of what other tabs write.
export class Store<T> {
  private value: T;
  private readonly listeners = new Set<() => void>();

  constructor(
    private readonly key: string,
    initial: T,
  ) {
    this.value = this.read() ?? initial;
    addEventListener("storage", (event) => {
      if (event.key !== key) return;
      this.value = this.read() ?? initial;
      this.tell();
    });
  }

  get(): T {
    return this.value;
  }

  set(value: T): void {
    this.value = value;
    try {
      localStorage.setItem(this.key, JSON.stringify(value));
    } catch {
      // Full or forbidden: it is remembered until the tab closes.
    }
    this.tell();
  }

  // Not what this tab last saw: another one may have written in between.
  stored(): T {
    return this.read() ?? this.value;
  }

  update(change: (value: T) => T): void {
    this.set(change(this.stored()));
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  private read(): T | undefined {
    try {
      const text = localStorage.getItem(this.key);
      return text === null ? undefined : (JSON.parse(text) as T);
    } catch {
      return undefined;
    }
  }

  private tell(): void {
    for (const listener of this.listeners) listener();
  }
}

export function useStore<T>(store: Store<T>): T {
  return useSyncExternalStore(store.subscribe, () => store.get());
}
