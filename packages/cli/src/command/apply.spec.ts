import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { asked, lines, megrez, serveApi } from '../testing/api';

serveApi();

describe('apply', () => {
  const directory = mkdtempSync(join(tmpdir(), 'megrez-apply-'));
  const file = join(directory, 'acme.yaml');
  const apply = (text: string) => {
    writeFileSync(file, text);
    return megrez(`apply -f ${file}`);
  };
  afterAll(() => rmSync(directory, { recursive: true }));

  test('creates what is not there, VPCs first, and leaves what is', async () => {
    const result = await apply(
      lines(
        'kind: endpoint',
        'vpc: acme',
        'subnet: web',
        'name: new',
        'host: h1',
        'attachment: { tap: { name: tap7 } }',
        '---',
        '# the VPC is there',
        'kind: vpc',
        'name: acme',
        'cidrs: [10.0.0.0/16]',
        '---',
        '',
      ),
    );
    expect(result).toEqual({ code: 0, stdout: 'vpc acme unchanged\nendpoint acme/web/new created\n', stderr: '' });
    expect(asked).toMatchObject([
      { method: 'getVpc' },
      { method: 'getEndpoint' },
      {
        method: 'createEndpoint',
        request: { name: 'new', attachment: { kind: { oneofKind: 'tap', tap: { name: 'tap7' } } } },
      },
    ]);
  });

  test.each([
    [
      'kind: vpc\nname: acme\ncidrs: [10.1.0.0/16]',
      'exists with another cidrs',
      'FAILED_PRECONDITION/DIFFERS, vpc acme',
    ],
    ['kind: vpc\nname: acme\ndividers: 3', 'exists with another dividers', 'FAILED_PRECONDITION/DIFFERS, vpc acme'],
    ['kind: pod\nname: a', 'not pod', 'INVALID_ARGUMENT/INVALID_MANIFEST, document 1'],
    ['kind: vpc\nnome: a', 'nome', 'INVALID_ARGUMENT/INVALID_MANIFEST, document 1'],
    ['- vpc', 'is a map', 'INVALID_ARGUMENT/INVALID_MANIFEST, document 1'],
  ])('%j is refused, and nothing is created', async (text, message, where) => {
    const { code, stdout, stderr } = await apply(text);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^megrez: [^\n]+\n$/);
    expect(stderr).toContain(message);
    expect(stderr).toContain(`(${where})`);
    expect(asked.filter(({ method }) => method.startsWith('create'))).toEqual([]);
  });

  test('a service: as it is there, and with another port', async () => {
    const file = ['kind: service', 'vpc: acme', 'subnet: web', 'name: shop', 'affinity: AFFINITY_CLIENT_IP', ''].join(
      '\n',
    );
    expect(await apply(file)).toMatchObject({ code: 0, stdout: 'service acme/web/shop unchanged\n' });
    const { code, stderr } = await apply(`${file}ports: [{ listen: 81, target: 8080, protocol: PROTOCOL_TCP }]\n`);
    expect([code, stderr.includes('exists with another ports')]).toEqual([1, true]);
  });

  test('what is no YAML, and no file', async () => {
    expect(await apply('kind: [')).toMatchObject({ code: 1, stdout: '' });
    const { code, stderr } = await megrez(`apply -f ${directory}/none`);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^megrez: ENOENT[^\n]+\n$/);
  });
});
