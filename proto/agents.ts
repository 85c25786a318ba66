/**
 * The service of masters for agents as `gen/` has it, but that frames of bytes are copied once on their way out and not at all on their
 * way in: the generated code copies them for every message they are nested in, and memory of that size is what the collector
 * counts. On the wire nothing differs.
 */
import { BinaryReader, BinaryWriter } from '@bufbuild/protobuf/wire';
import { makeGenericClientConstructor } from '@grpc/grpc-js';
import { AgentsClient as GeneratedClient, AgentsService as Generated, DataFrame, type LogBatch, type LogChunk } from './gen/tsorch/node.ts';

/** Field number and wire type 2, length-delimited. */
const tags = { stdin: (2 << 3) | 2, stdout: (3 << 3) | 2, stderr: (4 << 3) | 2, logs: (10 << 3) | 2 } as const;
const chunksTag = (1 << 3) | 2;
const chunk = { container: (1 << 3) | 2, attempt: 2 << 3, stderr: 3 << 3, time: 4 << 3, end: 5 << 3, data: (6 << 3) | 2, notice: 7 << 3 } as const;

/** The bytes of the frame may be written over as soon as it returns. */
export function encodeFrame(frame: DataFrame): Buffer {
  const { kind } = frame;
  switch (kind?.$case) {
    case 'stdin':
    case 'stdout':
    case 'stderr':
      return Buffer.concat([new BinaryWriter().uint32(tags[kind.$case]).uint32(kind.value.length).finish(), kind.value]);
    case 'logs': {
      const parts = kind.value.chunks.flatMap(chunkParts);
      return Buffer.concat([new BinaryWriter().uint32(tags.logs).uint32(lengthOf(parts)).finish(), ...parts]);
    }
    default:
      return Buffer.from(DataFrame.encode(frame).finish());
  }
}

function chunkParts({ container, attempt, stderr, time, end, data, notice }: LogChunk): readonly Uint8Array[] {
  const fields = new BinaryWriter().uint32(chunk.container).string(container).uint32(chunk.attempt).uint32(attempt).uint32(chunk.time).int64(time).uint32(chunk.end).int64(end);
  if (stderr) fields.uint32(chunk.stderr).bool(true);
  if (notice) fields.uint32(chunk.notice).bool(true);
  const head = fields.uint32(chunk.data).uint32(data.length).finish();
  return [new BinaryWriter().uint32(chunksTag).uint32(head.length + data.length).finish(), head, data];
}

function lengthOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((sum, { length }) => sum + length, 0);
}

/** The bytes of the frame are those of the message. */
export function decodeFrame(message: Buffer): DataFrame {
  const reader = new BinaryReader(message);
  const tag = reader.len > 0 ? reader.uint32() : 0;
  switch (tag) {
    case tags.stdin:
      return only(reader, message, { $case: 'stdin', value: bytes(reader) });
    case tags.stdout:
      return only(reader, message, { $case: 'stdout', value: bytes(reader) });
    case tags.stderr:
      return only(reader, message, { $case: 'stderr', value: bytes(reader) });
    case tags.logs: {
      const end = reader.uint32() + reader.pos;
      return only(reader, message, { $case: 'logs', value: decodeBatch(reader, end) });
    }
    default:
      return DataFrame.decode(message);
  }
}

/** Nothing else is in our frames; of others the last field counts, and the generated code knows how. */
function only(reader: BinaryReader, message: Buffer, kind: NonNullable<DataFrame['kind']>): DataFrame {
  return reader.pos === reader.len ? { kind } : DataFrame.decode(message);
}

function decodeBatch(reader: BinaryReader, end: number): LogBatch {
  const chunks: LogChunk[] = [];
  while (reader.pos < end) {
    const tag = reader.uint32();
    if (tag === chunksTag) chunks.push(decodeChunk(reader, reader.uint32() + reader.pos));
    else reader.skip(tag & 7);
  }
  return { chunks };
}

function decodeChunk(reader: BinaryReader, end: number): LogChunk {
  const found: LogChunk = { container: '', attempt: 0, stderr: false, time: 0, end: 0, data: Buffer.alloc(0), notice: false };
  while (reader.pos < end) {
    const tag = reader.uint32();
    switch (tag) {
      case chunk.container:
        found.container = reader.string();
        break;
      case chunk.attempt:
        found.attempt = reader.uint32();
        break;
      case chunk.stderr:
        found.stderr = reader.bool();
        break;
      case chunk.time:
        found.time = Number(reader.int64());
        break;
      case chunk.end:
        found.end = Number(reader.int64());
        break;
      case chunk.data:
        found.data = bytes(reader);
        break;
      case chunk.notice:
        found.notice = reader.bool();
        break;
      default:
        reader.skip(tag & 7);
    }
  }
  return found;
}

function bytes(reader: BinaryReader): Buffer {
  const view = reader.bytes();
  return Buffer.from(view.buffer, view.byteOffset, view.byteLength);
}

export const AgentsService = {
  ...Generated,
  data: { ...Generated.data, requestSerialize: encodeFrame, requestDeserialize: decodeFrame, responseSerialize: encodeFrame, responseDeserialize: decodeFrame },
} as const;

export type AgentsClient = GeneratedClient;
export const AgentsClient = makeGenericClientConstructor(AgentsService, 'tsorch.v1.Agents') as unknown as typeof GeneratedClient;
