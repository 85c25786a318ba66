/** A master that serves for real, over TLS, on a store in memory; clients of every role; hosts that only talk. */
import { cp, mkdtemp, rm } from 'node:fs/promises';
import type { OutgoingHttpHeaders } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock, type Clock } from '../../../../lib/clock.ts';
import { silentLog } from '../../../../lib/log.ts';
import { createRequest } from '../../../../lib/pki/request.ts';
import type { Credentials } from '../../../../lib/pki/credentials.ts';
import type { DigestResolver } from '../../../../master/images/resolve.ts';
import { serveMaster, type Serving, type Times } from '../../../../master/serve.ts';
import { MemoryStore } from '../../../../master/store/memory.ts';
import { loadTrust, type MasterTrust } from '../../../../master/trust/authority.ts';
import type { ApiErrorBody, EnrolReply } from '../../../../model/api.ts';

export interface Answer<T = unknown> {
  readonly status: number;
  readonly body: T;
  readonly text: string;
  readonly headers: Record<string, unknown>;
}

export interface CallOptions {
  readonly as?: Credentials | null;
  readonly body?: unknown;
  readonly headers?: OutgoingHttpHeaders;
}

export interface LabOptions {
  readonly times?: Partial<Times>;
  readonly lifeMs?: number;
  readonly clock?: Clock;
  readonly resolver?: DigestResolver;
  /** Another master of this one's cluster. */
  readonly beside?: Lab;
}

export class Lab implements AsyncDisposable {
  readonly directory: string;
  readonly store: MemoryStore;
  readonly trust: MasterTrust;
  readonly serving: Serving;
  readonly #stop: AbortController;

  private constructor(directory: string, store: MemoryStore, trust: MasterTrust, serving: Serving, stop: AbortController) {
    this.directory = directory;
    this.store = store;
    this.trust = trust;
    this.serving = serving;
    this.#stop = stop;
  }

  static async start(options: LabOptions = {}): Promise<Lab> {
    const directory = await mkdtemp(join(tmpdir(), 'tsorch-master-lab-'));
    const { beside } = options;
    const store = beside?.store.fork() ?? new MemoryStore();
    if (beside) await cp(join(beside.directory, 'ca'), join(directory, 'ca'), { recursive: true });
    const id = beside ? 'm2' : 'm1';
    const stop = new AbortController();
    const clock = options.clock ?? systemClock;
    const trust = await loadTrust({ stateDir: directory, masterId: id, names: ['127.0.0.1'], now: () => clock.now(), ...(options.lifeMs === undefined ? {} : { lifeMs: options.lifeMs }) });
    const serving = await serveMaster({
      store, trust, id, listen: '127.0.0.1:0', grpc: '127.0.0.1:0', version: '0', wish: {}, caDirectory: join(directory, 'ca'), clock, log: silentLog, signal: stop.signal,
      ...(options.times === undefined ? {} : { times: options.times }),
      ...(options.resolver === undefined ? {} : { resolver: options.resolver }),
    }).catch(async (error: unknown) => {
      stop.abort(new Error('it did not start'));
      await rm(directory, { recursive: true, force: true });
      throw error;
    });
    const lab = new Lab(directory, store, trust, serving, stop);
    if (!beside) await until('the master leads', () => serving.context.leadership.current !== null);
    return lab;
  }

  get admin(): Credentials {
    return this.trust.admin.current;
  }

  get world() {
    return this.serving.context.world;
  }

  /** A certificate made out by the cluster's authority. */
  async person(role: 'admin' | 'viewer', name: string = role): Promise<Credentials> {
    const { csr, privateKey } = await createRequest(name);
    return { ca: this.trust.ca, cert: await this.trust.issuePerson(csr, role, name), key: privateKey };
  }

  async node(id: string): Promise<Credentials> {
    const { csr, privateKey } = await createRequest(id);
    return { ca: this.trust.ca, cert: await this.trust.issueNode(csr, id), key: privateKey };
  }

  /** Any call; as the administrator unless told, as nobody with null. */
  async call<T = unknown>(method: string, path: string, options: CallOptions = {}): Promise<Answer<T>> {
    const { as = this.admin, body, headers = {} } = options;
    const payload = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const req = request({
        host: '127.0.0.1', port: this.serving.apiPort, method, path, agent: false, ca: this.trust.ca, ...(as === null ? {} : { ca: as.ca, cert: as.cert, key: as.key }),
        headers: { ...(payload === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }), ...headers },
      }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          let parsed: unknown;
          try {
            parsed = JSON.parse(text);
          } catch {
            parsed = undefined;
          }
          resolve({ status: response.statusCode ?? 0, body: parsed as T, text, headers: response.headers });
        });
      });
      req.on('error', reject);
      req.end(payload);
    });
  }

  /** The body of a call that must succeed. */
  async ok<T>(method: string, path: string, body?: unknown): Promise<T> {
    const answer = await this.call<T>(method, path, { body });
    if (answer.status !== 200) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
    return answer.body;
  }

  async fails(method: string, path: string, options: CallOptions = {}): Promise<{ readonly status: number; readonly error: ApiErrorBody['error'] }> {
    const answer = await this.call<ApiErrorBody>(method, path, options);
    if (answer.status === 200) throw new Error(`${method} ${path} succeeded: ${answer.text}`);
    return { status: answer.status, error: answer.body?.error };
  }

  /** A host joins with a token, as its program does. */
  async join(name: string, labels: Readonly<Record<string, string>> = {}): Promise<{ readonly id: string; readonly credentials: Credentials }> {
    const { token } = await this.ok<{ token: string }>('POST', '/v1/tokens', { role: 'node' });
    const { csr, privateKey } = await createRequest(name);
    const answer = await this.call<EnrolReply>('POST', '/v1/enrol', { as: null, body: { token, csr, name, labels } });
    if (answer.status !== 200) throw new Error(`join: ${answer.text}`);
    return { id: answer.body.nodeId, credentials: { ca: answer.body.ca, cert: answer.body.certificate, key: privateKey } };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort(new Error('the lab is over'));
    await this.serving.done;
    await this.serving.close();
    await this.store.close();
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** Resolves when the condition holds; rejects with what it waited for. */
export async function until(what: string, condition: () => boolean | Promise<boolean>, ms = 10_000): Promise<void> {
  const end = performance.now() + ms;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`in vain: ${what}`);
    await systemClock.sleep(5);
  }
}
