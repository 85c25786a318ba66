/**
 * Swarm's templates: `{{.Task.Slot}}` and the like in environment, host name and mounts, filled in when a pod has its node.
 * A text is one when it names `.Service`, `.Node` or `.Task`; other text in braces, of which the world is full, is left alone.
 */
import { evaluate } from './evaluate.ts';
import type { Value } from './functions.ts';
import { parseTemplate } from './parse.ts';
import { TemplateError } from './syntax.ts';

export interface TemplateContext {
  readonly Service: { readonly ID: string; readonly Name: string; readonly Labels: Readonly<Record<string, string>> };
  readonly Node: { readonly ID: string; readonly Hostname: string; readonly Platform: { readonly OS: string; readonly Architecture: string } };
  readonly Task: { readonly ID: string; readonly Name: string; readonly Slot: string };
}

/** What a secret or config with `template_driver: golang` may ask for, besides: by name; undefined when it is not there. */
export interface PayloadSources {
  readonly env: (name: string) => string | undefined;
  readonly secret: (target: string) => string | undefined;
  readonly config: (target: string) => string | undefined;
}

export type Expanded = { readonly ok: string } | { readonly error: string; readonly offset: number };

export function isTemplate(text: string): boolean {
  for (let open = text.indexOf('{{'); open >= 0; ) {
    const close = text.indexOf('}}', open);
    if (/\.(?:Service|Node|Task)\b/.test(text.slice(open, close < 0 ? undefined : close))) return true;
    open = close < 0 ? -1 : text.indexOf('{{', close);
  }
  return false;
}

/** A text that is no template is its own value. */
export function expandTemplate(text: string, context: TemplateContext): Expanded {
  return isTemplate(text) ? expand(text, context, {}) : { ok: text };
}

/** The content of a secret or config, whatever is in it. */
export function expandPayload(text: string, context: TemplateContext, { env, secret, config }: PayloadSources): Expanded {
  const need = (kind: string, get: (name: string) => string | undefined) => (name: string, offset: number): Value => {
    const value = get(name);
    if (value === undefined) throw new TemplateError(`the container has no ${kind} ${JSON.stringify(name)}`, offset);
    return value;
  };
  return expand(text, context, { env: (name) => env(name) ?? '', secret: need('secret', secret), config: need('config', config) });
}

/** What no value could mend; null when the template can be read. */
export function syntaxProblem(text: string): { readonly error: string; readonly offset: number } | null {
  try {
    parseTemplate(text);
    return null;
  } catch (error) {
    if (error instanceof TemplateError) return { error: error.message, offset: error.offset };
    throw error;
  }
}

function expand(text: string, context: TemplateContext, extra: Readonly<Record<string, (name: string, offset: number) => Value>>): Expanded {
  try {
    return { ok: evaluate(parseTemplate(text), context as unknown as Value, extra) };
  } catch (error) {
    if (error instanceof TemplateError) return { error: error.message, offset: error.offset };
    throw error;
  }
}

