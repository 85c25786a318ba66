/** Where a service's pods may go, from wherever it was written: deploy.placement, our x- keys, classic Swarm's environment and labels, platform. */
import { neverPlaced } from '../../../constraint/never.ts';
import { parseConstraint, parseSpread, type Dialect } from '../../../constraint/parse.ts';
import type { Constraint, SpreadPreference } from '../../../constraint/types.ts';
import { stackLimits } from '../../../limits.ts';
import type { Placement } from '../../../spec.ts';
import { inside, scalar, type Node } from '../../parse/tree.ts';
import { didYouMean } from '../../suggest.ts';
import type { StackContext } from '../context.ts';
import type { Reader } from '../reader.ts';
import { makeAffinities } from './affinities.ts';
import { classicExpressions } from './classic.ts';
import { makeOperators } from './operators.ts';

export function makePlacement(service: Reader, context: StackContext): Placement {
  const placement = service.at('deploy').at('placement');
  const constraints: Constraint[] = [];
  /** Where each expression stands, for what only shows when all are there. */
  const places = new Map<string, Reader>();
  let reschedule: 'off' | undefined;
  const take = (at: Reader, text: string, dialect: Dialect, inset = 0): void => {
    const result = parseConstraint(text, dialect);
    if ('ok' in result) {
      constraints.push(result.ok);
      places.set(result.ok.source, at);
    } else at.sink.error(inside(at.node ?? scalar(at.mark, null), inset + result.offset), at.path, `constraint ${JSON.stringify(text)}: ${result.error}`);
  };
  for (const item of placement.at('constraints').items()) {
    // The deploy specification writes labels with one equals sign.
    if (item.node?.kind === 'scalar') take(item, item.node.text.replace(/^([a-z0-9_-]+)=(?=[^=~!])/i, '$1=='), 'auto');
  }
  for (const item of placement.at('preferences').items()) {
    const wish = item.text('x-prefer');
    if (wish === undefined) continue;
    // A preference is a constraint that may be given up.
    take(item.at('x-prefer'), wish.replace(/^(\s*[^=!~]+?)\s*([=!]?=)\s*~?/, (_, key: string, op: string) => `${key}${op === '!=' ? '!=' : '=='}~`), 'auto');
  }
  for (const { kind, text, at, inset } of classicExpressions(service)) {
    switch (kind) {
      case 'constraint': take(at, text, 'classic', inset); break;
      case 'whitelist': {
        const made = whitelist(at, text);
        if (made) places.set(made.source, at);
        if (made) constraints.push(made);
        break;
      }
      case 'reschedule': if (reschedules(at, text) === 'off') reschedule = 'off'; break;
      case 'affinity': case 'dependency': break;
    }
  }
  constraints.push(...platform(service));
  const operators = makeOperators(service);
  const affinities = makeAffinities(service, context);
  for (const [what, list] of [['constraints', constraints], ['affinities', affinities], ['x-constraints', operators]] as const) {
    if (list.length > stackLimits.expressions) service.error(`${list.length} ${what} are more than ${stackLimits.expressions}, the limit for one service`, 'one regular expression can say much');
  }
  const never = neverPlaced({ constraints, operators });
  if (never) {
    const at = places.get(never.source) ?? service.at('x-constraints').items()[operators.findIndex(({ source }) => source === never.source)] ?? service.at('platform');
    at.error(`no node can ever match: ${never.message}`, never.source.startsWith('node.role==') ? didYouMean(never.source.slice(11), ['manager', 'worker']) : undefined);
  }
  return {
    constraints,
    ...(affinities.length > 0 ? { affinities } : {}),
    ...(operators.length > 0 ? { operators } : {}),
    ...(reschedule === undefined ? {} : { reschedule }),
    spread: placement.at('preferences').items().flatMap(spreadOf),
    maxPerNode: placement.number('max_replicas_per_node') ?? 0,
    strategy: (service.at('x-placement').text('strategy') ?? 'spread') as Placement['strategy'],
  };
}

/** `whitelist:node==a|b`: names of nodes to the letter. The key and the operator say nothing, as in classic Swarm. */
function whitelist(at: Reader, text: string): Constraint | null {
  const value = text.replace(/^[^=!]*[=!]=/, '');
  const soft = value.startsWith('~');
  const names = value.slice(soft ? 1 : 0).split('|').filter(Boolean);
  const strange = names.find((name) => !/^[\w.:-]{1,253}$/.test(name));
  if (names.length === 0) at.error(`whitelist:${text} names no node`, 'write such as whitelist:node==node-1|node-2');
  else if (strange !== undefined || names.length > 1000) at.error(`whitelist: ${JSON.stringify(strange ?? '')} cannot be a node's name`, 'names are taken to the letter, with | between them');
  else {
    const [only = ''] = names;
    const pattern: Constraint['pattern'] = names.length === 1 ? { kind: 'literal', value: only } : { kind: 'regex', value: `^(?:${names.map((name) => name.replaceAll('.', '\\.')).join('|')})$` };
    return { subject: { kind: 'node' }, op: '==', pattern, soft, source: `whitelist:${text}`.slice(0, 1024) };
  }
  return null;
}

/** `reschedule:off|on-node-failure`. */
function reschedules(at: Reader, text: string): 'off' | 'on-node-failure' {
  const word = text.trim();
  if (word === 'off' || word === 'on-node-failure') return word;
  at.error(`there is no policy reschedule:${word}`, didYouMean(word, ['off', 'on-node-failure']) ?? 'the policies are off and on-node-failure');
  return 'on-node-failure';
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
  const node: Node = at.node ?? scalar(at.mark, null);
  at.sink.error(inside(node, result.offset), at.path, `spread ${JSON.stringify(text)}: ${result.error}`);
  return [];
}
