import { expect, test } from 'vitest';
import { asked, megrez, serveApi } from '../../testing/api';

serveApi();

test('host update changes only what is named', async () => {
  await megrez('host update h2 --weight 50');
  expect(asked[1]?.request).toEqual({ name: 'h2', weight: 50, zone: 'z1', ineligible: true });
  await megrez('host update h2 --eligible --zone z2');
  expect(asked[1]?.request).toEqual({ name: 'h2', weight: 200, zone: 'z2', ineligible: false });
});
