/** However a bench goes, it ends; the lab's guard takes its cluster down. */
export function endWithin(minutes: number, name: string): void {
  setTimeout(() => {
    process.stderr.write(`${name} bench: not done within ${minutes} minutes\n`);
    process.exit(1);
  }, minutes * 60_000);
}
