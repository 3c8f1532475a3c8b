/**
 * Which statements and branches of bpf/ a run reached. The compiler counts nothing for BPF, so a copy of the sources gets
 * a mark, one byte of a global array, at every statement, at both ways out of every condition and at every case; that
 * copy is what runs, and what the packets do is the same.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { canLoad } from './machine';
import { bpfDirectory } from './paths';

export interface Mark {
  readonly file: string;
  readonly line: number;
  readonly kind: 'statement' | 'branch';
  readonly what: string;
  /** Index of the mark; statements that follow each other share one. */
  readonly at: number;
}

export interface Marked {
  /** Objects, each with a part of the marks: with all of them the programs need more stack than there is. */
  readonly objects: readonly string[];
  readonly marks: readonly Mark[];
  /** What cannot be seen: no object with its mark loads. */
  readonly unmarked: readonly Mark[];
}

/** Compiles the marked copy. */
export const buildMarked = (): Marked => {
  const directory = mkdtempSync(join(tmpdir(), 'megrez-marked-'));
  const marks: Mark[] = [];
  mkdirSync(directory, { recursive: true });
  for (const file of readdirSync(bpfDirectory)) {
    if (!file.endsWith('.h') && file !== 'megrez.bpf.c') continue;
    if (file === 'abi.h' || file === 'wire.h' || file === 'maps.h')
      copyFileSync(join(bpfDirectory, file), join(directory, file));
    else
      writeFileSync(
        join(directory, file),
        `#include "cover.h"\n${marked(file, readFileSync(join(bpfDirectory, file), 'utf8'), marks)}`,
      );
  }
  const machine = execFileSync('gcc', ['-dumpmachine']).toString().trim();
  const flags = ['-O2', '-g', '-target', 'bpf', '-mcpu=v3', '-Wno-everything', `-I/usr/include/${machine}`];
  const objects: string[] = [];
  const unmarked: Mark[] = [];
  const build = (step: number, part: number): void => {
    const object = join(directory, `megrez.${step}.${part}.bpf.o`);
    writeFileSync(join(directory, 'cover.h'), header(marks.length, step, part));
    execFileSync('clang', [...flags, '-c', join(directory, 'megrez.bpf.c'), '-o', object], { stdio: 'inherit' });
    if (canLoad(object)) objects.push(object);
    else if (step < stepMax) {
      build(step * 2, part);
      build(step * 2, part + step);
    } else unmarked.push(...marks.filter(({ at }) => at % step === part));
  };
  for (let part = 0; part < parts; part++) build(parts, part);
  return { objects, marks: marks.filter((mark) => !unmarked.includes(mark)), unmarked };
};

/** Every so many-th mark is in one object; more objects where that is too much for the stack. */
const parts = 4;
const stepMax = 96;

const header = (marks: number, step: number, part: number): string => `#ifndef COVER_H
#define COVER_H
unsigned char cover[${marks}];
#define COVER(n) ((n) % ${step} == ${part} ? (void)(cover[n] = 1) : (void)0)
/* Marks n when the condition holds, and n + 1 when not. */
#define COVER_IF(n, condition) ((condition) ? (COVER(n), 1) : (COVER((n) + 1), 0))
#endif
`;

// ---- C, as far as it is needed: tokens, functions, statements, conditions

interface Token {
  readonly text: string;
  readonly line: number;
}

const pattern =
  /\/\*[\s\S]*?\*\/|\/\/[^\n]*|^[ \t]*#(?:[^\n\\]|\\\n|\\.)*|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[A-Za-z_]\w*|\d[\w.]*|&&|\|\||->|\+\+|--|<<=?|>>=?|[=!<>+\-*/%&|^]=|\s+|./gm;

