import { useState } from "react";

const KEY = "assay.draft";

function kept(): string {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return ""; // forbidden
  }
}

// A question that is not sent yet: it survives a reload, and a look at the other tab of the page. Each tab of the browser has its own.
export function useDraft(): [string, (text: string) => void] {
  const [draft, setDraft] = useState(kept);
  const change = (text: string): void => {
    setDraft(text);
    try {
      sessionStorage.setItem(KEY, text);
    } catch {
      // Full or forbidden: it is on the page all the same.
    }
  };
  return [draft, change];
}
