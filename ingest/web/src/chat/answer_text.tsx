import { MarkdownText } from "./markdown_text";

// To read Markdown anew for each piece that comes costs as much as it is long.
const MARKDOWN_CHARACTERS_MAX = 50_000;

// Models write Markdown. It is drawn with the turn, so that the page has grown when it follows the answer.
export function AnswerText({ text }: { text: string }) {
  if (text.length > MARKDOWN_CHARACTERS_MAX) return <p className="plain">{text}</p>;
  return <MarkdownText text={text} />;
}
