import { underlays } from '@megrez/dev';
import { describe, expect, test } from 'vitest';
import { api, asked, megrez, serveApi } from './testing/api';

serveApi();

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
    ['dev up --underlay ring', "'ring' is invalid"],
    ['dev up --underlay-mtu 1279', 'from 1280 to 65535'],
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
    expect((await megrez(`vpc list --server ${api.address}`, { MEGREZ_SERVER: '127.0.0.1:1' })).code).toBe(0);
  });

  test('with several controllers one that answers is asked', async () => {
    expect((await megrez(`vpc list --server 127.0.0.1:1 --server ${api.address}`)).code).toBe(0);
    expect((await megrez('vpc list', { MEGREZ_SERVER: `127.0.0.1:1,${api.address}` })).code).toBe(0);
  });

  test('every command has help with an example', async () => {
    const leaves = (
      await Promise.all(['', 'vpc', 'subnet', 'endpoint', 'service', 'host', 'shard', 'dev'].map(verbs))
    ).flat();
    expect(leaves.length).toBeGreaterThan(25);
    for (const leaf of leaves) {
      const { code, stdout } = await megrez(`${leaf} --help`);
      expect([leaf, code, /Examples?:\n {2}\S/.test(stdout)]).toEqual([leaf, 0, true]);
    }
  });

  test('underlays are those that dev has', async () => {
    const { stdout } = await megrez('dev up --help');
    expect(stdout.replaceAll(/\s+/g, ' ')).toContain(`(choices: ${underlays.map((kind) => `"${kind}"`).join(', ')}`);
  });

  test('--version', async () => expect(await megrez('--version')).toMatchObject({ code: 0, stdout: '0.1.0\n' }));
});

const verbs = async (noun: string): Promise<string[]> => {
  const { stdout } = await megrez(`${noun} --help`);
  const listed = stdout.slice(stdout.indexOf('Commands:')).matchAll(/^ {2}([a-z]+)/gm);
  const names = [...listed].map(([, name]) => name as string);
  const nouns = ['help', 'vpc', 'subnet', 'endpoint', 'service', 'host', 'shard', 'dev', 'megrez'];
  return names
    .filter((name) => (noun !== '' ? !['help', 'megrez'].includes(name) : !nouns.includes(name)))
    .map((name) => `${noun} ${name}`);
};
