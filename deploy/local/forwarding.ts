/**
 * The way out for hosts and their pods, where the machine can give it: its forwarding switched on and their addresses
 * masqueraded. What was there before is remembered, and restored when the last cluster goes.
 */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ClusterNames } from './names.ts';
import { runCommand } from './process.ts';
import type { ClusterSpec } from './spec.ts';

const sysctl = '/proc/sys/net/ipv4/ip_forward';

export async function ensureForwarding(names: ClusterNames, spec: ClusterSpec): Promise<'on' | 'unavailable'> {
  const saved = savedPath(names);
  const before = (await readFile(sysctl, 'utf8').catch(() => '')).trim();
  if (before !== '1') {
    await mkdir(dirname(saved), { recursive: true });
    // `wx`: the first cluster's word is the machine's own value.
    await writeFile(saved, before, { flag: 'wx' }).catch(() => {});
    const written = await writeFile(sysctl, '1').then(() => true, () => false);
    if (!written) return 'unavailable';
  }
  const rules = `
table ip ${names.nftTable}
delete table ip ${names.nftTable}
table ip ${names.nftTable} {
  chain postrouting {
    type nat hook postrouting priority srcnat;
    ip saddr ${spec.subnet} oifname != "${names.bridge}" masquerade
  }
}`;
  await passFirewall(names, true);
  return (await runCommand(['nft', '-f', '-'], { input: rules })).code === 0 ? 'on' : 'unavailable';
}

/**
 * Docker sets the machine's FORWARD policy to DROP, which with br_netfilter also stops hosts from reaching one another over the
 * bridge. Two rules let the bridge's traffic pass; where there is no such policy there is nothing to do.
 */
async function passFirewall(names: ClusterNames, pass: boolean): Promise<void> {
  const policy = await runCommand(['iptables', '-w', '10', '-S', 'FORWARD']).catch(() => null);
  if (policy?.code !== 0 || (pass && !policy.stdout.includes('-P FORWARD DROP'))) return;
  for (const direction of ['-i', '-o']) {
    const rule = ['FORWARD', direction, names.bridge, '-m', 'comment', '--comment', names.nftTable, '-j', 'ACCEPT'];
    const present = (await runCommand(['iptables', '-w', '10', '-C', ...rule])).code === 0;
    if (present !== pass) await runCommand(['iptables', '-w', '10', pass ? '-I' : '-D', ...rule]);
  }
}

export async function removeForwarding(names: ClusterNames): Promise<void> {
  await runCommand(['nft', 'delete', 'table', 'ip', names.nftTable]).catch(() => {});
  await passFirewall(names, false);
  const root = dirname(names.runDir);
  const others = (await readdir(root, { withFileTypes: true }).catch(() => [])).filter((entry) => entry.isDirectory() && join(root, entry.name) !== names.runDir);
  const before = await readFile(savedPath(names), 'utf8').catch(() => undefined);
  if (others.length > 0 || before === undefined) return;
  await writeFile(sysctl, before).catch(() => {});
  await rm(savedPath(names), { force: true });
}

/** Beside the clusters' directories: it belongs to the machine. */
function savedPath(names: ClusterNames): string {
  return join(dirname(names.runDir), 'ip_forward.before');
}
