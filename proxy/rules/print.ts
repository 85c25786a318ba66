/** Rules as text, close to what `nft list ruleset` shows: for people, golden tests and comparisons. */
import type { Backend } from './fragment.ts';
import type { RuleState } from './state.ts';
import { formatIp4 } from './address.ts';
import { baseChains, fixedElements, plainChains, sets, tableName } from './ruleset.ts';
import type { RulesetOptions } from './ruleset.ts';
import type { Match, Operand, Rule, Statement } from './rule.ts';

export function printRule({ when, then }: Rule): string {
  return [...when.map(printMatch), printStatement(then)].join(' ');
}

export function printMatch(match: Match): string {
  switch (match.match) {
    case 'in': return `${printKey(match.key)} ${match.not ? '!= ' : ''}@${match.set}`;
    case 'equals': return `${match.field} ${match.not ? '!= ' : ''}${match.text}`;
    case 'ct state': return `ct state ${match.states.join(',')}`;
    case 'ct status dnat': return 'ct status dnat';
    case 'fib daddr type local': return 'fib daddr type local';
    case 'fib saddr . iif oif': return `fib saddr . iif oif ${match.exists ? 'exists' : 'missing'}`;
  }
}

function printStatement(statement: Statement): string {
  switch (statement.do) {
    case 'jump':
    case 'goto': return `${statement.do} ${statement.chain}`;
    case 'vmap': return `${printKey(statement.key)} vmap @${statement.map}`;
    case 'meta mark set': return `meta mark set ${printKey(statement.key)} map @${statement.map}`;
    case 'dnat': return `dnat to ${printKey(statement.key)} map @${statement.map}`;
    default: return statement.do;
  }
}

function printKey(key: readonly Operand[]): string {
  return key.map(printOperand).join(' . ');
}

function printOperand(operand: Operand): string {
  switch (operand.from) {
    case 'packet': return operand.field;
    case 'constant': return operand.text;
    case 'numgen': return `numgen ${operand.kind} mod ${operand.modulus}`;
  }
}

/** `10.32.1.4`, or `10.32.1.4:80` where the port changes. */
export function printBackend({ ip, port }: Backend): string {
  return port === 0 ? formatIp4(ip) : `${formatIp4(ip)}:${port}`;
}

/** Everything a host holds, in an order that does not depend on the order of events. */
export function printState(state: RuleState, options: RulesetOptions): string {
  const elements = new Map<string, string[]>();
  for (const { set, key, data } of [...fixedElements(options), ...state.elements()]) {
    const text = data === undefined ? key : `${key} : ${data}`;
    const list = elements.get(set);
    if (list) list.push(text);
    else elements.set(set, [text]);
  }
  const lines = [`table ip ${tableName} {`];
  for (const set of sets) {
    const data = set.data === undefined ? '' : ` : ${set.data === 'verdict' ? 'verdict' : set.data.join(' . ')}`;
    lines.push(`  ${set.data ? 'map' : 'set'} ${set.name} { ${set.key.join(' . ')}${data}  # ${set.comment}`);
    for (const text of (elements.get(set.name) ?? []).sort()) lines.push(`    ${text}`);
    lines.push('  }');
  }
  for (const chain of baseChains(options)) {
    lines.push(`  chain ${chain.name} { type ${chain.type} hook ${chain.hook} priority ${chain.priority}`, ...chain.rules.map((rule) => `    ${printRule(rule)}`), '  }');
  }
  const chains = [...plainChains.map((chain) => [chain.name, chain.rules] as const), ...[...state.chains()].sort(([a], [b]) => (a < b ? -1 : 1))];
  for (const [name, rules] of chains) lines.push(`  chain ${name} {`, ...rules.map((rule) => `    ${printRule(rule)}`), '  }');
  lines.push('}', 'connect-time translation {');
  for (const [key, backends] of [...state.balancers()].sort(([a], [b]) => (a < b ? -1 : 1))) {
    lines.push(`  ${key} → ${backends.map(printBackend).join(', ') || 'refused'}`);
  }
  lines.push('}');
  return `${lines.join('\n')}\n`;
}
