import { describe, expect, test } from "vitest";
import { type Board, changes, fullness, handledBetween, toBoard } from "../model";

const named = (topic: string, ...partitions: number[]): unknown[] => partitions.map((partition) => ({ topic, partition }));
const place = (partition: number, committed: number | null, lag: number | null): unknown => ({
  topic: "Orders",
  partition,
  committed,
  lag,
  member: null,
});

/** A group whose members have these partitions. */
const boardOf = (shares: Record<string, number[]>, committed: number[] = [0, 0, 0, 0]): Board =>
  toBoard(
    {
      state: "stable",
      members: Object.entries(shares).map(([client, own]) => ({
        member: `id-${client}`,
        client_id: client,
        assigned: named("Orders", ...own),
        revoking: [],
      })),
      partitions: committed.map((offset, partition) => place(partition, offset, 0)),
    },
    "Orders",
    committed.length,
  );

describe("the board of a group", () => {
  test("has every partition of the topic, with who has it, and what is about to move", () => {
    const board = toBoard(
      {
        state: "reconciling",
        members: [
          {
            member: "11112222-3333",
            client_id: "ana",
            assigned: named("Orders", 2),
            revoking: [...named("Orders", 0), ...named("Else", 1)],
          },
          { member: "44445555-6666", client_id: null, assigned: named("Else", 3), revoking: [] },
        ],
        partitions: [place(0, 5, 7), place(2, null, null), { topic: "Else", partition: 1, committed: 9, lag: 9 }],
      },
      "Orders",
      3,
    );
    expect(board).toEqual({
      state: "reconciling",
      members: [
        { id: "11112222-3333", client: "ana", partitions: [0, 2], leaving: [0] },
        { id: "44445555-6666", client: "44445555", partitions: [], leaving: [] },
      ],
      places: [
        { partition: 0, member: "11112222-3333", committed: 5, lag: 7 },
        { partition: 1, member: undefined, committed: undefined, lag: 0 },
        { partition: 2, member: "11112222-3333", committed: undefined, lag: 0 },
      ],
    });
  });

  test("is paused when an operator says so", () => {
    expect(toBoard({ state: "stable", paused: true }, "Orders", 1).state).toBe("paused");
    expect(toBoard({ state: "stable", paused: false }, "Orders", 1).state).toBe("stable");
  });

  test("is empty when there is no group, whatever the answer is", () => {
    for (const answer of [undefined, null, 7, [], { state: "x", members: 1, partitions: [null, 3] }]) {
      const board = toBoard(answer, "Orders", 2);
      expect([board.state, board.members.length, board.places.length]).toEqual(["empty", 0, 2]);
    }
  });
});

describe("what has changed", () => {
  const nameOf = (client: string): string => client.toUpperCase();

  test("is who came and went, and what each one got", () => {
    expect(changes(boardOf({}), boardOf({ ana: [0, 1, 2, 3] }), nameOf)).toEqual([
      "ANA joined",
      "ANA has got 4 partitions: 0, 1, 2, 3",
    ]);
    expect(changes(boardOf({ ana: [0, 1, 2, 3] }), boardOf({ ana: [0, 1], ben: [2, 3] }), nameOf)).toEqual([
      "BEN joined",
      "BEN has got 2 partitions: 2, 3",
    ]);
    expect(changes(boardOf({ ana: [0, 1, 3], ben: [2] }), boardOf({ ana: [0, 1, 2, 3] }), nameOf)).toEqual([
      "BEN is gone",
      "ANA has got 1 partition: 2",
    ]);
    expect(changes(boardOf({ ana: [0] }), boardOf({ ana: [0] }), nameOf)).toEqual([]);
  });

  test("is how many orders were handled: a position that was reset is none", () => {
    expect(handledBetween(boardOf({}, [1, 5, 0]), boardOf({}, [4, 2, 0]))).toBe(3);
    expect(handledBetween(toBoard(undefined, "Orders", 3), boardOf({}, [4, 2, 0]))).toBe(0);
  });
});

test("fullness grows by orders of magnitude, from nothing to everything", () => {
  expect(fullness(0)).toBe(0);
  expect(fullness(9)).toBeCloseTo(0.25);
  expect(fullness(999)).toBeCloseTo(0.75);
  expect(fullness(1e9)).toBe(1);
});
