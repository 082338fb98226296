// An answer in blocks that are read as Markdown one by one: as it grows only the last is read anew. A block ends at a blank line, where
// nothing goes on behind it: no list, no fenced code, no HTML. Where it must not grow any longer, or be read, the rest of it is plain.
import { type Region, depthOf, isBlank, isIndented, isItem, isLaterItem, openIn, regionOf } from "./lines";
import { References } from "./references";

export interface Block {
  text: string;
  plain: boolean;
}

// Characters.
const BLOCK_MIN = 2_000; // many small ones would cost more than they save
const LIST_MAX = 8_000; // … and then goes on as another list
const BLOCK_MAX = 20_000;
const ANSWER_MAX = 250_000; // what is longer is read anew by each reload

const DEPTH_MAX = 20;
const OPEN_MAX = 200;

export function blocksOf(text: string): Block[] {
  const references = new References();
  const blocks: (Block & { opener: string })[] = [];
  let block = { begin: 0, plain: false, opener: "" };
  let region: Region | null = null;
  let list = false;
  let items: number[] = [];
  let open = { now: 0 };
  let afterBlank = true;
  let mayDefine = true;

  const cut = (at: number, plain: boolean): void => {
    if (at > block.begin) blocks.push({ text: text.slice(block.begin, at), plain: block.plain, opener: block.opener });
    block = { begin: at, plain, opener: region?.fenced && !plain ? `${region.opener}\n` : "" };
  };

  for (let begin = 0, end; begin < text.length; begin = end) {
    end = text.indexOf("\n", begin) + 1 || text.length;
    const line = text.slice(begin, end).replace(/\n$/, "");
    const length = begin - block.begin;
    const blank = isBlank(line);

    if (!region && !blank) {
      const item = isItem(line);
      if (afterBlank && !isIndented(line) && !(list && item)) {
        const over = begin >= ANSWER_MAX;
        if (over ? !block.plain : block.plain || length >= BLOCK_MIN) cut(begin, over);
        list = false;
        items = [];
      } else if (list && length >= LIST_MAX && isLaterItem(line) && !block.plain) {
        cut(begin, false);
      }
      if (afterBlank) open = { now: 0 };
      list ||= item;
      const deep = depthOf(line, items) > DEPTH_MAX || openIn(line, open) > OPEN_MAX;
      if (deep && !block.plain) cut(begin, true);
    }
    if (!block.plain && end - block.begin > BLOCK_MAX) cut(begin, !region?.fenced || end - begin > BLOCK_MAX);

    if (region) {
      if (region.end.test(line)) region = null;
      mayDefine = false;
    } else if (!(list && isIndented(line, items[0])) && (region = regionOf(line))) {
      list = false;
    } else {
      mayDefine = blank || references.take(line, mayDefine);
    }
    afterBlank = blank && !region;
  }
  cut(text.length, false);
  return blocks.map(({ text, plain, opener }) => ({ text: plain ? text : references.with(opener + text), plain }));
}
