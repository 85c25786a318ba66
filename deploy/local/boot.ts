/** Run files of an earlier boot name processes that are not there any more, or worse, others. */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { unmountBelow } from './mounts.ts';

export async function forgetOtherBoot(runDir: string): Promise<void> {
  const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
  const path = join(runDir, 'boot');
  const written = await readFile(path, 'utf8').catch(() => null);
  if (written !== null && written !== boot) {
    await unmountBelow(runDir);
    await rm(runDir, { recursive: true, force: true });
  }
  await mkdir(runDir, { recursive: true, mode: 0o711 });
  await writeFile(path, boot);
}
