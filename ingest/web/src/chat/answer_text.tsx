import { blocksOf } from "./blocks";
import { MarkdownText } from "./markdown_text";

// Models write Markdown. It is drawn with the turn, so that the page has grown when it follows the answer.
export function AnswerText({ text }: { text: string }) {
  return blocksOf(text).map((block, n) => (block.plain ? <p key={n} className="plain">{block.text}</p> : <MarkdownText key={n} text={block.text} />));
}
