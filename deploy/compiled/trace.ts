/** Traces of the compiled copy, in terms of the sources. The maps are read when something has gone wrong, never before. */
import { readFileSync } from 'node:fs';
import { SourceMap, type SourceMapPayload } from 'node:module';
import { dirname, relative, resolve } from 'node:path';

/** `file.js:LINE:COLUMN` of the copy become `path/to/file.ts:LINE:COLUMN`, below the folder that the copy was made in. */
export function readableTrace(trace: string): string {
  const maps = new Map<string, SourceMap | null>();
  return trace.replace(/(?:file:\/\/)?(\/[^\s()]*\/dist\/[0-9a-f]{12}\/cli\/[^\s/():]+\.js):(\d+):(\d+)/g, (whole, file: string, line: string, column: string) => {
    const map = maps.get(file) ?? read(file);
    maps.set(file, map);
    const found = map?.findEntry(Number(line) - 1, Number(column) - 1);
    if (!found || !('originalSource' in found)) return whole;
    return `${relative(resolve(dirname(file), '../../..'), resolve(dirname(file), found.originalSource))}:${found.originalLine + 1}:${found.originalColumn + 1}`;
  });
}

function read(file: string): SourceMap | null {
  try {
    return new SourceMap(JSON.parse(readFileSync(`${file}.map`, 'utf8')) as SourceMapPayload);
  } catch {
    return null;
  }
}
