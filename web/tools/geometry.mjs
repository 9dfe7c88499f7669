// Geometry of the demo data: TopoJSON in, simplified lines out. Positions are [longitude, latitude] in degrees.

const metresPerDegree = 111_320;

/** Metres east and north of `origin`, good enough for one city. */
export function toMetres([lon, lat], origin) {
  return [(lon - origin[0]) * metresPerDegree * Math.cos((origin[1] * Math.PI) / 180), (lat - origin[1]) * metresPerDegree];
}

/** Arcs of a quantised TopoJSON file as lists of positions. */
export function decodeArcs(topology) {
  const { scale, translate } = topology.transform;
  return topology.arcs.map((arc) => {
    let x = 0;
    let y = 0;
    return arc.map(([dx, dy]) => [(x += dx) * scale[0] + translate[0], (y += dy) * scale[1] + translate[1]]);
  });
}

/** One line of the arcs' indexes; ~index means backwards. Arcs share their end points. */
export function joinArcs(indexes, arcs) {
  const line = [];
  for (const index of indexes) {
    const arc = index < 0 ? arcs[~index].slice().reverse() : arcs[index];
    line.push(...(line.length > 0 ? arc.slice(1) : arc));
  }
  return line;
}

/** Douglas-Peucker: drops points nearer than `tolerance` metres to the line without them. */
export function simplify(points, tolerance) {
  if (points.length < 3) return points;
  const metres = points.map((point) => toMetres(point, points[0]));
  const keep = new Set([0, points.length - 1]);
  const ranges = [[0, points.length - 1]];
  while (ranges.length > 0) {
    const [first, last] = ranges.pop();
    let farthest = -1;
    let distance = tolerance;
    for (let index = first + 1; index < last; ++index) {
      const away = distanceToSegment(metres[index], metres[first], metres[last]);
      if (away > distance) [farthest, distance] = [index, away];
    }
    if (farthest < 0) continue;
    keep.add(farthest);
    ranges.push([first, farthest], [farthest, last]);
  }
  return points.filter((_, index) => keep.has(index));
}

function distanceToSegment([px, py], [ax, ay], [bx, by]) {
  const [dx, dy] = [bx - ax, by - ay];
  const length = dx * dx + dy * dy;
  const along = length === 0 ? 0 : Math.max(0, Math.min(1, ((px - ax) * dx + (py - ay) * dy) / length));
  return Math.hypot(px - ax - along * dx, py - ay - along * dy);
}

export function lengthInMetres(points) {
  let sum = 0;
  for (let index = 1; index < points.length; ++index) sum += Math.hypot(...toMetres(points[index], points[index - 1]));
  return sum;
}

/**
 * Long walks through a net of segments: again and again the longest of all shortest paths, until what is left is shorter than
 * `shortest` metres. Ends that lie within `snap` metres of each other are one node.
 */
export function longestRoutes(segments, shortest, snap = 60) {
  const nodes = [];
  const nodeOf = (point) => {
    const known = nodes.findIndex((node) => Math.hypot(...toMetres(point, node)) < snap);
    return known >= 0 ? known : nodes.push(point) - 1;
  };
  let edges = segments
    .map((points) => ({ from: nodeOf(points[0]), to: nodeOf(points.at(-1)), points, length: lengthInMetres(points) }))
    .filter((edge) => edge.from !== edge.to);
  const routes = [];
  for (;;) {
    const route = longestShortestPath(nodes.length, edges);
    if (!route || route.length < shortest) return routes;
    routes.push(
      route.steps.flatMap(({ edge, forward }, index) => {
        const points = forward ? edge.points : edge.points.slice().reverse();
        return index === 0 ? points : points.slice(1);
      }),
    );
    // A parallel track of the same ends goes with it: it would be the same route once more.
    const used = new Set(route.steps.map(({ edge }) => pairOf(edge)));
    edges = edges.filter((edge) => !used.has(pairOf(edge)));
  }
}

const pairOf = ({ from, to }) => (from < to ? `${from}-${to}` : `${to}-${from}`);

function longestShortestPath(nodeCount, edges) {
  const leaving = Array.from({ length: nodeCount }, () => []);
  for (const edge of edges) {
    leaving[edge.from].push({ edge, to: edge.to, forward: true });
    leaving[edge.to].push({ edge, to: edge.from, forward: false });
  }
  let best;
  for (let start = 0; start < nodeCount; ++start) {
    if (leaving[start].length === 0) continue;
    const reached = new Map([[start, { length: 0 }]]);
    const open = new Set([start]);
    while (open.size > 0) {
      const node = [...open].reduce((a, b) => (reached.get(a).length <= reached.get(b).length ? a : b));
      open.delete(node);
      for (const step of leaving[node]) {
        const length = reached.get(node).length + step.edge.length;
        if (length >= (reached.get(step.to)?.length ?? Infinity)) continue;
        reached.set(step.to, { length, step, before: node });
        open.add(step.to);
      }
    }
    for (const [end, { length }] of reached) {
      if (length <= (best?.length ?? 0)) continue;
      const steps = [];
      for (let node = end; node !== start; node = reached.get(node).before) steps.unshift(reached.get(node).step);
      best = { length, steps };
    }
  }
  return best;
}
