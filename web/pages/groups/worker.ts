// One member of the group, in a thread of its own: ending the thread is what kill -9 is to a process.
import { type Partitions, TroupeClient } from "../../client/troupe";

/** From the page. */
export interface Orders {
  client: string;
  group: string;
  topic: string;
  work_ms: number;
  grace_ms: number;
}
export type ToWorker = { begin: Orders } | { leave: true };
/** To the page: what happened to these partitions, or that the membership has ended. */
export type FromWorker = { done: number } | { assigned: number[] } | { ended: string };

const say = (what: FromWorker): void => globalThis.postMessage(what);

let client: TroupeClient | undefined;

globalThis.addEventListener("message", ({ data }: MessageEvent<ToWorker>) => {
  if ("begin" in data) begin(data.begin);
  else client?.close();
});

function begin({ client: name, group, topic, work_ms, grace_ms }: Orders): void {
  client = new TroupeClient("/v1/ws", { client: name, resumeGrace: grace_ms });
  const work = async ({ partition }: { partition: number }): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, work_ms));
    say({ done: partition });
  };
  const member = client.join(group, topic, work, { otherwise: "earliest", credit: { msgs: 50 } });
  member.on("assigned", (partitions: Partitions) => say({ assigned: partitions[topic] ?? [] }));
  member.on("error", (error) => say({ ended: error.message }));
}
