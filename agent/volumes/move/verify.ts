/** Compares what is on the disk with what the sender read: every entry's place, owner, mode, time, links and attributes, and every byte. */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { raise, TsorchError } from '../../../model/errors.ts';
import { lines, type Line } from './journal.ts';
import { walk } from './send.ts';

const pieceBytes = 1 << 20;

/** Yields the bytes compared so far, now and then. Throws `conflict`, naming what differs. */
export function* verifyTree(incoming: string): Generator<number> {
  const noted = lines(path.join(incoming, 'journal'));
  // The header.
  noted.next();
  const buffer = Buffer.allocUnsafe(pieceBytes);
  let compared = 0;
  for (const { entry, open } of walk(path.join(incoming, 'data'))) {
    const next = noted.next();
    const { digest, ...wanted } = next.done ? raise(differs(entry.path, 'it is one too many')) : (JSON.parse(next.value.text) as Line);
    if (JSON.stringify(wanted) !== JSON.stringify(entry)) {
      const [key] = Object.keys({ ...wanted, ...entry }).filter((each) => JSON.stringify(wanted[each as keyof typeof wanted]) !== JSON.stringify(entry[each as keyof typeof entry]));
      throw differs(wanted.path, `its ${key ?? 'entry'} is another one`);
    }
    if (entry.type !== '-') continue;
    const hash = createHash('sha256');
    const fd = open();
    try {
      for (let read = fs.readSync(fd, buffer, 0, pieceBytes, null); read > 0; read = fs.readSync(fd, buffer, 0, pieceBytes, null)) {
        hash.update(buffer.subarray(0, read));
        compared += read;
        yield compared;
      }
    } finally {
      fs.closeSync(fd);
    }
    if (hash.digest('hex') !== digest) throw differs(entry.path, 'its content is another one');
  }
  const left = noted.next();
  if (!left.done) throw differs((JSON.parse(left.value.text) as Line).path, 'it is missing');
}

function differs(path_: string, why: string): TsorchError {
  return new TsorchError('conflict', `the copy of the volume differs from what was sent: ${JSON.stringify(path_)}: ${why}`);
}
