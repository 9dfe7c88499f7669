// What the pages promise, case by case. Each gets {browser, server, tabs, screenshots} and returns nothing, or why it was skipped.
import assert from "node:assert/strict";
import path from "node:path";
import { setInterval } from "node:timers/promises";

const chat_topic = "ChatMessages";

/** A tab with a fresh profile, and everything in it that must not happen. */
async function openTab(context, options = {}) {
  const profile = await context.browser.newContext({
    viewport: { width: 1280, height: 800 },
    ...options,
  });
  const page = await profile.newPage();
  const wrong = [];
  const origin = new URL(context.server.url);
  const isOurs = (url) => ["data:", "blob:"].includes(new URL(url).protocol) || new URL(url).host === origin.host;
  page.on("request", (request) => !isOurs(request.url()) && wrong.push(`external request: ${request.url()}`));
  page.on("websocket", (socket) => !isOurs(socket.url()) && wrong.push(`external socket: ${socket.url()}`));
  page.on("pageerror", (error) => wrong.push(`exception: ${error.stack}`));
  page.on("console", (message) => {
    // A refused connection is what a killed server looks like, and the browser says so.
    if (message.type() === "error" && !/ERR_CONNECTION|ERR_INTERNET_DISCONNECTED|WebSocket connection/.test(message.text()))
      wrong.push(message.text());
  });
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) =>
      console.error(`CSP violation: ${event.violatedDirective} ${event.blockedURI}`),
    );
  });
  const tab = {
    page,
    profile,
    wrong,
    go: (address) => page.goto(`${context.server.url}${address}`, { waitUntil: "load" }),
    text: (id) => page.locator(`#${id}`).textContent(),
    waitForText: (id, pattern, timeout = 10_000) =>
      page.waitForFunction(
        ([name, source]) => new RegExp(source).test(document.getElementById(name)?.textContent ?? ""),
        [id, pattern.source],
        { timeout },
      ),
    shoot: (name) => context.screenshots && page.screenshot({ path: path.join(context.screenshots, `${name}.png`) }),
    close: () => profile.close(),
  };
  context.tabs.push(tab);
  return tab;
}

const open = (tab) =>
  tab.page.waitForSelector('#connection[data-state="open"]', {
    timeout: 30_000,
  });

/** The texts of the chat's messages, as they stand there; those still on their way left out. */
const messagesOf = (tab, prefix = "") =>
  tab.page.$$eval(
    "#messages .text",
    (items, start) => items.map((item) => item.textContent).filter((text) => text.startsWith(start)),
    prefix,
  );

const write = async (tab, text) => {
  await tab.page.fill("#text", text);
  await tab.page.press("#text", "Enter");
};

/** Room names nobody used before: the log outlives a run. */
let rooms = 0;
const freshRoom = () => `test-${process.pid}-${Date.now().toString(36)}-${++rooms}`;

const numbered = (count) => Array.from({ length: count }, (_, index) => `message ${index}`);

