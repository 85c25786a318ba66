/**
 * The Compose language: files → specs. The stages, each a folder: parse → interpolate → conform (long syntax, checked against
 * the tables of `schema`) → assemble (include, extends, merge, profiles, env files) → specs. Positions go with every value, so
 * that the last stage can still point at the line.
 */
import { ServiceFiles } from './assemble/environment.ts';
import type { FileContext, Session } from './assemble/context.ts';
import { loadFile } from './assemble/file.ts';
import { chooseName, nameInText, normaliseName } from './assemble/name.ts';
import { selectProfiles } from './assemble/profiles.ts';
import { mergeFiles } from './assemble/read.ts';
import { canonical } from './canonical.ts';
import { checkVerdicts } from './conform/verdicts.ts';
import { Diagnostics } from './diagnostics.ts';
import { parseDotenv } from './interpolate/dotenv.ts';
import { settle } from './merge/merge.ts';
import { defaultLimits, type Limits } from './parse/limits.ts';
import { Source } from './parse/source.ts';
import { mapOf, type Entry, type MapNode, type Mark } from './parse/tree.ts';
import { step } from './path.ts';
import { top } from './schema/top.ts';
import { makeStack } from './specs/stack.ts';
import type { ComposeModel, LoadInput, LoadResult } from './types.ts';
import { basename, resolvePath } from './values/paths.ts';

export { printCompose } from './canonical.ts';
export { formatDiagnostic } from './format.ts';
export { defaultLimits, maxFileBytes, type Limits } from './parse/limits.ts';
export type { ComposeModel, Diagnostic, Json, JsonObject, LoadInput, LoadResult, TextFile } from './types.ts';

/** Never throws for what is in the files: all that is wrong comes back as diagnostics, all at once. */
export function loadStack(input: LoadInput): LoadResult {
  const limits: Limits = { ...defaultLimits, ...input.limits };
  const sink = new Diagnostics(limits.diagnostics);
  const session: Session = {
    sink, limits, workingDir: resolvePath('/', input.workingDir), home: input.env['HOME'], readFile: input.readFile,
    budget: { left: limits.nodes }, filesRead: { count: 0 }, marks: { tags: false }, lookups: new Map(),
  };
  const outer = variablesOf(input, session);
  const projectName = input.projectName ?? (outer('COMPOSE_PROJECT_NAME') || undefined) ?? nameInText(input, outer) ?? normaliseName(input.defaultName ?? basename(session.workingDir));
  const lookup = (variable: string): string | undefined => (variable === 'COMPOSE_PROJECT_NAME' ? projectName : outer(variable));
  const tree = assemble(input, session, lookup);
  // With the budget spent the tree is not whole: to look at it any further would find errors that are none, at length.
  if (!tree || session.budget.left < 0) {
    if (input.files.length === 0) sink.error({ source: new Source(session.workingDir, ''), offset: 0 }, null, 'no stack file was given', 'name one with -f');
    return { ok: false, errors: sink.sorted() };
  }

  const start = input.files[0] ? startOf(tree) : tree;
  const name = chooseName({ argument: input.projectName, environment: outer('COMPOSE_PROJECT_NAME'), tree, fallback: input.defaultName ?? basename(session.workingDir) }, start, sink);
  const profiles = new Set((input.profiles ?? lookup('COMPOSE_PROFILES')?.split(',') ?? []).map((profile) => profile.trim()).filter(Boolean));
  const selected = selectProfiles(tree, profiles);
  const resolved = resolveServices(selected.tree, new ServiceFiles(session, lookup));
  checkVerdicts(resolved, top, null, sink);
  const stack = makeStack({ tree: resolved, name, session, lookup, inactive: selected.inactive });
  if (sink.failed) return { ok: false, errors: sink.sorted() };
  let compose: ComposeModel | undefined;
  return {
    ok: true, stack, warnings: sink.sorted(),
    // Most callers want the specs alone.
    get compose() {
      return (compose ??= canonical(resolved, name));
    },
  };
}

function startOf(tree: MapNode): Mark {
  return { source: tree.source, offset: 0 };
}

/** The process's variables win over env files, later env files over earlier ones. */
function variablesOf(input: LoadInput, session: Session): (name: string) => string | undefined {
  const fromFiles = new Map<string, string>();
  const outer = (name: string): string | undefined => (Object.hasOwn(input.env, name) ? input.env[name] : undefined);
  const lookup = (name: string): string | undefined => outer(name) ?? fromFiles.get(name);
  for (const file of input.envFiles ?? []) {
    const source = new Source(file.path, file.content);
    // A later file may refer to what earlier ones say, and say something else.
    for (const [key, value] of parseDotenv(source, 'dotenv', (name) => outer(name) ?? fromFiles.get(name), session.limits.interpolated, session.sink)) {
      if (value !== null) fromFiles.set(key, value);
    }
  }
  return lookup;
}

function assemble(input: LoadInput, session: Session, lookup: (name: string) => string | undefined): MapNode | null {
  const context: FileContext = {
    session, baseDir: session.workingDir, chain: [],
    variables: { lookup, budget: { left: session.limits.interpolated, total: session.limits.interpolated }, warned: new Set() },
  };
  let whole: MapNode | null = null;
  for (const file of input.files) {
    const tree = loadFile(new Source(file.path, file.content), resolvePath(session.workingDir, file.path), context);
    if (tree) whole = whole ? mergeFiles(whole, tree, context) : tree;
  }
  const settled = whole && (session.marks.tags ? settle(whole) : whole);
  return settled?.kind === 'map' ? settled : null;
}

function resolveServices(tree: MapNode, files: ServiceFiles): MapNode {
  const services = tree.entries.get('services');
  if (services?.value.kind !== 'map') return tree;
  const entries = new Map<string, Entry>();
  for (const [name, entry] of services.value.entries) {
    const path = step(step(null, 'services'), name);
    entries.set(name, entry.value.kind === 'map' ? { key: entry.key, value: files.apply(entry.value, path) } : entry);
  }
  return mapOf(tree, new Map(tree.entries).set('services', { key: services.key, value: mapOf(services.value, entries) }));
}
