// The ways from a page to its server: proxies, redirects, pages that may not, and what goes wrong there.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { alias, areHeard, browser, failure, happens, joins, nginx, open, Server, talk, website } from "./rig.mjs";

/** Lets a test move the clock of a page's worker, as when a machine sleeps, and have redirects lead to another machine. */
const PROBE = `
  const steady = performance.now.bind(performance), parse = JSON.parse, probe = new BroadcastChannel("probe");
  let skew = 0, machine;
  performance.now = () => steady() + skew;
  JSON.parse = (text) => {
    const value = parse(text);
    if (value?.type === "redirected") {
      probe.postMessage({ redirected: true });
      if (machine) for (const place of value.to) place.host = machine;
    }
    return value;
  };
  probe.onmessage = ({ data }) => { skew += data.jump ?? 0; machine = data.machine ?? machine; };
`;

let server, chromium, site;
before(async () => {
  const altered = { "/dist/worker.js": (text) => PROBE + text };
  [server, chromium, site] = [await Server.start({ workers: 2 }), await browser(), await website({ altered })];
});
after(async () => {
  await chromium?.close();
  site?.close();
  await server?.stop();
  server?.network.close();
});

const JOIN = "parlour.Room.join(argument.ticket, argument.options)";

/** The code and message with which a join fails. */
async function refused(page, ticket, options) {
  const failed = await failure(page, JOIN, { ticket, options });
  assert.ok(failed?.isTyped, `joined, or failed with ${failed?.message}`);
  return failed;
}

