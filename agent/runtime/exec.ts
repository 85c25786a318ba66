/** Runs further processes in containers, their input and output through named pipes between the shim and this process. */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { makeFifo } from '../../lib/linux/fifo.ts';
import { isCode, TsorchError } from '../../model/errors.ts';
import { TasksService } from '../../proto/gen/containerd/tasks.ts';
import { jsonAny } from './client.ts';
import { decodeKnown, getContainer, orNothing, type RuntimeContext } from './context.ts';
import { drained, openReader, openWriter } from './fifo-streams.ts';
import { runtimeFailure } from './failure.ts';
import { containerdId } from './ids.ts';
import { readAccountFiles } from './image-files.ts';
import type { ExecProcess, ExecRequest, ExitStatus } from './port.ts';
import { sessionOf, signalSession } from './sessions.ts';
import { execProcess } from './spec/exec.ts';
import { type OciSpec, parseSpec, specJson } from './spec/oci.ts';
import { SIGKILL } from './spec/signal.ts';
import { type Account, resolveAccount } from './spec/user.ts';
import { waitForExit } from './wait.ts';

/** The file that says of an exec that it shall go on although nobody reads from it. */
const released = 'released';
/** Output that a child left behind may still produce is not waited for longer than this after the process itself ended. */
const lingerMs = 2000;

export async function execInContainer(context: RuntimeContext, id: string, request: ExecRequest): Promise<ExecProcess> {
  const { client } = context;
  const container = await getContainer(context, id);
  const spec = parseSpec(container.spec?.value.toString('utf8') ?? '{}');
  const { account, home } = await accounts(context, container.id, spec, request);
  const process = execProcess(spec, request, { account, containerHome: home, hostCapabilities: context.host.capabilities });
  const execId = `x${randomBytes(10).toString('hex')}`;
  const key = { containerId: container.id, execId };
  const directory = join(context.runDir, 'exec', execId);
  const [stdin, stdout, stderr] = ['stdin', 'stdout', 'stderr'].map((name) => join(directory, name)) as [string, string, string];
  await mkdir(directory, { recursive: true, mode: 0o700 });
  // Lets a later agent find what this one leaves behind.
  await writeFile(join(directory, 'container'), container.id);
  const release = () => writeFile(join(directory, released), '');
  if (request.detached) await release();
  const outputs = [...(request.detached ? [] : [stdout]), ...(request.detached || request.tty ? [] : [stderr])];
  for (const path of outputs) makeFifo(path);
  if (request.stdin) makeFifo(stdin);
  // All ends are open before the shim opens its own: it would wait, or lose what comes first.
  const [out, err = null] = outputs.map(openReader);
  const input = request.stdin ? openWriter(stdin, () => closeInput(context, key)) : null;
  const streams = [out, err].filter((stream) => stream !== undefined && stream !== null);
  let session: number | null;
  try {
    await client.call(TasksService.exec, {
      ...key,
      stdin: request.stdin ? stdin : '',
      stdout: out ? stdout : '',
      stderr: err ? stderr : '',
      terminal: request.tty,
      spec: jsonAny('Process', specJson(process)),
    });
    const { pid } = await client.call(TasksService.start, key, { deadlineMs: 60_000 });
    session = await sessionOf(pid);
  } catch (error) {
    input?.destroy();
    for (const stream of streams) stream.destroy();
    await client.call(TasksService.deleteProcess, key).catch(() => {});
    await rm(directory, { recursive: true, force: true });
    throw runtimeFailure(notRunning(error, id), `exec ${request.argv[0] ?? ''} in ${id}`);
  }
  let ended = false;
  const finish = async (): Promise<ExitStatus> => {
    const status = await waitForExit(context, key.containerId, key.execId);
    ended = true;
    input?.destroy();
    if (!(await drained(streams, lingerMs, context.clock))) context.log.debug('exec left processes that hold its output', { container: id });
    // Closes the shim's ends, so that the streams end in any case.
    await client.call(TasksService.deleteProcess, key).catch(() => {});
    await drained(streams, null, context.clock);
    await rm(directory, { recursive: true, force: true });
    return status;
  };
  const exit = finish();
  exit.catch(() => {});
  return {
    stdin: input,
    stdout: out ?? Readable.from([]),
    stderr: err,
    resize: async (width, height) => {
      await orNothing(client.call(TasksService.resizePty, { ...key, width, height }));
    },
    kill: async (signal) => {
      if (ended) return;
      const cgroup = decodeKnown(context, container)?.cgroup;
      const found = session !== null && cgroup !== undefined && session !== (await mainSession(context, container.id)) ? await signalSession(context, cgroup, session, signal) : 0;
      if (found > 0) return;
      await orNothing(client.call(TasksService.kill, { ...key, signal, all: false }));
    },
    release: async () => {
      await release();
      for (const stream of streams) stream.resume();
    },
    exit,
  };
}

