import { ServiceBackend } from '@megrez/model';
import { describe, expect, test } from 'vitest';
import { asked, lines, megrez, serveApi } from '../../testing/api';

serveApi();

describe('service', () => {
  test('create', async () => {
    const line =
      'service create acme/web/shop --ip 10.0.1.9 --port 80:8080/tcp --port 53/udp,443' +
      ' --backend acme/web/a --backend acme/db/b=50 --affinity client-ip --affinity-timeout 1m --drain 30s --refusal drop';
    expect((await megrez(line)).stdout).toBe(
      lines(
        'NAME           IP        PORTS               BACKENDS',
        'acme/web/shop  10.0.1.9  80:8080/tcp,53/udp  web/a,db/b=50',
      ),
    );
    expect(asked).toEqual([
      {
        method: 'createService',
        request: {
          ...{ vpc: 'acme', subnet: 'web', name: 'shop', ip: '10.0.1.9', requestId: '' },
          ports: [
            { listen: 80, target: 8080, protocol: 1 },
            { listen: 53, target: 53, protocol: 2 },
            { listen: 443, target: 443, protocol: 1 },
          ],
          backends: [
            ServiceBackend.create({ subnet: 'web', endpoint: 'a', weight: 0 }),
            ServiceBackend.create({ subnet: 'db', endpoint: 'b', weight: 50 }),
          ],
          ...{ affinity: 2, affinityTimeoutMs: 60_000, drainMs: 30_000, refusal: 2 },
        },
      },
    ]);
  });

  test.each([
    ['service create acme/web/shop', "required option '--port"],
    ['service create acme/web/shop --port 0', 'from 1 to 65535'],
    ['service create acme/web/shop --port 80:65536', 'from 1 to 65535'],
    ['service create acme/web/shop --port 80/sctp', 'LISTEN[:TARGET]'],
    ['service create acme/web/shop --port 80 --backend acme/web/a=0', 'weight from 1 on'],
    ['service create acme/web/shop --port 80 --backend acme/web/a=x', 'weight from 1 on'],
    ['service create acme/web/shop --port 80 --affinity sticky', "'sticky' is invalid"],
    ['service create acme/web/shop --port 80 --affinity-timeout 10s', "goes with '--affinity client-ip'"],
    ['service update acme/web/shop', 'nothing to change'],
    ['service update acme/web/shop --backend acme/web/a --add-backend acme/web/b', 'cannot be used with'],
  ])("'%s' is not understood", async (line, message) => {
    const { code, stderr } = await megrez(line);
    expect([code, stderr.includes(message)]).toEqual([2, true]);
    expect(stderr).toMatch(/^megrez: [^\n]+\n$/);
    expect(asked).toEqual([]);
  });

  test.each([
    ['service create acme/web/shop --port 80 --backend beta/web/a', 'OTHER_VPC, endpoint beta/web/a'],
    ['service create acme/web/shop --port 80 --backend web/a', 'INVALID_NAME, endpoint web/a'],
    ['service update acme/web/shop --add-backend beta/web/a', 'OTHER_VPC, endpoint beta/web/a'],
  ])("'%s' is refused before any call", async (line, where) => {
    const { code, stderr } = await megrez(line);
    expect([code, stderr.includes(where), asked]).toEqual([1, true, []]);
  });

  test('update: what is not named stays', async () => {
    await megrez('service update acme/web/shop --add-backend acme/web/c,acme/web/a=10 --remove-backend acme/db/b');
    expect(asked[1]?.request).toMatchObject({
      ports: [{ listen: 80, target: 8080 }, { listen: 53 }],
      backends: [
        { subnet: 'web', endpoint: 'c', weight: 0 },
        { subnet: 'web', endpoint: 'a', weight: 10 },
      ],
    });
    await megrez('service update acme/web/shop --port 8000');
    expect(asked[1]?.request).toMatchObject({
      ports: [{ listen: 8000, target: 8000, protocol: 1 }],
      backends: [{ endpoint: 'a' }, { endpoint: 'b', weight: 50 }],
    });
    expect(asked[1]?.request).toMatchObject({ affinity: 0, refusal: 0 });
    await megrez('service update acme/web/shop --affinity none --drain 5s --refusal tell');
    expect(asked[1]?.request).toMatchObject({
      backends: [{ endpoint: 'a' }, { endpoint: 'b' }],
      ...{ affinity: 1, drainMs: 5_000, refusal: 1 },
    });
    expect(asked[1]?.request).not.toHaveProperty('affinityTimeoutMs');
    const { code, stderr } = await megrez('service update acme/web/shop --remove-backend acme/web/z');
    expect([code, asked.length]).toEqual([1, 1]);
    expect(stderr).toContain('web/z is no backend of service acme/web/shop (NOT_FOUND/NO_SUCH_BACKEND');
  });

  test('list -o wide, get and delete', async () => {
    const { stdout } = await megrez('service list acme -o wide');
    expect(asked[0]?.request).toMatchObject({ vpc: 'acme', subnet: '' });
    expect(stdout).toContain('client-ip 60000 ms');
    expect(stdout).toContain('web/a,db/b=50 (down)');
    expect(JSON.parse((await megrez('service get acme/web/shop -o json')).stdout)).toMatchObject({
      ip: '10.0.1.9',
      affinity: 'AFFINITY_CLIENT_IP',
    });
    expect((await megrez('service delete acme/web/shop')).stdout).toBe('service acme/web/shop deleted\n');
    expect(asked[0]?.request).toEqual({ vpc: 'acme', subnet: 'web', name: 'shop' });
  });
});
