/** A master that takes pushes, and keeps what it got in memory. */
import { zstdDecompressSync } from 'node:zlib';
import type { ServerResponse } from 'node:http';
import { sha256 } from '../../../lib/oci/manifest.ts';
import { planLayers } from '../../../master/images/plan.ts';
import type { PushCommit, PushedLayer, PushEvent, PushRequest } from '../../../model/api.ts';
import { FakeMaster, type FakeRequest, sendJson } from './harness.ts';

export class PushMaster extends FakeMaster {
  /** What the nodes have, and what they have of it, where it is not all. */
  readonly blobs = new Map<string, Buffer>();
  readonly parts = new Map<string, Buffer>();
  readonly plans: PushRequest[] = [];
  readonly commits: PushCommit[] = [];
  /** Blobs as they came, one entry per request. */
  readonly received: { readonly digest: string; readonly offset: number; readonly encoding: string | null; readonly bytes: number }[] = [];
  /** Of the next blobs only so many bytes are kept, and then the connection breaks. */
  breakAfter: number[] = [];
  onBreak = () => {};
  nodes = ['node-2', 'node-1'];
  events: (images: readonly string[]) => readonly PushEvent[] = (images) => this.nodes.map((node, at) => ({ node, kind: 'done', references: images, bytes: at === 0 ? 0 : 3_145_728 }));

  constructor() {
    super();
    this.on('POST /v1/images/push', (request: FakeRequest, response: ServerResponse) => this.#plan(request, response));
    this.on('POST /v1/images/commit', (request: FakeRequest, response: ServerResponse) => this.#commit(request, response));
    this.onPrefix('PUT /v1/images/blobs/', (request, response) => this.#blob(request, response));
  }

  #plan(request: FakeRequest, response: ServerResponse): void {
    const asked = JSON.parse(request.body.toString()) as PushRequest;
    this.plans.push(asked);
    const known = { has: (digest: string) => this.blobs.has(digest), layer: () => null };
    const images = asked.images.map((image) => ({
      layers: planLayers(image, known).map((layer, at): PushedLayer => (layer.kind === 'missing' ? { kind: 'missing', offset: this.parts.get(image.layers[at]?.digest ?? '')?.length ?? 0 } : layer)),
    }));
    sendJson(response, 200, { push: 'feedbeef00000000', seed: this.nodes[0], nodes: this.nodes, images });
  }

  #blob(request: FakeRequest, response: ServerResponse): void {
    const url = new URL(request.url, 'http://master');
    const digest = url.pathname.split('/').at(-1) ?? '';
    const offset = Number(url.searchParams.get('offset'));
    const encoding = url.searchParams.get('encoding');
    const before = this.parts.get(digest) ?? Buffer.alloc(0);
    const data = Buffer.concat([before.subarray(0, offset), encoding === 'zstd' ? zstdDecompressSync(request.body) : request.body]);
    this.received.push({ digest, offset, encoding, bytes: request.body.length });
    const most = this.breakAfter.shift();
    if (most !== undefined) {
      this.parts.set(digest, data.subarray(0, most));
      response.destroy();
      this.onBreak();
      return;
    }
    if (sha256(data) !== digest) return sendJson(response, 400, { error: { code: 'invalid', message: `blob ${digest} is corrupt` } });
    this.blobs.set(digest, data);
    sendJson(response, 200, { offset: data.length, whole: true });
  }

  #commit(request: FakeRequest, response: ServerResponse): void {
    const commit = JSON.parse(request.body.toString()) as PushCommit;
    this.commits.push(commit);
    for (const { manifest, config } of commit.images) for (const text of [manifest, config]) this.blobs.set(sha256(text), Buffer.from(text));
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    response.end(this.events(commit.images.flatMap(({ references }) => references)).map((event) => `${JSON.stringify(event)}\n`).join(''));
  }
}
