import { heardOfIt, keeping, useStore } from "./store";

const UNTIL_CLOSED = "You can go on: feedback is sent all the same, but what is on this page is gone when you close or reload it.";

// Said while the browser does not keep all that the page gives it.
export function KeepingNote() {
  const state = useStore(keeping);
  if (state === "full") return <p className="banner bad" role="status">This browser's storage is full. {UNTIL_CLOSED}</p>;
  if (state === "forbidden") return <p className="banner" role="status">This browser lets the page store nothing. {UNTIL_CLOSED}</p>;
  if (state === "less")
    return (
      <p className="banner" role="status">
        This browser's storage is full. The oldest questions were taken off this page to make room.{" "}
        <button type="button" className="link" onClick={heardOfIt}>Dismiss</button>
      </p>
    );
  return null;
}
