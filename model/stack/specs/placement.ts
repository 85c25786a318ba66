/** Constraints from wherever they were written: deploy.placement, classic Swarm's environment and labels, platform. */
import { parseConstraint, parseSpread, type Dialect } from '../../constraint/parse.ts';
import type { Constraint, SpreadPreference } from '../../constraint/types.ts';
import type { Placement } from '../../spec.ts';
import { inside, type Node } from '../parse/tree.ts';
import type { Reader } from './reader.ts';

export function makePlacement(service: Reader): Placement {
  const placement = service.at('deploy').at('placement');
  const constraints: Constraint[] = [];
  const take = (at: Reader, text: string, dialect: Dialect, inset = 0): void => {
    const result = parseConstraint(text, dialect);
    if ('ok' in result) constraints.push(result.ok);
    else at.sink.error(inside(at.node ?? fallback(at), inset + result.offset), at.path, `constraint ${JSON.stringify(text)}: ${result.error}`);
  };
  for (const item of placement.at('constraints').items()) {
    if (item.node?.kind === 'scalar') take(item, item.node.text, 'auto');
  }
  for (const [key, item] of service.at('environment').children()) {
    const expression = classicExpression(key, item);
    if (expression === null) continue;
    if (expression.kind === 'constraint') take(item, expression.text, 'classic');
    else refuseClassic(item, expression.kind, expression.text);
  }
  for (const holder of [service, service.at('deploy')]) takeLabels(holder.at('labels'), take);
  constraints.push(...platform(service));
  return {
    constraints,
    spread: placement.at('preferences').items().flatMap(spreadOf),
    maxPerNode: placement.number('max_replicas_per_node') ?? 0,
    strategy: 'spread',
  };
}

/** Environment entries that classic Swarm takes for itself never reach the container. */
export function isClassicKey(key: string): boolean {
  return /^(constraint|affinity|whitelist|reschedule):/.test(key);
}

/**
 * `constraint:type==frontend` reached us split at its first `=`: as `constraint:type` and `=frontend`, or, with `!=`, as
 * `constraint:type!` and `frontend`. Written as a mapping, `constraint:type: frontend` has no operator and is refused.
 */
function classicExpression(key: string, item: Reader): { readonly kind: string; readonly text: string } | null {
  const kind = /^(constraint|affinity|whitelist|reschedule):/.exec(key)?.[1];
  if (kind === undefined) return null;
  const value = item.node?.kind === 'scalar' && item.node.value !== null ? item.node.text : null;
  const text = key.slice(kind.length + 1);
  return { kind, text: value === null ? text : `${text}=${value}` };
}

function refuseClassic(item: Reader, kind: string, text: string): void {
  if (kind === 'reschedule') {
    // Pods of a lost node are always placed anew.
    if (text !== 'on-node-failure') item.error(`reschedule:${text} is not supported: pods of a lost node are always placed anew`, 'remove it');
    return;
  }
  if (kind === 'affinity') item.error(`affinity:${text}: affinities are not supported yet`, 'label the nodes, and use constraint:KEY==VALUE or deploy.placement.constraints');
  else item.error(`${kind}:${text} is not supported`, 'use constraint:node==NAME');
}

function takeLabels(labels: Reader, take: (at: Reader, text: string, dialect: Dialect, inset?: number) => void): void {
  for (const [kind, key] of [['constraint', 'constraints'], ['affinity', 'affinities'], ['whitelist', 'whitelists'], ['reschedule', 'reschedule-policies']] as const) {
    const label = labels.at(`com.docker.swarm.${key}`);
    if (label.node?.kind !== 'scalar') continue;
    const list = jsonStrings(label.node.text);
    if (list === null) {
      label.error(`com.docker.swarm.${key} must be a JSON list of strings, such as ["type==frontend"]`);
      continue;
    }
    for (const text of list) {
      if (kind === 'constraint') take(label, text, 'classic', Math.max(0, label.node.text.indexOf(text)));
      else refuseClassic(label, kind, text);
    }
  }
}

function jsonStrings(text: string): readonly string[] | null {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : null;
  } catch {
    return null;
  }
}

function platform(service: Reader): readonly Constraint[] {
  const at = service.at('platform');
  const text = service.text('platform');
  if (text === undefined || text === '') return [];
  const [os = '', arch, variant] = text.toLowerCase().split('/');
  if (os !== 'linux' || (variant !== undefined && !/^v\d+$/.test(variant)) || (arch !== undefined && !/^[a-z0-9_]+$/.test(arch))) {
    at.error(os === 'linux' ? `${JSON.stringify(text)} is no platform` : `the hosts run linux, not ${os}`, 'write such as linux/amd64 or linux/arm64');
    return [];
  }
  const made: Constraint[] = [{ subject: { kind: 'os' }, op: '==', pattern: { kind: 'literal', value: 'linux' }, soft: false, source: 'node.platform.os==linux' }];
  if (arch !== undefined) made.push({ subject: { kind: 'arch' }, op: '==', pattern: { kind: 'literal', value: arch }, soft: false, source: `node.platform.arch==${arch}` });
  return made;
}

function spreadOf(preference: Reader): readonly SpreadPreference[] {
  const text = preference.text('spread');
  if (text === undefined) return [];
  const at = preference.at('spread');
  const result = parseSpread(text);
  if ('ok' in result) return [result.ok];
  at.sink.error(inside(at.node ?? fallback(at), result.offset), at.path, result.error);
  return [];
}

function fallback(at: Reader): Node {
  return { kind: 'scalar', value: null, text: '', plain: true, source: at.mark.source, offset: at.mark.offset };
}
