import { describe, expect, test } from 'vitest';
import { asked, lines, megrez, serveApi } from '../testing/api';

serveApi();

describe('resolve', () => {
  test('what the intent says', async () => {
    expect(await megrez('resolve acme 10.0.1.2')).toEqual({
      code: 0,
      stdout: lines(
        '10.0.1.2 is endpoint acme/web/e2 on host h1 (172.16.0.1), MAC 02:4d:0a:00:01:02',
        'slot 119 of subnet acme/web (VNI 7), epoch 1: h3',
      ),
      stderr: '',
    });
  });
  test('nobody: exit code 1', async () => {
    const { code, stdout } = await megrez('resolve acme 10.0.1.9');
    expect(code).toBe(1);
    expect(stdout).toContain('no endpoint of vpc acme has 10.0.1.9\n');
  });
  test('what the bouncers answer', async () => {
    const { code, stdout } = await megrez('resolve acme 10.0.1.2 --via-bouncer');
    expect(code).toBe(0);
    expect(asked[0]?.request).toMatchObject({ viaBouncer: true });
    expect(stdout).toContain(
      lines(
        '',
        'BOUNCER  ANSWER  HOST ADDRESS  MAC                GENERATION  ERROR',
        'h3       found   172.16.0.1    02:4d:0a:00:01:02          33  -',
      ),
    );
  });
});
