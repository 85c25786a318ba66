/** A verdict in a sentence, for people. */
import type { Verdict } from './shape.ts';

export function describeVerdict(verdict: Verdict): string {
  switch (verdict.kind) {
    case 'works': return verdict.note === undefined ? 'works' : `works: ${verdict.note}`;
    case 'harmless': return `harmless: ${verdict.why}${verdict.warn === true ? ' (with a warning)' : ''}`;
    case 'refused': {
      const except = verdict.except ?? [];
      return `refused${except.length > 0 ? ` but for ${except.map((value) => `\`${value}\``).join(', ')}` : ''}: ${verdict.why}. Instead: ${verdict.instead}`;
    }
  }
}
