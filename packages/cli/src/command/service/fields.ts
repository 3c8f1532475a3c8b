import type * as Model from '@megrez/model';
import type { Affinity, Refusal, ServiceBackend, ServicePort } from '@megrez/model';
import { InvalidArgumentError, Option } from 'commander';

/** As written on the command line: `80`, `80/udp`, `80:8080`, `80:8080/tcp`. */
export interface PortText {
  readonly listen: number;
  readonly target: number;
  readonly protocol: 'tcp' | 'udp';
}

/** `acme/web/a` or `acme/web/a=50`. */
export interface BackendText {
  readonly path: string;
  /** 0 stands for an ordinary one (100). */
  readonly weight: number;
}

const isPort = (port: number): boolean => port >= 1 && port <= 65_535;

export const parsePort = (text: string): PortText => {
  const match = /^(\d{1,5})(?::(\d{1,5}))?(?:\/(tcp|udp))?$/.exec(text);
  const listen = Number(match?.[1]);
  const target = Number(match?.[2] ?? match?.[1]);
  if (match === null || !isPort(listen) || !isPort(target)) {
    throw new InvalidArgumentError('Write LISTEN[:TARGET][/tcp|udp] with ports from 1 to 65535, e.g. 80:8080/tcp.');
  }
  return { listen, target, protocol: (match[3] ?? 'tcp') as PortText['protocol'] };
};

export const parseBackend = (text: string): BackendText => {
  const match = /^([^=]+)(?:=(\d{1,9}))?$/.exec(text);
  const weight = match?.[2] === undefined ? 0 : Number(match[2]);
  if (match === null || (match[2] !== undefined && weight === 0)) {
    throw new InvalidArgumentError('Write VPC/SUBNET/ENDPOINT[=WEIGHT] with a weight from 1 on, e.g. acme/web/a=50.');
  }
  return { path: match[1] as string, weight };
};

/** An option that may be given several times, or once with commas. */
const many = (flags: string, description: string, parse: (text: string) => object): Option =>
  new Option(flags, `${description} (repeatable)`).argParser(
    (text: string, previous: readonly object[] | undefined) => [
      ...(previous ?? []),
      ...text
        .split(',')
        .filter((part) => part !== '')
        .map(parse),
    ],
  );

export const portOption = (flags: string, description: string): Option => many(flags, description, parsePort);
export const backendOption = (flags: string, description: string): Option => many(flags, description, parseBackend);

/** The messages of what the command line says; `model` is passed because commands load it when they run. */
export const portsOf = (ports: readonly PortText[], { Protocol }: typeof Model): ServicePort[] =>
  ports.map(({ listen, target, protocol }) => ({
    listen,
    target,
    protocol: protocol === 'udp' ? Protocol.UDP : Protocol.TCP,
  }));

/** @throws MegrezError INVALID_ARGUMENT / OTHER_VPC for an endpoint that the service's VPC does not have */
export const backendsOf = (
  backends: readonly BackendText[],
  vpc: string,
  { MegrezError, objectName, parseEndpointPath, ServiceBackend }: typeof Model,
): ServiceBackend[] =>
  backends.map(({ path, weight }) => {
    const { vpc: other, subnet, name } = parseEndpointPath(path);
    if (other !== vpc) {
      throw new MegrezError({
        code: 'INVALID_ARGUMENT',
        reason: 'OTHER_VPC',
        object: objectName.endpoint(other, subnet, name),
        message: `a service of vpc ${vpc} cannot have a backend in vpc ${other}`,
      });
    }
    return ServiceBackend.create({ subnet, endpoint: name, weight });
  });

export const affinities = ['none', 'client-ip'] as const;

export const affinityOf = (text: (typeof affinities)[number] | undefined, { Affinity }: typeof Model): Affinity => {
  if (text === undefined) return Affinity.UNSPECIFIED;
  return text === 'none' ? Affinity.NONE : Affinity.CLIENT_IP;
};

export const refusals = ['tell', 'drop'] as const;

export const refusalOf = (text: (typeof refusals)[number] | undefined, { Refusal }: typeof Model): Refusal => {
  if (text === undefined) return Refusal.UNSPECIFIED;
  return text === 'tell' ? Refusal.TELL : Refusal.DROP;
};

export const affinityOption = (): Option =>
  new Option('--affinity <kind>', 'what is pinned to a backend: a flow, or a client').choices(affinities);

export const refusalOption = (): Option =>
  new Option('--refusal <kind>', 'while there is no backend clients are told so, or dropped').choices(refusals);
