/** Loading in tests: stacks as text, other files from a map. */
import { expect } from 'vitest';
import { formatDiagnostic, loadStack, type LoadInput, type LoadResult } from '../../../../model/stack/load.ts';
import type { ContainerSpec, ServiceSpec, StackSpec } from '../../../../model/spec.ts';

export type Options = Partial<Omit<LoadInput, 'files' | 'readFile'>> & { readonly on?: Readonly<Record<string, string | Uint8Array>> };

/** Several texts are several `-f` files, `stack.yml`, `stack.1.yml`, … in `/work/shop`. */
export function load(texts: string | readonly string[], { on = {}, ...options }: Options = {}): LoadResult {
  const list = typeof texts === 'string' ? [texts] : texts;
  return loadStack({
    files: list.map((content, index) => ({ path: index === 0 ? 'stack.yml' : `stack.${index}.yml`, content })),
    env: {}, workingDir: '/work/shop', readFile: (path) => on[path] ?? null, ...options,
  });
}

export function stackOf(texts: string | readonly string[], options?: Options): StackSpec {
  const result = load(texts, options);
  if (!result.ok) throw new Error(result.errors.map((error) => formatDiagnostic(error)).join('\n'));
  return result.stack;
}

/** The service `web` of a stack that is only it; `body` is indented here. */
export function webOf(body: string, options?: Options): ServiceSpec {
  return expectDefined(stackOf(webStack(body), options).services['web']);
}

export function containerOf(body: string, options?: Options): ContainerSpec {
  return expectDefined(webOf(body, options).template.containers[0]);
}

export function webStack(body: string): string {
  const image = /^(image|build):/m.test(body) ? '' : '    image: nginx\n';
  return `services:\n  web:\n${image}${body.trim().split('\n').map((line) => `    ${line}\n`).join('')}`;
}

/** `line:column path: message` of each error. */
export function errorsOf(texts: string | readonly string[], options?: Options): readonly string[] {
  const result = load(texts, options);
  return result.ok ? [] : result.errors.filter((error) => error.severity === 'error')
    .map(({ at, path, message, hint }) => `${at.file === 'stack.yml' ? '' : `${at.file}:`}${at.line}:${at.column} ${path}: ${message}${hint === undefined ? '' : `; ${hint}`}`);
}

export function warningsOf(texts: string | readonly string[], options?: Options): readonly string[] {
  const result = load(texts, options);
  expect(result.ok).toBe(true);
  return result.ok ? result.warnings.map(({ at, path, message }) => `${at.line}:${at.column} ${path}: ${message}`) : [];
}

export function expectDefined<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('expected a value');
  return value;
}