const isBlank = (text: string): boolean => /^(\s|\/\*|\/\/|[ \t]*#)/.test(text);

const tokensOf = (source: string): Token[] => {
  const tokens: Token[] = [];
  let line = 1;
  for (const [text] of source.matchAll(pattern)) {
    tokens.push({ text, line });
    line += text.split('\n').length - 1;
  }
  return tokens;
};

const marked = (file: string, source: string, marks: Mark[]): string => {
  const tokens = tokensOf(source);
  let at = 0;
  let out = '';

  const add = (kind: Mark['kind'], line: number, what: string, at = marks.length): number => {
    marks.push({ file, line, kind, at, what: what.replaceAll(/\s+/g, ' ').trim().slice(0, 100) });
    return at;
  };
  /** Of the statement before, when nothing but it leads to the next one. */
  let before: number | undefined;
  const peek = (): string => {
    let next = at;
    while (next < tokens.length && isBlank((tokens[next] as Token).text)) next++;
    return tokens[next]?.text ?? '';
  };
  const blanks = (): string => {
    let text = '';
    while (at < tokens.length && isBlank((tokens[at] as Token).text)) text += (tokens[at++] as Token).text;
    return text;
  };
  const take = (): Token => {
    const token = tokens[at++];
    if (!token) throw new Error(`${file}: ends within a function`);
    return token;
  };
  /** `(` … `)`, with what is inside. */
  const parens = (): { inside: Token[] } => {
    take();
    const inside: Token[] = [];
    for (let depth = 1; ; ) {
      const token = take();
      if (token.text === '(') depth++;
      if (token.text === ')' && --depth === 0) return { inside };
      inside.push(token);
    }
  };

  /** Marks for every operand of && and ||, or for the whole. */
  const condition = (parts: readonly Token[]): string => {
    const text = parts.map((one) => one.text).join('');
    for (const operator of ['||', '&&']) {
      const operands = split(parts, operator);
      if (operands.length > 1) return operands.map(condition).join(` ${operator} `);
    }
    const solid = parts.filter((one) => !isBlank(one.text));
    if (solid[0]?.text === '(' && closes(solid)) {
      const from = parts.indexOf(solid[0]);
      const to = parts.lastIndexOf(solid.at(-1) as Token);
      return `(${condition(parts.slice(from + 1, to))})`;
    }
    const line = solid[0]?.line ?? 0;
    const mark = add('branch', line, `${text}: true`);
    add('branch', line, `${text}: false`);
    return `COVER_IF(${mark}, ${text})`;
  };

  const statement = (): string => {
    let text = blanks();
    const word = peek();
    const line = (tokens[at] as Token).line;
    switch (word) {
      case '{':
        return text + block();
      case 'if': {
        const mark = blanksMark(line, 'if');
        text += take().text + blanks();
        const inside = parens();
        text += `(${condition(inside.inside)}) {${branch()} }`;
        if (peek() === 'else') {
          text += blanks() + take().text;
          text += ` {${branch()} }`;
        }
        return mark + text;
      }
      case 'for':
      case 'while':
      case 'switch': {
        const mark = blanksMark(line, word);
        text += take().text + blanks();
        const head = parens()
          .inside.map((one) => one.text)
          .join('');
        return `${mark}${text}(${head})${peek() === '{' ? branch() : ` {${branch()} }`}`;
      }
      case 'case':
      case 'default': {
        let label = '';
        for (let depth = 0; ; ) {
          const token = take();
          label += token.text;
          if (token.text === '(') depth++;
          if (token.text === ')') depth--;
          if (token.text === ':' && depth === 0) break;
        }
        before = undefined;
        return `${text}${label} COVER(${add('branch', line, label)});`;
      }
      default: {
        const body: Token[] = [];
        for (let depth = 0; ; ) {
          const token = take();
          body.push(token);
          if ('({['.includes(token.text)) depth++;
          if (')}]'.includes(token.text)) depth--;
          if (token.text === ';' && depth === 0) break;
        }
        const whole = body.map((one) => one.text).join('');
        if (word === ';') return text + whole;
        const mark = blanksMark(line, whole);
        before = before ?? marks.length - 1;
        return `${mark}${text}${whole}`;
      }
    }
  };
  const blanksMark = (line: number, what: string): string => {
    const shared = before;
    const mark = add('statement', line, what, shared);
    return shared === undefined ? ` COVER(${mark});` : '';
  };

  const branch = (): string => {
    before = undefined;
    const text = statement();
    before = undefined;
    return text;
  };

  const block = (): string => {
    let text = take().text;
    before = undefined;
    while (peek() !== '}') text += statement();
    before = undefined;
    return text + blanks() + take().text;
  };

  let previous = '';
  let depth = 0;
  while (at < tokens.length) {
    const token = tokens[at] as Token;
    if (depth === 0 && token.text === '{' && previous === ')') {
      out += block();
      previous = '}';
      continue;
    }
    if ('({['.includes(token.text) && token.text !== '') depth++;
    if (')}]'.includes(token.text) && token.text !== '') depth--;
    if (!isBlank(token.text)) previous = token.text;
    out += token.text;
    at++;
  }
  return out;
};

/** At the operator, outside all parentheses. */
const split = (parts: readonly Token[], operator: string): Token[][] => {
  const operands: Token[][] = [[]];
  let depth = 0;
  for (const token of parts) {
    if ('({['.includes(token.text)) depth++;
    if (')}]'.includes(token.text)) depth--;
    // What a ?: chooses is no condition.
    if (depth === 0 && token.text === '?') return [[...parts]];
    if (depth === 0 && token.text === operator) operands.push([]);
    else operands.at(-1)?.push(token);
  }
  return operands;
};

/** Does the first parenthesis end at the end? */
const closes = (solid: readonly Token[]): boolean => {
  let depth = 0;
  for (const [at, { text }] of solid.entries()) {
    if (text === '(') depth++;
    if (text === ')') depth--;
    if (depth === 0) return at === solid.length - 1;
  }
  return false;
};

/**
 * Ways that no packet of a test run can take, by the condition that leads there. They are counted as missed, and named
 * beside: what is missed for no such reason is what generated packets should reach.
 */
const excuses: readonly { readonly condition: RegExp; readonly reason: string }[] = [
  {
    reason: 'a pointer that is never NULL, which only the verifier doubts',
    condition:
      /^!(\w+->)?\w+ ?: true$|^(last|path|counter) ?: false$|!address_equal\(&copy->key|copy->key.vni|old->key.(ip|vni)/,
  },
  {
    reason: 'a helper, or what was parsed before, fails only when the kernel is short of memory or the map full',
    condition:
      /^!?(bpf_(skb|l3|l4|map|clone)_|add_option|make_error_room|readdress|readdress_hop|notice_in_place|reply_to_request|arp_reply)\w*\(.*: true$|^(verdict|failed) (!=|==) (CONTINUE|VERDICT_FORWARDED) ?: (true|false)$|^verdict (<|==) VERDICT_(DROP|ANSWERED) ?: false$/,
  },
  {
    reason: 'bounds that hold, which only the verifier doubts',
    condition: /^(offset > HEADERS_MAX|bucket >= SERVICE_BUCKETS).*: true$/,
  },
  {
    reason: 'a test run has no VLAN tags beside the packet, no segments, no second tunnel and no packet in parts',
    condition: /vlan_present: true|EALREADY: |gso_size: false|view.end - view.data < bytes: true/,
  },
];

/** Of a condition; of a statement, the one of the missed condition right before it. */
const excuseOf = (mark: Mark, missed: readonly Mark[]): string | undefined => {
  const find = (what: string): string | undefined => excuses.find(({ condition }) => condition.test(what))?.reason;
  if (mark.kind === 'branch') return find(mark.what);
  const before = missed.findLast(
    ({ kind, file, line }) => kind === 'branch' && file === mark.file && line < mark.line && line >= mark.line - 2,
  );
  return before && find(before.what);
};

export interface Coverage {
  readonly statements: readonly [reached: number, all: number];
  readonly branches: readonly [reached: number, all: number];
  readonly missed: readonly (Mark & { readonly excuse: string | undefined })[];
}

export const coverageOf = (marks: readonly Mark[], seen: Buffer): Coverage => {
  const of = (kind: Mark['kind']): readonly [number, number] => {
    const all = marks.flatMap((mark) => (mark.kind === kind ? [seen[mark.at] ?? 0] : []));
    return [all.filter((one) => one > 0).length, all.length];
  };
  const missed = marks.filter(({ at }) => !seen[at]);
  return {
    statements: of('statement'),
    branches: of('branch'),
    missed: missed.map((mark) => ({ ...mark, excuse: excuseOf(mark, missed) })),
  };
};
