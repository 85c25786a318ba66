/**
 * Two hosts with pods, and a machine outside, as network namespaces:
 *
 * ```
 *  h1 192.168.50.1 ──┐                    ┌── out 192.168.50.9
 *  h2 192.168.50.2 ──┴── lan (a bridge) ──┘
 *  pods: a namespace each, /32 behind 169.254.1.1 of their host; plain routes between hosts
 * ```
 * Everything has a name that begins with `t-proxy-<pid>-`, processes are in cgroups of that name: what a killed run left behind
 * is removed by name.
 */
import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, rmdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { teardownEbpf } from '../../../proxy/ebpf/plane.ts';

/** Of this process, so that two runs at once do not meet. */
export const prefix = `t-proxy-${process.pid}-`;
const node = join(import.meta.dirname, '../../../node_modules/.bin/node');
const peers = join(import.meta.dirname, 'peers');
const hybrid = '/sys/fs/cgroup/unified';
export const cgroupMount = existsSync(join(hybrid, 'cgroup.procs')) ? hybrid : '/sys/fs/cgroup';
const bpfMount = '/sys/fs/bpf';
export const gateway = '169.254.1.1';

export interface ClientResult {
  readonly answers: Readonly<Record<string, number>>;
  readonly errors: Readonly<Record<string, number>>;
  readonly peers: readonly string[];
  readonly clients: readonly string[];
}

export function sh(command: string): string {
  return execFileSync('sh', ['-ec', command], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

function runIp(...lines: readonly string[]): void {
  sh(lines.map((line) => `ip ${line}`).join('\n'));
}

/** Ends what this process or dead ones left, and takes their namespaces, cgroups and pins away. */
export function removeLeftovers(): void {
  for (const name of leftIn(cgroupMount)) removeCgroup(join(cgroupMount, name));
  for (const name of leftIn('/run/netns')) sh(`ip netns del ${name}`);
  for (const name of leftIn(bpfMount)) teardownEbpf(join(bpfMount, name));
  for (const name of leftIn(tmpdir())) rmSync(join(tmpdir(), name), { recursive: true, force: true });
}

function leftIn(directory: string): readonly string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory).filter((name) => {
    const pid = Number(/^t-proxy-(\d+)-/.exec(name)?.[1]);
    return pid > 0 && (pid === process.pid || !existsSync(`/proc/${pid}`));
  });
}

/** With the processes in it: only ours are ever put there. */
function removeCgroup(path: string): void {
  writeFileSync(join(path, 'cgroup.kill'), '1');
  for (let i = 0; ; i++) {
    try {
      rmdirSync(path);
      return;
    } catch (error) {
      // Its last processes are still on their way out.
      if (i === 500) throw error;
      execFileSync('sleep', ['0.02']);
    }
  }
}

export class World implements AsyncDisposable {
  readonly directory: string;
  readonly #children: ChildProcess[] = [];
  readonly #inLan: { readonly name: string; readonly address: string }[] = [];

  constructor() {
    removeLeftovers();
    this.directory = mkdtempSync(join(tmpdir(), prefix));
    sh(`ip netns add ${prefix}lan && ip -n ${prefix}lan link add br0 type bridge && ip -n ${prefix}lan link set br0 up`);
    // Bridged packets are no business of the machine's firewall.
    sh(`ip netns exec ${prefix}lan sysctl -qw net.bridge.bridge-nf-call-iptables=0 2>/dev/null || true`);
    this.#join('out', '192.168.50.9');
    for (const number of [1, 2]) this.#addHost(number);
  }

  cgroup(host: string): string {
    return join(cgroupMount, `${prefix}${host}`);
  }

  bpfDir(host: string): string {
    return join(bpfMount, `${prefix}${host}`);
  }

  netns(name: string): string {
    return `${prefix}${name}`;
  }

