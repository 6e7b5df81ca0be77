/** What went wrong, for the program. */
export type ErrorCode = "invalidArgument" | "notSupported" | "loadFailed" | "audioFailed" | "microphoneDenied" | "microphoneMissing" | "microphoneBusy" | "microphoneFailed" | "cameraDenied" | "cameraMissing" | "cameraBusy" | "cameraFailed" | "cameraUnplugged" | "screenDenied" | "screenFailed" | "encoderMissing" | "encoderFailed" | "decoderFailed" | "unreachable" | "noServer" | "versionMismatch" | "invalidTicket" | "invalidToken" | "tokenExpired" | "tokenRevoked" | "wrongRoom" | "unknownRoom" | "roomFull" | "roomDisabled" | "kicked" | "denied" | "banned" | "sessionEnded" | "unavailable" | "malformed" | "replaced" | "tooOften" | "duplicateParticipant" | "left" | "connectionLost" | "serverShutdown" | "protocolError" | "aloneTooLong" | "sessionTooLong" | "closed" | "notJoined" | "notPermitted" | "unknownParticipant" | "unknownStream" | "alreadyPublished" | "tooManyStreams" | "codecMismatch" | "tooManySubscriptions" | "tooManyRequests" | "rateLimited" | "floorTaken" | "floorNotHeld" | "mixUnavailable" | "messageTooLong" | "tooManyAttributes" | "other";
/** An error of this package. `code` is for programs; `message` says what happened and what to do. */
export declare class ParlourError extends Error {
    readonly code: ErrorCode;
    readonly name = "ParlourError";
}
/** An error in an event: as {@link ParlourError}, but a plain object. */
export interface PlainError {
    readonly code: ErrorCode;
    readonly message: string;
}
