/** Probes in one word: `http://:8080/healthz`, `tcp://:5432`, `grpc://:9000/service`, a port, or a command. */
import { inside, map, scalar, seq, type Node, type ScalarNode, type SeqNode } from '../../parse/tree.ts';
import type { Path } from '../../path.ts';
import type { ShapeContext } from '../shape.ts';

/** A command as a string is for the shell, as in `healthcheck.test`. */
export function shellWords(node: ScalarNode, text: string): SeqNode {
  return seq(node, [scalar(node, '/bin/sh'), scalar(node, '-c'), scalar(node, text)]);
}

export function expandProbe(node: ScalarNode, path: Path | null, context: ShapeContext): readonly Node[] | null {
  const { text } = node;
  const scheme = /^(https?|tcp|grpc):\/\//.exec(text)?.[1];
  if (scheme === undefined) return [/^\d+$/.test(text) ? map(node, [['tcp', map(node, [['port', node]])]]) : map(node, [['exec', shellWords(node, text)]])];
  const rest = text.slice(scheme.length + 3);
  const made = scheme === 'tcp' ? address(node, rest, path, context) : scheme === 'grpc' ? grpc(node, rest, path, context) : http(node, scheme, rest, path, context);
  return made && [map(node, [[scheme === 'https' ? 'http' : scheme, made]])];
}

/** A list is a command. */
export function expandProbeList(node: SeqNode): Node {
  return map(node, [['exec', node]]);
}

export function expandHttp(node: ScalarNode, path: Path | null, context: ShapeContext): readonly Node[] | null {
  const scheme = /^(https?):\/\//.exec(node.text)?.[1];
  const made = http(node, scheme ?? 'http', scheme === undefined ? node.text : node.text.slice(scheme.length + 3), path, context);
  return made && [made];
}

export function expandAddress(node: ScalarNode, path: Path | null, context: ShapeContext): readonly Node[] | null {
  const made = address(node, node.text, path, context);
  return made && [made];
}

export function expandGrpc(node: ScalarNode, path: Path | null, context: ShapeContext): readonly Node[] | null {
  const made = grpc(node, node.text, path, context);
  return made && [made];
}

/** `[HOST]:PORT[/PATH]`, or the port alone. */
function http(node: ScalarNode, scheme: string, text: string, path: Path | null, context: ShapeContext): Node | null {
  const parts = split(text);
  const port = parts?.port ?? (parts && scheme === 'https' ? '443' : undefined);
  if (!parts || port === undefined) return fail(node, path, context, 'write such as http://:8080/healthz');
  return map(node, [
    ['port', scalar(node, Number(port))], ['path', scalar(node, parts.rest === '' ? '/' : parts.rest)], ['scheme', scalar(node, scheme)],
    ...(parts.host === '' ? [] : [['host', scalar(node, parts.host)] as const]),
  ]);
}

function address(node: ScalarNode, text: string, path: Path | null, context: ShapeContext): Node | null {
  const parts = split(text);
  if (parts?.port === undefined || parts.rest !== '') return fail(node, path, context, 'write the port, such as 5432');
  return map(node, [['port', scalar(node, Number(parts.port))], ...(parts.host === '' ? [] : [['host', scalar(node, parts.host)] as const])]);
}

function grpc(node: ScalarNode, text: string, path: Path | null, context: ShapeContext): Node | null {
  const parts = split(text);
  if (parts?.port === undefined || parts.host !== '') return fail(node, path, context, 'write the port, such as 9000, or 9000/service');
  return map(node, [['port', scalar(node, Number(parts.port))], ...(parts.rest.length > 1 ? [['service', scalar(node, parts.rest.slice(1))] as const] : [])]);
}

function split(text: string): { readonly host: string; readonly port: string | undefined; readonly rest: string } | null {
  const parts = /^(?:(\d+)|(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]*)(?::(\d+))?)(\/.*)?$/s.exec(text);
  if (!parts) return null;
  return { host: (parts[2] ?? '').replace(/^\[(.*)\]$/, '$1'), port: parts[1] ?? parts[3], rest: parts[4] ?? '' };
}

function fail(node: ScalarNode, path: Path | null, { sink }: ShapeContext, hint: string): null {
  sink.error(inside(node, 0), path, `${JSON.stringify(node.text)} names no port to ask`, hint);
  return null;
}
