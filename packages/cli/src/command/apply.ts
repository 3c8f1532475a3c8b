import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { Io } from '../io';
import { differences, type Wanted, wantedObjects } from '../manifest';
import { patience, withSession } from '../session';

interface Flags {
  readonly file: string;
}

const example = `
Example:
  megrez apply -f acme.yaml

A file:
  kind: vpc
  name: acme
  cidrs: [10.0.0.0/16]
  ---
  kind: subnet
  vpc: acme
  name: web
  cidrs: [10.0.1.0/24]
  ---
  kind: endpoint
  vpc: acme
  subnet: web
  name: a
  host: h1`;

export const apply = (program: Command, io: Io): void => {
  program
    .command('apply')
    .description('create what a file names and is not there yet; refuse what is there and differs')
    .requiredOption('-f, --file <file>', 'YAML documents; - reads the standard input')
    .addHelpText('after', example)
    .action((flags: Flags, command: Command) =>
      withSession(
        command,
        io,
        async (session) => {
          const { parseAllDocuments } = await import('../yaml');
          const text = await readFile(flags.file === '-' ? '/dev/stdin' : flags.file, 'utf8');
          const documents = parseAllDocuments(text).map((document) => {
            for (const error of document.errors) throw error;
            return document.toJS() as unknown;
          });
          const wanted = wantedObjects(
            documents.filter((document) => document !== null),
            session,
          );
          for (const object of wanted) io.stdout(`${object.object} ${await reach(object, session.model)}\n`);
        },
        patience.cascade_ms,
      ),
    );
};

const reach = async (wanted: Wanted, model: typeof import('@megrez/model')): Promise<'created' | 'unchanged'> => {
  const present = await wanted.get().catch((error: unknown) => {
    if (error instanceof model.MegrezError && error.code === 'NOT_FOUND') return undefined;
    throw error;
  });
  if (present === undefined) {
    await wanted.create();
    return 'created';
  }
  const names = differences(wanted.fields, present);
  if (names.length === 0) return 'unchanged';
  throw new model.MegrezError({
    code: 'FAILED_PRECONDITION',
    reason: 'DIFFERS',
    object: wanted.object,
    message: `${wanted.object} exists with another ${names.join(', ')}: change the file, or delete the object first`,
  });
};
