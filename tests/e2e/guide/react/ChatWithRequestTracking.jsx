// A conversation whose turns are known by the client_request_id of their answer, in a session of the page's own.
import React from "react";

const session = `session-${Date.now()}`;

export function ChatWithRequestTracking() {
  const [question, setQuestion] = React.useState("");
  const [turns, setTurns] = React.useState([]);

  async function ask() {
    const headers = { "Content-Type": "application/json", "X-Session-ID": session };
    const said = await (await fetch("/chat", { method: "POST", headers, body: JSON.stringify({ message: question }) })).json();
    setTurns([...turns, { id: said.client_request_id, question, answer: said.response, judged: false }]);
    setQuestion("");
  }

  async function judge(turn, is_correct) {
    const headers = { "Content-Type": "application/json", "X-User-ID": "user-1" };
    const about = new URLSearchParams({ client_request_id: turn.id });
    const taken = await fetch(`/feedback?${about}`, { method: "POST", headers, body: JSON.stringify({ is_correct, comment: null }) });
    if (taken.ok) setTurns((now) => now.map((each) => (each.id === turn.id ? { ...each, judged: true } : each)));
  }

  return (
    <main>
      {turns.map((turn) => (
        <div className="conversation" key={turn.id}>
          <p>{turn.question}</p>
          <p>{turn.answer}</p>
          <button disabled={turn.judged} onClick={() => judge(turn, true)}>👍</button>
          <button disabled={turn.judged} onClick={() => judge(turn, false)}>👎</button>
        </div>
      ))}
      <input type="text" value={question} onChange={(event) => setQuestion(event.target.value)} />
      <button onClick={ask}>Send</button>
    </main>
  );
}
