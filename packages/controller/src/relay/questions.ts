import type { MappingAnswer } from '@megrez/model';
import type { SessionEnded } from './session-ended';

interface Asked {
  readonly resolve: (answer: MappingAnswer) => void;
  readonly reject: (error: Error) => void;
}

/** Questions to one agent that wait for their answers. */
export interface Questions {
  /** `send` gets the question's number. Rejects after the time, or when the session ends. */
  ask(send: (id: number) => void, timeout_ms: number): Promise<MappingAnswer>;
  answered(answer: MappingAnswer): void;
  end(error: SessionEnded): void;
}

export const questions = (host: string): Questions => {
  const asked = new Map<number, Asked>();
  let last = 0;
  return {
    ask: (send, timeout_ms) =>
      new Promise((resolve, reject) => {
        last += 1;
        const id = last;
        const timer = setTimeout(() => {
          asked.delete(id);
          reject(new Error(`host ${host} did not answer within ${timeout_ms} ms`));
        }, timeout_ms);
        asked.set(id, {
          resolve: (answer) => {
            clearTimeout(timer);
            resolve(answer);
          },
          reject: (error) => {
            clearTimeout(timer);
            reject(error);
          },
        });
        send(id);
      }),
    answered: (answer) => {
      asked.get(answer.id)?.resolve(answer);
      asked.delete(answer.id);
    },
    end: (error) => {
      for (const { reject } of asked.values()) reject(error);
      asked.clear();
    },
  };
};
