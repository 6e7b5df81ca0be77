/**
 * Real-time audio rooms in the browser.
 *
 * ```ts
 * import { Room } from "@parlour/web";
 *
 * const server = "https://rooms.example.org";      // the address of the server's API
 * const room = await Room.join(ticket, { server }); // in a click: then sound may play at once
 * room.on("participantJoined", ({ participant }) => console.log(`${participant} is here`));
 * const microphone = await room.microphone();
 * microphone.setMuted(true);
 * ```
 *
 * @packageDocumentation
 */
export { Room, type JoinOptions } from "./room.js";
export { Microphone, type MicrophoneOptions } from "./microphone.js";
export { devices, type Device, type Devices } from "./devices.js";
export { ParlourError, type ErrorCode, type PlainError } from "./errors.js";
export type { RoomEvents, Unsubscribe } from "./events.js";
export type {
  CarriageName, Connection, Grant, Message, Participant, Policy, SlotStatistics, Statistics, Stream, StreamName, TransportChoice,
  Waiting,
} from "./types.js";
