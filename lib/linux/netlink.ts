/** A netlink socket that never waits: the kernel answers while it handles the send, so answers are there when send returns. */
import { constants } from 'node:os';
import { LinuxError, check, lastErrno, libc, messageFlag, retryInterrupted, socketDomain, socketOption, socketType, solSocket } from './libc.ts';
import { Batch, attributeText, attributes, readMessages } from './netlink-message.ts';
import type { NetlinkMessage } from './netlink-message.ts';

export { Batch, netlinkFlag, attributes, attributeList, attributeText } from './netlink-message.ts';
export type { NetlinkMessage } from './netlink-message.ts';

export const netlinkProtocol = { route: 0, sockDiag: 4, netfilter: 12 } as const;

const controlType = { noop: 1, error: 2, done: 3 } as const;
const solNetlink = 270;
const netlinkOption = { addMembership: 1, capAck: 10, extAck: 11, strictCheck: 12 } as const;
/** NLM_F_DUMP_INTR: what was listed changed meanwhile. NLM_F_ACK_TLVS: extended text follows. */
const answerFlag = { dumpInterrupted: 0x10, ackAttributes: 0x200 } as const;
const extendedAck = { message: 1 } as const;
/** Limits, not reservations: thousands of acknowledgements queue while one batch is handled. */
const bufferLimit = 64 << 20;
const receiveSize = 256 << 10;
const dumpAttempts = 10;

let receiveBuffer: Buffer | undefined;

/** One message of a batch that the kernel refused. */
export class NetlinkError extends LinuxError {
  override readonly name = 'NetlinkError';
  /** Which message of the batch, from 0. */
  readonly index: number;
  /** The kernel's own words, when it gave any. */
  readonly detail: string | undefined;

  constructor(index: number, errno: number, detail: string | undefined, what = `netlink message ${index}`) {
    super(what, errno, detail);
    this.index = index;
    this.detail = detail;
  }
}

export interface NetlinkOptions {
  /** Multicast groups to join at bind, as a bit mask (for event sockets). */
  readonly groups?: number;
  /** Have the kernel check dump requests strictly, so that filters in them count. Default: for `route`. */
  readonly strict?: boolean;
}

export interface BatchOutcome {
  /** In order of the messages. Messages after a failed one were still carried out (unless the protocol is transactional). */
  readonly errors: readonly NetlinkError[];
  /** What came besides acknowledgements: echoes and answers of GET requests. */
  readonly replies: readonly NetlinkMessage[];
}

/**
 * Belongs to the network namespace it was opened in for as long as it lives, from whatever thread it is used.
 * Not for two users at once: one call ends before the next.
 */
export class NetlinkSocket implements Disposable {
  readonly fd: number;
  #sequence = 1;
  #open = true;

