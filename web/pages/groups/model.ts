// What `/v1/groups/{group}` says, as the page shows it; and what has changed, in words.

export interface Member {
  id: string;
  /** What it calls itself. */
  client: string;
  partitions: number[];
  /** Of these, the ones that it is about to give up. */
  leaving: number[];
}

export interface Place {
  partition: number;
  /** The member that has it. */
  member: string | undefined;
  /** The next offset, when one is committed. */
  committed: number | undefined;
  lag: number;
}

export interface Board {
  state: "empty" | "reconciling" | "stable" | "paused";
  members: Member[];
  places: Place[];
}

type Json = Record<string, unknown>;
const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value);
const list = (value: unknown): Json[] => (Array.isArray(value) ? value.filter(isObject) : []);
const text = (value: unknown): string => (typeof value === "string" ? value : "");
const number = (value: unknown): number | undefined => (typeof value === "number" ? value : undefined);

const numbersOf = (value: unknown, topic: string): number[] =>
  list(value)
    .filter((one) => one.topic === topic)
    .flatMap((one) => number(one.partition) ?? []);

/** `count`: the topic's partitions, of which the group may not know all yet. `answer`: undefined when there is no group. */
export function toBoard(answer: unknown, topic: string, count: number): Board {
  const group = isObject(answer) ? answer : {};
  const places = Array.from({ length: count }, (_, partition): Place => {
    const found = list(group.partitions).find((one) => one.topic === topic && one.partition === partition);
    return {
      partition,
      member: text(found?.member) || undefined,
      committed: number(found?.committed),
      lag: number(found?.lag) ?? 0,
    };
  });
  const members = list(group.members).map((one): Member => {
    const id = text(one.member);
    const leaving = numbersOf(one.revoking, topic);
    const partitions = new Set([...numbersOf(one.assigned, topic), ...leaving]);
    return { id, client: text(one.client_id) || id.slice(0, 8), partitions: [...partitions].sort((a, b) => a - b), leaving };
  });
  for (const place of places) place.member = members.find((one) => one.partitions.includes(place.partition))?.id;
  const known = group.state === "stable" || group.state === "reconciling" ? group.state : "empty";
  return { state: group.paused === true ? "paused" : known, members, places };
}

/** "3 partitions", "1 partition" */
export const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`;

/** Who came and went, and what moved from whom to whom. */
export function changes(before: Board, after: Board, nameOf: (client: string) => string): string[] {
  const said: string[] = [];
  const known = (board: Board, id: string): boolean => board.members.some((one) => one.id === id);
  for (const one of after.members) if (!known(before, one.id)) said.push(`${nameOf(one.client)} joined`);
  for (const one of before.members) if (!known(after, one.id)) said.push(`${nameOf(one.client)} is gone`);
  for (const one of after.members) {
    const had = before.members.find((other) => other.id === one.id)?.partitions ?? [];
    const got = one.partitions.filter((partition) => !had.includes(partition));
    if (got.length > 0) said.push(`${nameOf(one.client)} has got ${counted(got.length, "partition")}: ${got.join(", ")}`);
  }
  return said;
}

/** Orders handled between two boards. */
export const handledBetween = (before: Board, after: Board): number =>
  after.places.reduce((sum, { partition, committed }) => {
    const was = before.places[partition]?.committed;
    return sum + (was === undefined || committed === undefined ? 0 : Math.max(0, committed - was));
  }, 0);

/** How full a partition is shown to be: 0 to 1, by orders of magnitude up to 10,000. */
export const fullness = (lag: number): number => Math.min(1, Math.log10(1 + lag) / 4);
