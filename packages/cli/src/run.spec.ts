import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  status as codes,
  type handleUnaryCall,
  Metadata,
  Server,
  ServerCredentials,
  type ServiceError,
} from '@grpc/grpc-js';
import {
  Endpoint,
  ErrorDetail,
  GetStatusResponse,
  Host,
  type ILookupService,
  type IProvisioningService,
  lookupServiceDefinition,
  provisioningServiceDefinition,
  ResolveResponse,
  Subnet,
  Vpc,
} from '@megrez/model';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from './run';

/** A controller's API over real gRPC, with answers that the tests choose; it notes what it was asked. */
const server = new Server();
const asked: { readonly method: string; readonly request: object }[] = [];
let address: string;
let status = GetStatusResponse.create({});
let endpoints = 3;

const acme = Vpc.create({ name: 'acme', cidrs: ['10.0.0.0/16'], vni: 7, dividers: 2, meta: { generation: 12 } });
const web = Subnet.create({
  vpc: 'acme',
  name: 'web',
  cidrs: ['10.0.1.0/24'],
  gateways: ['10.0.1.1'],
  bouncers: 1,
  bouncerHosts: ['h3'],
});
const endpointNumber = (i: number): Endpoint =>
  Endpoint.create({
    vpc: 'acme',
    subnet: 'web',
    name: `e${i}`,
    host: 'h1',
    ip: `10.0.1.${i}`,
    mac: `02:4d:0a:00:01:0${i}`,
    attachment: { kind: { oneofKind: 'tap', tap: { name: 'tap7' } } },
  });
const h1 = Host.create({
  name: 'h1',
  address: '172.16.0.1',
  status: {
    attached: true,
    endpoints: 3,
    lastPingMs: 12,
    report: { nic: 'eth0', nicHook: 'native', endpointMtu: 1430 },
  },
});
const h2 = Host.create({ name: 'h2', address: '172.16.0.2', zone: 'z1', ineligible: true, weight: 200 });

/** A unary method that notes the request and answers it, or fails with what `reply` throws. */
const answer =
  <I extends object, O>(method: string, reply: (request: I) => O): handleUnaryCall<I, O> =>
  (call, callback) => {
    asked.push({ method, request: call.request });
    try {
      callback(null, reply(call.request));
    } catch (error) {
      callback(error as ServiceError);
    }
  };

const provisioning: Partial<IProvisioningService> = {
  createVpc: answer('createVpc', () => acme),
  getVpc: answer('getVpc', () => acme),
  listVpcs: answer('listVpcs', () => ({ vpcs: [acme], nextPageToken: '' })),
  deleteVpc: answer('deleteVpc', () => acme),
  createSubnet: answer('createSubnet', () => web),
  listSubnets: answer('listSubnets', () => ({ subnets: [], nextPageToken: '' })),
  createEndpoint: answer('createEndpoint', (request) => {
    if (request.name === 'taken') throw refusal;
    return { ...endpointNumber(2), name: request.name };
  }),
  getEndpoint: answer('getEndpoint', () => {
    throw absent;
  }),
  // Pages of two.
  listEndpoints: answer('listEndpoints', ({ pageToken }) => {
    const first = Number(pageToken || 2);
    const all = Array.from({ length: endpoints }, (_, i) => endpointNumber(i + 2));
    const page = all.slice(first - 2, first);
    return { endpoints: page, nextPageToken: first < endpoints ? `${first + 2}` : '' };
  }),
  deleteEndpoint: answer('deleteEndpoint', () => endpointNumber(2)),
  listHosts: answer('listHosts', () => ({ hosts: [h1, h2], nextPageToken: '' })),
  getHost: answer('getHost', () => h2),
  updateHost: answer('updateHost', (request) => ({ ...h2, ...request })),
  getStatus: answer('getStatus', () => status),
};

const metadata = new Metadata();
metadata.set(
  'megrez-error-bin',
  Buffer.from(ErrorDetail.toBinary({ reason: 'NAME_IN_USE', object: 'endpoint acme/web/taken', hosts: [] })),
);
const absent = Object.assign(new Error('no such thing'), { code: codes.NOT_FOUND, details: 'no such thing', metadata });
const refusal = Object.assign(new Error('it exists'), { code: codes.ALREADY_EXISTS, details: 'it exists', metadata });

