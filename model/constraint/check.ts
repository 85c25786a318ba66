/** Expressions that no parser of ours has seen: a spec may come from anywhere. */
import { stackLimits } from '../limits.ts';
import type { Placement, ServiceSpec } from '../spec.ts';
import { regexProblem } from './parse.ts';

export interface ExpressionProblem {
  /** Of the stack. */
  readonly service: string;
  readonly message: string;
}

/** What is wrong with the regular expressions of the services, or null. RE2 cannot be made to hang, but it could be kept busy. */
export function expressionProblem(services: Readonly<Record<string, Pick<ServiceSpec, 'placement'>>>): ExpressionProblem | null {
  const seen = new Set<string>();
  for (const [service, { placement }] of Object.entries(services)) {
    for (const { source, regex } of regexesOf(placement)) {
      if (seen.has(regex)) continue;
      seen.add(regex);
      if (seen.size > stackLimits.regexes) return { service, message: `the stack has more than ${stackLimits.regexes} different regular expressions, the limit` };
      const problem = regexProblem(regex);
      if (problem !== null) return { service, message: `${source.slice(0, 200)}: ${problem}` };
    }
  }
  return null;
}

function regexesOf({ constraints, affinities = [], operators = [] }: Placement): readonly { readonly source: string; readonly regex: string }[] {
  return [
    ...[...constraints, ...affinities].flatMap(({ pattern, source }) => (pattern.kind === 'regex' ? [{ source, regex: pattern.value }] : [])),
    ...operators.flatMap(({ operator, value = '', source }) => (operator === 'LIKE' || operator === 'UNLIKE' ? [{ source, regex: value }] : [])),
  ];
}
