// Makes web/data from its sources (see web/data/ATTRIBUTION.md): `npm run data`. Needs npm's registry and Debian's package
// `fortunes`. What it writes is committed; run it only to change the data.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { selectChat } from "./chat_selection.mjs";
import { decodeArcs, joinArcs, lengthInMetres, longestRoutes, simplify, toMetres } from "./geometry.mjs";

const data = path.join(import.meta.dirname, "..", "data");
const scratch = mkdtempSync(path.join(tmpdir(), "troupe-data-"));

/** Unpacks one file of an npm package and holds it against its checksum. */
function fromNpm(name, version, file, sha256) {
  const archive = path.join(scratch, `${name}-${version}.tgz`);
  execFileSync("npm", ["pack", `${name}@${version}`, "--silent"], { cwd: scratch, stdio: ["ignore", "ignore", "inherit"] });
  const bytes = execFileSync("tar", ["xzOf", archive, `package/${file}`], { maxBuffer: 1 << 26 });
  return verified(bytes, sha256, `${name} ${file}`);
}

function verified(bytes, sha256, name) {
  const got = createHash("sha256").update(bytes).digest("hex");
  if (got !== sha256) throw new Error(`${name}: sha256 ${got}, wanted ${sha256}`);
  return bytes;
}

function write(name, text) {
  const file = path.join(data, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text.endsWith("\n") ? text : `${text}\n`);
  console.log(`${name}: ${text.length} bytes`);
}

/** JSON with one entry of each array in `value` on a line, so that a diff can be read. */
function jsonLines(value) {
  const parts = Object.entries(value).map(([name, entry]) => {
    if (!Array.isArray(entry)) return `${JSON.stringify(name)}: ${JSON.stringify(entry)}`;
    const groups =
      typeof entry[0] === "object" && !Array.isArray(entry[0]) ? entry.map((one) => JSON.stringify(one)) : wrap(entry);
    return `${JSON.stringify(name)}: [\n${groups.join(",\n")}\n]`;
  });
  return `{\n${parts.join(",\n")}\n}\n`;
}

function wrap(entries) {
  const lines = [];
  for (let index = 0; index < entries.length; index += 12) {
    lines.push(
      entries
        .slice(index, index + 12)
        .map((entry) => JSON.stringify(entry))
        .join(","),
    );
  }
  return lines;
}

const round = (value, digits) => Number(value.toFixed(digits));

// --- the boat's own track ------------------------------------------------------------------------------------------------------

/** Positions [seconds since the first, latitude, longitude] of the GLL sentences. Their unit is 0.001 minute. */
function readTrack(log) {
  const track = [];
  let start;
  for (const line of log.split("\n")) {
    const found = /^\$GPGLL,(\d\d)(\d\d\.\d+),N,(\d{3})(\d\d\.\d+),E,(\d\d)(\d\d)(\d\d),A,/.exec(line);
    if (!found) continue;
    const [latitudeDegrees, latitudeMinutes, longitudeDegrees, longitudeMinutes, hours, minutes, seconds] = found
      .slice(1)
      .map(Number);
    const time = hours * 3600 + minutes * 60 + seconds;
    start ??= time;
    track.push([time - start, latitudeDegrees + latitudeMinutes / 60, longitudeDegrees + longitudeMinutes / 60]);
  }
  return track;
}

/** All positions as differences in 0.001 minute: [latitude, longitude] each, and the seconds where they are not 2. */
function packTrack(track) {
  const milliMinutes = (degrees) => Math.round(degrees * 60_000);
  const steps = [];
  const seconds = [];
  for (let index = 1; index < track.length; ++index) {
    const [before, now] = [track[index - 1], track[index]];
    steps.push(milliMinutes(now[1]) - milliMinutes(before[1]), milliMinutes(now[2]) - milliMinutes(before[2]));
    if (now[0] - before[0] !== 2) seconds.push([index, now[0] - before[0]]);
  }
  const rows = [];
  for (let index = 0; index < steps.length; index += 48) rows.push(steps.slice(index, index + 48).join(","));
  return (
    `{\n"unit": "0.001 minute of arc; steps are latitude, longitude; 2 s each but for seconds_at [index, seconds]",\n` +
    `"start": [${milliMinutes(track[0][1])},${milliMinutes(track[0][2])}],\n"steps": [\n${rows.join(",\n")}\n],\n` +
    `"seconds_at": ${JSON.stringify(seconds)}\n}\n`
  );
}

/** What the receiver's noise adds: metres north and east between a position and the mean of its neighbours. */
function readJitter(track, count) {
  const window = 7;
  const jitter = [];
  for (let index = window; index < track.length - window && jitter.length < count; index += 3) {
    const near = track.slice(index - window, index + window + 1);
    const mean = [1, 2].map((column) => near.reduce((sum, row) => sum + row[column], 0) / near.length);
    const [east, north] = toMetres([track[index][2], track[index][1]], [mean[1], mean[0]]);
    jitter.push([round(north, 2), round(east, 2)]);
  }
  return jitter;
}

// --- London ---------------------------------------------------------------------------------------------------------------------

const colors = {
  Bakerloo: "#b36305",
  Central: "#e32017",
  Circle: "#ffd300",
  DLR: "#00a4a7",
  District: "#00782a",
  "Hammersmith & City": "#f3a9bb",
  Jubilee: "#a0a5a9",
  Metropolitan: "#9b0056",
  Northern: "#46505a",
  Piccadilly: "#1d4fa8",
  Victoria: "#0098d4",
  "Waterloo & City": "#95cdba",
};

