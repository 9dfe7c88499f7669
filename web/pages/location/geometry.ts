// The city as data: decoded once, drawn often.

/** A point of the plane the map is drawn in: x grows east, y south, both in degrees of latitude. */
export interface Point {
  x: number;
  y: number;
}

export interface Box {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

export interface CityMap {
  boroughs: { name: string; label: Point | undefined; width: number; rings: Point[][] }[];
  lines: { name: string; color: string; paths: Point[][] }[];
  /** Where the boat sailed. */
  track: Point[];
}

interface Packed {
  boroughs: { name: string; label: number[] | null; rings: number[][] }[];
  lines: { name: string; color: string; paths: number[][] }[];
  track: { path: number[] }[];
}

/** Everything north of it is not London, and is drawn in the inset. */
const london_north = 53;
const squeeze = { london: Math.cos((51.5 * Math.PI) / 180), elsewhere: Math.cos((60 * Math.PI) / 180) };

export const isLondon = (latitude: number): boolean => latitude < london_north;

export function project(longitude: number, latitude: number): Point {
  return { x: longitude * (isLondon(latitude) ? squeeze.london : squeeze.elsewhere), y: -latitude };
}

/** Integers of 1e-5 degree, longitude and latitude in turn, each the difference to the one before. */
function unpack(steps: number[]): Point[] {
  const points: Point[] = [];
  let longitude = 0;
  let latitude = 0;
  for (let index = 0; index + 1 < steps.length; index += 2) {
    longitude += steps[index] as number;
    latitude += steps[index + 1] as number;
    points.push(project(longitude / 1e5, latitude / 1e5));
  }
  return points;
}

export async function loadMap(url: string): Promise<CityMap> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  const packed = (await response.json()) as Packed;
  return {
    boroughs: packed.boroughs.map(({ name, label, rings: packed_rings }) => {
      const rings = packed_rings.map(unpack);
      const { left, right } = boxOf(rings.flat());
      return { name, label: label ? unpack(label)[0] : undefined, width: right - left, rings };
    }),
    lines: packed.lines.map(({ name, color, paths }) => ({ name, color, paths: paths.map(unpack) })),
    track: packed.track.flatMap(({ path }) => unpack(path)),
  };
}

export function boxOf(points: Point[]): Box {
  const xs = points.map(({ x }) => x);
  const ys = points.map(({ y }) => y);
  return { left: Math.min(...xs), top: Math.min(...ys), right: Math.max(...xs), bottom: Math.max(...ys) };
}

/** Which part of the plane is seen, and where on the screen. All lengths on the screen are CSS pixels. */
export class View {
  scale = 1;
  center: Point = { x: 0, y: 0 };
  screen: Point = { x: 0, y: 0 };

  toScreen({ x, y }: Point): Point {
    return { x: this.screen.x + (x - this.center.x) * this.scale, y: this.screen.y + (y - this.center.y) * this.scale };
  }

  /** Shows all of `box` inside `window`. */
  fit(box: Box, window: Box): void {
    this.screen = { x: (window.left + window.right) / 2, y: (window.top + window.bottom) / 2 };
    this.center = { x: (box.left + box.right) / 2, y: (box.top + box.bottom) / 2 };
    this.scale = Math.min(
      (window.right - window.left) / (box.right - box.left),
      (window.bottom - window.top) / (box.bottom - box.top),
    );
  }

  move(dx: number, dy: number): void {
    this.center = { x: this.center.x - dx / this.scale, y: this.center.y - dy / this.scale };
  }

  /** Zooms so that the point of the plane under `at` stays where it is. */
  zoom(factor: number, at: Point): void {
    const scale = Math.min(60_000, Math.max(300, this.scale * factor));
    this.move((at.x - this.screen.x) * (1 - scale / this.scale), (at.y - this.screen.y) * (1 - scale / this.scale));
    this.scale = scale;
  }
}
