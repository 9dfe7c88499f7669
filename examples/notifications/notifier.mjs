#!/usr/bin/env -S node --experimental-websocket
// The group notifications, beside the browsers on the demo pages: tells the chat's room "alerts" who was mentioned, and which driver has
// come into a place.
//
// usage: notifier.mjs [--url ws://127.0.0.1:8080/v1/ws] [--place "NAME,LATITUDE,LONGITUDE,METRES"]     (Node 20.10, no packages)
import { parseArgs } from "node:util";
import { TroupeClient } from "../../web/dist/troupe.js";

const { values: options } = parseArgs({
  options: {
    url: { type: "string", default: "ws://127.0.0.1:8080/v1/ws" },
    place: { type: "string", default: "Trafalgar Square,51.508,-0.128,400" },
  },
});
const [name, ...numbers] = options.place.split(",");
const [latitude, longitude, metres] = numbers.map(Number);

const troupe = new TroupeClient(options.url, { client: "notifier", resumeGrace: 0 });

async function notify(text) {
  await troupe.produce("ChatMessages", { key: "alerts", value: { from: "notifier", text } });
  console.log(text);
}

// Work that fails, or whose process dies, is another member's: what it had not finished comes again there.
const mentions = troupe.join("notifications", "ChatMessages", async ({ key: room, value }) => {
  if (room === "alerts") return;
  for (const [, who] of value.text.matchAll(/@([\p{L}\d_-]+)/gu)) await notify(`@${who}: ${value.from} spoke of you in #${room}`);
});

// A driver's positions are in one partition, in order: who knows where it was is who hears where it is.
const inside = new Map();
const places = troupe.join("geofence", "DriverLocations", async ({ key: driver, value: { lat, lon } }) => {
  const north = (lat - latitude) * 111_320;
  const east = (lon - longitude) * 111_320 * Math.cos((latitude * Math.PI) / 180);
  const is_inside = Math.hypot(north, east) < metres;
  const was_inside = inside.get(driver);
  inside.set(driver, is_inside);
  if (is_inside && was_inside === false) await notify(`${driver} has come to ${name}`);
});

for (const member of [mentions, places]) {
  member.on("assigned", (partitions) => console.log(`${member.group}: assigned ${JSON.stringify(partitions)}`));
  member.on("error", (error) => {
    console.error(`${member.group}: ${error.message}`);
    process.exitCode = 1;
    troupe.close(); // without one of the two it is of no use: a supervisor starts it again
  });
}
process.on("SIGINT", () => {
  troupe.close(); // leaves its groups: the others need not wait
  process.exitCode = 0;
});
