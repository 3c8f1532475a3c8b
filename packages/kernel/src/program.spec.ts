import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { createVeth, deleteLink, getLink } from './interface';
import type { BpfMap } from './map';
import { addAddress, setNeighbour, setSysctl } from './network';
import { type BpfObject, loadObject } from './object';
import { attachTcx, attachXdp, detach, linkInfo, noteExpediting, openPinnedProgram } from './program';
import { createFixture, type Fixture, refusal, u32 } from './testing/fixture';

let fixture: Fixture;
let path: string;
let object: BpfObject;
let netns: string;

beforeAll(async () => {
  fixture = await createFixture();
  path = fixture.compile();
  object = await loadObject(path, { rodata: { verdict: u32(2) } });
  netns = await fixture.netns('far');
});

afterAll(async () => {
  object?.close();
  await fixture?.dispose();
});

/** The sum over all CPUs of one counter of the sample. */
const counter = (map: BpfMap, index: number): number => {
  const value = map.lookup(u32(index)) ?? Buffer.alloc(0);
  let sum = 0;
  for (let offset = 0; offset < value.length; offset += 8) sum += Number(value.readBigUInt64LE(offset));
  return sum;
};

const newVeth = async (): Promise<{ name: string; ifindex: number }> => {
  const name = fixture.ifname();
  const { ifindex } = await createVeth({ name, up: true, peer: { name: `p${name.slice(-6)}`, netns, up: true } });
  return { name, ifindex };
};

test('a packet goes in and comes out', async () => {
  const data = Buffer.from(Array.from({ length: 90 }, (_, i) => i));
  const run = await object.program('inward').testRun({ data, repeat: 3, ctx: { mark: 1, priority: 5 } });
  expect(run.retval).toBe(2);
  expect(run.data).toEqual(data);
  expect(run.duration_ns).toBeGreaterThan(0);
  expect((await object.program('arrive').testRun({ data, ctx: {} })).retval).toBe(2);
  const jumbo = await object.program('arrive').testRun({ data: Buffer.alloc(9000, 3) });
  expect(jumbo.data.equals(Buffer.alloc(9000, 3))).toBe(true);
});

test('a packet can be said to come from an interface of another namespace', async () => {
  const name = fixture.ifname();
  const { peerIfindex } = await createVeth({ name, peer: { name: 'tr0', netns } });
  const data = Buffer.alloc(60);
  const run = await object.program('inward').testRun({ data, netns, ctx: { ifindex: peerIfindex } });
  expect(run.ctx?.readUInt32LE(40)).toBe(peerIfindex);
});

test('what a test run cannot do is refused', async () => {
  const program = object.program('inward');
  expect(await refusal(() => program.testRun({ data: Buffer.alloc(4) }))).toMatchObject({
    code: 'EINVAL',
    operation: 'test-run',
    object: 'inward',
  });
  expect(await refusal(() => program.testRun({ data: Buffer.alloc(100), dataOutSize: 50 }))).toMatchObject({
    code: 'ENOSPC',
  });
  expect(await refusal(() => program.testRun({ data: 'x' as never }))).toBeInstanceOf(TypeError);
  expect(await refusal(() => program.testRun({ data: Buffer.alloc(60), ctx: Buffer.alloc(999) }))).toBeInstanceOf(
    RangeError,
  );
  expect(await refusal(() => program.testRun({ data: Buffer.alloc(60), netns: '/nowhere' }))).toMatchObject({
    code: 'ENOENT',
    object: '/nowhere',
  });
});

test('a program is pinned and opened again', () => {
  const pin = join(fixture.bpffs, 'program');
  object.program('inward').pin(pin);
  const again = openPinnedProgram(pin);
  expect(again).toMatchObject({ name: 'inward', type: 'sched_cls', id: object.program('inward').id });
  again.close();
  expect(() => openPinnedProgram(`${pin}x`)).toThrow(expect.objectContaining({ code: 'ENOENT' }));
});

test('tcx: attached, left alone when equal, replaced in place, detached', async () => {
  const { name, ifindex } = await newVeth();
  const pin = join(fixture.bpffs, 'tcx');
  expect(linkInfo(pin)).toBeUndefined();
  await attachTcx(object.program('inward'), ifindex, { pin, direction: 'ingress' });
  const first = linkInfo(pin);
  expect(first).toMatchObject({ type: 'tcx', ifindex, programId: object.program('inward').id });
  await attachTcx(object.program('inward'), ifindex, { pin, direction: 'ingress' });
  expect(linkInfo(pin)).toEqual(first);
  await attachTcx(object.program('outward'), ifindex, { pin, direction: 'ingress' });
  expect(linkInfo(pin)).toEqual({ ...first, programId: object.program('outward').id });
  expect(await detach(pin)).toBe(true);
  expect(await detach(pin)).toBe(false);
  expect(existsSync(pin)).toBe(false);
  await deleteLink({ name });
});

test('a pin whose interface went away is used for the next one', async () => {
  const pin = join(fixture.bpffs, 'stale');
  const first = await newVeth();
  await attachTcx(object.program('inward'), first.ifindex, { pin, direction: 'ingress', expedite: false });
  await deleteLink({ name: first.name });
  expect(linkInfo(pin)?.ifindex).toBe(0);
  const second = await newVeth();
  await attachTcx(object.program('inward'), second.ifindex, { pin, direction: 'ingress' });
  expect(linkInfo(pin)?.ifindex).toBe(second.ifindex);
  await detach(pin);
});

