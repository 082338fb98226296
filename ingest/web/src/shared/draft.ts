import { useState } from "react";

const KEY = "assay.drafts";
const DRAFTS_MAX = 50; // the oldest go

type Drafts = [name: string, text: string][]; // the newest last

function kept(): Drafts {
  try {
    return JSON.parse(sessionStorage.getItem(KEY) ?? "[]") as Drafts;
  } catch {
    return []; // forbidden
  }
}

function keep(name: string, text: string | null): void {
  const others = kept().filter(([other]) => other !== name);
  const drafts: Drafts = text === null ? others : [...others, [name, text]];
  try {
    sessionStorage.setItem(KEY, JSON.stringify(drafts.slice(-DRAFTS_MAX)));
  } catch {
    // Full or forbidden: it is on the page all the same.
  }
}

// What is typed and not sent yet: it survives a reload, and a look at the other tab of the page. Each tab of the browser has its own.
// `sent` is what there is to begin with, where no draft is kept.
export function useDraft(name: string, sent = ""): { text: string; setText: (text: string) => void; forget: () => void } {
  const [text, show] = useState(() => kept().find(([other]) => other === name)?.[1] ?? sent);
  const setText = (next: string): void => {
    show(next);
    keep(name, next === sent ? null : next);
  };
  return { text, setText, forget: () => keep(name, null) };
}
