import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { identify, isAlive, isStopped, parseStat, signal, withEnvironment } from './identity';

test('a command name with spaces and brackets does not shift the fields of stat', () => {
  const fields = Array.from({ length: 50 }, (_, i) => String(i + 4));
  expect(parseStat(`77 (a) b (c)) S ${fields.join(' ')}`)).toEqual({ state: 'S', start_ticks: 22 });
});

test('a process is found, stopped, and told from another one with its pid', async () => {
  const marker = `spec-${process.pid}-${Math.random()}`;
  const child = spawn('sleep', ['60'], { env: { ...process.env, MEGREZ_SPEC: marker } });
  try {
    await once(child, 'spawn');
    const identity = identify(child.pid ?? 0);
    if (!identity) {
      throw new Error('a spawned process has an identity');
    }
    expect(isAlive(identity)).toBe(true);
    expect(isAlive({ ...identity, start_ticks: identity.start_ticks + 1 })).toBe(false);
    expect(signal({ ...identity, start_ticks: identity.start_ticks + 1 }, 'SIGKILL')).toBe(false);
    expect(isAlive(identity)).toBe(true);
    await expect.poll(() => withEnvironment('MEGREZ_SPEC', marker)).toEqual([identity]);

    expect(isStopped(identity)).toBe(false);
    signal(identity, 'SIGSTOP');
    await expect.poll(() => isStopped(identity)).toBe(true);

    const exit = once(child, 'exit');
    expect(signal(identity, 'SIGKILL')).toBe(true);
    await exit;
    expect(isAlive(identity)).toBe(false);
    expect(signal(identity, 'SIGKILL')).toBe(false);
    expect(withEnvironment('MEGREZ_SPEC', marker)).toEqual([]);
  } finally {
    child.kill('SIGKILL');
  }
});
