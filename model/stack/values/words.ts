/** A command line into words, by the shell's rules for quotes and backslashes, without expansions. */
export type Words = { readonly words: readonly string[] } | { readonly error: string; readonly offset: number };

export function splitWords(text: string): Words {
  const words: string[] = [];
  let word: string | null = null;
  for (let at = 0; at < text.length; at++) {
    const character = text[at] ?? '';
    if (/\s/.test(character)) {
      if (word !== null) words.push(word);
      word = null;
    } else if (character === "'") {
      const end = text.indexOf("'", at + 1);
      if (end < 0) return { error: "the ' is not closed", offset: at };
      word = (word ?? '') + text.slice(at + 1, end);
      at = end;
    } else if (character === '"') {
      const quoted = doubleQuoted(text, at);
      if (!quoted) return { error: 'the " is not closed', offset: at };
      word = (word ?? '') + quoted.text;
      at = quoted.end;
    } else if (character === '\\') {
      at += 1;
      const next = text[at];
      if (next === undefined) return { error: 'a backslash ends the line', offset: at - 1 };
      if (next !== '\n') word = (word ?? '') + next;
    } else word = (word ?? '') + character;
  }
  if (word !== null) words.push(word);
  return { words };
}

/** In double quotes a backslash is special only before \ " $ ` and a line's end. */
function doubleQuoted(text: string, open: number): { readonly text: string; readonly end: number } | null {
  let out = '';
  for (let at = open + 1; at < text.length; at++) {
    const character = text[at];
    if (character === '"') return { text: out, end: at };
    const next = text[at + 1];
    if (character === '\\' && next !== undefined && '\\"$`\n'.includes(next)) {
      if (next !== '\n') out += next;
      at += 1;
    } else out += character;
  }
  return null;
}
