/** Which files of a directory are stacks: those with the right ending, and subdirectories with a Compose file. */
import { nameOfFile } from './documents.ts';

/** The usual names, in order of precedence, as for `tsorch apply` without `-f`. */
const composeNames = ['compose.yaml', 'compose.yml', 'docker-compose.yaml', 'docker-compose.yml', 'stack.yaml', 'stack.yml'];

export interface Listing {
  /** Names of files, in no order. */
  readonly files: readonly string[];
  /** Files of each subdirectory. */
  readonly directories: ReadonlyMap<string, readonly string[]>;
}

export interface Unit {
  /** Of the stack file; people know the unit by it. */
  readonly origin: string;
  /** Override files come after what they override. */
  readonly files: readonly string[];
  /** Relative paths in the files begin here, and `.env` is here. */
  readonly directory: string;
  readonly defaultName: string;
}

/** By path. Hidden files, and those of editors that are half-way, are nobody's stacks. */
export function findUnits(directory: string, { files, directories }: Listing): readonly Unit[] {
  const units: Unit[] = [];
  const stacks = new Set(files.filter((name) => isVisible(name) && /\.(ya?ml|json)$/i.test(name)));
  for (const name of stacks) {
    const base = /^(.*)\.override\.(ya?ml|json)$/i.exec(name);
    if (base && [...stacks].some((other) => overrideOf(other) === name)) continue;
    units.push({ origin: `${directory}/${name}`, files: withOverride(directory, name, stacks), directory, defaultName: nameOfFile(name) });
  }
  for (const [name, inside] of directories) {
    const main = isVisible(name) ? composeNames.find((file) => inside.includes(file)) : undefined;
    if (main === undefined) continue;
    const own = `${directory}/${name}`;
    units.push({ origin: `${own}/${main}`, files: withOverride(own, main, new Set(inside)), directory: own, defaultName: nameOfFile(name) });
  }
  return units.sort((a, b) => (a.origin < b.origin ? -1 : 1));
}

/** Image archives beside the stacks: a host without a registry has its images from there. */
export function findArchives(directory: string, { files }: Pick<Listing, 'files'>): readonly string[] {
  return files.filter((name) => isVisible(name) && /\.(tar|tar\.gz|tgz)$/i.test(name)).map((name) => `${directory}/${name}`).sort();
}

function withOverride(directory: string, name: string, present: ReadonlySet<string>): readonly string[] {
  const override = overrideOf(name);
  return [name, ...(present.has(override) ? [override] : [])].map((file) => `${directory}/${file}`);
}

function overrideOf(name: string): string {
  return name.replace(/\.(ya?ml|json)$/i, '.override.$1');
}

function isVisible(name: string): boolean {
  return !/^[.#]/.test(name);
}
