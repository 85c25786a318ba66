/** Who a container runs as: `user[:group]` looked up in the image's own passwd and group files. */
import { TsorchError } from '../../../model/errors.ts';

/** The texts of /etc/passwd and /etc/group; null when the image has none. */
export interface AccountFiles {
  readonly passwd: string | null;
  readonly group: string | null;
}

export interface Account {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups, the primary one among them. */
  readonly additionalGids: readonly number[];
  /** `/` when passwd does not say. */
  readonly home: string;
}

interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

/**
 * `user` empty means root. A number need not be in passwd (its group is 0 then); a name must, else `invalid`. Groups that
 * list the user count unless a group is given, as in Docker.
 */
export function resolveAccount(user: string, groupAdd: readonly string[], files: AccountFiles): Account {
  const [userPart, groupPart] = splitUser(user);
  const passwd = parsePasswd(files.passwd ?? '');
  const groups = parseGroup(files.group ?? '');
  const wanted = userPart === '' ? '0' : userPart;
  const number = parseId(wanted);
  const entry = passwd.find((p) => p.name === wanted) ?? passwd.find((p) => p.uid === number);
  if (!entry && number === undefined) {
    throw new TsorchError('invalid', `user ${JSON.stringify(wanted)} is not in the image's /etc/passwd`, { hint: 'use a numeric user id, or a name that the image knows' });
  }
  const uid = entry?.uid ?? number ?? 0;
  const explicitGroup = groupPart === undefined || groupPart === '' ? undefined : findGroup(groupPart, groups);
  const gid = explicitGroup ?? entry?.gid ?? 0;
  const memberships = explicitGroup === undefined && entry ? groups.filter((g) => g.members.includes(entry.name)).map((g) => g.gid) : [];
  const added = groupAdd.map((name) => findGroup(name, groups));
  return { uid, gid, additionalGids: [...new Set([gid, ...memberships, ...added])], home: entry?.home || '/' };
}

function splitUser(user: string): readonly [string, string | undefined] {
  const at = user.indexOf(':');
  return at < 0 ? [user, undefined] : [user.slice(0, at), user.slice(at + 1)];
}

function findGroup(wanted: string, groups: readonly GroupEntry[]): number {
  const gid = groups.find((g) => g.name === wanted)?.gid ?? parseId(wanted);
  if (gid === undefined) {
    throw new TsorchError('invalid', `group ${JSON.stringify(wanted)} is not in the image's /etc/group`, { hint: 'use a numeric group id, or a name that the image knows' });
  }
  return gid;
}

function parsePasswd(text: string): readonly PasswdEntry[] {
  return lines(text).flatMap(([name = '', , uid = '', gid = '', , home = '']) => {
    const [u, g] = [parseId(uid), parseId(gid)];
    return u === undefined || g === undefined ? [] : [{ name, uid: u, gid: g, home }];
  });
}

function parseGroup(text: string): readonly GroupEntry[] {
  return lines(text).flatMap(([name = '', , id = '', members = '']) => {
    const gid = parseId(id);
    return gid === undefined ? [] : [{ name, gid, members: members.split(',').map((m) => m.trim()) }];
  });
}

function lines(text: string): readonly (readonly string[])[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(':'));
}

/** The kernel keeps 2^32-1 for "no id". */
function parseId(text: string): number | undefined {
  if (!/^\d{1,10}$/.test(text)) return undefined;
  const id = Number(text);
  return id < 0xffffffff ? id : undefined;
}
