import type { Camera } from "./camera.js";
import type { PictureSettings } from "./codecs.js";
import type { PlainError } from "./errors.js";
import type { FrameSource } from "./frames.js";
import type { Microphone } from "./microphone.js";
import type { Seen } from "./projector.js";
import type { Screen } from "./screen.js";
import type { CarriageName, Connection, Grant, Message, Statistics, StreamName } from "./types.js";

/** The events of a room: the name of each, and what its listeners get. */
export interface RoomEvents {
  /** In the session, at first or again. `resumed`: as if the connection had never broken. */
  joined: { readonly resumed: boolean };
  /** All of the room's state is there, after `joined`. */
  synchronized: object;
  /** In the lobby, until a moderator decides. */
  waiting: object;
  /** The connection is being restored; nothing has to be done. */
  reconnecting: { readonly reason: "silence" | "reset" | "networkChanged" | "redirected" | "keysExhausted" | "other" };
  /** It is over. `reason` says why, `message` says it to people. */
  closed: { readonly cause: "closed" | "refused" | "versionMismatch" | "other"; readonly reason: string; readonly message: string };
  /** Anything of the room's state has changed: for who shows all of it anew. */
  changed: object;
  /** `room.connection` has changed. */
  connection: { readonly connection: Connection };
  /** `present`: it was there before this page joined. */
  participantJoined: { readonly participant: string; readonly present: boolean };
  participantLeft: { readonly participant: string; readonly reason: string };
  /** Out of view: gone, or one of too many to be shown. */
  participantHidden: { readonly participant: string };
  connectionChanged: { readonly participant: string; readonly state: "connected" | "reconnecting" };
  streamPublished: { readonly stream: StreamName };
  streamUnpublished: { readonly stream: StreamName };
  streamMuted: { readonly stream: StreamName; readonly muted: boolean };
  censored: { readonly participant: string; readonly censored: boolean };
  attributeChanged: { readonly participant: string; readonly key: string };
  speakingStarted: { readonly participant: string };
  speakingStopped: { readonly participant: string };
  /** The active speaker changed. */
  speakerChanged: { readonly participant: string | null };
  presenterChanged: { readonly participant: string | null };
  mainChanged: { readonly participant: string | null };
  floorChanged: { readonly participant: string | null };
  countChanged: { readonly count: number };
  /** The server records the session from now on, or no more: show it. It also comes at the join, if the session is recorded. */
  recordingChanged: { readonly recorded: boolean };
  /** A stream of this page is published. */
  published: { readonly key: string };
  /** A stream of this page is not, or no longer, published. */
  publishRefused: { readonly key: string; readonly error: PlainError };
  policyRefused: { readonly error: PlainError };
  message: Message;
  /** So many messages were dropped, because they were taken too slowly. */
  messagesMissed: { readonly messages: number };
  /** So many packets of sound were dropped before they were sent, because the connection was behind. */
  packetsDropped: { readonly packets: number };
  /** More has happened at once than was kept: look at the room's state, which is right. */
  eventsMissed: object;
  /** A participant waits in the lobby, and this one may admit it. */
  knocked: { readonly participant: string; readonly name: string };
  knockEnded: { readonly participant: string };
  lobbyChanged: { readonly waiting: number };
  /** Give a newer token to `refreshToken`; with the option of that name it is fetched by itself. */
  tokenExpiring: { readonly seconds: number };
  grantsChanged: { readonly grants: readonly Grant[] };
  /** How loud is who, in dB below the loudest (0 to −127), about ten times a second while somebody is heard. */
  levels: { readonly levels: Readonly<Record<string, number>> };
  /** Datagrams take another way to the server. */
  carriageChanged: { readonly carriage: CarriageName };
  /** `room.needsGesture` has changed. */
  gestureNeeded: { readonly needed: boolean };
  /** `room.currentMicrophone` has changed, or whether it is muted. */
  microphoneChanged: { readonly microphone: Microphone | null };
  /** The microphone is gone (unplugged, or taken back), and none could take its place. */
  microphoneLost: { readonly error: PlainError };
  /** `room.currentCamera` has changed, or whether it is muted, or its device. */
  cameraChanged: { readonly camera: Camera | null };
  /** The camera is gone: unplugged or taken back (`cameraUnplugged`), or its pictures cannot be encoded. */
  cameraLost: { readonly error: PlainError };
  /** `room.currentScreen` has changed: shared, or ended, perhaps by the user in the browser. */
  screenChanged: { readonly screen: Screen | null };
  /** The screen is no longer shared, because its pictures cannot be encoded. */
  screenLost: { readonly error: PlainError };
  /** The browser's processing of sound has failed: nothing is heard or said any more. Leave, and join again. */
  audioFailed: { readonly error: PlainError };
}

