/** Data streams that a master asked for: the agent dials, says which request it answers, and serves the kind. */
import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import type { ArchiveStreamParams, AttachStreamParams, ExecStreamParams, LogsStreamParams, PortForwardStreamParams } from '../../model/api.ts';
import { describeError, TsorchError } from '../../model/errors.ts';
import type { StatsStreamParams } from '../../model/stats.ts';
import type { AgentsClient, OpenStream } from '../../proto/gen/tsorch/node.ts';
import type { LogStore } from '../logs/store.ts';
import type { PeerSources } from '../peers/source.ts';
import type { Pods } from '../pods/pods.ts';
import type { Images, Runtime } from '../runtime/port.ts';
import type { Sampler } from '../stats/sampler.ts';
import type { PeerAddress } from '../peers/client.ts';
import type { Position } from '../volumes/move/format.ts';
import type { VolumeMover } from '../volumes/move/mover.ts';
import type { Volumes } from '../volumes/volumes.ts';
import { serveArchiveGet, serveArchivePut, serveArchiveStat } from './archive.ts';
import { serveAttach } from './attach.ts';
import { serveExec } from './exec.ts';
import { servePortForward } from './forward.ts';
import { FrameStream } from './frames.ts';
import type { ImageCollector } from '../images/collector.ts';
import { serveImageList, serveImageLoad, serveImagePrune, serveImageRemove } from './images.ts';
import { serveLogs } from './logs.ts';
import { serveStats } from './stats.ts';
import { servePushBlob, servePushCommit, servePushState } from './pushes.ts';
import { serveVolumeDiscard, serveVolumeOffer, serveVolumeReceive } from './moves.ts';
import { serveVolumeCreate, serveVolumeList, serveVolumeRemove, serveVolumeUsage } from './volumes.ts';

export interface StreamContext {
  readonly pods: Pick<Pods, 'get' | 'poke'>;
  readonly logs: LogStore;
  readonly runtime: Runtime;
  readonly images: Images;
  /** Resolves when the master was told of all images that are here by now. */
  readonly imagesTold: () => Promise<void>;
  /** null: this host collects no images. */
  readonly collector: Pick<ImageCollector, 'prune'> | null;
  readonly volumes: Volumes;
  readonly mover: VolumeMover;
  /** A volume's tree from another node. */
  fetchVolume(peer: PeerAddress, name: string, move: string, from: Position, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** Where images come from that other nodes have; null: not from there. */
  readonly peers: PeerSources | null;
  /** What containers use, read while somebody watches. */
  readonly sampler: Sampler;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  nodeName(): string;
  /** The highest leader epoch obeyed. */
  epoch(): number;
}

/** Serves one request to its end. Never rejects: the other side is told of failures. */
export async function serveStream(request: OpenStream, client: AgentsClient, context: StreamContext): Promise<void> {
  const stream = new FrameStream(client.data());
  const stop = () => stream.cancel();
  context.signal.addEventListener('abort', stop, { once: true });
  try {
    await stream.send({ $case: 'id', value: request.id });
    await serve(request, stream, context);
  } catch (error) {
    if (!stream.over.aborted) context.log.debug('data stream failed', { kind: request.kind, error: describeError(error) });
    stream.fail(error);
  } finally {
    context.signal.removeEventListener('abort', stop);
  }
}

function serve(request: OpenStream, stream: FrameStream, context: StreamContext): Promise<void> {
  const params = parse(request.params);
  switch (request.kind) {
    case 'logs':
      return serveLogs(stream, params as LogsStreamParams, context);
    case 'exec':
      return serveExec(stream, params as ExecStreamParams, context);
    case 'attach':
      return serveAttach(stream, params as AttachStreamParams, context);
    case 'archive-stat':
      return serveArchiveStat(stream, params as ArchiveStreamParams, context);
    case 'archive-get':
      return serveArchiveGet(stream, params as ArchiveStreamParams, context);
    case 'archive-put':
      return serveArchivePut(stream, params as ArchiveStreamParams, context);
    case 'port-forward':
      return servePortForward(stream, params as PortForwardStreamParams, context);
    case 'stats':
      return serveStats(stream, params as StatsStreamParams, context);
    case 'image-load':
      return serveImageLoad(stream, context);
    case 'image-list':
      return serveImageList(stream, context);
    case 'image-rm':
      return serveImageRemove(stream, params as { reference?: unknown }, context);
    case 'image-prune':
      return serveImagePrune(stream, params as { all?: unknown }, context);
    case 'push-state':
      return servePushState(stream, params as object, context);
    case 'push-blob':
      return servePushBlob(stream, params as object, context);
    case 'push-commit':
      return servePushCommit(stream, params as object, context);
    case 'volume-list':
      return serveVolumeList(stream, context);
    case 'volume-rm':
      return serveVolumeRemove(stream, params, context);
    case 'volume-usage':
      return serveVolumeUsage(stream, params, context);
    case 'volume-create':
      return serveVolumeCreate(stream, params, context);
    case 'volume-offer':
      return serveVolumeOffer(stream, params, context);
    case 'volume-receive':
      return serveVolumeReceive(stream, params, context);
    case 'volume-discard':
      return serveVolumeDiscard(stream, params, context);
    default:
      throw new TsorchError('unsupported', `this agent knows no ${JSON.stringify(request.kind)} streams`, { hint: 'update the node' });
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text || '{}');
  } catch (cause) {
    throw new TsorchError('invalid', 'the parameters are not JSON', { cause });
  }
}
