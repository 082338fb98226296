// What a line of Markdown says about where a block may end (CommonMark 0.31), and how much there is to read in it.

const HTML: [RegExp, RegExp][] = [
  [/^ {0,3}<(?:script|pre|style|textarea)(?:[\s>]|$)/i, /<\/(?:script|pre|style|textarea)>/i],
  [/^ {0,3}<!--/, /-->/],
  [/^ {0,3}<\?/, /\?>/],
  [/^ {0,3}<![a-z]/i, />/],
  [/^ {0,3}<!\[CDATA\[/, /\]\]>/],
];

export interface Region {
  opener: string;
  fenced: boolean;
  end: RegExp; // of the line that is its last
}

// What begins in this line and may have blank lines in it: fenced code, and some HTML.
export function regionOf(line: string): Region | null {
  const fence = /^ {0,3}(`{3,}(?=[^`]*$)|~{3,})/.exec(line)?.[1];
  if (fence) return { opener: line, fenced: true, end: new RegExp(`^ {0,3}${fence}${fence[0]}*[ \\t\\r]*$`) };
  const end = HTML.find(([begin]) => begin.test(line))?.[1];
  return end && !end.test(line) ? { opener: line, fenced: false, end } : null;
}

export const isBlank = (line: string): boolean => !/[^ \t\r]/.test(line);
export const isIndented = (line: string, by = 1): boolean => line.search(/[^ ]/) >= by || line.startsWith("\t");
export const isItem = (line: string): boolean => /^ {0,3}(?:[-+*]|\d{1,9}[.)])(?:[ \t\r]|$)/.test(line);

// An item with which a list can go on as another one: it has the number that it would have had. Where all are number one it has not.
export const isLaterItem = (line: string): boolean => /^(?:[-+*]|(?![01][.)])\d{1,9}[.)])[ \t]/.test(line);

// How many lists and quotes a line stands in. `items` has the columns where the content of the open ones begins.
export function depthOf(line: string, items: number[]): number {
  if (/^[ \t]*([-*])(?:[ \t]*\1){2,}[ \t\r]*$/.test(line)) return 0; // a rule
  const markers = /^(?:[ \t>]|(?:[-+*]|\d{1,9}[.)])(?=[ \t\r]|$))*/.exec(line)?.[0].replaceAll("\t", "    ") ?? "";
  for (const { index, 0: marker } of markers.matchAll(/[^ >]+/g)) {
    while ((items.at(-1) ?? 0) > index) items.pop();
    items.push(index + marker.length + 1);
  }
  return items.length + markers.split(">").length - 1;
}

// How many brackets, and how much emphasis, are open at most in a line that has `open` of them before. To read what lies in one another
// that deep costs as its square, or worse.
export function openIn(line: string, open: { now: number }): number {
  let most = open.now;
  for (const { index, 0: mark } of line.matchAll(/[[\]]|[*_~]+/g)) {
    open.now = Math.max(0, open.now + (mark === "[" ? 1 : mark === "]" ? -1 : Math.sign(weight(line[index + mark.length]) - weight(line[index - 1]))));
    most = Math.max(most, open.now);
  }
  return most;
}

// CommonMark's rule in short: emphasis begins where what follows weighs more than what stands before, and ends where it weighs less.
const weight = (character = " "): number => (/\s/.test(character) ? 0 : /[\p{P}\p{S}]/u.test(character) ? 1 : 2);
