/** Diagnostics for people: where, what, the line with a caret, and what to do. */
import type { Diagnostic } from './types.ts';

const width = 160;

/**
 * ```
 * stack.yml:7:9: error: services.web.prots: unknown key; did you mean ports?
 *   7 |     prots:
 *     |     ^
 * ```
 * `source`, the file's content, is needed only when the diagnostic has no excerpt.
 */
export function formatDiagnostic(diagnostic: Diagnostic, source?: string): string {
  const { at, severity, path, message, hint } = diagnostic;
  const head = `${printable(at.file)}:${at.line}:${at.column}: ${severity}: ${path === '' ? '' : `${path}: `}${message}${hint === undefined ? '' : `; ${hint}`}`;
  const line = diagnostic.excerpt ?? source?.split('\n')[at.line - 1];
  if (line === undefined || line.trim() === '') return printable(head);
  return `${printable(head)}\n${excerptLines(line.replace(/\r$/, ''), at.line, at.column)}`;
}

function excerptLines(line: string, number: number, column: number): string {
  // A long line is shown from shortly before the place.
  const start = column > width - 20 ? column - 60 : 0;
  const shown = line.slice(start, start + width);
  const gutter = ' '.repeat(String(number).length);
  const before = shown.slice(0, Math.max(0, column - 1 - start));
  const caret = `${before.replace(/[^\t]/g, ' ')}^`;
  return `  ${number} | ${printable(shown)}\n  ${gutter} | ${caret}`;
}

/** Control characters of a hostile file must not reach the terminal. */
function printable(text: string): string {
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '\uFFFD');
}