  /** A pod's network on a host; `name` becomes its namespace. */
  addPod(host: string, name: string, ip: string): void {
    const pod = this.netns(name);
    const veth = `v-${name}`;
    runIp(
      `netns add ${pod}`,
      `link add ${veth} netns ${this.netns(host)} address ee:ee:ee:ee:ee:ee type veth peer name eth0 netns ${pod}`,
      `-n ${this.netns(host)} link set ${veth} up`,
      `-n ${this.netns(host)} route add ${ip}/32 dev ${veth} scope link`,
      `-n ${pod} link set lo up`,
      `-n ${pod} link set eth0 up`,
      `-n ${pod} addr add ${ip}/32 dev eth0`,
      `-n ${pod} neigh add ${gateway} dev eth0 lladdr ee:ee:ee:ee:ee:ee nud permanent`,
      `-n ${pod} route add ${gateway}/32 dev eth0 scope link`,
      `-n ${pod} route add default via ${gateway}`,
    );
  }

  /** Runs one of peers/ in a namespace; `cgroup`: the host whose eBPF covers it, or none. */
  start(name: string, cgroup: string | undefined, script: string, ...args: readonly string[]): ChildProcess {
    const group = cgroup ? this.cgroup(cgroup) : join(cgroupMount, `${prefix}none`);
    mkdirSync(group, { recursive: true });
    const child = spawn('sh', ['-c', `echo $$ > ${group}/cgroup.procs && exec nsenter --net=/run/netns/${this.netns(name)} "$@"`, 'sh', node, join(peers, script), ...args], {
      stdio: ['ignore', 'pipe', process.env['DEBUG'] ? 'inherit' : 'ignore'],
    });
    this.#children.push(child);
    return child;
  }

  /** A backend in a pod; resolves when it listens. */
  async serve(name: string, host: string, ip: string, ...ports: readonly number[]): Promise<ChildProcess> {
    const child = this.start(name, host, 'server.ts', name, ip, ...ports.map(String));
    await firstLine(child);
    return child;
  }

  /** Runs client.ts to its end. */
  async ask(name: string, cgroup: string | undefined, kind: 'tcp' | 'udp', address: string, port: number, count: number, parallel = 1, ...more: readonly string[]): Promise<ClientResult> {
    return JSON.parse(await firstLine(this.start(name, cgroup, 'client.ts', kind, address, String(port), String(count), String(parallel), ...more))) as ClientResult;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#children.map((child) => end(child, 'SIGKILL')));
    removeLeftovers();
  }

  #addHost(number: number): void {
    const name = `h${number}`;
    this.#join(name, `192.168.50.${number}`);
    const other = 3 - number;
    runIp(
      `-n ${this.netns(name)} addr add ${gateway}/32 dev lo`,
      `-n ${this.netns(name)} addr add 10.32.${number}.0/32 dev lo`,
      `-n ${this.netns(name)} route add 10.32.${other}.0/24 via 192.168.50.${other}`,
      // A way to everywhere else, so that packets to virtual addresses have one before they are translated.
      `-n ${this.netns(name)} route add default via 192.168.50.9`,
    );
    sh(`ip netns exec ${this.netns(name)} sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.default.rp_filter=1 net.ipv4.conf.all.rp_filter=1`);
    mkdirSync(this.cgroup(name), { recursive: true });
  }

  #join(name: string, address: string): void {
    this.#inLan.push({ name, address });
    runIp(
      `netns add ${this.netns(name)}`,
      `link add l-${name} netns ${prefix}lan type veth peer name eth0 netns ${this.netns(name)}`,
      `-n ${prefix}lan link set l-${name} master br0 up`,
      `-n ${this.netns(name)} link set lo up`,
      `-n ${this.netns(name)} addr add ${address}/24 dev eth0`,
      `-n ${this.netns(name)} link set eth0 up`,
    );
  }
}

/** The first line a child prints; rejects when it ends without one. */
export function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout?.on('data', (data: Buffer) => {
      text += data.toString();
      const line = text.indexOf('\n');
      if (line >= 0) resolve(text.slice(0, line));
    });
    child.once('error', reject);
    child.once('close', (code, signal) => reject(new Error(`ended with ${signal ?? code} before it said anything`)));
  });
}

export async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const over = new Promise((resolve) => { child.once('exit', resolve); });
  child.kill(signal);
  await over;
}
