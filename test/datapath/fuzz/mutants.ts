/**
 * Whether the comparison can fail: programs with one deliberate fault each, of which every one must be found. A fault is a
 * text of bpf/ that stands there once, and what takes its place.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fuzz } from './fuzz';
import { bpfDirectory } from './paths';

interface Mutant {
  readonly file: string;
  readonly text: string;
  readonly becomes: string;
}

const mutant = (file: string, text: string, becomes: string): Mutant => ({ file, text, becomes });

const mutants: readonly Mutant[] = [
  mutant('path.h', 'old->generation > answer->generation', 'old->generation >= answer->generation'),
  mutant('path.h', '|| !address_equal(&path->host, host)', ''),
  mutant('path.h', 'path->asks < 255', 'path->asks < 254'),
  mutant('path.h', 'mac_copy(next->mac, answer->mac)', '(void)answer->mac'),
  mutant('path.h', 'next->checked_at = old->checked_at', 'next->checked_at = old->asked_at'),
  mutant('ask.h', 'out->now) & 1 ? 0 : ASK_TWIN', 'out->now) & 1 ? ASK_TWIN : 0'),
  mutant('ask.h', 'budget->due = due + config->ask_interval_ns', 'budget->due = due'),
  mutant('life.h', '#define SUSPECT_NS (50 * MS)', '#define SUSPECT_NS (66 * MS)'),
  mutant('life.h', 'state->heard_at = now', 'state->heard_at = now + 1'),
  mutant('encap.h', 'hash & 0x3fff', 'hash & 0x1fff'),
  mutant('cookie.h', 'window - 1)', 'window + 1)'),
  mutant('left.h', '#define PASSED_ON_COST 16', '#define PASSED_ON_COST 15'),
  mutant('notice.h', 'last->sent_at = now', '(void)now'),
  mutant('error.h', 'ERROR_ROOM + QUOTE_MAX)', 'ERROR_ROOM + QUOTE_MAX + 1)'),
  mutant('endpoint.h', 'address_equal(&out->frame.source, &reach->ip) ? CONTINUE', 'true ? CONTINUE'),
  mutant(
    'endpoint.h',
    'address_is_multicast6(&out->frame.destination)',
    'address_is_link_local6(&out->frame.destination)',
  ),
  mutant('slot.h', 'holding->state != HOLDING_SERVING', 'holding->state == HOLDING_LOADING'),
  mutant('send.h', 'ip6->hops--', '(void)ip6'),
  mutant('lookup.h', 'owners->epoch <= question->epoch', 'owners->epoch < question->epoch'),
  mutant('lookup.h', 'question->flags |= ASK_SECOND', 'question->flags |= ASK_TWIN'),
  mutant('lookup.h', 'option->hops = question->hops + 1', 'option->hops = question->hops'),
  mutant('packet.h', 'tunnel->congested = (', 'tunnel->congested = !('),
  mutant('packet.h', 'i < 4 && offset < end', 'i < 3 && offset < end'),
  mutant('packet.h', 'outer->udp.check = 0', '(void)0'),
  mutant('packet.h', 'frame->hops != 255', 'frame->hops < 254'),
  mutant('nic.h', '!attachment->until', 'attachment->until'),
  mutant('arp.h', 'NEIGHBOUR_SOLICITED | NEIGHBOUR_OVERRIDE', 'NEIGHBOUR_SOLICITED'),
  mutant('flow.h', '#define FLOW_RETRY_NS (900 * MS)', '#define FLOW_RETRY_NS (1000 * MS)'),
  mutant('flow.h', '__sync_fetch_and_add(&quota->flows, 1)', '__sync_fetch_and_add(&quota->flows, 2)'),
  mutant('flow.h', 'flow->state == FLOW_CLOSING ||', ''),
  mutant('service.h', 'port->affinity == AFFINITY_CLIENT_IP', 'port->affinity != AFFINITY_CLIENT_IP'),
];

export interface Trial {
  readonly name: string;
  /** After how many packets it was found; undefined: it was not. */
  readonly found: number | undefined;
}

/** Tries every mutant with at most `cases` packets. */
export const tryMutants = async (
  { seed, cases }: { readonly seed: number; readonly cases: number },
  tried: (trial: Trial) => void,
): Promise<void> => {
  for (const one of mutants) {
    const directory = mkdtempSync(join(tmpdir(), 'megrez-mutant-'));
    try {
      const object = build(one, directory);
      const report = await fuzz({ object, seed, cases, seconds: Number.POSITIVE_INFINITY, whole: true });
      const found = report.failures.length + report.lost.length > 0;
      tried({ name: `${one.file}: ${one.text} -> ${one.becomes}`, found: found ? report.cases : undefined });
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }
};

const build = ({ file, text, becomes }: Mutant, directory: string): string => {
  for (const name of readdirSync(bpfDirectory))
    if (/\.[ch]$/.test(name)) copyFileSync(join(bpfDirectory, name), join(directory, name));
  const source = readFileSync(join(directory, file), 'utf8');
  if (source.split(text).length !== 2) throw new Error(`bpf/${file} does not hold this text once: ${text}`);
  writeFileSync(
    join(directory, file),
    source.replace(text, () => becomes),
  );
  const object = join(directory, 'megrez.bpf.o');
  const machine = execFileSync('gcc', ['-dumpmachine']).toString().trim();
  const flags = ['-O2', '-g', '-target', 'bpf', '-mcpu=v3', '-Wno-everything', `-I/usr/include/${machine}`];
  execFileSync('clang', [...flags, '-c', join(directory, 'megrez.bpf.c'), '-o', object], { stdio: 'inherit' });
  return object;
};
