import type * as Model from '@megrez/model';
import type {
  CreateEndpointRequest,
  CreateServiceRequest,
  CreateSubnetRequest,
  CreateVpcRequest,
  Endpoint,
  MegrezError,
  Service,
  Subnet,
  Vpc,
} from '@megrez/model';
import type { Jsonable } from './output';
import type { Session } from './session';

/** One object that a file asks for. */
export interface Wanted {
  /** As errors call it, e.g. `subnet acme/web`. */
  readonly object: string;
  /** Fails with NOT_FOUND when there is none. */
  readonly get: () => Promise<object>;
  readonly create: () => Promise<unknown>;
  /** The fields that the file names, as the API spells them. */
  readonly fields: Readonly<Record<string, unknown>>;
}

const order = ['vpc', 'subnet', 'endpoint', 'service'] as const;
type Kind = (typeof order)[number];

/** Fields of a request that are no property of the object. */
const wishes = ['requestId', 'timeoutMs'];

/**
 * The objects of a file's YAML documents, VPCs first: `kind` (vpc, subnet, endpoint or service) and the fields of the create
 * request in proto JSON.
 * @throws MegrezError INVALID_ARGUMENT / INVALID_MANIFEST
 */
export const wantedObjects = (documents: readonly unknown[], session: Session): readonly Wanted[] => {
  const { model } = session;
  const refuse = (number: number, message: string): MegrezError =>
    new model.MegrezError({
      code: 'INVALID_ARGUMENT',
      reason: 'INVALID_MANIFEST',
      object: `document ${number}`,
      message,
    });
  const entries = documents.map((document, i) => {
    if (typeof document !== 'object' || document === null || Array.isArray(document)) {
      throw refuse(i + 1, 'a document is a map with a kind and the fields of an object');
    }
    const { kind, ...fields } = document as Record<string, unknown>;
    if (!order.includes(kind as Kind)) throw refuse(i + 1, `kind is one of ${order.join(', ')}, not ${String(kind)}`);
    try {
      return { kind: kind as Kind, wanted: makers[kind as Kind](fields, session) };
    } catch (error) {
      throw refuse(i + 1, (error as Error).message);
    }
  });
  return order.flatMap((kind) => entries.filter((entry) => entry.kind === kind).map((entry) => entry.wanted));
};

/** What protobuf's runtime takes for JSON. */
type Json = Parameters<typeof Model.Vpc.fromJson>[0];

type Fields = Readonly<Record<string, unknown>>;

const makers: Readonly<Record<Kind, (fields: Fields, session: Session) => Wanted>> = {
  vpc: (fields, { client, model }) => {
    const request: CreateVpcRequest = model.CreateVpcRequest.fromJson(fields as Json);
    return {
      object: model.objectName.vpc(request.name),
      get: async () => json<Vpc>(model.Vpc, (await client.provisioning.getVpc(request)).response),
      create: () => client.provisioning.createVpc(request).response,
      fields,
    };
  },
  subnet: (fields, { client, model }) => {
    const request: CreateSubnetRequest = model.CreateSubnetRequest.fromJson(fields as Json);
    return {
      object: model.objectName.subnet(request.vpc, request.name),
      get: async () => json<Subnet>(model.Subnet, (await client.provisioning.getSubnet(request)).response),
      create: () => client.provisioning.createSubnet(request).response,
      fields,
    };
  },
  endpoint: (fields, { client, model }) => {
    const request: CreateEndpointRequest = model.CreateEndpointRequest.fromJson(fields as Json);
    return {
      object: model.objectName.endpoint(request.vpc, request.subnet, request.name),
      get: async () => json<Endpoint>(model.Endpoint, (await client.provisioning.getEndpoint(request)).response),
      create: () => client.provisioning.createEndpoint(request).response,
      fields,
    };
  },
  service: (fields, { client, model }) => {
    const request: CreateServiceRequest = model.CreateServiceRequest.fromJson(fields as Json);
    return {
      object: model.objectName.service(request.vpc, request.subnet, request.name),
      get: async () => json<Service>(model.Service, (await client.provisioning.getService(request)).response),
      create: () => client.provisioning.createService(request).response,
      fields,
    };
  },
};

const json = <T extends object>(type: Jsonable<T>, message: T): object =>
  type.toJson(message, { emitDefaultValues: true }) as object;

/** The fields in which an object is not what the file asks for. */
export const differences = (fields: Wanted['fields'], present: object): readonly string[] =>
  Object.keys(fields).filter((name) => !wishes.includes(name) && !includes((present as Fields)[name], fields[name]));

/** Maps may hold more than is asked for; a 64-bit number is a text. */
const includes = (present: unknown, asked: unknown): boolean => {
  if (typeof asked !== 'object' || asked === null) return String(present) === String(asked);
  if (typeof present !== 'object' || present === null) return false;
  if (Array.isArray(asked)) {
    return (
      Array.isArray(present) && present.length === asked.length && asked.every((item, i) => includes(present[i], item))
    );
  }
  return Object.entries(asked).every(([name, value]) => includes((present as Fields)[name], value));
};