beforeAll(async () => {
  const lookup: ILookupService = {
    resolve: answer('resolve', ({ ip, viaBouncer }) =>
      ResolveResponse.create({
        vpc: 'acme',
        subnet: 'web',
        vni: 7,
        slot: 119,
        epoch: 1,
        owners: ['h3'],
        endpoint: ip === '10.0.1.2' ? { ...endpointNumber(2), hostAddress: '172.16.0.1' } : undefined,
        answers: viaBouncer
          ? [{ host: 'h3', found: true, endpointHostAddress: '172.16.0.1', mac: '02:4d:0a:00:01:02', generation: 33 }]
          : [],
      }),
    ),
  };
  server.addService(provisioningServiceDefinition, provisioning as IProvisioningService);
  server.addService(lookupServiceDefinition, lookup);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  address = `127.0.0.1:${port}`;
});

afterAll(() => server.forceShutdown());

const megrez = async (line: string, env: Record<string, string> = { MEGREZ_SERVER: address }) => {
  let stdout = '';
  let stderr = '';
  asked.length = 0;
  const code = await run(line.split(' ').filter(Boolean), {
    stdout: (text) => {
      stdout += text;
    },
    stderr: (text) => {
      stderr += text;
    },
    env,
  });
  return { code, stdout, stderr };
};
const lines = (...texts: string[]): string => `${texts.join('\n')}\n`;

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
    endpoints = 5;
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
    endpoints = 1;
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

test('host update changes only what is named', async () => {
  await megrez('host update h2 --weight 50');
  expect(asked[1]?.request).toEqual({ name: 'h2', weight: 50, zone: 'z1', ineligible: true });
  await megrez('host update h2 --eligible --zone z2');
  expect(asked[1]?.request).toEqual({ name: 'h2', weight: 200, zone: 'z2', ineligible: false });
});

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

describe('status', () => {
  test('all is well', async () => {
    status = GetStatusResponse.create({
      revision: 99,
      controllers: [{ incarnation: 'c-1', address: '127.0.0.1:7400', sessions: 1 }],
      hosts: [h1],
      vpcs: 1,
      subnets: 1,
      endpoints: 3,
    });
    const { code, stdout } = await megrez('status');
    expect(code).toBe(0);
    expect(stdout).toBe(
      lines(
        `megrez at ${address}: all is well`,
        '',
        'ADDRESS         SESSIONS  INCARNATION',
        '127.0.0.1:7400         1  c-1',
        '',
        'NAME  ADDRESS     STATE     ZONE  SLOTS    ENDPOINTS',
        'h1    172.16.0.1  attached  -     may own          3',
        '',
        '1 host, 1 vpc, 1 subnet, 3 endpoints; revision 99',
      ),
    );
  });

  test("problems, an agent's own included, each once: exit code 1", async () => {
    const sick = Host.create({ ...h1, status: { ...h1.status, report: { problems: ['the MTU is too small'] } } });
    status = GetStatusResponse.create({ hosts: [sick, h2], problems: ['host h2 is detached: start its agent'] });
    const { code, stdout } = await megrez('status');
    expect(code).toBe(1);
    expect(stdout).toContain(
      lines(': 2 problems', '  - host h2 is detached: start its agent', '  - host h1: the MTU is too small', ''),
    );
    status = GetStatusResponse.create({ hosts: [sick], problems: ['host h1: the MTU is too small'] });
    expect((await megrez('status')).stdout).toContain(': 1 problem\n');
    expect(JSON.parse((await megrez('status -o json')).stdout)).toMatchObject({
      problems: ['host h1: the MTU is too small'],
    });
  });

  test('no hosts: what to do', async () => {
    status = GetStatusResponse.create({});
    expect((await megrez('status')).stdout).toContain('megrez dev up');
  });
});

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

  test('what is no YAML, and no file', async () => {
    expect(await apply('kind: [')).toMatchObject({ code: 1, stdout: '' });
    const { code, stderr } = await megrez(`apply -f ${directory}/none`);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^megrez: ENOENT[^\n]+\n$/);
  });
});

