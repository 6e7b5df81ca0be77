/** A new composition: of which session, as what, and a drawing of the picture that comes of it. */
import { ask, get, Problem, query } from "./api.js";
import { PICTURES } from "./compositions.js";
import { form } from "./forms.js";
import { COMPOSABLE } from "./recordings.js";
import { empty, h, head, link, path, section, svg, table, time } from "./ui.js";
import { number, text, word } from "./text.js";

/** @typedef {{ x: number, y: number, width: number, height: number, sources: string | string[] }} Region */
/** Somebody who was recorded. @typedef {{ id: string, name: string }} Person */

/** @param {HTMLElement} main @param {URLSearchParams} search */
export async function renderNew(main, search) {
  const session = search.get("session");
  const { data, next_cursor } = await get(`/recordings${query({ session, state: COMPOSABLE, limit: 200 })}`);
  const over = link("/compositions", text("nav.compositions"));
  if (data.length === 0) return main.append(head(text("compositions.make"), { over }), empty(text("recordings.empty"), text("recordings.emptyText"), link("/rooms", text("overview.toRooms"), { class: "button" })));
  if (session === null) return main.append(head(text("compositions.make"), { over }), section(text("compositions.choose"), sessions(data), next_cursor ? h("p", { class: "hint", text: text("compositions.older") }) : null));
  const people = await peopleOf(session, next_cursor ? null : new Set(data.map((/** @type {any} */ { participant }) => participant)));
  const [{ room }] = data;
  const picture = h("div", { class: "picture" });
  const made = fields(session, people);
  made.querySelector("[name=regions]")?.closest(".field")?.after(picture);
  const change = () => arrange(made, picture, people);
  made.addEventListener("input", change);
  change();
  main.append(head(text("compositions.make"), { over }), h("p", {}, link(path("sessions", session), text("sessions.one", { room })), " · ", time(data.at(-1).started_at)), made);
}

/**
 * Those who were recorded, in the order in which they came.
 * @param {string} session
 * @param {Set<string> | null} recorded Their ids; `null`: too many recordings to know, so all who were there.
 * @returns {Promise<Person[]>}
 */
async function peopleOf(session, recorded) {
  const { data } = await get(`/participants${query({ session, limit: 200, order: "asc" })}`, { quiet: true });
  const people = data.filter((/** @type {any} */ { participant }) => !recorded || recorded.has(participant));
  return people.map((/** @type {any} */ { participant, name }) => ({ id: participant, name: name || participant }));
}

/**
 * The sessions that some recordings are of.
 * @param {any[]} recordings The newest first.
 */
function sessions(recordings) {
  const found = Map.groupBy(recordings, ({ session }) => session);
  return table(text("nav.sessions"), [
    { name: text("words.started"), cell: (/** @type {any[]} */ of) => h("a", { href: `#/compositions/new${query({ session: of[0].session })}` }, time(of.at(-1).started_at)) },
    { name: text("words.room"), cell: ([{ room }]) => link(path("rooms", room), room) },
    { name: text("words.people"), cell: (of) => [...new Set(of.map(({ participant }) => participant))].join(", ") },
    { name: text("nav.recordings"), cell: (of) => number(of.length), class: "figure" },
  ], [...found.values()]).table;
}

/** @param {string} session @param {Person[]} people */
function fields(session, people) {
  const choices = people.map(({ id, name }) => /** @type {[string, string]} */ ([id, name === id ? id : `${name} (${id})`]));
  /** @param {string} group @param {string[]} names @returns {[string, string][]} */
  const words = (group, names) => names.map((name) => [name, word(group, name)]);
  return form([
    { name: "format", label: text("compositions.format"), kind: "select", options: words("format", ["ogg", "wav", "m4a", ...PICTURES]) },
    { name: "mode", label: text("recordings.sound"), kind: "select", options: words("mode", ["mix", "dual", "tracks"]), pointer: "/audio/mode", hint: text("compositions.modeHint") },
    { name: "left", label: text("compositions.left"), kind: "checks", options: choices, pointer: "/audio/left", width: "half" },
    { name: "right", label: text("compositions.right"), kind: "checks", options: choices, pointer: "/audio/right", hint: text("compositions.sideHint"), width: "half" },
    { name: "layout", label: text("compositions.picture"), kind: "select", options: words("layout", ["grid", "speaker", "single", "regions"]), pointer: "/video/layout" },
    { name: "regions", label: text("compositions.regions"), kind: "area", pointer: "/video/regions", hint: text("compositions.regionsHint"), value: `0 0 960 720 ${people[0]?.id ?? "all"}\n960 0 320 720 rest` },
    { name: "width", label: text("compositions.width"), kind: "number", value: 1_280, pointer: "/video/width", width: "third" },
    { name: "height", label: text("compositions.height"), kind: "number", value: 720, pointer: "/video/height", width: "third" },
    { name: "fps", label: text("compositions.fps"), kind: "number", value: 25, pointer: "/video/fps", width: "third" },
    { name: "from_ms", label: text("compositions.from"), placeholder: "0:00", hint: text("compositions.fromHint"), width: "half" },
    { name: "to_ms", label: text("compositions.to"), placeholder: "1:00:00", hint: text("compositions.toHint"), width: "half" },
  ], text("compositions.go"), async (values) => {
    const { format, mode, left, right, layout, width, height, fps } = values;
    /** @param {string[]} ids */
    const side = (ids) => ids.length ? ids : "rest";
    const [from_ms, to_ms] = ["from_ms", "to_ms"].map((name) => moment(name, values[name]));
    const asked = {
      session, format, audio: { mode, ...(mode === "dual" && { left: side(left), right: side(right) }) },
      ...(PICTURES.includes(format) && { video: { layout, width: width ?? undefined, height: height ?? undefined, fps: fps ?? undefined, ...(layout === "regions" && { regions: regionsOf(values.regions, people) }) } }),
      ...(from_ms !== null && { from_ms }), ...(to_ms !== null && { to_ms }),
    };
    try {
      const made = await ask("POST", "/compositions", asked);
      location.hash = path("compositions", made.id);
    } catch (error) {
      if (error instanceof Problem && error.kind === "composer-unavailable") throw wrong("/format", text("compositions.noComposer"));
      throw error;
    }
  }, { class: "form compose" });
}