  constructor(protocol: number = netlinkProtocol.route, options: NetlinkOptions = {}) {
    this.fd = check(libc.socket(socketDomain.netlink, socketType.raw | socketType.closeOnExec, protocol), 'socket');
    try {
      this.#enable(solNetlink, netlinkOption.extAck);
      this.#enable(solNetlink, netlinkOption.capAck);
      if (options.strict ?? protocol === netlinkProtocol.route) this.#enable(solNetlink, netlinkOption.strictCheck);
      this.#limit(socketOption.sendBufferForce, socketOption.sendBuffer);
      this.#limit(socketOption.receiveBufferForce, socketOption.receiveBuffer);
      const address = Buffer.alloc(12);
      address.writeUInt16LE(socketDomain.netlink, 0);
      address.writeUInt32LE((options.groups ?? 0) >>> 0, 8);
      check(libc.bind(this.fd, address, address.length), 'bind');
    } catch (error) {
      this.close();
      throw error;
    }
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    libc.close(this.fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Joins a multicast group by number, for groups above 32. */
  join(group: number): void {
    const value = Buffer.alloc(4);
    value.writeUInt32LE(group);
    check(libc.setsockopt(this.fd, solNetlink, netlinkOption.addMembership, value, 4), 'setsockopt');
  }

  /** Sends the batch and throws the first failure whose code is not among `tolerated`. Returns the replies. */
  exec(batch: Batch, ...tolerated: readonly string[]): readonly NetlinkMessage[] {
    const { errors, replies } = this.submit(batch);
    for (const error of errors) if (!tolerated.includes(error.code)) throw error;
    return replies;
  }

  /** Sends the batch in one go and tells what became of each message. Throws only when the socket itself fails. */
  submit(batch: Batch): BatchOutcome {
    if (batch.count === 0) return { errors: [], replies: [] };
    const first = this.#send(batch);
    const errors: NetlinkError[] = [];
    const replies: NetlinkMessage[] = [];
    let missing = batch.acknowledgements;
    for (let chunk = this.#receive(); chunk; chunk = this.#receive()) {
      for (const message of readMessages(chunk)) {
        const index = (message.sequence - first) >>> 0;
        // What is left of an earlier exchange that ended early, or an event.
        if (index >= batch.count) continue;
        if (message.type === controlType.error) {
          missing--;
          const error = readError(message, index);
          if (error) errors.push(error);
        } else if (message.type !== controlType.noop && message.type !== controlType.done) {
          replies.push({ ...message, data: Buffer.from(message.data) });
        }
      }
    }
    // A transaction that fails as a whole acknowledges less; without any failure every answer must be there.
    if (missing > 0 && errors.length === 0) throw new LinuxError('netlink', constants.errno.ENOBUFS, `${missing} of ${batch.count} answers missing`);
    errors.sort((a, b) => a.index - b.index);
    return { errors, replies };
  }

  /** Sends one dump request (flags `netlinkFlag.dump`) and returns all it lists; anew when the list changed meanwhile. */
  dump(request: Batch): NetlinkMessage[] {
    for (let attempt = 1; ; attempt++) {
      const { messages, interrupted } = this.#dumpOnce(request);
      if (!interrupted) return messages;
      if (attempt === dumpAttempts) throw new LinuxError('netlink dump', constants.errno.EINTR, 'the list kept changing');
    }
  }

  /** For event sockets: what has arrived by now, possibly nothing. Throws ENOBUFS when events were lost. */
  events(): NetlinkMessage[] {
    const found: NetlinkMessage[] = [];
    for (let chunk = this.#receive(); chunk; chunk = this.#receive()) {
      for (const message of readMessages(chunk)) found.push({ ...message, data: Buffer.from(message.data) });
    }
    return found;
  }

  #dumpOnce(request: Batch): { messages: NetlinkMessage[]; interrupted: boolean } {
    const first = this.#send(request);
    const messages: NetlinkMessage[] = [];
    let interrupted = false;
    for (;;) {
      const chunk = this.#receive();
      if (!chunk) throw new LinuxError('netlink dump', constants.errno.EAGAIN, 'it ended early');
      for (const message of readMessages(chunk)) {
        if (message.sequence !== first) continue;
        if (message.flags & answerFlag.dumpInterrupted) interrupted = true;
        if (message.type === controlType.error || message.type === controlType.done) {
          const error = readError(message, 0);
          if (error) throw error;
          if (message.type === controlType.done) return { messages, interrupted };
        } else {
          messages.push({ ...message, data: Buffer.from(message.data) });
        }
      }
    }
  }

  #send(batch: Batch): number {
    const first = this.#sequence;
    this.#sequence = (first + batch.count) >>> 0;
    const bytes = batch.finish(first);
    retryInterrupted('send', () => libc.send(this.fd, bytes, bytes.length, 0));
    return first;
  }

  /** One datagram, a view of the shared buffer; undefined when none waits. */
  #receive(): Buffer | undefined {
    receiveBuffer ??= Buffer.allocUnsafeSlow(receiveSize);
    for (;;) {
      const length = libc.recv(this.fd, receiveBuffer, receiveBuffer.length, messageFlag.dontWait | messageFlag.trunc);
      if (length >= 0) {
        if (length > receiveBuffer.length) throw new LinuxError('recv', constants.errno.EMSGSIZE, `a datagram of ${length} bytes`);
        return receiveBuffer.subarray(0, length);
      }
      const errno = lastErrno();
      if (errno === constants.errno.EAGAIN) return undefined;
      if (errno !== constants.errno.EINTR) throw new LinuxError('recv', errno);
    }
  }

  #enable(level: number, option: number): void {
    const one = Buffer.from([1, 0, 0, 0]);
    // Older kernels lack some of these; all but strictness only improve error texts.
    libc.setsockopt(this.fd, level, option, one, 4);
  }

  #limit(force: number, plain: number): void {
    const value = Buffer.alloc(4);
    value.writeInt32LE(bufferLimit);
    if (libc.setsockopt(this.fd, solSocket, force, value, 4) < 0) libc.setsockopt(this.fd, solSocket, plain, value, 4);
  }
}

/** NLMSG_ERROR and NLMSG_DONE both begin with a negative errno, 0 for success. */
function readError(message: NetlinkMessage, index: number): NetlinkError | undefined {
  const errno = message.data.length >= 4 ? -message.data.readInt32LE(0) : 0;
  if (errno === 0) return undefined;
  // With CAP_ACK the refused message's header (16 bytes) follows, then the attributes.
  const offset = message.type === controlType.done ? 4 : 20;
  const text = message.flags & answerFlag.ackAttributes ? attributes(message.data, offset).get(extendedAck.message) : undefined;
  return new NetlinkError(index, errno, text && attributeText(text));
}