export function makeCases({ until, WebSocket, TroupeClient, axe }) {
  const connect = ({ server }) =>
    new TroupeClient(`${server.url.replace(/^http/, "ws")}/v1/ws`, {
      WebSocket,
    });

  const post = (client, room, text) => client.produce(chat_topic, { key: room, value: { from: "tester", text } });

  /** Waits until a tab shows exactly these messages, in this order. */
  const waitForMessages = async (tab, wanted, ms = 30_000) => {
    const enough = async () => (await messagesOf(tab, "message ")).length >= wanted.length;
    await until(`${wanted.length} messages are shown`, enough, ms).catch(() => undefined);
    assert.deepEqual(await messagesOf(tab, "message "), wanted);
  };

  /** What stands in the way of people who see or point less well, by axe's rules. */
  const examine = async ({ page }) => {
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => window.axe.run(document));
    return violations.map(
      ({ id, impact, nodes }) =>
        `${impact} ${id}: ${nodes
          .map(({ target }) => target.join(" "))
          .slice(0, 5)
          .join(", ")}`,
    );
  };

  const cases = {
    async "pages come with a strict policy, and ask nobody else"(context) {
      const tab = await openTab(context);
      for (const address of ["/", "/location/", "/chat/", "/groups/"]) {
        const response = await tab.go(address);
        const headers = response.headers();
        assert.equal(response.status(), 200);
        assert.match(headers["content-type"], /^text\/html; charset=utf-8$/i);
        assert.match(headers["content-security-policy"], /default-src 'self'/);
        assert.doesNotMatch(headers["content-security-policy"], /unsafe/);
        assert.equal(headers["x-content-type-options"], "nosniff");
        if (address !== "/") await open(tab);
      }
      await tab.go("/");
      await tab.shoot("index");
      // The policy is in force: a script in the page would be an exception for no one, so try one.
      const blocked = await tab.page.evaluate(() => {
        const script = document.createElement("script");
        script.textContent = "window.intruder = true";
        document.body.append(script);
        return window.intruder === undefined;
      });
      assert.ok(blocked, "an inline script ran");
      await until("the violation is reported", () => tab.wrong.length > 0);
      assert.ok(
        tab.wrong.every((text) => /Content Security Policy|CSP violation/.test(text)),
        tab.wrong.join("\n"),
      );
      tab.wrong.length = 0;
    },

    async "the map shows the last position of every driver at once"(context) {
      const tab = await openTab(context);
      const frames = [];
      tab.page.on("websocket", (socket) =>
        socket.on("framereceived", ({ payload }) =>
          frames.push(
            ...String(payload)
              .split("\n")
              .map((line) => JSON.parse(line))
              .filter(({ ev }) => ev === "records"),
          ),
        ),
      );
      await tab.go("/location/");
      await tab.waitForText("drivers", /^[1-9]\d+$/);
      const snapshot = frames.filter(({ phase }) => phase === "snapshot").flatMap(({ r }) => r);
      const keys = new Set(snapshot.map(({ k }) => k));
      assert.ok(keys.size >= 10, `only ${keys.size} drivers in the snapshot`);
      await until("every driver of the snapshot is shown", async () => Number(await tab.text("drivers")) >= keys.size, 2_000);
    },

    async "dots move"(context) {
      const tab = await openTab(context);
      await tab.go("/location/");
      await tab.waitForText("drivers", /^[1-9]\d+$/);
      const picture = () => tab.page.$eval("#map", (canvas) => canvas.toDataURL());
      const first = await picture();
      await until("the picture changes", async () => (await picture()) !== first, 5_000);
      const id = await tab.page.$eval("#driver", (choice) => [...choice.options].map(({ value }) => value).filter(Boolean)[0]);
      await tab.page.selectOption("#driver", id);
      const before = await tab.text("position");
      assert.match(before, /^-?\d+\.\d{4}, -?\d+\.\d{4}$/);
      await until("the selected driver moves", async () => (await tab.text("position")) !== before, 15_000);
      await tab.waitForText("rate", /^[1-9]/);
      await tab.waitForText("age", /^\d+$/);
      assert.ok(Number(await tab.text("age")) < 2_000, "positions are old");
      await tab.shoot("location");
    },

    async "the map is moved and zoomed by keys and wheel, and a dot is chosen by a click"(context) {
      const tab = await openTab(context, { reducedMotion: "reduce" });
      await tab.go("/location/");
      await tab.waitForText("drivers", /^[1-9]\d+$/);
      const corner = () =>
        tab.page.$eval("#map", (canvas) => canvas.getContext("2d").getImageData(300, 100, 400, 400).data.join(""));
      await tab.page.focus("#map");
      for (const key of ["+", "ArrowLeft", "-", "0"]) {
        const before = await corner();
        await tab.page.keyboard.press(key);
        await until(`${key} changes the picture`, async () => (await corner()) !== before, 3_000);
      }
      await tab.page.mouse.move(500, 400);
      await tab.page.mouse.wheel(0, -600);
      // Somewhere there is a dot: look for it row by row, as a hand would.
      let chosen = "";
      for (let y = 60; y < 760 && !chosen; y += 14) {
        for (let x = 80; x < 960 && !chosen; x += 14) {
          await tab.page.mouse.move(x, y);
          if (!(await tab.page.$("#map.pointing"))) continue;
          await tab.page.mouse.click(x, y);
          chosen = await tab.page.$eval("#driver", ({ value }) => value);
        }
      }
      assert.notEqual(chosen, "", "no dot could be chosen");
    },

    async "two tabs see each other, and what is written is never markup"(context) {
      const [one, two] = [await openTab(context), await openTab(context)];
      const room = freshRoom();
      for (const tab of [one, two]) {
        await tab.go(`/chat/#${room}`);
        await open(tab);
        await tab.waitForText("empty", /Nobody has written/);
      }
      await one.page.fill("#name", "Ana");
      await one.page.press("#name", "Tab");
      await write(one, "message 0");
      await waitForMessages(two, ["message 0"]);
      await write(two, "message 1 <img src=x onerror=alert(1)>");
      const wanted = ["message 0", "message 1 <img src=x onerror=alert(1)>"];
      await waitForMessages(one, wanted);
      await waitForMessages(two, wanted);
      assert.equal(await two.page.$eval("#messages b", (name) => name.textContent), "Ana");
      assert.equal(await one.page.$$eval(".mine .text", (items) => items[0].textContent), "message 0");
      await until("nothing is on its way", async () => (await one.page.$$("#outbox li")).length === 0);
      await one.page.reload();
      assert.equal(await one.page.inputValue("#name"), "Ana");
      await waitForMessages(one, wanted);
    },

    async "rooms are apart"(context) {
      const tab = await openTab(context);
      const [here, there] = [freshRoom(), freshRoom()];
      await tab.go(`/chat/#${here}`);
      await open(tab);
      await write(tab, "message 0");
      await waitForMessages(tab, ["message 0"]);
      await tab.page.fill("#other", there);
      await tab.page.press("#other", "Enter");
      await tab.waitForText("empty", /Nobody has written/);
      assert.deepEqual(await messagesOf(tab), []);
      await tab.page.click(`#rooms a[href="#${here}"]`);
      await waitForMessages(tab, ["message 0"]);
    },

    async "older messages come backwards, whole and in order"(context) {
      const room = freshRoom();
      const client = connect(context);
      const wanted = numbered(130);
      await Promise.all(wanted.map((text) => post(client, room, text)));
      client.close();
      const tab = await openTab(context);
      await tab.go(`/chat/#${room}`);
      await waitForMessages(tab, wanted.slice(80));
      const beginning = tab.page.locator("#beginning");
      await until(
        "the room's beginning is reached",
        async () => {
          await tab.page.$eval("#scroller", (scroller) => scroller.scrollTo(0, 0));
          return beginning.isVisible();
        },
        15_000,
      );
      await waitForMessages(tab, wanted);
      // Reading up there is not disturbed by what comes below.
      await tab.page.$eval("#scroller", (scroller) => scroller.scrollTo(0, 0));
      const other = connect(context);
      await post(other, room, "message 130");
      other.close();
      await tab.page.waitForSelector("#newest:not([hidden])", {
        timeout: 5_000,
      });
      assert.equal(await tab.page.$eval("#scroller", ({ scrollTop }) => scrollTop), 0);
      await tab.page.click("#newest");
      await until("the newest message is in sight", () =>
        tab.page.$eval("#scroller", ({ scrollTop, scrollHeight, clientHeight }) => scrollHeight - scrollTop - clientHeight < 2),
      );
    },

    async "a killed and restarted server costs no message, and repeats none"(context) {
      if (!context.server.can_restart) return "no commands to kill and start the server";
      const room = freshRoom();
      const tab = await openTab(context);
      await tab.go(`/chat/#${room}`);
      await open(tab);
      const map = await openTab(context);
      await map.go("/location/");
      await map.waitForText("drivers", /^[1-9]\d+$/);
      const client = connect(context);
      const wanted = numbered(60);
      const sent = [];
      // One every 50 ms, across two kills.
      let next = 0;
      for await (const _ of setInterval(50)) {
        if (next === wanted.length) break;
        if (next === 50) {
          await Promise.all(sent); // ten messages are in the log that the page has not seen
          await tab.profile.setOffline(false);
        }
        sent.push(post(client, room, wanted[next++]));
        if (next !== 15 && next !== 40) continue;
        await context.server.kill();
        await tab.page.waitForSelector('#connection:not([data-state="open"])', {
          timeout: 10_000,
        });
        if (next === 40) {
          await write(tab, "written meanwhile");
          await tab.page.waitForSelector("#outbox .fate");
          await tab.shoot("chat-disconnected");
          await map.shoot("location-disconnected");
          await tab.profile.setOffline(true);
        }
        await context.server.start();
      }
      const places = await Promise.all(sent);
      client.close();
      assert.equal(
        new Set(places.map(({ partition, offset }) => `${partition}:${offset}`)).size,
        wanted.length,
        "two messages at one place",
      );
      await waitForMessages(tab, wanted);
      await until(
        "what was written meanwhile is there once",
        async () => {
          const waiting = await tab.page.$$("#outbox li");
          return waiting.length === 0 && (await messagesOf(tab, "written meanwhile")).length === 1;
        },
        20_000,
      );
      const fresh = await openTab(context);
      await fresh.go(`/chat/#${room}`);
      await waitForMessages(fresh, (await messagesOf(tab)).filter((text) => text.startsWith("message")).slice(-49));
      await open(map);
      const before = await map.page.$eval("#map", (canvas) => canvas.toDataURL());
      await until("dots move again", async () => (await map.page.$eval("#map", (canvas) => canvas.toDataURL())) !== before);
      assert.ok(await map.page.isHidden("#notice"));
    },

    async "five seconds offline cost no message, and repeat none"(context) {
      const room = freshRoom();
      const tab = await openTab(context);
      await tab.go(`/chat/#${room}`);
      await open(tab);
      const client = connect(context);
      const wanted = numbered(40);
      let next = 0;
      for await (const _ of setInterval(200)) {
        if (next === 5) await tab.profile.setOffline(true);
        if (next === 30) await tab.profile.setOffline(false); // 25 messages, 5 s later
        if (next === wanted.length) break;
        await post(client, room, wanted[next++]);
      }
      client.close();
      await waitForMessages(tab, wanted);
      await write(tab, "message 40");
      await waitForMessages(tab, [...wanted, "message 40"]);
    },

    async "what cannot be sent says so, and a second try sends it once"(context) {
      if (!context.server.can_restart) return "no commands to kill and start the server";
      const tab = await openTab(context);
      await tab.page.clock.install(); // thirty seconds of patience, without waiting for them
      await tab.go(`/chat/#${freshRoom()}`);
      await open(tab);
      await context.server.kill();
      await tab.page.waitForSelector('#connection:not([data-state="open"])', { timeout: 10_000 });
      for (const text of ["message 0", "message 1", "message 2"]) await write(tab, text);
      await tab.page.clock.fastForward(31_000);
      await tab.page.waitForSelector("#outbox .failed:nth-child(3) button");
      assert.match(await tab.page.locator("#outbox .fate").first().textContent(), /Not sent/);
      await tab.shoot("chat-failed");
      await tab.page.click("#outbox .failed:nth-child(3) button >> text=Discard");
      await context.server.start();
      await tab.page.clock.fastForward(20_000); // and no waiting for the next attempt
      await open(tab);
      for (const count of [2, 1]) {
        await tab.page.click("#outbox .failed button >> text=Try again >> nth=0");
        await until("it has been sent", async () => (await tab.page.$$("#outbox li")).length < count);
      }
      await waitForMessages(tab, ["message 0", "message 1"]);
    },

    async "a page opened without a server says so, and finds it when it comes"(context) {
      if (!context.server.can_restart) return "no commands to kill and start the server";
      const tab = await openTab(context);
      await tab.go("/chat/");
      await open(tab);
      await context.server.kill();
      await tab.page.waitForSelector("#notice:not([hidden])", {
        timeout: 10_000,
      });
      assert.match(await tab.text("notice"), /connection was lost/);
      await context.server.start();
      await open(tab);
      assert.ok(await tab.page.isHidden("#notice"));
    },

    async "a group: workers join, a killed one's partitions go to the others, and every order is handled"(context) {
      if (!context.server.has_groups) return "this server has no groups";
      const tab = await openTab(context);
      await tab.go("/groups/");
      await open(tab);
      const shares = async (one = tab) =>
        (await one.page.$$eval(".lane", (lanes) => lanes.map((lane) => lane.querySelectorAll(".part").length))).sort();
      const share = (wanted, one = tab) =>
        until(`shares are ${wanted}`, async () => String(await shares(one)) === String(wanted), 20_000);
      await tab.page.click("#begin");
      await share([6, 6]);
      await tab.waitForText("rate", /^[1-9]/);
      await tab.page.click("#add");
      await share([4, 4, 4]);
      assert.match(await tab.text("story"), /Chloe joined/);
      await tab.shoot("groups");
      await tab.page.click('button[aria-label="Kill Ben"]');
      await tab.page.waitForSelector(".lane.dead");
      await tab.shoot("groups-killed");
      await share([6, 6]);
      assert.match(await tab.text("story"), /Ben is gone/);
      // Another browser sees the same group, and what is not its own it cannot end.
      const other = await openTab(context);
      await other.go("/groups/");
      await share([6, 6], other);
      assert.equal(await other.page.locator(".lane .kill").count(), 0);
      await other.page.click("#add");
      await share([4, 4, 4]);
      await tab.page.click('button[aria-label="Leave Ana"]');
      await share([6, 6]);
      await tab.page.click('#orders label:has(input[value="0"])');
      const partitions = async () => {
        const answer = await fetch(`${context.server.url}/v1/groups/OrderProcessors`);
        return (await answer.json()).partitions;
      };
      await until(
        "all is handled",
        async () => (await partitions()).every(({ committed, log_end }) => (committed ?? 0) === log_end),
        20_000,
      );
      assert.ok((await partitions()).reduce((sum, { log_end }) => sum + log_end, 0) > 20);
    },

    async "all pages fit a phone and the dark, and are accessible"(context) {
      const looks = {
        phone: {
          viewport: { width: 390, height: 844 },
          deviceScaleFactor: 2,
          isMobile: true,
          hasTouch: true,
        },
        dark: { colorScheme: "dark" },
      };
      for (const [look, options] of Object.entries(looks)) {
        const tab = await openTab(context, options);
        for (const [address, ready] of [
          ["/", "h1"],
          ["/location/", "#driver option:nth-child(3)"],
          ["/chat/", ".message, #empty:not([hidden])"],
          ["/groups/", ".lane, #start:not([hidden])"],
        ]) {
          await tab.go(address);
          await tab.page.waitForSelector(ready, {
            timeout: 10_000,
            state: "attached",
          });
          if (address === "/location/") await tab.page.selectOption("#driver", { index: 2 });
          const overflow = await tab.page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          const findings = await examine(tab);
          assert.deepEqual(findings, [], `${address} on a ${look}`);
          assert.ok(overflow <= 0, `${address} is ${overflow} pixels too wide on a ${look}`);
          await tab.shoot(`${address.replaceAll("/", "") || "index"}-${look}`);
        }
      }
    },
  };

  return Object.entries(cases).map(([name, run]) => ({
    name,
    async run(context) {
      const skipped = await run(context);
      for (const { wrong } of context.tabs) assert.deepEqual(wrong, []);
      return skipped;
    },
  }));
}