describe('the command line', () => {
  test.each([
    ['vpc creat', "unknown command 'creat' (Did you mean create?)"],
    ['vpc create --cidr 10.0.0.0/16', "missing required argument 'vpc'"],
    ['vpc create acme', "required option '--cidr <cidr>' not specified"],
    ['vpc get acme other', 'too many arguments'],
    ['vpc list --all', "unknown option '--all'"],
    ['vpc list -o xml', "'xml' is invalid"],
    ['endpoint create acme/web/a', "required option '--host <host>' not specified"],
    ['endpoint create acme/web/a --host h1 --timeout 10', 'with its unit'],
    ['endpoint create acme/web/a --host h1 --tap x --netns /y', 'cannot be used with'],
    ['endpoint create acme/web/a --host h1 --tap x --no-interface', 'cannot be used with'],
    ['subnet create acme/web --cidr 10.0.1.0/24 --bouncers 0', 'from 1 to'],
    ['host update h1 --eligible --ineligible', 'cannot be used with'],
    ['controller', "required option '--underlay-prefix <cidr>' not specified"],
    ['agent --host h1', "required option '--address <ip>' not specified"],
    ['agent --host h1 --address 10.0.0.1 --nic eth0 --nic-hook xdp', "'xdp' is invalid"],
    ['dev up --hosts 0', 'from 1 to 1000'],
    ['dev exec acme/web/a', "missing required argument 'command'"],
    ['dev kill', 'missing required argument'],
  ])("'%s' is not understood: one line, exit code 2", async (line, message) => {
    const { code, stdout, stderr } = await megrez(line);
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toContain(message);
    expect(stderr).toMatch(/^megrez: [^\n]+\n$/);
    expect(asked).toEqual([]);
  });

  test.each([
    ['vpc get Acme', 'INVALID_ARGUMENT/INVALID_NAME, vpc Acme'],
    ['endpoint get acme/web', 'INVALID_ARGUMENT/INVALID_NAME, endpoint acme/web'],
    ['--server nowhere vpc list', 'INVALID_ARGUMENT/INVALID_SERVER, controller nowhere'],
    ['vpc list --server 127.0.0.1:1', 'UNAVAILABLE/UNREACHABLE, controller 127.0.0.1:1'],
  ])("'%s' fails before any call: exit code 1", async (line, where) => {
    const { code, stderr } = await megrez(line);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^megrez: [^\n]+\n$/);
    expect(stderr).toContain(`(${where})`);
    expect(asked).toEqual([]);
  });

  test('--server wins over the environment', async () => {
    expect((await megrez(`vpc list --server ${address}`, { MEGREZ_SERVER: '127.0.0.1:1' })).code).toBe(0);
  });

  test('with several controllers one that answers is asked', async () => {
    expect((await megrez(`vpc list --server 127.0.0.1:1 --server ${address}`)).code).toBe(0);
    expect((await megrez('vpc list', { MEGREZ_SERVER: `127.0.0.1:1,${address}` })).code).toBe(0);
  });

  test('every command has help with an example', async () => {
    const leaves = (await Promise.all(['', 'vpc', 'subnet', 'endpoint', 'host', 'dev'].map(verbs))).flat();
    expect(leaves.length).toBeGreaterThan(25);
    for (const leaf of leaves) {
      const { code, stdout } = await megrez(`${leaf} --help`);
      expect([leaf, code, /Examples?:\n {2}\S/.test(stdout)]).toEqual([leaf, 0, true]);
    }
  });

  test('--version', async () => expect(await megrez('--version')).toMatchObject({ code: 0, stdout: '0.1.0\n' }));
});

const verbs = async (noun: string): Promise<string[]> => {
  const { stdout } = await megrez(`${noun} --help`);
  const listed = stdout.slice(stdout.indexOf('Commands:')).matchAll(/^ {2}([a-z]+)/gm);
  const names = [...listed].map(([, name]) => name as string);
  const nouns = ['help', 'vpc', 'subnet', 'endpoint', 'host', 'dev', 'megrez'];
  return names
    .filter((name) => (noun !== '' ? !['help', 'megrez'].includes(name) : !nouns.includes(name)))
    .map((name) => `${noun} ${name}`);
};
