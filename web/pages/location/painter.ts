// Draws the city and what moves in it on one canvas.
import { type Box, boxOf, type CityMap, type Point, View } from "./geometry";
import type { Fleet, Driver } from "./fleet";

interface Palette {
  land: string;
  border: string;
  sea: string;
  label: string;
  ring: string;
  text: string;
  line: string;
  accent: string;
  dark: boolean;
}

const label_font = '12px system-ui, "Segoe UI", Roboto, "Liberation Sans", sans-serif';

export class Painter {
  readonly view = new View();
  readonly #inset = new View();
  #inset_box: Box = { left: 0, top: 0, right: 0, bottom: 0 };
  readonly #context: CanvasRenderingContext2D;
  /** What does not move, painted once for each view. */
  readonly #ground = document.createElement("canvas");
  #ground_is_old = true;
  #palette: Palette;
  #map: CityMap | undefined;
  #colors = new Map<string, string>();
  #width = 0;
  #height = 0;

  constructor(private readonly canvas: HTMLCanvasElement) {
    const context = canvas.getContext("2d");
    if (!context) throw new Error("this browser has no canvas");
    this.#context = context;
    this.#palette = this.readPalette();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.#palette = this.readPalette();
      this.#colors.clear();
      this.#ground_is_old = true;
    });
  }

  set map(map: CityMap) {
    this.#map = map;
    this.#ground_is_old = true;
    this.fit();
  }

  /** Follows the element's size; true when it changed. */
  resize(): boolean {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const ratio = Math.min(devicePixelRatio, 3);
    if (this.canvas.width === Math.round(width * ratio) && this.canvas.height === Math.round(height * ratio)) return false;
    const dx = (width - this.#width) / 2;
    const dy = (height - this.#height) / 2;
    [this.#width, this.#height] = [width, height];
    for (const canvas of [this.canvas, this.#ground]) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    this.view.screen = { x: this.view.screen.x + dx, y: this.view.screen.y + dy };
    this.#place_inset();
    this.#ground_is_old = true;
    return true;
  }

  /** Shows all of London, beside the panel where there is room for it. */
  fit(): void {
    if (!this.#map) return;
    const wide = this.#width > 900;
    const small = this.#width <= 640;
    const right = this.#width - (wide ? 304 : 8);
    const bottom = this.#height - (small ? 190 : 36);
    const shapes = [...this.#map.boroughs.map(({ rings }) => rings), ...this.#map.lines.map(({ paths }) => paths)];
    this.view.fit(boxOf(shapes.flat(2)), { left: wide ? 72 : 8, top: small ? 110 : 16, right, bottom });
    this.changed();
  }

  /** The view is another one. */
  changed(): void {
    this.#ground_is_old = true;
  }

  paint(fleet: Fleet, now: number): void {
    const context = this.#context;
    if (this.#map && this.#ground_is_old) this.#paint_ground(this.#map);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.drawImage(this.#ground, 0, 0);
    this.#scale(context);
    const here = [...fleet.drivers()].filter(({ elsewhere }) => !elsewhere);
    here.sort((a, b) => Number(a === fleet.selected) - Number(b === fleet.selected)); // the selected one above all others
    for (const driver of here) this.#paint_trail(driver, this.view, now);
    for (const driver of here) this.#paint_driver(driver, this.view, now, driver === fleet.selected);
    this.#paint_inset(fleet, now);
  }

  /** The driver at this place of the screen. */
  find(fleet: Fleet, at: Point, now: number): Driver | undefined {
    let best: Driver | undefined;
    let distance = 18;
    for (const driver of fleet.drivers()) {
      const place = (driver.elsewhere ? this.#inset : this.view).toScreen(driver.placeAt(now));
      const away = Math.hypot(place.x - at.x, place.y - at.y);
      if (away < distance) [best, distance] = [driver, away];
    }
    return best;
  }

  /** A line's color, light enough for a dark map. */
  color(name: string): string {
    const known = this.#colors.get(name);
    if (known) return known;
    const color = this.#map?.lines.find((line) => line.name === name)?.color;
    const usable = color ? (this.#palette.dark ? lightened(color) : color) : this.#palette.accent;
    this.#colors.set(name, usable);
    return usable;
  }

  private readPalette(): Palette {
    const style = getComputedStyle(this.canvas);
    const value = (name: string): string => style.getPropertyValue(`--${name}`).trim();
    return {
      land: value("land"),
      border: value("border"),
      sea: value("sea"),
      label: value("label"),
      ring: value("ring"),
      text: value("text"),
      line: value("line"),
      accent: value("accent"),
      dark: matchMedia("(prefers-color-scheme: dark)").matches,
    };
  }

  #scale(context: CanvasRenderingContext2D): void {
    const ratio = this.canvas.width / Math.max(1, this.#width);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
  }

  #paint_ground(map: CityMap): void {
    const context = this.#ground.getContext("2d");
    if (!context) return;
    this.#ground_is_old = false;
    this.#scale(context);
    const { land, border, sea, label } = this.#palette;
    context.fillStyle = sea;
    context.fillRect(0, 0, this.#width, this.#height);
    context.lineJoin = "round";
    context.lineCap = "round";
    context.beginPath();
    for (const { rings } of map.boroughs) for (const ring of rings) trace(context, ring, this.view);
    context.fillStyle = land;
    context.fill("evenodd");
    context.strokeStyle = border;
    context.lineWidth = 1.5;
    context.stroke();
    context.globalAlpha = 0.5;
    context.lineWidth = Math.max(1.5, Math.min(5, this.view.scale / 900));
    for (const { name, paths } of map.lines) {
      context.strokeStyle = this.color(name);
      context.beginPath();
      for (const path of paths) trace(context, path, this.view);
      context.stroke();
    }
    context.globalAlpha = 1;
    if (this.view.scale < 1000) return;
    context.font = label_font;
    context.textAlign = "center";
    context.lineWidth = 3;
    context.strokeStyle = land;
    context.fillStyle = label;
    const taken: Box[] = [];
    for (const { name, label: at, width } of map.boroughs) {
      if (!at) continue;
      const place = this.view.toScreen(at);
      const half = context.measureText(name).width / 2 + 4;
      if (2 * half > width * this.view.scale * 1.25) continue; // it would stand in its neighbours
      const box = { left: place.x - half, top: place.y - 14, right: place.x + half, bottom: place.y + 6 };
      if (taken.some((other) => overlap(box, other))) continue;
      taken.push(box);
      context.strokeText(name, place.x, place.y);
      context.fillText(name, place.x, place.y);
    }
  }

  #paint_trail(driver: Driver, view: View, now: number): void {
    const context = this.#context;
    const points = [...driver.trail, driver.placeAt(now)].map((point) => view.toScreen(point));
    context.strokeStyle = this.color(driver.line);
    context.lineWidth = 3;
    context.lineCap = "round";
    for (let index = 1; index < points.length; ++index) {
      const [from, to] = [points[index - 1] as Point, points[index] as Point];
      context.globalAlpha = (0.65 * index) / points.length;
      context.beginPath();
      context.moveTo(from.x, from.y);
      context.lineTo(to.x, to.y);
      context.stroke();
    }
    context.globalAlpha = 1;
  }

  #paint_driver(driver: Driver, view: View, now: number, selected: boolean): void {
    const context = this.#context;
    const { x, y } = view.toScreen(driver.placeAt(now));
    const radius = selected ? 8 : Math.min(5.5, Math.max(3.5, view.scale / 180)); // small when there is little room
    context.globalAlpha = driver.isStale(now) ? 0.4 : 1;
    if (selected) {
      context.fillStyle = this.color(driver.line);
      context.globalAlpha *= 0.25;
      circle(context, x, y, 18);
      context.globalAlpha = driver.isStale(now) ? 0.4 : 1;
    }
    // A drop that points where the driver is heading.
    const angle = ((driver.heading - 90) * Math.PI) / 180;
    context.beginPath();
    context.moveTo(x + Math.cos(angle) * radius * 1.9, y + Math.sin(angle) * radius * 1.9);
    context.arc(x, y, radius, angle + 0.95, angle - 0.95 + 2 * Math.PI);
    context.closePath();
    context.fillStyle = this.color(driver.line);
    context.strokeStyle = this.#palette.ring;
    context.lineWidth = 2;
    context.stroke();
    context.fill();
    context.globalAlpha = 1;
    if (selected) this.#paint_label(driver.id, x, y - 18);
  }

  #paint_label(text: string, x: number, y: number): void {
    const context = this.#context;
    context.font = `600 ${label_font}`;
    context.textAlign = "center";
    context.lineWidth = 4;
    context.lineJoin = "round";
    context.strokeStyle = this.#palette.ring;
    context.fillStyle = this.#palette.text;
    context.strokeText(text, x, y);
    context.fillText(text, x, y);
  }

  #place_inset(): void {
    const small = this.#width <= 640;
    const [width, height] = small ? [104, 118] : [150, 190];
    const right = this.#width - (small ? 8 : 16);
    const top = small ? 8 : this.#height - height - 40;
    this.#inset_box = { left: right - width, top, right, bottom: top + height };
  }

  /** The boat is far away: she has a frame with a scale of its own. */
  #paint_inset(fleet: Fleet, now: number): void {
    const guests = [...fleet.drivers()].filter(({ elsewhere }) => elsewhere);
    if (!this.#map || guests.length === 0 || this.#height < 420) return;
    const context = this.#context;
    const { left, top, right, bottom } = this.#inset_box;
    this.#inset.fit(boxOf(this.#map.track), { left: left + 14, top: top + 40, right: right - 14, bottom: bottom - 14 });
    context.beginPath();
    context.roundRect(left, top, right - left, bottom - top, 10);
    context.fillStyle = this.#palette.sea;
    context.fill();
    context.strokeStyle = this.#palette.line;
    context.lineWidth = 1;
    context.stroke();
    context.textAlign = "left";
    context.fillStyle = this.#palette.text;
    context.font = `600 ${label_font}`;
    context.fillText(guests[0]?.id ?? "", left + 10, top + 17);
    context.fillStyle = this.#palette.label;
    context.font = label_font.replace("12px", "11px");
    context.fillText("Gulf of Finland", left + 10, top + 31);
    context.strokeStyle = this.#palette.label;
    context.globalAlpha = 0.45;
    context.lineWidth = 1.5;
    context.beginPath();
    trace(context, this.#map.track, this.#inset);
    context.stroke();
    context.globalAlpha = 1;
    for (const guest of guests) {
      this.#paint_trail(guest, this.#inset, now);
      this.#paint_driver(guest, this.#inset, now, false);
      if (guest === fleet.selected) {
        const { x, y } = this.#inset.toScreen(guest.placeAt(now));
        context.strokeStyle = this.color(guest.line);
        context.lineWidth = 2;
        context.beginPath();
        context.arc(x, y, 12, 0, 2 * Math.PI);
        context.stroke();
      }
    }
  }
}

function trace(context: CanvasRenderingContext2D, points: Point[], view: View): void {
  points.forEach((point, index) => {
    const { x, y } = view.toScreen(point);
    if (index === 0) context.moveTo(x, y);
    else context.lineTo(x, y);
  });
}

const overlap = (a: Box, b: Box): boolean => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;

function circle(context: CanvasRenderingContext2D, x: number, y: number, radius: number): void {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

/** Mixed with white until it can be seen on a dark ground. */
function lightened(color: string): string {
  const channels = [1, 3, 5].map((start) => parseInt(color.slice(start, start + 2), 16));
  const [red = 0, green = 0, blue = 0] = channels;
  const brightness = (0.3 * red + 0.59 * green + 0.11 * blue) / 255;
  const white = Math.max(0, Math.min(0.6, (0.55 - brightness) * 1.2));
  return `rgb(${channels.map((channel) => Math.round(channel + (255 - channel) * white)).join(" ")})`;
}
