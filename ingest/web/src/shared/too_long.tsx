// Said under a field, instead of cutting off what was typed or pasted.
export const isTooLong = (text: string, max: number): boolean => text.trim().length > max;

export function TooLong({ id, text, max }: { id: string; text: string; max: number }) {
  if (!isTooLong(text, max)) return null;
  const over = text.trim().length - max;
  return (
    <p id={id} className="note bad too-long" role="status">
      Too long by {over.toLocaleString("en")} {over === 1 ? "character" : "characters"}; {max.toLocaleString("en")} is the most.
    </p>
  );
}
