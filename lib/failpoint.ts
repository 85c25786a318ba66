/**
 * Named places in a program at which a test has it die, as by `kill -9`: `TSORCH_FAILPOINT=create.task@p7.main.1` is the place and the
 * subject it is about. Without the variable a call does nothing, and costs nothing that could be measured.
 */
const armed = process.env['TSORCH_FAILPOINT'];

/** The signal is delivered before the call returns: nothing that comes after is done. */
function die(place: string, subject: string): void {
  if (armed === `${place}@${subject}`) process.kill(process.pid, 'SIGKILL');
}

export const failpoint: (place: string, subject: string) => void = armed === undefined ? () => {} : die;
