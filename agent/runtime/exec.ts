/** Runs further processes in containers, their input and output through named pipes between the shim and this process. */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFifo } from '../../lib/linux/fifo.ts';
import { isCode, TsorchError } from '../../model/errors.ts';
import { TasksService } from '../../proto/gen/containerd/tasks.ts';
import { jsonAny } from './client.ts';
import { getContainer, orNothing, type RuntimeContext } from './context.ts';
import { drained, openReader, openWriter } from './fifo-streams.ts';
import { runtimeFailure } from './failure.ts';
import { containerdId } from './ids.ts';
import { readAccountFiles } from './image-files.ts';
import type { ExecProcess, ExecRequest, ExitStatus } from './port.ts';
import { execProcess } from './spec/exec.ts';
import { type OciSpec, parseSpec, specJson } from './spec/oci.ts';
import { SIGKILL } from './spec/signal.ts';
import { type Account, resolveAccount } from './spec/user.ts';
import { waitForExit } from './wait.ts';

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
  // Lets a later agent find and end what this one leaves behind.
  await writeFile(join(directory, 'container'), container.id);
  makeFifo(stdout);
  if (!request.tty) makeFifo(stderr);
  if (request.stdin) makeFifo(stdin);
  // All ends are open before the shim opens its own: it would wait, or lose what comes first.
  const out = openReader(stdout);
  const err = request.tty ? null : openReader(stderr);
  const input = request.stdin ? openWriter(stdin, () => closeInput(context, key)) : null;
  try {
    await client.call(TasksService.exec, {
      ...key,
      stdin: request.stdin ? stdin : '',
      stdout,
      stderr: request.tty ? '' : stderr,
      terminal: request.tty,
      spec: jsonAny('Process', specJson(process)),
    });
    await client.call(TasksService.start, key, { deadlineMs: 60_000 });
  } catch (error) {
    input?.destroy();
    out.destroy();
    err?.destroy();
    await client.call(TasksService.deleteProcess, key).catch(() => {});
    await rm(directory, { recursive: true, force: true });
    throw runtimeFailure(notRunning(error, id), `exec ${request.argv[0] ?? ''} in ${id}`);
  }
  const finish = async (): Promise<ExitStatus> => {
    const status = await waitForExit(context, key.containerId, key.execId);
    input?.destroy();
    const streams = err ? [out, err] : [out];
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
    stdout: out,
    stderr: err,
    resize: async (width, height) => {
      await orNothing(client.call(TasksService.resizePty, { ...key, width, height }));
    },
    kill: async (signal) => {
      await orNothing(client.call(TasksService.kill, { ...key, signal, all: false }));
    },
    exit,
  };
}

/** Ends processes that an earlier agent started and nobody reads from any more. */
export async function sweepExecs(context: RuntimeContext): Promise<void> {
  const base = join(context.runDir, 'exec');
  const names = await readdir(base).catch(() => []);
  await Promise.all(
    names.map(async (execId) => {
      const containerId = await readFile(join(base, execId, 'container'), 'utf8').catch(() => '');
      const key = { containerId, execId };
      if (containerId !== '') {
        try {
          await context.client.call(TasksService.kill, { ...key, signal: SIGKILL, all: false });
          await waitForExit(context, containerId, execId, AbortSignal.timeout(5000));
          await context.client.call(TasksService.deleteProcess, key);
        } catch (error) {
          if (!isCode(error, 'not-found')) context.log.debug('an exec of an earlier run stays', { container: containerId, error });
        }
      }
      await rm(join(base, execId), { recursive: true, force: true });
    }),
  );
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
