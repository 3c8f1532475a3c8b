import type { handleBidiStreamingCall } from '@grpc/grpc-js';
import { MegrezError, type SessionRequest, type SessionResponse } from '@megrez/model';
import type { Context } from '../context';
import { toMegrezError, toStatus } from '../server/errors';
import type { Relay } from './relay';
import type { Session } from './session';

/** NodeService.Session: one stream per agent; its first message is Hello. */
export const serveSession =
  (context: Context, relay: Relay): handleBidiStreamingCall<SessionRequest, SessionResponse> =>
  (call) => {
    let session: Session | undefined;
    let opening = false;
    let over = false;
    const fail = (error: unknown): void => {
      if (over) return;
      over = true;
      call.emit('error', toStatus(toMegrezError(error, context.log)));
    };
    const outlet = {
      send: (message: SessionResponse): void => {
        if (!over) call.write(message);
      },
      end: (reason: string): void => {
        fail(
          new MegrezError({
            code: 'UNAVAILABLE',
            reason: 'SESSION_ENDED',
            object: `session ${session?.id ?? ''}`,
            message: reason,
          }),
        );
      },
    };
    const gone = (): void => {
      over = true;
      session?.end('the stream closed');
    };
    call.on('data', (request: SessionRequest) => {
      if (session !== undefined) return session.receive(request);
      // An agent pings from the start, also while it waits for Welcome.
      if (opening && request.message.oneofKind === 'ping') return;
      if (opening || request.message.oneofKind !== 'hello') {
        return fail(
          new MegrezError({
            code: 'INVALID_ARGUMENT',
            reason: 'HELLO_EXPECTED',
            object: 'session',
            message: 'a session begins with Hello, and waits for Welcome',
          }),
        );
      }
      opening = true;
      relay.open(request.message.hello, outlet).then((opened) => {
        session = opened;
        if (over) opened.end('the stream closed');
      }, fail);
    });
    call.on('end', () => {
      gone();
      call.end();
    });
    call.on('cancelled', gone);
    call.on('error', gone);
  };
