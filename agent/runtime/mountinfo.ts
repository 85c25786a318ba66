/** /proc/<pid>/mountinfo, see proc_pid_mountinfo(5). */
export interface MountEntry {
  /** The part of the file system that is mounted. */
  readonly root: string;
  readonly target: string;
  readonly type: string;
  readonly source: string;
  readonly superOptions: readonly string[];
}

export function parseMounts(text: string): readonly MountEntry[] {
  return text.split('\n').flatMap((line) => {
    const [before, after] = line.split(' - ');
    const [, , , root, target] = (before ?? '').split(' ');
    const [type, source, options = ''] = (after ?? '').split(' ');
    if (root === undefined || target === undefined || type === undefined || source === undefined) return [];
    return [{ root: unescape(root), target: unescape(target), type, source: unescape(source), superOptions: options.split(',') }];
  });
}

/** Spaces and the like are written as three octal digits. */
function unescape(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