/** Ends a subscription to an event. */
export type Unsubscribe = () => void;

/** Listeners of typed events. @internal */
export class Emitter<Events> {
  readonly #listeners = new Map<keyof Events, Set<(event: never) => void>>();

  on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): Unsubscribe {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  emit<Name extends keyof Events>(name: Name, event: Events[Name]): void {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) {
      try {
        listener(event as never);
      } catch (error) {
        // A listener's fault is neither the room's nor the other listeners'.
        reportError(error);
      }
    }
  }
}

/** An event as the worker gives it, as participant/src/event.rs has it. @internal */
export type WorkerEvent =
  | { [Name in keyof RoomEvents]: { readonly type: Name } & RoomEvents[Name] }[keyof RoomEvents]
  | { readonly type: "redirected"; readonly to: readonly { readonly host: string | null; readonly port: number }[] }
  | { readonly type: "redirectEnded" }
  | { readonly type: "messageReceived" }
  | { readonly type: "other" }
  | { readonly type: "replied"; readonly request: number; readonly affected: number | null; readonly error: PlainError | null };

/** What the page asks the worker for. @internal */
export type ToWorker =
  | {
    readonly type: "start"; readonly ticket: string; readonly server: string | null; readonly options: object; readonly seed: Uint8Array;
    readonly transport: "auto" | CarriageName; readonly prefer: CarriageName | null; readonly audio: MessagePort; readonly page: string;
    readonly module: WebAssembly.Module;
  }
  | { readonly type: "command"; readonly id: number; readonly command: { readonly type: string; readonly [field: string]: unknown } }
  | {
    readonly type: "message"; readonly id: number; readonly to: string[]; readonly topic: string; readonly body: Uint8Array;
    readonly reliable: boolean;
  }
  | {
    readonly type: "capture"; readonly id: number; readonly key: string; readonly bitrate: number; readonly dtx: boolean;
    readonly module: WebAssembly.Module;
  }
  | { readonly type: "statistics"; readonly id: number }
  | {
    readonly type: "publishPictures"; readonly id: number; readonly key: string; readonly kind: "video" | "screen";
    readonly muted: boolean; readonly settings: PictureSettings;
  }
  | { readonly type: "unpublishPictures"; readonly id: number; readonly key: string }
  | { readonly type: "showFrames"; readonly key: string; readonly source: FrameSource | null }
  | {
    readonly type: "watch"; readonly watch: number; readonly stream: StreamName; readonly kind: "video" | "screen";
    readonly canvas: OffscreenCanvas;
  }
  /** Whether workers can take the pictures of a track. */
  | { readonly type: "hasProcessor"; readonly id: number }
  | { readonly type: "watchKind"; readonly watch: number; readonly kind: "video" | "screen" }
  | { readonly type: "watchShown"; readonly watch: number; readonly isShown: boolean }
  | { readonly type: "unwatch"; readonly watch: number }
  | { readonly type: "networkChanged" };

/** What the worker tells the page. @internal */
export type FromWorker =
  | { readonly type: "events"; readonly events: readonly WorkerEvent[]; readonly messages: readonly Message[]; readonly changes: string }
  | { readonly type: "levels"; readonly levels: string }
  | { readonly type: "answer"; readonly id: number; readonly value?: unknown; readonly error?: PlainError }
  | { readonly type: "carriage"; readonly carriage: CarriageName }
  /** The participant could not be started, or never connected. */
  | { readonly type: "failed"; readonly error: PlainError }
  /** It could not connect anew, and will try again. */
  | { readonly type: "delayed"; readonly error: PlainError }
  | { readonly type: "seen"; readonly watch: number; readonly seen: Seen }
  | { readonly type: "watchFailed"; readonly watch: number; readonly error: PlainError }
  | { readonly type: "picturesFailed"; readonly key: string; readonly error: PlainError };

/** @internal */
export type WorkerStatistics = Omit<Statistics, "slots">;
