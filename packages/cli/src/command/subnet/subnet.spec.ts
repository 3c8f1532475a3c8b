import { expect, test } from 'vitest';
import { asked, megrez, serveApi } from '../../testing/api';

serveApi();

test('subnet update changes only what is named', async () => {
  await megrez('subnet update acme/web --bouncers 3');
  expect(asked[1]?.request).toEqual({ vpc: 'acme', name: 'web', bouncers: 3, bouncerHosts: ['h3'] });
  await megrez('subnet update acme/web --unpin');
  expect(asked[1]?.request).toEqual({ vpc: 'acme', name: 'web', bouncers: 1, bouncerHosts: [] });
  // Hosts that are named alone are all of them.
  await megrez('subnet update acme/web --bouncer-host h1 --bouncer-host h2');
  expect(asked[1]?.request).toEqual({ vpc: 'acme', name: 'web', bouncers: 2, bouncerHosts: ['h1', 'h2'] });
});

test('vpc update', async () => {
  const { stdout } = await megrez('vpc update acme --dividers 3 -o json');
  expect(asked.map(({ request }) => request)).toEqual([{ name: 'acme', dividers: 3 }]);
  expect(JSON.parse(stdout)).toMatchObject({ name: 'acme', dividers: 3 });
});

test.each([
  ['subnet update acme/web', 'nothing to change'],
  ['subnet update acme/web --unpin --bouncer-host h1', 'cannot be used with'],
  ['subnet update acme/web --bouncers 0', 'from 1 to'],
  ['vpc update acme', "required option '--dividers"],
])("'%s' is not understood", async (line, message) => {
  const { code, stderr } = await megrez(line);
  expect([code, stderr.includes(message), asked]).toEqual([2, true, []]);
});
