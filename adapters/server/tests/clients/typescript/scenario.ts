// A room is made, changed by two who do not know of each other, and deleted: with a client that is generated from the
// server's description. `npm run build` proves the types, running it the server.
import assert from "node:assert/strict";

import createClient from "openapi-fetch";

import type { components, paths } from "./generated/api.js";

type Problem = components["schemas"]["Problem"];
type Room = components["schemas"]["Room"];

function variable(name: string): string {
  const value = process.env[name];
  assert(value, `${name} is not set`);
  return value;
}

// Of an answer either `data` or `error` is there; each has the type that the description gives it.
function done<T>(answer: { data?: T; error?: Problem }): T {
  assert(answer.data !== undefined, JSON.stringify(answer.error));
  return answer.data;
}

function refused(answer: { data?: unknown; error?: Problem; response: Response }): Problem {
  assert(answer.error, "the request is done that should be refused");
  assert.equal(answer.error.status, answer.response.status);
  assert.equal(answer.error.instance, answer.response.headers.get("X-Request-Id"));
  return answer.error;
}

const api = createClient<paths>({
  baseUrl: variable("PARLOUR_URL"),
  headers: { Authorization: `Bearer ${variable("PARLOUR_KEY")}` },
});
const path = { room: "typescript" };

const made = await api.POST("/v1/rooms", { body: { name: path.room, title: "Green", max_participants: 4 } });
const room: Room = done(made);
assert.equal(made.response.status, 201);
assert.equal(room.state, "enabled");
assert.equal(room.active_session, null);

const again = refused(await api.POST("/v1/rooms", { body: { name: path.room } }));
assert.equal(again.type, "urn:parlour:problem:exists");

const minted = done(
  await api.POST("/v1/rooms/{room}/tokens", {
    params: { path, header: { "Idempotency-Key": crypto.randomUUID() } },
    body: { participant: "anna", grants: ["participant", "kick"], refresh_ttl_s: 3600 },
  }),
);
assert(minted.ticket.startsWith("parlour://") && minted.refresh_token && new Date(minted.expires_at) > new Date());
const refreshed = done(await api.POST("/v1/tokens/refresh", { body: { refresh_token: minted.refresh_token } }));
assert.notEqual(refreshed.token, "");

const invalid = refused(await api.POST("/v1/rooms/{room}/tokens", { params: { path }, body: { participant: "" } }));
assert.equal(invalid.errors?.[0]?.pointer, "/participant");

const names: string[] = [];
let cursor: string | null = null;
do {
  const query: { limit: number; prefix: string; cursor?: string } = { limit: 1, prefix: "typescript" };
  if (cursor !== null) query.cursor = cursor;
  const page: components["schemas"]["List_Room"] = done(await api.GET("/v1/rooms", { params: { query } }));
  names.push(...page.data.map((entry) => entry.name));
  cursor = page.next_cursor;
} while (cursor !== null);
assert.deepEqual(names, [path.room]);

const read = await api.GET("/v1/rooms/{room}", { params: { path } });
const etag = read.response.headers.get("ETag");
assert(done(read).title === "Green" && etag);
const change = (title: string) =>
  api.PATCH("/v1/rooms/{room}", { params: { path, header: { "If-Match": etag } }, body: { title } });
assert.equal(done(await change("Greener")).title, "Greener");
const late = refused(await change("Blue"));
assert.deepEqual([late.status, late.type], [412, "urn:parlour:problem:etag-mismatch"]);

for (let time = 0; time < 2; time++) {
  const deleted = await api.DELETE("/v1/rooms/{room}", { params: { path } });
  assert.equal(deleted.response.status, 204);
}
const gone = refused(await api.GET("/v1/rooms/{room}", { params: { path } }));
assert.equal(gone.type, "urn:parlour:problem:not-found");
console.log("a client in TypeScript made, listed, changed and deleted a room");
