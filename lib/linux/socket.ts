/**
 * Sockets made by hand, for other network namespaces: Node binds later than it is told to, when the thread is home again. Make the
 * socket inside `inNetns`, then hand it over: `server.listen({ fd })`, `dgram` `bind({ fd })`, `new net.Socket({ fd })`.
 */
import { check, libc, socketDomain, socketOption, socketType, solSocket } from './libc.ts';
import { ipv4Bytes, ipv4Text } from './address.ts';

export interface SocketAddress {
  /** Dotted IPv4. */
  readonly address: string;
  /** 0 for any free one. */
  readonly port: number;
}

export interface BindOptions extends SocketAddress {
  /** Several sockets may share the port, the kernel spreads among them. */
  readonly reusePort?: boolean;
}

/** A listening TCP socket in the current namespace; its descriptor is the caller's. */
export function listenTcp(options: BindOptions, backlog = 511): number {
  return withSocket(socketType.stream, (fd) => {
    enable(fd, socketOption.reuseAddress);
    bind(fd, options);
    check(libc.listen(fd, backlog), 'listen');
  });
}

/** A bound UDP socket in the current namespace. */
export function bindUdp(options: BindOptions): number {
  return withSocket(socketType.datagram, (fd) => bind(fd, options));
}

/** An unbound TCP socket in the current namespace, for outgoing connections. */
export function tcpSocket(domain: 'inet' | 'inet6' = 'inet'): number {
  return withSocket(socketType.stream, () => {}, domain);
}

/** What a socket is bound to. */
export function localAddress(fd: number): SocketAddress {
  const address = Buffer.alloc(16);
  const length = Buffer.from([16, 0, 0, 0]);
  check(libc.getsockname(fd, address, length), 'getsockname');
  return { address: ipv4Text(address.subarray(4, 8)), port: address.readUInt16BE(2) };
}

/** sockaddr_in: family in the machine's order, port and address big endian, 8 bytes unused. */
export function encodeSocketAddress({ address, port }: SocketAddress): Buffer {
  const encoded = Buffer.alloc(16);
  encoded.writeUInt16LE(socketDomain.inet, 0);
  encoded.writeUInt16BE(port, 2);
  encoded.set(ipv4Bytes(address), 4);
  return encoded;
}

function withSocket(type: number, prepare: (fd: number) => void, domain: 'inet' | 'inet6' = 'inet'): number {
  const fd = check(libc.socket(socketDomain[domain], type | socketType.closeOnExec, 0), 'socket');
  try {
    prepare(fd);
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

function bind(fd: number, options: BindOptions): void {
  if (options.reusePort) enable(fd, socketOption.reusePort);
  check(libc.bind(fd, encodeSocketAddress(options), 16), `bind ${options.address}:${options.port}`);
}

function enable(fd: number, option: number): void {
  check(libc.setsockopt(fd, solSocket, option, Buffer.from([1, 0, 0, 0]), 4), 'setsockopt');
}
