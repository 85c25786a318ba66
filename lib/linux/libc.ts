/**
 * The C library's calls that the rest of `lib/linux` is made of. Structs are built by hand in Buffers; a Buffer passed for
 * a pointer must be kept referenced for as long as the kernel may use it. Every descriptor is opened close-on-exec.
 */
import { constants } from 'node:os';
import koffi from 'koffi';

const library = koffi.load('libc.so.6');

/** Declares one C function. The same function may be declared more than once with different prototypes (`syscall`, `ioctl`). */
export function declare<F extends (...args: never[]) => unknown>(definition: string): F {
  return library.func(definition) as unknown as F;
}

type Pointer = Uint8Array | null;

export const libc = {
  socket: declare<(domain: number, type: number, protocol: number) => number>('int socket(int, int, int)'),
  bind: declare<(fd: number, address: Uint8Array, length: number) => number>('int bind(int, const void *, uint32_t)'),
  listen: declare<(fd: number, backlog: number) => number>('int listen(int, int)'),
  connect: declare<(fd: number, address: Uint8Array, length: number) => number>('int connect(int, const void *, uint32_t)'),
  send: declare<(fd: number, data: Uint8Array, length: number, flags: number) => number>('int64_t send(int, const void *, size_t, int)'),
  recv: declare<(fd: number, data: Uint8Array, length: number, flags: number) => number>('int64_t recv(int, void *, size_t, int)'),
  setsockopt: declare<(fd: number, level: number, option: number, value: Uint8Array, length: number) => number>('int setsockopt(int, int, int, const void *, uint32_t)'),
  /** `length` holds the room on entry and the used size on return, a u32. */
  getsockopt: declare<(fd: number, level: number, option: number, value: Uint8Array, length: Uint8Array) => number>('int getsockopt(int, int, int, void *, void *)'),
  getsockname: declare<(fd: number, address: Uint8Array, length: Uint8Array) => number>('int getsockname(int, void *, void *)'),
  close: declare<(fd: number) => number>('int close(int)'),
  setns: declare<(fd: number, type: number) => number>('int setns(int, int)'),
  unshare: declare<(flags: number) => number>('int unshare(int)'),
  mount: declare<(source: string | null, target: string, type: string | null, flags: number, data: string | null) => number>('int mount(const char *, const char *, const char *, unsigned long, const char *)'),
  umount2: declare<(target: string, flags: number) => number>('int umount2(const char *, int)'),
  mkfifo: declare<(path: string, mode: number) => number>('int mkfifo(const char *, uint32_t)'),
  /** Returns an address for `koffi.view`; compare with `mapFailed`. */
  mmap: declare<(address: null, length: number, protection: number, flags: number, fd: number, offset: number) => unknown>('void *mmap(void *, size_t, int, int, int, int64_t)'),
  munmap: declare<(address: unknown, length: number) => number>('int munmap(void *, size_t)'),
  ioctl: declare<(fd: number, request: number, argument: Pointer) => number>('int ioctl(int, unsigned long, void *)'),
  /** For calls of the shape `(command, struct, size)`, such as bpf(2). Arguments are widened as the kernel expects. */
  syscall: declare<(number: number, command: number, attributes: Pointer, size: number) => number>('long syscall(long, long, void *, unsigned long)'),
  gettid: declare<() => number>('int gettid()'),
} as const;

export const socketDomain = { inet: 2, inet6: 10, netlink: 16 } as const;
export const socketType = { stream: 1, datagram: 2, raw: 3, closeOnExec: 0o2000000, nonBlocking: 0o4000 } as const;
export const solSocket = 1;
export const socketOption = { reuseAddress: 2, error: 4, sendBuffer: 7, receiveBuffer: 8, reusePort: 15, sendBufferForce: 32, receiveBufferForce: 33, netnsCookie: 71 } as const;
export const messageFlag = { trunc: 0x20, dontWait: 0x40 } as const;
export const cloneNewNet = 0x40000000;

const errnoNames = new Map<number, string>();
for (const [name, number] of Object.entries(constants.errno)) {
  // Two names may share a number: the plainer one is kept.
  if (name !== 'EWOULDBLOCK' && name !== 'ENOTSUP') errnoNames.set(number, name);
}

/** `ENOENT` for 2. */
export function errnoName(errno: number): string {
  return errnoNames.get(errno) ?? `errno ${errno}`;
}

/** The calling thread's errno. Read it right after the call: anything in between may overwrite it. */
export function lastErrno(): number {
  return koffi.errno();
}

/** A system call that failed. Looks like Node's own system errors: `code` is the name, `errno` the (positive) number. */
export class LinuxError extends Error {
  override readonly name: string = 'LinuxError';
  readonly errno: number;
  readonly code: string;
  readonly syscall: string;

  constructor(syscall: string, errno: number, detail?: string) {
    const code = errnoName(errno);
    super(`${syscall}: ${code}${detail ? ` (${detail})` : ''}`);
    this.errno = errno;
    this.code = code;
    this.syscall = syscall;
  }
}

/** Passes a result through, or throws what errno says when it is negative. */
export function check(result: number, syscall: string): number {
  if (result < 0) throw new LinuxError(syscall, lastErrno());
  return result;
}

/** Calls again for as long as a signal interrupts it. */
export function retryInterrupted(syscall: string, call: () => number): number {
  for (;;) {
    const result = call();
    if (result >= 0) return result;
    const errno = lastErrno();
    if (errno !== constants.errno.EINTR) throw new LinuxError(syscall, errno);
  }
}

/** Whether it is a system error (ours or Node's) with one of these names. */
export function hasErrno(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(error.code as string);
}