test('no packet slips by while programs are replaced', async () => {
  const [one, other] = [await loadObject(path), await loadObject(path)];
  const [from, to] = [await fixture.netns('from'), await fixture.netns('to')];
  for (const end of [from, to]) await setSysctl({ netns: end, path: 'net/ipv6/conf/default/disable_ipv6', value: 1 });
  const made = await createVeth({ name: 'f0', netns: from, up: true, peer: { name: 't0', netns: to, up: true } });
  await addAddress({ dev: 'f0', netns: from, address: '10.5.0.1/24' });
  const mac = (await getLink({ name: 't0', netns: to }))?.mac ?? '';
  await setNeighbour({ netns: from, ifindex: made.ifindex, ip: '10.5.0.2', mac });
  const attachment = { pin: join(fixture.bpffs, 'gapless'), direction: 'ingress', netns: to } as const;
  await attachTcx(one.program('inward'), made.peerIfindex, attachment);
  const sent = 400;
  // Nothing but these datagrams arrives: no IPv6, and no ARP because the neighbour is fixed.
  const script = `const s = require('dgram').createSocket('udp4');
    let left = ${sent};
    const next = () => s.send('x', 9, '10.5.0.2', (e) => { if (e) throw e; --left ? setTimeout(next, 1) : s.close(); });
    next();`;
  const sender = spawn('nsenter', [`--net=${from}`, process.execPath, '-e', script], { stdio: 'inherit' });
  const exited = new Promise<number | null>((resolve) => sender.on('exit', resolve));
  let replaced = 0;
  while (sender.exitCode === null && sender.signalCode === null) {
    await attachTcx((replaced++ % 2 === 0 ? other : one).program('inward'), made.peerIfindex, attachment);
  }
  expect(await exited).toBe(0);
  const seen = [one, other].map((loaded) => counter(loaded.map('counters'), 0));
  expect(seen[0]).toBeGreaterThan(0);
  expect(seen[1]).toBeGreaterThan(0);
  expect((seen[0] ?? 0) + (seen[1] ?? 0)).toBe(sent);
  expect(replaced).toBeGreaterThan(10);
  one.close();
  other.close();
  await detach(attachment.pin);
});

test('xdp: native and generic, the mode is changed when asked', async () => {
  const { name, ifindex } = await newVeth();
  const pin = join(fixture.bpffs, 'xdp');
  await attachXdp(object.program('arrive'), ifindex, { pin, mode: 'native' });
  expect((await getLink({ name }))?.xdp).toBe('native');
  const first = linkInfo(pin);
  await attachXdp(object.program('arrive'), ifindex, { pin, mode: 'native' });
  expect(linkInfo(pin)).toEqual(first);
  await attachXdp(object.program('arrive'), ifindex, { pin, mode: 'generic' });
  expect((await getLink({ name }))?.xdp).toBe('generic');
  expect(linkInfo(pin)).toMatchObject({ type: 'xdp', ifindex });
  await detach(pin);
  expect((await getLink({ name }))?.xdp).toBeUndefined();
});

test('an interface of another namespace is attached to by its path', async () => {
  const name = fixture.ifname();
  const { peerIfindex } = await createVeth({ name, peer: { name: 'far1', netns } });
  const pin = join(fixture.bpffs, 'far');
  await attachTcx(object.program('inward'), peerIfindex, { pin, direction: 'ingress', netns });
  expect(linkInfo(pin)?.ifindex).toBe(peerIfindex);
  await detach(pin);
});

test('attaching what does not fit is refused and leaves no pin', async () => {
  const { ifindex } = await newVeth();
  const pin = join(fixture.bpffs, 'wrong');
  const options = { pin, direction: 'ingress' } as const;
  expect(await refusal(() => attachTcx(object.program('arrive'), ifindex, options))).toMatchObject({ code: 'EINVAL' });
  expect(await refusal(() => attachTcx(object.program('inward'), 999_999, options))).toMatchObject({ code: 'ENODEV' });
  expect(await refusal(() => attachXdp(object.program('inward'), ifindex, { pin, mode: 'generic' }))).toMatchObject({
    code: 'EINVAL',
  });
  expect(await refusal(() => attachXdp(object.program('arrive'), 999_999, { pin, mode: 'generic' }))).toMatchObject({
    code: 'ENODEV',
  });
  const elsewhere = { ...options, pin: join(fixture.bpffs, 'no', 'such') };
  expect(await refusal(() => attachTcx(object.program('inward'), ifindex, elsewhere))).toMatchObject({
    code: 'ENOENT',
  });
  expect(linkInfo(pin)).toBeUndefined();
  expect((await getLink({ ifindex }))?.xdp).toBeUndefined();
});

test('RCU that a killed process left expedited is taken back, but not on the word of an earlier boot', async () => {
  const expedited = '/sys/kernel/rcu_expedited';
  const note = join(fixture.directory, 'expedited');
  expect(noteExpediting(note)).toBe(false);
  writeFileSync(note, readFileSync('/proc/sys/kernel/random/boot_id'));
  writeFileSync(expedited, '1');
  try {
    expect(noteExpediting(note)).toBe(true);
    // Somebody else on this machine may have it on for a moment.
    await vi.waitFor(() => expect(readFileSync(expedited, 'utf8').trim()).toBe('0'));
  } finally {
    writeFileSync(expedited, '0');
  }
  expect(existsSync(note)).toBe(false);
  writeFileSync(note, 'another boot');
  expect(noteExpediting(note)).toBe(false);
  expect(existsSync(note)).toBe(false);
});