/** Tickets that name one of the workers each. A room is on one of them, and the other one redirects. */
async function tickets(room, id) {
  const ticket = await server.ticket(room, id);
  const { workers } = await (await fetch(`${server.url}/.well-known/parlour`)).json();
  return workers.map((port) => ticket.replace(/:\d+\//, `:${port}/`));
}

/** A page that counts redirects, and has them lead to `machine`. */
async function probed(machine) {
  const page = await open(chromium, site.url);
  await page.evaluate((machine) => {
    window.redirects = 0;
    const probe = new BroadcastChannel("probe");
    probe.onmessage = ({ data }) => { redirects += data.redirected ? 1 : 0; };
    // Said anew until there is a worker.
    if (machine) setInterval(() => probe.postMessage({ machine }), 5);
  }, machine);
  return page;
}

/** A website that breaks the first request off, sends the second on after that, and the others at once. */
async function unsteady() {
  let requests = 0;
  const proxy = createServer((request, response) => {
    const send = () => response.writeHead(302, { location: server.url + request.url, "access-control-allow-origin": "*" }).end();
    requests++;
    if (requests === 1) setTimeout(() => response.destroy(), 800);
    else setTimeout(send, requests === 2 ? 1_000 : 0);
  }).listen(0, "127.0.0.1");
  const asked = once(proxy, "request");
  await once(proxy, "listening");
  return { url: `http://127.0.0.1:${proxy.address().port}`, asked, close: () => { proxy.closeAllConnections(); proxy.close(); } };
}

test("through nginx, below a path, by WebSocket", { timeout: 120_000 }, async () => {
  const proxy = await nginx(server);
  try {
    const heard = await talk({ server, browser: chromium, site }, "nginx", { server: `${proxy.url}/rooms`, transport: "webSocket" });
    assert.equal(heard.carriage, "webSocket");
    areHeard(heard);
  } finally {
    await proxy.close();
  }
});

test("a proxy that passes no upgrades on, and one that holds all up, are told", { timeout: 90_000 }, async () => {
  const proxy = await nginx(server), page = await open(chromium, site.url), ticket = await server.ticket("closet", "anna");
  const told = { ws: "/parlour", workers: [1] };
  const holding = createServer((_, response) => {
    response.writeHead(200, { "access-control-allow-origin": "*" }).end(JSON.stringify(told));
  });
  // Takes the upgrade, and sends nothing of it on.
  holding.on("upgrade", () => undefined);
  holding.listen(0, "127.0.0.1");
  await once(holding, "listening");
  try {
    const options = { transport: "webSocket", timeout: 5_000 };
    const closed = await refused(page, ticket, { ...options, server: proxy.url });
    assert.equal(closed.code, "unreachable");
    assert.match(closed.message, /proxy/);
    const held = await refused(page, ticket, { ...options, server: `http://127.0.0.1:${holding.address().port}` });
    assert.equal(held.code, "unreachable");
  } finally {
    holding.closeAllConnections();
    holding.close();
    await proxy.close();
  }
});

for (const transport of ["webSocket", "webTransport"]) {
  test(`a redirect to another worker is followed, by ${transport}`, { timeout: 90_000 }, async () => {
    const room = `corridor-${transport}`, pages = [await probed(), await probed()];
    for (const [n, page] of pages.entries()) {
      const given = await tickets(room, `page-${n}`);
      await joins(page, given[n], { server: server.url, transport });
      assert.equal(await page.evaluate(() => room.carriage), transport);
    }
    await happens(pages[0], "participantJoined", { participant: "page-1" });
    const redirects = await Promise.all(pages.map((page) => page.evaluate(() => redirects)));
    assert.deepEqual(redirects.sort(), [0, 1]);
  });
}

test("a redirect to another machine leads to its website", { timeout: 90_000 }, async () => {
  const machine = await alias("127.0.0.2", Number(new URL(server.url).port));
  try {
    const options = { server: server.url, transport: "webSocket" };
    const page = await probed("127.0.0.2");
    for (const ticket of await tickets("annex", "anna")) {
      await joins(page, ticket, options);
      await page.evaluate(() => room.leave());
    }
    assert.equal(await page.evaluate(() => redirects), 1);
    assert.ok(machine.connections > 0, "the page has not asked the other machine");
    // Nobody is there.
    const lost = await probed("127.0.0.3"), failures = [];
    for (const ticket of await tickets("annex", "anna")) {
      failures.push(await failure(lost, JOIN, { ticket, options: { ...options, timeout: 4_000 } }));
    }
    const [failed, ...others] = failures.filter((failed) => failed);
    assert.equal(others.length, 0);
    assert.equal(failed.code, "unreachable");
    assert.match(failed.message, /127\.0\.0\.3.*certificate/);
  } finally {
    machine.close();
  }
});

test("a page of an origin that the server does not know is refused", { timeout: 90_000 }, async () => {
  const foreign = await website({ host: "127.0.0.1" });
  try {
    const page = await open(chromium, foreign.url), ticket = await server.ticket("vault", "anna");
    for (const transport of ["webSocket", "webTransport", "auto"]) {
      const failed = await refused(page, ticket, { server: server.url, transport });
      assert.equal(failed.code, "unreachable");
      assert.match(failed.message, /web\.origins/);
    }
  } finally {
    foreign.close();
  }
});

test("who gives no server learns which one was asked", { timeout: 90_000 }, async () => {
  const page = await open(chromium, site.url);
  const failed = await refused(page, await server.ticket("hut", "anna"), {});
  assert.equal(failed.code, "noServer");
  assert.match(failed.message, /give the option `server`.*the page's own origin/);
});

test("a network that comes back while the page connects does not end that", { timeout: 90_000 }, async () => {
  const slow = await unsteady();
  try {
    const page = await open(chromium, site.url);
    const joined = joins(page, await server.ticket("yard", "anna"), { server: slow.url });
    await slow.asked;
    await page.evaluate(() => void dispatchEvent(new Event("online")));
    await joined;
    assert.equal(await page.evaluate(() => room.connection), "joined");
  } finally {
    slow.close();
  }
});

test("clocks that jump neither end the stay nor keep a memory for ever", { timeout: 90_000 }, async () => {
  const page = await open(chromium, site.url), other = await open(chromium, site.url), options = { server: server.url };
  await page.evaluate((server) => {
    localStorage.setItem(`parlour:carriage:${server}`, `webSocket ${Date.now() + 86_400_000}`);
  }, server.url);
  await joins(page, await server.ticket("clock", "anna"), options);
  assert.equal(await page.evaluate(() => room.carriage), "webTransport", "the memory is of the future");
  await joins(other, await server.ticket("clock", "ben"), options);
  await page.evaluate(() => new BroadcastChannel("probe").postMessage({ jump: 3_600_000 }));
  // More often than the participant looks at its clock.
  for (let n = 0; n < 20; n++) {
    await sleep(500);
    await page.waitForFunction(() => room.connection === "joined", null, { timeout: 20_000 });
  }
  await page.evaluate(() => room.send("chat", "still here"));
  await happens(other, "message", { from: "anna" });
  await other.evaluate(() => room.send("chat", "so it is"));
  await happens(page, "message", { from: "ben" });
  assert.equal(await page.evaluate(() => happened.some(({ type }) => type === "closed")), false);
});

test("sound that fails is told, and its figures do not keep anybody waiting", { timeout: 90_000 }, async () => {
  const broken = await website({ altered: { "/dist/worklet.js": (text) => text.replace("process(", "process(){throw new Error(\"broken\")}was(") } });
  const mute = await website({ altered: { "/dist/worklet.js": (text) => text.replace(/this\.port\.postMessage\(\{id/, "void({id") } });
  try {
    const page = await open(chromium, broken.url);
    // It may fail before anybody listens.
    await page.evaluate(() => {
      const define = Object.getOwnPropertyDescriptor(AudioWorkletNode.prototype, "onprocessorerror");
      Object.defineProperty(AudioWorkletNode.prototype, "onprocessorerror", {
        set(tell) { define.set.call(this, (event) => setTimeout(() => tell(event), 1_000)); },
      });
    });
    await joins(page, await server.ticket("stage", "anna"), { server: server.url });
    assert.equal((await happens(page, "audioFailed")).error.code, "audioFailed");
    const other = await open(chromium, mute.url);
    await joins(other, await server.ticket("stage", "ben"), { server: server.url });
    assert.deepEqual((await other.evaluate(() => room.statistics())).slots, []);
  } finally {
    broken.close();
    mute.close();
  }
});

test("a join that fails in the page leaves no sound open", { timeout: 90_000 }, async () => {
  const page = await open(chromium, site.url);
  await page.evaluate(() => {
    window.contexts = [];
    const Context = AudioContext;
    window.AudioContext = class extends Context {
      constructor(options) { super(options); contexts.push(this); }
    };
    window.Worker = class { constructor() { throw new DOMException("", "SecurityError"); } };
  });
  const failed = await refused(page, await server.ticket("loft", "anna"), { server: server.url });
  assert.equal(failed.code, "loadFailed");
  await page.waitForFunction(() => contexts.length === 1 && contexts[0].state === "closed");
});
