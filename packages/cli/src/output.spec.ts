import { describe, expect, test } from 'vitest';
import { api, asked, lines, megrez, serveApi } from './testing/api';

serveApi();

describe('tables', () => {
  test('vpc create', async () => {
    const result = await megrez('vpc create acme --cidr 10.0.0.0/16 --cidr fd00::/48 --dividers 2 --request-id r1');
    expect(result).toEqual({
      code: 0,
      stdout: lines('NAME  CIDRS        VNI  DIVIDERS', 'acme  10.0.0.0/16    7         2'),
      stderr: '',
    });
    expect(asked).toMatchObject([
      {
        method: 'createVpc',
        request: { name: 'acme', cidrs: ['10.0.0.0/16', 'fd00::/48'], dividers: 2, requestId: 'r1' },
      },
    ]);
  });

  test('subnet create', async () => {
    const result = await megrez('subnet create acme/web --cidr 10.0.1.0/24 --bouncers 1 --bouncer-host h3');
    expect(result.stdout).toBe(
      lines('NAME      CIDRS        GATEWAYS  BOUNCERS  PINNED TO', 'acme/web  10.0.1.0/24  10.0.1.1         1  h3'),
    );
    expect(asked[0]?.request).toMatchObject({ vpc: 'acme', name: 'web', bouncers: 1, bouncerHosts: ['h3'] });
  });

  test('endpoint list reads all pages', async () => {
    api.endpoints = 5;
    const result = await megrez('endpoint list acme/web --host h1');
    expect(result.stdout.split('\n')).toHaveLength(5 + 2);
    const request = { vpc: 'acme', subnet: 'web', host: 'h1' };
    expect(asked).toMatchObject([
      { request: { ...request, pageToken: '' } },
      { request: { ...request, pageToken: '4' } },
      { request: { ...request, pageToken: '6' } },
    ]);
  });

  test('endpoint list -o wide', async () => {
    api.endpoints = 1;
    expect((await megrez('endpoint list acme -o wide')).stdout).toBe(
      lines(
        'NAME         IP        MAC                HOST  ATTACHMENT  HOST ADDRESS  VNI  SLOT  GENERATION  CREATED',
        'acme/web/e2  10.0.1.2  02:4d:0a:00:01:02  h1    tap tap7    -               0     0  -           -',
      ),
    );
  });

  test('host list', async () => {
    expect((await megrez('host list')).stdout).toBe(
      lines(
        'NAME  ADDRESS     STATE     ZONE  SLOTS    ENDPOINTS',
        'h1    172.16.0.1  attached  -     may own          3',
        'h2    172.16.0.2  detached  z1    never            0',
      ),
    );
  });

  test('an empty list says so beside the output', async () => {
    expect(await megrez('subnet list acme')).toEqual({ code: 0, stdout: '', stderr: 'no subnets\n' });
    expect(await megrez('subnet list acme -o json')).toEqual({ code: 0, stdout: '[]\n', stderr: '' });
  });

  test('delete', async () => {
    expect((await megrez('endpoint delete acme/web/e2 --timeout 3s')).stdout).toBe('endpoint acme/web/e2 deleted\n');
    expect(asked[0]?.request).toMatchObject({ vpc: 'acme', subnet: 'web', name: 'e2', timeoutMs: 3_000 });
    expect((await megrez('vpc delete acme --cascade')).stdout).toBe('vpc acme deleted\n');
    expect(asked[0]?.request).toMatchObject({ name: 'acme', cascade: true });
  });
});

describe('data', () => {
  test('json of a list is an array of proto JSON', async () => {
    const { stdout } = await megrez('-o json host list');
    expect(JSON.parse(stdout)).toMatchObject([
      { name: 'h1', status: { attached: true, lastPingMs: '12', report: { nicHook: 'native' } } },
      { name: 'h2', ineligible: true, weight: 200 },
    ]);
  });

  test('json of one object is the object, fields that are zero included', async () => {
    const { stdout } = await megrez('vpc get acme -o json');
    expect(JSON.parse(stdout)).toEqual({
      name: 'acme',
      cidrs: ['10.0.0.0/16'],
      vni: 7,
      dividers: 2,
      meta: { generation: '12', requestId: '', createdAtMs: '0', deleting: false },
    });
  });

  test('yaml', async () => {
    const { stdout } = await megrez('vpc list -o yaml');
    expect(stdout).toMatch(/^- meta:\n/);
    expect(stdout).toContain('  name: acme\n  cidrs:\n    - 10.0.0.0/16\n  vni: 7\n');
  });
});
