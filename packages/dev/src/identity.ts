import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** A process that is the same one later: a pid alone is reused, a pid with its start time is not. */
export interface Identity {
  readonly pid: number;
  /** Clock ticks after boot at which the process started (/proc/PID/stat, field 22). */
  readonly start_ticks: number;
}

interface Stat {
  readonly state: string;
  readonly start_ticks: number;
}

/** State and start time out of the text of /proc/PID/stat; the command name in it may hold spaces and brackets. */
export function parseStat(text: string): Stat {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const state = fields[0];
  const start_ticks = Number(fields[19]);
  if (!state || !Number.isSafeInteger(start_ticks)) {
    throw new Error(`/proc/PID/stat is not understood: ${text}`);
  }
  return { state, start_ticks };
}

function readStat(pid: number): Stat | undefined {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') {
      return undefined;
    }
    throw error;
  }
}

/** A dead child that nobody has waited for yet counts as gone. */
const isGone = ({ state }: Stat) => state === 'Z' || state === 'X';

/** Identity of a running process; undefined when there is none with this pid. */
export function identify(pid: number): Identity | undefined {
  const stat = readStat(pid);
  return stat && !isGone(stat) ? { pid, start_ticks: stat.start_ticks } : undefined;
}

export function isAlive({ pid, start_ticks }: Identity): boolean {
  return identify(pid)?.start_ticks === start_ticks;
}

/** Stopped by a signal (SIGSTOP). */
export function isStopped(identity: Identity): boolean {
  return isAlive(identity) && readStat(identity.pid)?.state === 'T';
}

/** Sends the signal only to the very process that is meant; false when it is gone. */
export function signal(identity: Identity, name: NodeJS.Signals): boolean {
  if (!isAlive(identity)) {
    return false;
  }
  try {
    return process.kill(identity.pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') {
      return false;
    }
    throw error;
  }
}

/** Every running process whose environment holds `NAME=value`, but for this one. */
export function withEnvironment(name: string, value: string): readonly Identity[] {
  const marker = `${name}=${value}`;
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid)
    .filter((pid) => environment(pid).includes(marker))
    .map((pid) => identify(Number(pid)))
    .filter((identity) => identity !== undefined);
}

function environment(pid: string): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
  } catch {
    // Gone meanwhile, or a kernel thread.
    return [];
  }
}

/** Names a process's mount namespace, e.g. `mnt:[4026531841]`; undefined when the process is gone. */
export function mountNamespace(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`);
  } catch {
    return undefined;
  }
}
