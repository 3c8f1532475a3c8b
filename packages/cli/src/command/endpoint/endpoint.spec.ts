import { describe, expect, test } from 'vitest';
import { asked, megrez, serveApi } from '../../testing/api';

serveApi();

describe('endpoint create', () => {
  test.each([
    ['', { oneofKind: 'managed', managed: {} }],
    ['--netns /run/netns/a', { oneofKind: 'netns', netns: { path: '/run/netns/a', interface: '' } }],
    ['--tap tap7', { oneofKind: 'tap', tap: { name: 'tap7' } }],
    ['--no-interface', { oneofKind: 'none', none: {} }],
  ])('attachment by %s', async (flags, kind) => {
    const { code } = await megrez(`endpoint create acme/web/a --host h1 ${flags}`);
    expect(code).toBe(0);
    expect(asked[0]?.request).toMatchObject({
      vpc: 'acme',
      subnet: 'web',
      name: 'a',
      host: 'h1',
      attachment: { kind },
    });
  });

  test('address, MAC and timeout', async () => {
    await megrez(
      'endpoint create acme/web/a --host h1 --ip 10.0.1.7 --mac 02:00:00:00:00:07 --timeout 1m --request-id x',
    );
    expect(asked[0]?.request).toMatchObject({
      ip: '10.0.1.7',
      mac: '02:00:00:00:00:07',
      timeoutMs: 60_000,
      requestId: 'x',
    });
  });

  test('a refusal is one line, exit code 1', async () => {
    expect(await megrez('endpoint create acme/web/taken --host h1')).toEqual({
      code: 1,
      stdout: '',
      stderr: 'megrez: it exists (ALREADY_EXISTS/NAME_IN_USE, endpoint acme/web/taken)\n',
    });
  });

  test('what the controller cannot do', async () => {
    const { code, stderr } = await megrez('endpoint move acme/web/a --host h2');
    expect(code).toBe(1);
    expect(stderr).toMatch(/^megrez: .*\(UNIMPLEMENTED\/UNIMPLEMENTED, controller 127\.0\.0\.1:\d+\)\n$/);
  });
});
