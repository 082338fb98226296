// Tokens as they come, read off POST /chat/stream by lines; thumbs once `done` has brought the trace's id.
import React from "react";

async function* events(response) {
  const lines = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let kept = "";
  for (let part = await lines.read(); !part.done; part = await lines.read()) {
    const whole = (kept + part.value).split("\n");
    kept = whole.pop();
    for (const line of whole) if (line.startsWith("data: ")) yield JSON.parse(line.slice("data: ".length));
  }
}

export function StreamingChatWithFeedback() {
  const [question, setQuestion] = React.useState("");
  const [answer, setAnswer] = React.useState("");
  const [trace, setTrace] = React.useState(null);
  const [trouble, setTrouble] = React.useState(null);
  const [judged, setJudged] = React.useState(false);

  async function ask() {
    setAnswer("");
    setTrace(null);
    setTrouble(null);
    setJudged(false);
    const response = await fetch("/chat/stream", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ message: question }) });
    for await (const event of events(response)) {
      if (event.type === "token") setAnswer((before) => before + event.content);
      if (event.type === "done") setTrace(event.trace_id);
      if (event.type === "error") setTrouble(event.error);
    }
  }

  async function judge(is_correct) {
    const body = JSON.stringify({ is_correct, comment: null });
    const taken = await fetch(`/feedback?trace_id=${trace}`, { method: "POST", headers: { "Content-Type": "application/json" }, body });
    setJudged(taken.ok);
  }

  return (
    <main>
      <p>{answer}</p>
      {trouble && <p className="error-message">{trouble}</p>}
      {trace && (
        <div>
          <button disabled={judged} onClick={() => judge(true)}>👍</button>
          <button disabled={judged} onClick={() => judge(false)}>👎</button>
        </div>
      )}
      <input type="text" value={question} onChange={(event) => setQuestion(event.target.value)} />
      <button onClick={ask}>Send</button>
    </main>
  );
}
