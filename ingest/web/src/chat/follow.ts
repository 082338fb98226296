import { useEffect, useLayoutEffect, useRef } from "react";
import type { Turn } from "./conversation";

const NEAR = 80; // pixels from the end of the page

function isNearEnd(): boolean {
  const page = document.scrollingElement;
  return page === null || page.scrollHeight - page.scrollTop - page.clientHeight < NEAR;
}

function toEnd(): void {
  const page = document.scrollingElement;
  if (page) page.scrollTop = page.scrollHeight;
}

// Keeps the end of the page in view as the answer grows, unless the reader has scrolled up; a new turn takes him there again. Where he
// is counts before the page grows, and it has grown and followed before the browser draws: so no scroll event sees it in between. An
// answer's Markdown is drawn when there is time for it, later than its text has come: then its size says so.
export function useFollow(last: Turn | undefined): void {
  const following = useRef(true);
  useEffect(() => {
    const look = (): void => {
      following.current = isNearEnd();
    };
    addEventListener("scroll", look, { passive: true });
    return () => removeEventListener("scroll", look);
  }, []);
  useLayoutEffect(() => {
    following.current = true;
  }, [last?.id]);
  useLayoutEffect(() => {
    if (last && following.current) toEnd();
  }, [last?.id, last?.answer, last?.state]);
  useEffect(() => {
    const answer = document.querySelector(".turn:last-child .answer");
    if (!answer) return;
    const grown = new ResizeObserver(() => following.current && toEnd());
    grown.observe(answer);
    return () => grown.disconnect();
  }, [last?.id]);
}
