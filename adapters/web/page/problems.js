/** What goes wrong, in words that say what to do. */
import { text } from "./text.js";

/** @typedef {"again" | "here" | "retry" | "reload" | "other"} Action */

/** An error of the page's own; the package's errors have a `code`, too. */
export class PageError extends Error {
  /**
   * @param {string} code
   * @param {Record<string, string>} [values]
   */
  constructor(code, values = {}) {
    super(code);
    this.code = code;
    this.values = values;
  }
}

/** What each problem can be answered with. @type {Record<string, readonly Action[]>} */
const ACTIONS = {
  left: ["again"],
  kicked: [],
  denied: [],
  banned: [],
  sessionEnded: ["again"],
  aloneTooLong: ["again"],
  sessionTooLong: ["again"],
  replaced: ["here"],
  duplicateParticipant: ["retry"],
  linkExpired: ["other"],
  tokenExpired: ["other"],
  tokenRevoked: ["other"],
  invalidTicket: ["other"],
  otherServer: ["other"],
  otherRoom: ["other"],
  unknownRoom: ["other"],
  roomFull: ["retry"],
  roomDisabled: ["retry"],
  unavailable: ["retry"],
  serverShutdown: ["again"],
  tooOften: ["retry"],
  unreachable: ["retry"],
  connectionLost: ["again"],
  versionMismatch: ["reload"],
  notSupported: [],
  loadFailed: ["reload"],
  nameRefused: ["retry"],
  other: ["retry"],
};

/** Codes that are the same to a person. @type {Record<string, string>} */
const SAME = {
  invalidToken: "invalidTicket",
  wrongRoom: "otherRoom",
  noServer: "unreachable",
};

/**
 * How to tell an error, or the reason for which a room was closed.
 * @param {{ code?: string, message?: string, values?: Record<string, string> }} error
 * @returns {{ name: string, title: string, text: string, actions: readonly Action[] }}
 */
export function told({ code = "other", message = "", values = {} }) {
  const known = SAME[code] ?? code;
  const name = Object.hasOwn(ACTIONS, known) ? known : "other";
  return {
    name,
    title: text(`problems.${name}.title`),
    text: text(`problems.${name}.text`, { reason: message, ...values }),
    actions: ACTIONS[name] ?? [],
  };
}

/** The names of all problems. */
export const names = Object.keys(ACTIONS);
