import {
  DuplexStreamingCall,
  type RpcInterceptor,
  type RpcOutputStream,
  ServerStreamingCall,
  UnaryCall,
} from '@protobuf-ts/runtime-rpc';

/** An interceptor through which every call fails only with what `translate` makes; unary calls get a deadline. */
export const translating = (translate: (error: unknown) => Error, deadline_ms: number | undefined): RpcInterceptor => {
  const promise = <T>(source: Promise<T>): Promise<T> => {
    const translated = source.catch((error: unknown) => {
      throw translate(error);
    });
    // A call has four promises, and whoever awaits one of them has seen the failure.
    translated.catch(() => {});
    return translated;
  };

  const stream = <T extends object>(source: RpcOutputStream<T>): RpcOutputStream<T> => ({
    onNext: (callback) =>
      source.onNext((message, error, complete) => callback(message, error && translate(error), complete)),
    onMessage: (callback) => source.onMessage(callback),
    onComplete: (callback) => source.onComplete(callback),
    onError: (callback) => source.onError((error) => callback(translate(error))),
    async *[Symbol.asyncIterator]() {
      try {
        yield* source;
      } catch (error) {
        throw translate(error);
      }
    },
  });

  return {
    interceptUnary(next, method, input, options) {
      const call = next(method, input, { ...options, timeout: options.timeout ?? deadline_ms });
      return new UnaryCall(
        call.method,
        call.requestHeaders,
        call.request,
        promise(call.headers),
        promise(call.response),
        promise(call.status),
        promise(call.trailers),
      );
    },
    interceptServerStreaming(next, method, input, options) {
      const call = next(method, input, options);
      return new ServerStreamingCall(
        call.method,
        call.requestHeaders,
        call.request,
        promise(call.headers),
        stream(call.responses),
        promise(call.status),
        promise(call.trailers),
      );
    },
    interceptDuplex(next, method, options) {
      const call = next(method, options);
      return new DuplexStreamingCall(
        call.method,
        call.requestHeaders,
        call.requests,
        promise(call.headers),
        stream(call.responses),
        promise(call.status),
        promise(call.trailers),
      );
    },
  };
};
