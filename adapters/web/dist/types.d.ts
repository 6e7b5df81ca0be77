/** What the room has, and how the connection does. */
/** How the participant is connected with the room. */
export type Connection = "joining" | "waiting" | "joined" | "reconnecting" | "closed";
/** How datagrams travel to the server. */
export type CarriageName = "webTransport" | "webSocket";
/** Which carriage to use: `auto` races WebTransport with WebSocket. */
export type TransportChoice = "auto" | CarriageName;
/** Which streams to hear without asking for each: all, none, or one that the server mixes of all. */
export type Policy = "all" | "none" | "mix";
/** A right of a participant. */
export type Grant = "publishAudio" | "publishVideo" | "publishScreen" | "subscribe" | "sendMessages" | "requestFloor" | "kick" | "censor" | "endSession" | "admit" | "setAttributes";
/** A published flow of media. */
export interface Stream {
    /** Its name among its publisher's, such as `mic`. */
    readonly key: string;
    /** The kind of media: sound, a camera, or a screen. */
    readonly kind: "audio" | "video" | "screen";
    readonly codec: "opus" | "pcmu" | "pcma" | "vp8" | "h264" | "jpeg";
    /** Silenced by its publisher. */
    readonly muted: boolean;
}
/** Names one stream of one participant. */
export interface StreamName {
    readonly participant: string;
    readonly key: string;
}
/** One party of the room. */
export interface Participant {
    readonly id: string;
    /** The name for people; may be empty. */
    readonly name: string;
    /** Whether this is the participant of this page. */
    readonly isLocal: boolean;
    /** Whether it speaks now. */
    readonly isSpeaking: boolean;
    /** Whether its end is in touch with the server. */
    readonly connection: "connected" | "reconnecting";
    /** Silenced by a moderator. */
    readonly censored: boolean;
    readonly streams: readonly Stream[];
    /** Small facts that the application gives a meaning, such as a raised hand. Only those that are text. */
    readonly attributes: Readonly<Record<string, string>>;
}
/** A participant that waits in the lobby. */
export interface Waiting {
    readonly id: string;
    readonly name: string;
}
/** An application message. */
export interface Message {
    /** The id of the sender. */
    readonly from: string;
    readonly topic: string;
    readonly body: Uint8Array;
    /** The body as text. */
    readonly text: string;
    readonly reliable: boolean;
}
/** How well the connection does. Times are milliseconds, shares are 0 to 1; `null` is not measured yet. */
export interface Statistics {
    readonly carriage: CarriageName | null;
    readonly rtt: number | null;
    readonly datagramsSent: number;
    readonly bytesSent: number;
    readonly datagramsReceived: number;
    readonly bytesReceived: number;
    /** Datagrams that were not sent because the carriage was behind. */
    readonly datagramsUnsent: number;
    /** Packets of media that were dropped before they were sent. */
    readonly packetsUnsent: number;
    /** Datagrams that came and were not authentic, or came twice. */
    readonly datagramsDropped: number;
    readonly uplinkLoss: number | null;
    readonly uplinkJitter: number;
    readonly downlinkLoss: number | null;
    /** The quality of the conversation, 0 to 100. */
    readonly quality: number | null;
    /** The voices heard so far. */
    readonly slots: readonly SlotStatistics[];
}
/** How one voice is played. */
export interface SlotStatistics {
    readonly received: number;
    readonly late: number;
    readonly lost: number;
    /** Milliseconds of sound that were made up. */
    readonly concealed: number;
    /** Milliseconds that the sound waits before it is played, and that it should. */
    readonly delay: number;
    readonly target: number;
}
