import { useStore } from "../shared/store";
import { deliver, delivery, letters } from "./outbox";

// What became of what the user said, in words, while it is not simply "taken".
export function DeliveryNote() {
  const state = useStore(delivery);
  const waiting = useStore(letters).length;
  if (state.state === "waiting" && waiting > 0)
    return (
      <p className="banner" role="status">
        {state.reason} <span className="count">{waiting} waiting</span>
        <button type="button" className="link" onClick={() => void deliver()}>Send now</button>
      </p>
    );
  if (state.state === "refused")
    return (
      <p className="banner bad" role="alert">
        {state.reason} <button type="button" className="link" onClick={() => delivery.set({ state: "idle" })}>Dismiss</button>
      </p>
    );
  return null;
}
