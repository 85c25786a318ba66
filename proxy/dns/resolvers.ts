/** The host's name servers: a fixed list, or those of a resolv.conf that is read again when it changes. */
import { readFileSync, statSync } from 'node:fs';
import { isIP } from 'node:net';
import type { Clock } from '../../lib/clock.ts';

const checkEveryMs = 2000;

/** The servers that a resolv.conf names, without `self`: asking ourselves would never end. */
export function parseResolvConf(text: string, self: string): readonly string[] {
  return text.split('\n').flatMap((line) => {
    const server = /^\s*nameserver\s+([^\s#;]+)/.exec(line)?.[1];
    return server !== undefined && server !== self && isIP(server) !== 0 ? [server] : [];
  });
}

/** Gives the servers to ask now. An unreadable file is no server. */
export function resolversOf(source: readonly string[] | { readonly file: string }, self: string, clock: Clock): () => readonly string[] {
  if (!('file' in source)) {
    const fixed = source.filter((server) => server !== self);
    return () => fixed;
  }
  let servers: readonly string[] = [];
  let seen = '';
  let checkAt = -Infinity;
  return () => {
    if (clock.monotonic() < checkAt) return servers;
    checkAt = clock.monotonic() + checkEveryMs;
    try {
      const { mtimeMs, ino } = statSync(source.file);
      const stamp = `${mtimeMs} ${ino}`;
      if (stamp !== seen) servers = parseResolvConf(readFileSync(source.file, 'utf8'), self);
      seen = stamp;
    } catch {
      servers = [];
      seen = '';
    }
    return servers;
  };
}
