import type { Camera } from "./camera.js";
import type { PlainError } from "./errors.js";
import type { Microphone } from "./microphone.js";
import type { Screen } from "./screen.js";
import type { CarriageName, Connection, Grant, Message, StreamName } from "./types.js";
/** The events of a room: the name of each, and what its listeners get. */
export interface RoomEvents {
    /** In the session, at first or again. `resumed`: as if the connection had never broken. */
    joined: {
        readonly resumed: boolean;
    };
    /** All of the room's state is there, after `joined`. */
    synchronized: object;
    /** In the lobby, until a moderator decides. */
    waiting: object;
    /** The connection is being restored; nothing has to be done. */
    reconnecting: {
        readonly reason: "silence" | "reset" | "networkChanged" | "redirected" | "keysExhausted" | "other";
    };
    /** It is over. `reason` says why, `message` says it to people. */
    closed: {
        readonly cause: "closed" | "refused" | "versionMismatch" | "other";
        readonly reason: string;
        readonly message: string;
    };
    /** Anything of the room's state has changed: for who shows all of it anew. */
    changed: object;
    /** `room.connection` has changed. */
    connection: {
        readonly connection: Connection;
    };
    /** `present`: it was there before this page joined. */
    participantJoined: {
        readonly participant: string;
        readonly present: boolean;
    };
    participantLeft: {
        readonly participant: string;
        readonly reason: string;
    };
    /** Out of view: gone, or one of too many to be shown. */
    participantHidden: {
        readonly participant: string;
    };
    connectionChanged: {
        readonly participant: string;
        readonly state: "connected" | "reconnecting";
    };
    streamPublished: {
        readonly stream: StreamName;
    };
    streamUnpublished: {
        readonly stream: StreamName;
    };
    streamMuted: {
        readonly stream: StreamName;
        readonly muted: boolean;
    };
    censored: {
        readonly participant: string;
        readonly censored: boolean;
    };
    attributeChanged: {
        readonly participant: string;
        readonly key: string;
    };
    speakingStarted: {
        readonly participant: string;
    };
    speakingStopped: {
        readonly participant: string;
    };
    /** The active speaker changed. */
    speakerChanged: {
        readonly participant: string | null;
    };
    presenterChanged: {
        readonly participant: string | null;
    };
    mainChanged: {
        readonly participant: string | null;
    };
    floorChanged: {
        readonly participant: string | null;
    };
    countChanged: {
        readonly count: number;
    };
    /** The server records the session from now on, or no more: show it. It also comes at the join, if the session is recorded. */
    recordingChanged: {
        readonly recorded: boolean;
    };
    /** A stream of this page is published. */
    published: {
        readonly key: string;
    };
    /** A stream of this page is not, or no longer, published. */
    publishRefused: {
        readonly key: string;
        readonly error: PlainError;
    };
    policyRefused: {
        readonly error: PlainError;
    };
    message: Message;
    /** So many messages were dropped, because they were taken too slowly. */
    messagesMissed: {
        readonly messages: number;
    };
    /** So many packets of sound were dropped before they were sent, because the connection was behind. */
    packetsDropped: {
        readonly packets: number;
    };
    /** More has happened at once than was kept: look at the room's state, which is right. */
    eventsMissed: object;
    /** A participant waits in the lobby, and this one may admit it. */
    knocked: {
        readonly participant: string;
        readonly name: string;
    };
    knockEnded: {
        readonly participant: string;
    };
    lobbyChanged: {
        readonly waiting: number;
    };
    /** Give a newer token to `refreshToken`; with the option of that name it is fetched by itself. */
    tokenExpiring: {
        readonly seconds: number;
    };
    grantsChanged: {
        readonly grants: readonly Grant[];
    };
    /** How loud is who, in dB below the loudest (0 to −127), about ten times a second while somebody is heard. */
    levels: {
        readonly levels: Readonly<Record<string, number>>;
    };
    /** Datagrams take another way to the server. */
    carriageChanged: {
        readonly carriage: CarriageName;
    };
    /** `room.needsGesture` has changed. */
    gestureNeeded: {
        readonly needed: boolean;
    };
    /** `room.currentMicrophone` has changed, or whether it is muted. */
    microphoneChanged: {
        readonly microphone: Microphone | null;
    };
    /** The microphone is gone (unplugged, or taken back), and none could take its place. */
    microphoneLost: {
        readonly error: PlainError;
    };
    /** `room.currentCamera` has changed, or whether it is muted, or its device. */
    cameraChanged: {
        readonly camera: Camera | null;
    };
    /** The camera is gone: unplugged or taken back (`cameraUnplugged`), or its pictures cannot be encoded. */
    cameraLost: {
        readonly error: PlainError;
    };
    /** `room.currentScreen` has changed: shared, or ended, perhaps by the user in the browser. */
    screenChanged: {
        readonly screen: Screen | null;
    };
    /** The screen is no longer shared, because its pictures cannot be encoded. */
    screenLost: {
        readonly error: PlainError;
    };
    /** The browser's processing of sound has failed: nothing is heard or said any more. Leave, and join again. */
    audioFailed: {
        readonly error: PlainError;
    };
}
/** Ends a subscription to an event. */
export type Unsubscribe = () => void;
