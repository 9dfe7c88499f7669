// The drivers as the page knows them: last position of each, and a little of where it was.
import type { TroupeRecord } from "../../client/troupe";
import { isLondon, type Point, project } from "./geometry";

/** The value of a record of DriverLocations. */
interface Position {
  lat: number;
  lon: number;
  /** m/s */
  speed: number;
  /** Degrees clockwise from north. */
  heading: number;
  line: string;
  /** ms since 1970 */
  at: number;
}

const trail_length = 24;
const stale_after_ms = 15_000;

const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class Driver {
  line = "";
  heading = 0;
  speed = 0;
  latitude = 0;
  longitude = 0;
  at = 0;
  received = 0;
  elsewhere = false;
  trail: Point[] = [];
  #from: Point = { x: 0, y: 0 };
  #to: Point = { x: 0, y: 0 };
  #glide_ms = 0;

  constructor(readonly id: string) {}

  update(position: Position, now: number): void {
    const first = this.received === 0;
    const to = project(position.lon, position.lat);
    const elsewhere = !isLondon(position.lat);
    this.#from = first || elsewhere !== this.elsewhere || calm.matches ? to : this.placeAt(now);
    // The dot arrives when the next position is due, so that it does not stop and go.
    this.#glide_ms = first ? 0 : Math.min(1_500, Math.max(100, now - this.received));
    if (!first) this.trail.push(this.#to);
    if (this.trail.length > trail_length) this.trail.shift();
    if (elsewhere !== this.elsewhere || Math.hypot(to.x - this.#to.x, to.y - this.#to.y) > 0.03) {
      this.trail = []; // it jumped: there is no way in between
      this.#from = to;
    }
    this.#to = to;
    this.elsewhere = elsewhere;
    this.received = now;
    [this.line, this.speed, this.heading] = [position.line, position.speed, position.heading];
    [this.latitude, this.longitude, this.at] = [position.lat, position.lon, position.at];
  }

  placeAt(now: number): Point {
    const part = this.#glide_ms === 0 ? 1 : Math.min(1, (now - this.received) / this.#glide_ms);
    return { x: this.#from.x + (this.#to.x - this.#from.x) * part, y: this.#from.y + (this.#to.y - this.#from.y) * part };
  }

  isStale(now: number): boolean {
    return now - this.received > stale_after_ms;
  }
}

export class Fleet {
  selected: Driver | undefined;
  readonly #drivers = new Map<string, Driver>();
  #arrivals: { at: number; age: number }[] = [];

  get size(): number {
    return this.#drivers.size;
  }

  drivers(): Iterable<Driver> {
    return this.#drivers.values();
  }

  get(id: string): Driver | undefined {
    return this.#drivers.get(id);
  }

  /** Takes a record in; tells whether the set of drivers changed. What is no position is left out. */
  take({ key, value, deleted, phase }: TroupeRecord, now: number): boolean {
    if (typeof key !== "string") return false;
    if (deleted) {
      if (this.selected?.id === key) this.selected = undefined;
      return this.#drivers.delete(key);
    }
    if (!isPosition(value)) return false;
    const known = this.#drivers.get(key);
    const driver = known ?? new Driver(key);
    this.#drivers.set(key, driver);
    driver.update(value, now);
    if (phase === "live") this.#arrivals.push({ at: now, age: Math.max(0, Date.now() - value.at) });
    return !known;
  }

  /** Updates per second and their median age in ms, of the last ten seconds. */
  figures(now: number): { rate: number; age: number | undefined } {
    this.#arrivals = this.#arrivals.filter(({ at }) => now - at < 10_000);
    const ages = this.#arrivals.map(({ age }) => age).sort((a, b) => a - b);
    const recent = this.#arrivals.filter(({ at }) => now - at < 3_000);
    const seconds = Math.max(1, Math.min(3, (now - (this.#arrivals[0]?.at ?? now)) / 1000)); // the first seconds are fewer
    return { rate: Math.round(recent.length / seconds), age: ages[ages.length >> 1] };
  }
}

function isPosition(value: unknown): value is Position {
  if (typeof value !== "object" || value === null) return false;
  const fields = value as Record<string, unknown>;
  return (
    ["lat", "lon", "speed", "heading", "at"].every((name) => Number.isFinite(fields[name])) && typeof fields.line === "string"
  );
}
