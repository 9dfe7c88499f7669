type Listener = (...args: unknown[]) => void;

/** Listeners by name of event. One that throws disturbs nobody: its error goes to the console. */
export class Emitter<Events extends { [name in keyof Events]: unknown[] }> {
  #listeners = new Map<keyof Events, Set<Listener>>();

  /** Returns the function that takes the listener away again. */
  on<Name extends keyof Events>(event: Name, listener: (...args: Events[Name]) => void): () => void {
    const listeners = this.#listeners.get(event) ?? new Set();
    const untyped = listener as unknown as Listener;
    this.#listeners.set(event, listeners.add(untyped));
    return () => void listeners.delete(untyped);
  }

  protected emit<Name extends keyof Events>(event: Name, ...args: Events[Name]): void {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) guarded(() => listener(...args));
  }
}

/** What an application's function throws must not stop the protocol. */
export function guarded(call: () => void): void {
  try {
    call();
  } catch (error) {
    console.error(error);
  }
}
