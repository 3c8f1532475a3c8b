import { ChannelCredentials, ServerCredentials } from '@grpc/grpc-js';

/** The one place that decides how connections are protected. Plaintext for now. */
export const serverCredentials = (): ServerCredentials => ServerCredentials.createInsecure();

export const clientCredentials = (): ChannelCredentials => ChannelCredentials.createInsecure();
