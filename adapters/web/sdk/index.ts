/**
 * Real-time rooms in the browser: sound, cameras and screens.
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
export { Room } from "./room.js";
export type { JoinOptions } from "./join.js";
export { Microphone, type MicrophoneOptions } from "./microphone.js";
export { Camera, type CameraOptions } from "./camera.js";
export { Screen, type ScreenOptions } from "./screen.js";
export { Watch, type WatchEvents } from "./watch.js";
export { devices, type Device, type Devices } from "./devices.js";
export { ParlourError, type ErrorCode, type PlainError } from "./errors.js";
export type { RoomEvents, Unsubscribe } from "./events.js";
export type {
  CarriageName, Connection, Grant, Message, Participant, Policy, SlotStatistics, Statistics, Stream, StreamName, TransportChoice,
  Waiting,
} from "./types.js";
