/** What went wrong, for the program. */
export type ErrorCode =
  // The page and the browser
  | "invalidArgument" | "notSupported" | "loadFailed" | "audioFailed"
  | "microphoneDenied" | "microphoneMissing" | "microphoneBusy" | "microphoneFailed"
  | "cameraDenied" | "cameraMissing" | "cameraBusy" | "cameraFailed" | "cameraUnplugged" | "screenDenied" | "screenFailed"
  | "encoderMissing" | "encoderFailed" | "decoderFailed"
  // The way to the server
  | "unreachable" | "noServer" | "versionMismatch"
  // The join was refused, or the participant is out
  | "invalidTicket" | "invalidToken" | "tokenExpired" | "tokenRevoked" | "wrongRoom" | "unknownRoom" | "roomFull"
  | "roomDisabled" | "kicked" | "denied" | "banned" | "sessionEnded" | "unavailable" | "malformed" | "replaced" | "tooOften"
  | "duplicateParticipant" | "left" | "connectionLost" | "serverShutdown" | "protocolError" | "aloneTooLong" | "sessionTooLong"
  // Requests
  | "closed" | "notJoined" | "notPermitted" | "unknownParticipant" | "unknownStream" | "alreadyPublished" | "tooManyStreams"
  | "codecMismatch" | "tooManySubscriptions" | "tooManyRequests" | "rateLimited" | "floorTaken" | "floorNotHeld"
  | "mixUnavailable" | "messageTooLong" | "tooManyAttributes" | "other";

/** An error of this package. `code` is for programs; `message` says what happened and what to do. */
export class ParlourError extends Error {
  override readonly name = "ParlourError";

  /** @internal */
  constructor(readonly code: ErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
  }
}

/** An error in an event: as {@link ParlourError}, but a plain object. */
export interface PlainError {
  readonly code: ErrorCode;
  readonly message: string;
}

/** @internal */
export function plain(error: unknown): PlainError {
  if (error instanceof ParlourError) return { code: error.code, message: error.message };
  if (typeof error === "string") {
    // What the participant in WebAssembly throws.
    try {
      const { code, message } = JSON.parse(error) as PlainError;
      return { code, message };
    } catch { /* Something else. */ }
  }
  return { code: "other", message: error instanceof Error ? error.message : String(error) };
}

/** @internal */
export function revived({ code, message }: PlainError): ParlourError {
  return new ParlourError(code, message);
}