/** A problem of a field, as the API has them. @param {string} pointer @param {string} detail */
const wrong = (pointer, detail) => new Problem({ errors: [{ pointer, detail }] }, 422);

/**
 * A moment of the session, written as `1:02:03`, `2:03` or in seconds, in milliseconds.
 * @param {string} name
 * @param {string} value
 */
function moment(name, value) {
  if (value.trim() === "") return null;
  if (!/^(\d+:){0,2}\d+$/.test(value.trim())) throw wrong(`/${name}`, text("compositions.noMoment"));
  return 1_000 * value.split(":").reduce((sum, part) => 60 * sum + Number(part), 0);
}

/**
 * Regions as they are written, one in each line.
 * @param {string} lines
 * @param {Person[]} people
 * @returns {Region[]}
 */
function regionsOf(lines, people) {
  return lines.split("\n").filter((line) => line.trim()).map((line, n) => {
    const [, x, y, width, height, who = ""] = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s+(\S.*)$/.exec(line) ?? [];
    if (!who) throw wrong("/video/regions", text("compositions.noRegion", { line: n + 1 }));
    const sources = ["all", "rest"].includes(who.trim()) ? who.trim() : who.split(",").map((id) => id.trim()).filter(Boolean);
    const stranger = Array.isArray(sources) && sources.find((id) => !people.some((one) => one.id === id));
    if (stranger) throw wrong("/video/regions", text("compositions.noPerson", { line: n + 1, id: stranger }));
    return { x: Number(x), y: Number(y), width: Number(width), height: Number(height), sources };
  });
}

/**
 * Shows the fields that the choices need, and draws the picture that they make.
 * @param {HTMLFormElement} made
 * @param {HTMLElement} place
 * @param {Person[]} people
 */
function arrange(made, place, people) {
  /** @param {string} name */
  const value = (name) => String(new FormData(made).get(name) ?? "");
  const isPicture = PICTURES.includes(value("format")), isDual = value("mode") === "dual";
  const shown = { left: isDual, right: isDual, layout: isPicture, regions: isPicture && value("layout") === "regions", width: isPicture, height: isPicture, fps: isPicture };
  for (const [name, isShown] of Object.entries(shown)) {
    const field = made.querySelector(`[name="${name}"]`)?.closest(".field");
    if (field instanceof HTMLElement) field.hidden = !isShown;
  }
  place.hidden = !isPicture;
  const [width, height] = [Number(value("width")), Number(value("height"))];
  if (!isPicture || !(width > 0 && height > 0)) return place.replaceChildren();
  /** @type {Region[]} */
  let regions = [];
  try {
    regions = regionsOf(value("regions"), people);
  } catch { /* It is drawn when it is written to the end; the form says what is wrong. */ }
  const tiles = tilesOf(value("layout"), width, height, people, regions);
  place.replaceChildren(svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${text("compositions.drawing")}: ${word("layout", value("layout"))}: ${tiles.map(({ who }) => who).join(", ")}` },
    ...tiles.map(({ x, y, width: wide, height: high, who }, n) => {
      const size = Math.min(high / 5, wide / Math.max(6, who.length));
      const line = Math.max(2, width / 160);
      return svg("g", { class: n === 0 ? "speaks" : "" }, svg("rect", { x: x + line / 2, y: y + line / 2, width: Math.max(0, wide - line), height: Math.max(0, high - line), "stroke-width": line }), svg("text", { x: x + wide / 2, y: y + high / 2, "font-size": size }, who));
    })), h("p", { class: "hint", text: text("compositions.drawingText") }));
}

/**
 * Who stands where, as the server composes it; the first one speaks.
 * @param {string} layout
 * @param {number} width
 * @param {number} height
 * @param {Person[]} people
 * @param {Region[]} regions
 */
function tilesOf(layout, width, height, people, regions) {
  /** @param {Omit<Region, "sources">} all @param {Person[]} who @param {number} columns @param {number} rows */
  const cells = ({ x, y, width: wide, height: high }, who, columns, rows) => who.slice(0, columns * rows).map((one, n) => (
    { x: x + wide * (n % columns) / columns, y: y + high * Math.floor(n / columns) / rows, width: wide / columns, height: high / rows, who: one.name }
  ));
  /** @param {Omit<Region, "sources">} all @param {Person[]} who */
  const grid = (all, who) => {
    const columns = Math.max(1, Math.ceil(Math.sqrt(who.length)));
    return cells(all, who, columns, Math.max(1, Math.ceil(who.length / columns)));
  };
  const all = { x: 0, y: 0, width, height }, [first, ...others] = people;
  if (layout === "grid") return grid(all, people);
  const beside = layout === "speaker" && others.length ? width / 4 : 0;
  if (layout !== "regions") return [...cells({ ...all, width: width - beside }, first ? [first] : [], 1, 1), ...beside ? cells({ ...all, x: width - beside, width: beside }, others, 1, Math.max(4, Math.min(6, others.length))) : []];
  const named = new Set(regions.flatMap(({ sources }) => Array.isArray(sources) ? sources : []));
  return regions.flatMap((region) => grid(region, people.filter(({ id }) => region.sources === "all" || (region.sources === "rest" ? !named.has(id) : region.sources.includes(id)))));
}
