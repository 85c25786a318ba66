/** What of a volume's copy is complete: a header, then an entry per line. The last line may be torn. */
import fs from 'node:fs';
import { type Entry, parseEntry } from './format.ts';

export interface Line extends Entry {
  /** Of a file, made by the sender as it read it. */
  readonly digest?: string;
}

export interface Journal {
  readonly entries: number;
  readonly last: string | undefined;
  /** Directories from the root to where the last entry is. */
  readonly open: readonly Entry[];
  /** Bytes of the files that are complete. */
  readonly data: number;
  /** Up to where the journal itself is whole. */
  readonly bytes: number;
}

/** Null when there is none of this boot. */
export function readJournal(file: string, bootId: string): Journal | null {
  let header: unknown;
  let entries = 0;
  let data = 0;
  let bytes = 0;
  let last: string | undefined;
  const open: Entry[] = [];
  try {
    for (const { text, end } of lines(file)) {
      if (header === undefined) {
        header = JSON.parse(text);
        if ((header as { readonly bootId?: unknown }).bootId !== bootId) return null;
      } else {
        const entry = parseEntry(text);
        entries++;
        last = entry.path;
        if (entry.type === '-') data += entry.size;
        const parent = entry.path.includes('/') ? entry.path.slice(0, entry.path.lastIndexOf('/')) : '';
        while (open.length > 0 && open.at(-1)?.path !== parent) open.pop();
        if (entry.type === 'd') open.push(entry);
      }
      bytes = end;
    }
  } catch {
    return null;
  }
  return header === undefined ? null : { entries, last, open, data, bytes };
}

/** Whole lines, read in pieces: there may be a million. */
export function* lines(file: string): Generator<{ readonly text: string; readonly end: number }> {
  const fd = fs.openSync(file, 'r');
  try {
    const buffer = Buffer.allocUnsafe(1 << 20);
    let rest = Buffer.alloc(0);
    let end = 0;
    for (;;) {
      const read = fs.readSync(fd, buffer, 0, buffer.length, null);
      if (read === 0) return;
      rest = Buffer.concat([rest, buffer.subarray(0, read)]);
      for (let at = rest.indexOf(10); at >= 0; at = rest.indexOf(10)) {
        end += at + 1;
        yield { text: rest.toString('utf8', 0, at), end };
        rest = rest.subarray(at + 1);
      }
    }
  } finally {
    fs.closeSync(fd);
  }
}