function readLines(topology) {
  const arcs = decodeArcs(topology);
  const byName = new Map();
  for (const { id, arcs: indexes } of topology.objects.line.geometries) {
    if (!byName.has(id)) byName.set(id, []);
    byName.get(id).push(joinArcs(indexes, arcs));
  }
  return [...byName].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, segments]) => ({ name, color: colors[name], segments }));
}

/** Integers of 1e-5 degree, each the difference to the one before: small, and drawn by adding up. */
function packLine(points) {
  let before = [0, 0];
  return points.flatMap((point) => {
    const now = point.map((degrees) => Math.round(degrees * 1e5));
    const step = [now[0] - before[0], now[1] - before[1]];
    before = now;
    return step;
  });
}

function makeMap(boroughs, centroids, lines, track) {
  const arcs = decodeArcs(boroughs);
  const names = boroughs.objects.boroughs.geometries.map(({ id }) => id);
  const labels = JSON.parse(centroids).filter(({ name }) => names.includes(name));
  return jsonLines({
    unit: "1e-5 degree, longitude and latitude, differences along each line",
    boroughs: boroughs.objects.boroughs.geometries.map(({ id, type, arcs: polygons }) => {
      const rings = (type === "Polygon" ? [polygons] : polygons).flat();
      const label = labels.find(({ name }) => name === id);
      return {
        name: id,
        label: label ? packLine([[label.cx, label.cy]]) : null,
        rings: rings.map((ring) => packLine(joinArcs(ring, arcs))),
      };
    }),
    lines: lines
      .map(({ name, color, segments }) => ({
        name,
        color,
        paths: longestRoutes(segments, 300).map((path) => packLine(simplify(path, 12))),
      }))
      .filter(({ paths }) => paths.length > 0),
    track: [
      {
        name: "Gulf of Finland",
        path: packLine(
          simplify(
            track.map(([, lat, lon]) => [lon, lat]),
            25,
          ),
        ),
      },
    ],
  });
}

function makeDrivers(lines, track, jitter) {
  const routes = lines.flatMap(({ name, color, segments }) =>
    longestRoutes(segments, 2_000).map((points) => ({
      name,
      color,
      points: simplify(points, 8).map(([lon, lat]) => [round(lon, 5), round(lat, 5)]),
    })),
  );
  const lengths = routes.map(({ points }) => lengthInMetres(points));
  // Forty drivers, shared out by length; at least one on each route.
  const drivers = [];
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const shares = lengths.map((length) => Math.max(1, Math.floor((40 * length) / total)));
  while (shares.reduce((sum, share) => sum + share, 0) < 40) {
    const poorest = lengths
      .map((length, line) => length / shares[line])
      .reduce((best, value, line, all) => (value > all[best] ? line : best), 0);
    ++shares[poorest];
  }
  while (shares.reduce((sum, share) => sum + share, 0) > 40) --shares[shares.indexOf(Math.max(...shares))];
  shares.forEach((share, line) => {
    for (let index = 0; index < share; ++index) {
      const number = drivers.length + 1;
      // 7 to 14 m/s: a car in a quiet street to a fast one; spread without a random source, so that the file can be made again.
      drivers.push({
        id: `driver-${String(number).padStart(2, "0")}`,
        line,
        start: round((index + 0.5) / share, 3),
        speed_mps: round(7 + ((number * 37) % 71) / 10, 1),
      });
    }
  });
  return jsonLines({
    lines: routes,
    jitter,
    drivers,
    track: track
      .filter((_, index) => index % 8 === 0 || index === track.length - 1)
      .map(([time, lat, lon]) => [time, round(lat, 5), round(lon, 5)]),
  });
}

function main() {
  const vega = (file, sha256) => fromNpm("vega-datasets", "3.2.1", `data/${file}`, sha256).toString("utf8");
  const log = fromNpm(
    "signalk-server",
    "2.23.0",
    "samples/plaka.log",
    "c79c2365ece431cb0bf0fa0f60c0a74c6472edfec49cd4baabadf7ac04eac8fe",
  );
  const boroughs = JSON.parse(vega("londonBoroughs.json", "2dfeae7dd8123c57cf652938717ca27470c3684a1671d7f39d8afe518187a80a"));
  const centroids = vega("londonCentroids.json", "97cf9bfbc701f2fc2bad9ce5bc25df4646e8902eac0fe5adc1a2a8a6ba60e231");
  const tube = JSON.parse(vega("londonTubeLines.json", "4f5ac0dd520d6e4663293230db095a4c7730b271f577fe6dd9ca3e1000c13527"));
  const fortunes = verified(
    readFileSync("/usr/share/games/fortunes/knghtbrd"),
    "c25e8373b38a6f159a7b1d336f363d5c962224a6ddcc86279dec47aad3c869b3",
    "fortunes knghtbrd",
  );

  const track = readTrack(log.toString("latin1"));
  const lines = readLines(tube);
  write("plaka-track.json", packTrack(track));
  write("map.json", makeMap(boroughs, centroids, lines, track));
  write("demo/drivers.json", makeDrivers(lines, track, readJitter(track, 600)));
  write(
    "demo/chat.jsonl",
    selectChat(fortunes.toString("latin1"))
      .map((line) => JSON.stringify(line))
      .join("\n"),
  );
}

try {
  main();
} finally {
  rmSync(scratch, { recursive: true });
}