/** The session of the container's own processes: none of an exec, or a signal would reach them too. */
async function mainSession(context: RuntimeContext, containerId: string): Promise<number | null> {
  const task = await orNothing(context.client.call(TasksService.get, { containerId, execId: '' }));
  return sessionOf(task?.process?.pid ?? 0);
}

/** Ends processes that an earlier agent started and nobody reads from any more; those that were let go are looked after to their end. */
export async function sweepExecs(context: RuntimeContext): Promise<void> {
  const base = join(context.runDir, 'exec');
  const names = await readdir(base).catch(() => []);
  await Promise.all(
    names.map(async (execId) => {
      const directory = join(base, execId);
      const containerId = await readFile(join(directory, 'container'), 'utf8').catch(() => '');
      const files = await readdir(directory).catch((): string[] => []);
      const key = { containerId, execId };
      // Neither is waited for: a shim takes its time, and the host has pods to see to.
      const work = containerId !== '' && files.includes(released) ? adopt(context, key, directory, files) : end(context, key, directory, files);
      work.catch((error: unknown) => context.log.warn('an exec of an earlier run is not tidied up', { container: containerId, error }));
    }),
  );
}

async function end(context: RuntimeContext, key: { readonly containerId: string; readonly execId: string }, directory: string, files: readonly string[]): Promise<void> {
  // What it still prints is taken, or its end could wait for room in a pipe.
  const streams = readersOf(directory, files);
  try {
    if (key.containerId !== '') {
      await context.client.call(TasksService.kill, { ...key, signal: SIGKILL, all: false });
      await waitForExit(context, key.containerId, key.execId, AbortSignal.timeout(5000));
      await context.client.call(TasksService.deleteProcess, key);
    }
  } catch (error) {
    if (!isCode(error, 'not-found')) context.log.debug('an exec of an earlier run stays', { container: key.containerId, error });
  }
  for (const stream of streams) stream.destroy();
  await rm(directory, { recursive: true, force: true });
}

/** They take what it prints, and nobody has it. */
function readersOf(directory: string, files: readonly string[]): readonly Readable[] {
  return files.filter((name) => name === 'stdout' || name === 'stderr').map((name) => openReader(join(directory, name)).resume());
}

/** Takes what it prints, or it would stand still when the pipe is full. */
async function adopt(context: RuntimeContext, key: { readonly containerId: string; readonly execId: string }, directory: string, files: readonly string[]): Promise<void> {
  const streams = readersOf(directory, files);
  await waitForExit(context, key.containerId, key.execId);
  await context.client.call(TasksService.deleteProcess, key).catch(() => {});
  for (const stream of streams) stream.destroy();
  await rm(directory, { recursive: true, force: true });
}

/** The user asked for, and the home that passwd gives the container's own user. */
async function accounts(context: RuntimeContext, containerId: string, spec: OciSpec, request: ExecRequest): Promise<{ readonly account: Account | null; readonly home: string | null }> {
  if (request.user === undefined) return { account: null, home: null };
  const task = await orNothing(context.client.call(TasksService.get, { containerId, execId: '' }));
  const pid = task?.process?.pid ?? 0;
  if (pid === 0) throw notRunning(new TsorchError('not-found', 'no process'), containerId);
  const files = await readAccountFiles([`/proc/${pid}/root`]);
  return { account: resolveAccount(request.user, [], files), home: resolveAccount(String(spec.process.user.uid), [], files).home };
}

/** The end of input reaches the process when the shim has closed its own end too. */
async function closeInput(context: RuntimeContext, key: { readonly containerId: string; readonly execId: string }): Promise<void> {
  await context.client.call(TasksService.closeIo, { ...key, stdin: true }).catch(() => {});
}

function notRunning(error: unknown, id: string): unknown {
  const gone = isCode(error, 'not-found') || (error instanceof TsorchError && /not running|cannot exec in a (stopped|deleted|created)/i.test(error.message));
  return gone ? new TsorchError('conflict', `container ${containerdId(id)} is not running`, { cause: error }) : error;
}
