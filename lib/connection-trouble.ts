/** Why a connection could not be made or kept, in words; the system's own where there are none of ours. */
export function connectionTrouble(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'ECONNREFUSED':
      return 'connection refused';
    case 'ENOTFOUND':
      return 'no such host name';
    case 'EAI_AGAIN':
      return 'its name cannot be looked up now';
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return 'no route to it';
    case 'ECONNRESET':
    case 'EPIPE':
      return 'connection lost';
    case 'ETIMEDOUT':
      return 'no answer';
    case undefined:
    default:
      return error.message || error.code || 'connection failed';
  }
}
