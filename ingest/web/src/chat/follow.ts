import { useEffect, useLayoutEffect, useRef } from "react";
import type { Turn } from "./conversation";

const NEAR = 80; // pixels from the end of the page

function isNearEnd(): boolean {
  const page = document.scrollingElement;
  return page === null || page.scrollHeight - page.scrollTop - page.clientHeight < NEAR;
}

let leftAt: number | null = null; // where the reader was when the chat was last left, unless at its end

// Keeps the end of the page in view as the answer grows, unless the reader has scrolled up; a new turn takes him there again. Where he
// is counts before the page grows, and it has grown and followed before the browser draws: so no scroll event sees it in between.
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
    const page = document.scrollingElement;
    if (page && leftAt !== null) {
      following.current = false;
      page.scrollTop = leftAt;
    }
    return () => {
      leftAt = page && !following.current ? page.scrollTop : null;
    };
  }, []);
  useLayoutEffect(() => {
    const page = document.scrollingElement;
    if (page && last && following.current) page.scrollTop = page.scrollHeight;
  }, [last?.id, last?.answer, last?.state]);
}
