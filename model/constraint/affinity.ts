/**
 * Classic Swarm's `affinity:KEY==VALUE`: where pods want to be relative to other pods. The key is `container` (a service, a pod),
 * `image`, or a label; operators and values are those of constraints. An affinity looks at pods that are to keep running.
 *
 * `==` wants a node that runs such a pod. The first of a service's pods that match their own affinity may go anywhere, or none
 * ever could. `!=` wants a node without; it works both ways, so pods that come later keep away as well.
 */
import { compilePattern } from './match.ts';
import { parsePattern, parseSides, type Dialect, type ParseError } from './parse.ts';
import type { Affinity } from './types.ts';

export type AffinityResult = { readonly ok: Affinity } | ParseError;

/** `affinity:` or `dependency:` may stand before it; a dependency without operator names a container. Never throws. */
export function parseAffinity(text: string, dialect: Dialect = 'auto'): AffinityResult {
  const prefix = /^\s*(?:affinity|dependency):/.exec(text);
  const start = prefix?.[0].length ?? 0;
  const rest = text.slice(start);
  const other = /^\s*(constraint|whitelist|reschedule):/.exec(rest);
  if (other) return { error: `${other[1]}: is not an affinity`, offset: start };
  const sides = parseSides(rest, start, dialect);
  if ('error' in sides) return sides;
  const pattern = parsePattern(sides.value, false, dialect);
  if ('error' in pattern) return pattern;
  const key = sides.key.text.toLowerCase();
  const subject: Affinity['subject'] = key === 'container' || key === 'image' ? { kind: key } : { kind: 'label', key: sides.key.text };
  return { ok: { subject, op: sides.op, pattern, soft: sides.soft, source: rest.trim() } };
}

/** What affinities see of a service's pods. */
export interface AffinityTarget {
  readonly stack: string;
  /** Inside the stack. */
  readonly service: string;
  readonly images: readonly string[];
  /** The service's and its containers'. */
  readonly labels: readonly Readonly<Record<string, string>>[];
}

export interface AffinityMatcher {
  /** All pods of the service match, whatever their slot. */
  readonly service: (target: AffinityTarget) => boolean;
  /** This one does, by its id or its place. Only containers are named one by one. */
  readonly pod: (target: AffinityTarget, slot: number | string, id: string) => boolean;
}

/** `stack`: of the service whose affinity it is. Only there do services go by their short name. */
export function compileAffinity({ subject, pattern }: Pick<Affinity, 'subject' | 'pattern'>, stack: string): AffinityMatcher {
  const matches = compilePattern({ subject: { kind: 'node' }, pattern });
  switch (subject.kind) {
    case 'image': return { service: ({ images }) => images.some((image) => imageNames(image).some(matches)), pod: () => false };
    case 'label': {
      const { key } = subject;
      return { service: ({ labels }) => labels.some((own) => Object.hasOwn(own, key) && matches(own[key] ?? '')), pod: () => false };
    }
    case 'container': {
      const names = (target: AffinityTarget) => [`${target.stack}_${target.service}`, ...(target.stack === stack ? [target.service] : [])];
      return {
        service: (target) => names(target).some(matches),
        // `stack_service_1` is how Compose called them when classic Swarm was young.
        pod: (target, slot, id) => matches(id) || names(target).some((name) => matches(`${name}.${slot}`) || matches(`${name}_${slot}`)),
      };
    }
  }
}

/** `docker.io/library/redis:7@sha256:…` → itself, without digest, without tag, and all of these as people write them. */
function imageNames(image: string): readonly string[] {
  const [tagged = ''] = image.split('@', 1);
  const colon = tagged.indexOf(':', tagged.lastIndexOf('/') + 1);
  const names = [image, tagged, colon < 0 ? tagged : tagged.slice(0, colon)];
  return [...new Set(names.flatMap((name) => [name, name.replace(/^docker\.io\/(?:library\/)?/, '')]))];
}
