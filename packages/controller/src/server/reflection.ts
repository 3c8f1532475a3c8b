import { type handleBidiStreamingCall, type Server, status } from '@grpc/grpc-js';
import { type DescribedFile, describedFiles } from '../gen/descriptors';
import type { ServerReflectionRequest, ServerReflectionResponse } from '../gen/grpc/reflection/v1/reflection';
import { serverReflectionDefinition } from '../gen/grpc/reflection/v1/reflection.grpc-server';
import { serverReflectionDefinition as alphaDefinition } from '../gen/grpc/reflection/v1alpha/reflection.grpc-server';

/** Server reflection, both versions that tools ask for (their messages are the same). */
export const addReflection = (server: Server): void => {
  server.addService(serverReflectionDefinition, { serverReflectionInfo: serve });
  server.addService(alphaDefinition, { serverReflectionInfo: serve });
};

const byName = new Map(describedFiles.map((file) => [file.name, file]));
const bySymbol = new Map(describedFiles.flatMap((file) => file.symbols.map((symbol) => [symbol, file] as const)));
const services = describedFiles.flatMap((file) => file.services).sort();

const serve: handleBidiStreamingCall<ServerReflectionRequest, ServerReflectionResponse> = (call) => {
  call.on('data', (request: ServerReflectionRequest) => {
    call.write({ validHost: request.host, originalRequest: request, messageResponse: answer(request) });
  });
  call.on('end', () => call.end());
};

type Answer = ServerReflectionResponse['messageResponse'];

const answer = ({ messageRequest: asked }: ServerReflectionRequest): Answer => {
  switch (asked.oneofKind) {
    case 'listServices':
      return {
        oneofKind: 'listServicesResponse',
        listServicesResponse: { service: services.map((name) => ({ name })) },
      };
    case 'fileByFilename':
      return fileAnswer(byName.get(asked.fileByFilename), asked.fileByFilename);
    case 'fileContainingSymbol':
      return fileAnswer(bySymbol.get(asked.fileContainingSymbol), asked.fileContainingSymbol);
    case 'allExtensionNumbersOfType':
      return {
        oneofKind: 'allExtensionNumbersResponse',
        allExtensionNumbersResponse: { baseTypeName: asked.allExtensionNumbersOfType, extensionNumber: [] },
      };
    default:
      return failure(status.NOT_FOUND, 'there are no extensions');
  }
};

const fileAnswer = (file: DescribedFile | undefined, what: string): Answer => {
  if (file === undefined) return failure(status.NOT_FOUND, `${what} is not known here`);
  return {
    oneofKind: 'fileDescriptorResponse',
    fileDescriptorResponse: {
      fileDescriptorProto: withDependencies(file).map(({ descriptor }) => Buffer.from(descriptor, 'base64')),
    },
  };
};

/** The file first, then everything that it needs. */
const withDependencies = (file: DescribedFile): readonly DescribedFile[] => {
  const found = new Set([file]);
  for (const each of found) {
    for (const name of each.dependencies) {
      const dependency = byName.get(name);
      if (dependency !== undefined) found.add(dependency);
    }
  }
  return [...found];
};

const failure = (errorCode: number, errorMessage: string): Answer => ({
  oneofKind: 'errorResponse',
  errorResponse: { errorCode, errorMessage },
});
