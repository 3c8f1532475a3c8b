/** The renewal of a lease, on a real interface: the destination's host clones the asking packet into its notice. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  attachXdp,
  createNetns,
  createVeth,
  deleteNetns,
  loadObject,
  mountBpffs,
  openRingBuffer,
  setLink,
  unmount,
} from '@megrez/kernel';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { compile } from './compile';
import { cookie, now_ns, steadyWindow } from './cookie';
import { type Datapath, openDatapath } from './datapath';
import { ethernet, ethertype, ip, op, path, tunnel, udp } from './frames';
import { addresses, endpoint, hostMac, hostRows, hosts, macOf, subnet, vni } from './world';

const dir = mkdtempSync(join(tmpdir(), 'megrez-notice-'));
const netns = join(dir, 'netns');
const bpffs = join(dir, 'bpf');
const seen: Buffer[] = [];
let datapath: Datapath;
let nic: number;
const open: { close(): void }[] = [];

beforeAll(async () => {
  const capture = join(dir, 'capture.bpf.o');
  compile('capture.bpf.c', capture);
  await createNetns(netns);
  await mountBpffs(bpffs);
  const veth = await createVeth({ name: 'nic', netns, peer: { name: 'wire', netns } });
  nic = veth.ifindex;
  const object = await loadObject(capture);
  open.push(
    object,
    openRingBuffer(object.map('captured'), (data) => seen.push(Buffer.from(data))),
  );
  // Native: generic XDP does not look at packets that a program redirected.
  await attachXdp(object.program('capture'), veth.peerIfindex, { pin: join(bpffs, 'capture'), mode: 'native', netns });
  await setLink({ name: 'nic', netns, up: true });
  await setLink({ name: 'wire', netns, up: true });
  datapath = await openDatapath();
  datapath.put(hostRows('h2', ['h3'], [endpoint('b', 'h2')], { nic }));
});
afterAll(async () => {
  for (const one of open) one.close();
  datapath?.close();
  await unmount(bpffs);
  await deleteNetns(netns);
  rmSync(dir, { recursive: true, force: true });
});

const frame = ethernet(
  macOf('a'),
  macOf('b'),
  ethertype.ip4,
  ip({ from: addresses.a, to: addresses.b, protocol: 17, payload: udp(1, 2, Buffer.from('renew')) }),
);
const ours = (packet: Buffer): boolean => packet.readUInt16BE(12) === ethertype.ip4;

test('the packet is delivered, its asker told once in 10 ms', async () => {
  await steadyWindow();
  const question = { subnet, cookie: cookie(vni, addresses.b, now_ns()) };
  const asking = tunnel({
    fromMac: hostMac('h1'),
    toMac: hostMac('h2'),
    from: hosts.h1,
    to: hosts.h2,
    vni,
    options: path({ op: op.ask, ...question, host: hosts.h1 }),
    inner: frame,
  });
  const run = () => datapath.run('nic', asking, { ifindex: nic, netns });
  const first = await run();
  const second = await run();
  expect([first.verdict, second.verdict]).toEqual(['delivered_told', 'delivered']);
  expect(first.packet.toString('hex')).toBe(frame.toString('hex'));
  expect(second.packet.toString('hex')).toBe(frame.toString('hex'));
  await new Promise((resolve) => setTimeout(resolve, 25));
  expect((await run()).verdict).toBe('delivered_told');
  await vi.waitFor(() => expect(seen.filter(ours)).toHaveLength(2));
  const notice = tunnel({
    fromMac: hostMac('h2'),
    toMac: hostMac('h1'),
    from: hosts.h2,
    to: hosts.h1,
    vni,
    options: path({ op: op.tell, cookie: question.cookie, host: hosts.h2, generation: 5, mac: macOf('b') }),
    inner: frame,
  });
  expect(seen.filter(ours).map((packet) => packet.toString('hex'))).toEqual([
    notice.toString('hex'),
    notice.toString('hex'),
  ]);
});
