import { GetStatusResponse, Host, JobKind, JobState, ShardJob, ShardProgress } from '@megrez/model';
import { describe, expect, test } from 'vitest';
import { api, h1, h2, lines, megrez, serveApi } from '../testing/api';

serveApi();

describe('status', () => {
  test('all is well', async () => {
    api.status = GetStatusResponse.create({
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
        `megrez at ${api.address}: all is well`,
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
    api.status = GetStatusResponse.create({ hosts: [sick, h2], problems: ['host h2 is detached: start its agent'] });
    const { code, stdout } = await megrez('status');
    expect(code).toBe(1);
    expect(stdout).toContain(
      lines(': 2 problems', '  - host h2 is detached: start its agent', '  - host h1: the MTU is too small', ''),
    );
    api.status = GetStatusResponse.create({ hosts: [sick], problems: ['host h1: the MTU is too small'] });
    expect((await megrez('status')).stdout).toContain(': 1 problem\n');
    expect(JSON.parse((await megrez('status -o json')).stdout)).toMatchObject({
      problems: ['host h1: the MTU is too small'],
    });
  });

  test('no hosts: what to do', async () => {
    api.status = GetStatusResponse.create({});
    expect((await megrez('status')).stdout).toContain('megrez dev up');
  });

  test('what moves, and hosts that own no slots', async () => {
    api.status = GetStatusResponse.create({ hosts: [h1, h2] });
    api.jobs = [
      ShardJob.create({ id: 7, kind: JobKind.DRAIN, host: 'h2', state: JobState.RUNNING, total: 4, tables: 1 }),
    ];
    api.progress = [ShardProgress.create({ total: 6, done: 2, tablesTotal: 1 })];
    const { stdout } = await megrez('status');
    expect(stdout).toContain(
      lines(
        '',
        'not eligible for slots, drained or by choice: h2',
        '',
        'JOB  KIND   OF       STATE    SLOTS  TABLES  MESSAGE',
        '  7  drain  host h2  running      4       1  -',
        '',
        'moving: 2 of 6 slots',
        '',
      ),
    );
    api.progress = [ShardProgress.create({ total: 6, done: 2 })];
    expect(JSON.parse((await megrez('status -o json')).stdout)).toMatchObject({
      jobs: [{ id: '7', kind: 'JOB_KIND_DRAIN' }],
      moving: 'moving: 2 of 6 slots',
    });
    api.jobs = [];
  });
});
