import { describe, expect, test } from 'vitest';
import { afterPeriod } from '../../../cli/programs/settle.ts';
import { cleanFileMappings } from '../../../lib/linux/heap.ts';

describe('when memory is given back', () => {
  test.each([
    ['always idle', [10, 20, 5], [false, false, false]],
    ['a burst, then quiet', [10, 2000, 20, 5], [false, false, true, false]],
    ['busy for long', [2000, 3000, 1500, 20, 5], [false, false, false, true, false]],
    ['two bursts', [2000, 5, 2000, 5], [false, true, false, true]],
  ])('%s', (_, periods, expected) => {
    let kept = false;
    const told = periods.map((ms) => {
      const next = afterPeriod(kept, ms);
      kept = next.kept;
      return next.giveBack;
    });
    expect(told).toEqual(expected);
  });
});

describe('mappings whose pages can be had again from their files', () => {
  const entry = (head: string, anonymous: number) => `${head}\nSize: 12 kB\nRss: 8 kB\nPrivate_Dirty: 0 kB\nAnonymous: ${anonymous} kB\nVmFlags: rd ex\n`;
  test.each([
    ['text', '0074a000-03043000 r-xp 0034a000 fe:00 131 /usr/bin/node', 0, true],
    ['constants', '03201000-06b51000 r--p 02e01000 fe:00 131 /usr/bin/node', 0, true],
    ['constants that were relocated', '06b52000-06b56000 r--p 06751000 fe:00 131 /usr/bin/node', 16, false],
    ['data', '06b56000-06b7d000 rw-p 06755000 fe:00 131 /usr/bin/node', 0, false],
    ['memory of no file', '7f0744000000-7f0763dc0000 r-xp 00000000 00:00 0 ', 0, false],
    ['the kernel\'s own', '7ffd1b9f0000-7ffd1b9f2000 r-xp 00000000 00:00 0 [vdso]', 0, false],
    ['a file that was replaced meanwhile', '0074a000-03043000 r-xp 0034a000 fe:00 131 /usr/bin/node (deleted)', 0, false],
    ['shared with others', '7f0744000000-7f0744001000 r--s 00000000 fe:00 77 /usr/lib/locale', 0, false],
  ])('%s', (_, head, anonymous, expected) => {
    const other = entry('7fffb000-7fffc000 rw-p 00000000 00:00 0 [stack]', 8);
    expect(cleanFileMappings(other + entry(head, anonymous) + other).length).toBe(expected ? 1 : 0);
  });

  test('where they are', () => {
    expect(cleanFileMappings(entry('0074a000-0074d000 r-xp 0034a000 fe:00 131 /a b', 0))).toEqual([{ start: 0x74a000, end: 0x74d000 }]);
  });
});
