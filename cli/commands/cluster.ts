/** `up` and `down`: clusters on this machine. */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import { TsorchError } from '../../model/errors.ts';
import { contextPath, dropContext, saveContext } from '../context/file.ts';
import { UsageError } from '../exit.ts';
import { print, wantsColor, type Io } from '../io.ts';
import { painter } from '../output/color.ts';
import { renderTable } from '../output/table.ts';
import { formatElapsed, parseDuration, parseUnderlay } from '../output/values.ts';
import { command, type GlobalOptions } from './command.ts';
import { nodeColumns } from './lists.ts';

interface ClusterOptions extends GlobalOptions {
  readonly name?: string;
  readonly stateDir?: string;
}

interface UpOptions extends ClusterOptions {
  readonly nodes?: string;
  readonly file?: string;
  readonly split?: boolean;
  readonly underlay?: string;
  readonly registryConfig?: string;
  readonly timeout: string;
}

export function upCommand(io: Io): Command {
  return command('up', 'make a multi-host cluster on this machine, or make it whole again', ['tsorch up', 'tsorch up --nodes 5', 'tsorch up -f cluster.yml', 'tsorch up --name second'])
    .option('--nodes <count>', 'how many hosts (default 3)')
    .option('-f, --file <cluster.yml>', 'hosts and their labels from a file')
    .option('--name <name>', 'the cluster\'s name (default local)')
    .option('--state-dir <dir>', 'where its data lives (default /var/lib/tsorch/NAME)')
    .option('--split', 'agent and proxy as two processes on each host')
    .option('--underlay <mode>', 'how pod traffic travels between the hosts: auto (plain routes, they share a link), vxlan, route')
    .option('--registry-config <file>', 'how registries are reached: mirrors, CAs, plain HTTP (default /etc/tsorch/registries.yaml, if it is there)')
    .option('--timeout <time>', 'how long to wait for it to be ready', '2m')
    .action(async (options: UpOptions) => {
      if (options.nodes !== undefined && options.file !== undefined) throw new UsageError('--nodes and -f both say which hosts; give one of them');
      if (options.nodes !== undefined && !/^[1-9]\d{0,2}$/.test(options.nodes)) throw new UsageError(`--nodes ${options.nodes}: write how many hosts, for example 3`);
      const underlay = options.underlay === undefined ? undefined : parseUnderlay(options.underlay);
      // What is wrong in it is told here, and not by programs in the background.
      if (options.registryConfig !== undefined) {
        const { RegistriesFile } = await import('../../lib/oci/registries-file.ts');
        await new RegistriesFile(resolve(io.cwd, options.registryConfig)).read();
      }
      const [{ up }, { createSteps }, { parseClusterFile }] = await Promise.all([import('../../deploy/local/up.ts'), import('../../deploy/local/steps.ts'), import('../../deploy/local/file.ts')]);
      const file = options.file === undefined ? undefined : parseClusterFile(options.file, await read(io, options.file));
      const started = io.now();
      const result = await up({
        wanted: {
          name: options.name ?? file?.name ?? 'local',
          ...(options.nodes === undefined ? {} : { nodes: Number(options.nodes) }),
          ...(file ? { hosts: file.hosts.map((host) => (host.manifests === undefined ? host : { ...host, manifests: resolve(io.cwd, dirname(options.file ?? '.'), host.manifests) })) } : {}),
          ...(file?.subnet === undefined ? {} : { subnet: file.subnet }),
          ...(options.split === undefined ? {} : { split: options.split }),
          ...(underlay === undefined ? {} : { underlay }),
          ...(options.registryConfig === undefined ? {} : { registryConfig: resolve(io.cwd, options.registryConfig) }),
        },
        ...(options.stateDir === undefined ? {} : { stateDir: resolve(io.cwd, options.stateDir) }),
        steps: createSteps({ write: (text) => io.stdout.write(text), isTTY: io.stdout.isTTY === true, now: io.now }),
        signal: io.signal,
        timeoutMs: parseDuration(options.timeout),
      });
      await saveContext(contextPath(io.env), result.spec.name, result.context);
      print(io, `\n${renderTable(result.nodes, nodeColumns, painter(wantsColor(io)))}`);
      print(io, `cluster ${result.spec.name} is ready after ${formatElapsed(io.now() - started)}; try \`tsorch apply -f stack.yml --wait\``);
    });
}

export function downCommand(io: Io): Command {
  return command('down', 'take a cluster off this machine', ['tsorch down', 'tsorch down --purge   # and its data'])
    .option('--name <name>', 'the cluster\'s name (default local)')
    .option('--state-dir <dir>', 'where its data lives (default /var/lib/tsorch/NAME)')
    .option('--purge', 'remove its data too: volumes, images, desired state', false)
    .action(async (options: ClusterOptions & { readonly purge: boolean }) => {
      const name = options.name ?? 'local';
      const [{ down }, { createSteps }] = await Promise.all([import('../../deploy/local/down.ts'), import('../../deploy/local/steps.ts')]);
      const started = io.now();
      const found = await down({
        name,
        ...(options.stateDir === undefined ? {} : { stateDir: resolve(io.cwd, options.stateDir) }),
        purge: options.purge,
        steps: createSteps({ write: (text) => io.stdout.write(text), isTTY: io.stdout.isTTY === true, now: io.now }),
        signal: io.signal,
      });
      await dropContext(contextPath(io.env), name);
      print(io, found ? `cluster ${name} is down after ${formatElapsed(io.now() - started)}${options.purge ? '' : '; its data is kept, `tsorch up` brings it back'}` : `there is no cluster ${name} on this machine`);
    });
}

async function read(io: Io, file: string): Promise<string> {
  return readFile(resolve(io.cwd, file), 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new TsorchError(error.code === 'ENOENT' ? 'not-found' : 'invalid', error.code === 'ENOENT' ? `no file ${file}` : `cannot read ${file}: ${error.message}`, { cause: error });
  });
}
