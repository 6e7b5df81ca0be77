/**
 * Hooks for React.
 *
 * ```tsx
 * const { room, join, joining, error } = useRoom();
 * const participants = useParticipants(room);
 * const microphone = useMicrophone(room);
 * return room
 *   ? <button onClick={() => microphone.setMuted(!microphone.muted)}>{participants.length} here</button>
 *   : <button disabled={joining} onClick={() => join(ticket, { server: "https://rooms.example.org" })}>Join</button>;
 * ```
 *
 * @packageDocumentation
 */
import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";
import {
  ParlourError, Room, type CameraOptions, type Connection, type JoinOptions, type MicrophoneOptions, type Participant, type PlainError, type Watch,
} from "./index.js";

/** What {@link useRoom} gives. */
export interface UseRoom {
  /** The room, once it is joined. */
  readonly room: Room | null;
  readonly connection: Connection | null;
  /** Whether a join is under way. */
  readonly joining: boolean;
  /** Why joining failed, or the room was closed. */
  readonly error: ParlourError | null;
  /** Joins: call it in a click, so that sound may play. While a join is under way, another call is the same one. */
  join(ticket: string, options?: JoinOptions): Promise<void>;
  /** Leaves, or gives up a join. */
  leave(): Promise<void>;
}

/** One room for as long as the component is there. */
export function useRoom(): UseRoom {
  const [room, setRoom] = useState<Room | null>(null);
  const [joining, setJoining] = useState(false);
  const [error, setError] = useState<ParlourError | null>(null);
  const current = useRef<Room | null>(null);
  const pending = useRef<Promise<void> | null>(null);
  const isHere = useRef(true);
  useEffect(() => {
    isHere.current = true;
    return () => {
      isHere.current = false;
      void current.current?.leave();
    };
  }, []);
  const join = useCallback((ticket: string, options?: JoinOptions) => {
    if (pending.current) return pending.current;
    const isWanted = () => isHere.current && pending.current === attempt;
    const run = async () => {
      try {
        await current.current?.leave();
        const joined = await Room.join(ticket, options);
        if (!isWanted()) return void joined.leave();
        joined.on("closed", ({ reason, message }) => {
          if (current.current !== joined) return;
          current.current = null;
          setRoom(null);
          if (reason !== "left") setError(new ParlourError(reason as ParlourError["code"], message));
        });
        joined.on("audioFailed", ({ error }) => setError(new ParlourError(error.code, error.message)));
        current.current = joined;
        setRoom(joined);
      } catch (failed) {
        if (isWanted()) setError(failed as ParlourError);
      } finally {
        if (pending.current === attempt) {
          pending.current = null;
          setJoining(false);
        }
      }
    };
    setError(null);
    setJoining(true);
    const attempt: Promise<void> = run();
    return pending.current = attempt;
  }, []);
  const leave = useCallback(async () => {
    pending.current = null;
    setJoining(false);
    await current.current?.leave();
    current.current = null;
    setRoom(null);
  }, []);
  const connection = useRoomValue(room, (room) => room.connection, null);
  return { room, connection, joining, error, join, leave };
}

const NOBODY: readonly Participant[] = [];
const lists = new WeakMap<ReadonlyMap<string, Participant>, readonly Participant[]>();

/** Those in the room, in the order of their ids; the component renders anew when they change. */
export function useParticipants(room: Room | null): readonly Participant[] {
  return useRoomValue(room, ({ participants }) => {
    // The same list for the same map, as React wants it.
    const list = lists.get(participants) ?? [...participants.values()];
    lists.set(participants, list);
    return list;
  }, NOBODY);
}

/** What {@link useMicrophone} gives. */
export interface UseMicrophone extends UseSource<MicrophoneOptions> {}

/** What {@link useCamera} gives. */
export interface UseCamera extends UseSource<CameraOptions> {
  /** For the user's own view: `ref={(video) => { if (video) video.srcObject = camera.stream; }}`. */
  readonly stream: MediaStream | null;
}

/** A microphone or camera in a component. */
export interface UseSource<Options> {
  readonly on: boolean;
  readonly muted: boolean;
  readonly error: ParlourError | null;
  start(options?: Options): Promise<void>;
  setMuted(muted: boolean): Promise<void>;
  stop(): Promise<void>;
}

/** The room's microphone: the same in all components, and on for as long as the room has it. */
export function useMicrophone(room: Room | null): UseMicrophone {
  return useSource(room, currentMicrophone, "mic", "microphoneLost", startMicrophone);
}

const currentMicrophone = (room: Room) => room.currentMicrophone;
const startMicrophone = (room: Room, options?: MicrophoneOptions) => room.microphone(options);

/** The room's camera: the same in all components, and on for as long as the room has it. */
export function useCamera(room: Room | null): UseCamera {
  const source = useSource(room, currentCamera, "camera", "cameraLost", startCamera);
  const stream = useRoomValue(room, (room) => room.currentCamera?.stream ?? null, null);
  return { ...source, stream };
}

const currentCamera = (room: Room) => room.currentCamera;
const startCamera = (room: Room, options?: CameraOptions) => room.camera(options);

/** The picture of a stream in an element, for as long as that is there: `<div ref={usePicture(room, "anna", "camera")} />`. */
export function usePicture(room: Room | null, participant: string, key: string): (place: HTMLElement | null) => void {
  const watch = useRef<Watch | null>(null);
  return useCallback((place: HTMLElement | null) => {
    watch.current?.stop();
    watch.current = room && place && room.watch({ participant, key });
    if (watch.current) place?.append(watch.current.canvas);
  }, [room, participant, key]);
}

/** What microphone and camera have in common. */
interface Source {
  readonly muted: boolean;
  setMuted(muted: boolean): Promise<void>;
  stop(): Promise<void>;
}

function useSource<Options>(
  room: Room | null, current: (room: Room) => Source | null, key: string, lost: "microphoneLost" | "cameraLost",
  begin: (room: Room, options?: Options) => Promise<unknown>,
): UseSource<Options> {
  const source = useRoomValue(room, current, null);
  const muted = useRoomValue(room, (room) => current(room)?.muted ?? false, false);
  const [error, setError] = useState<ParlourError | null>(null);
  const starting = useRef<Promise<void> | null>(null);
  useEffect(() => {
    setError(null);
    const failed = ({ error }: { error: PlainError }) => setError(new ParlourError(error.code, error.message));
    const refused = (event: { key: string; error: PlainError }) => { if (event.key === key) failed(event); };
    const ends = room && [room.on(lost, failed), room.on("publishRefused", refused)];
    return () => ends?.forEach((end) => end());
  }, [room, key, lost]);
  const attempt = useCallback(async (action: () => Promise<unknown> | undefined) => {
    setError(null);
    try {
      await action();
    } catch (failed) {
      setError(failed as ParlourError);
    }
  }, []);
  const start = useCallback((options?: Options) => {
    const begun = () => room ? begin(room, options) : undefined;
    const started = starting.current ?? attempt(begun).finally(() => { starting.current = null; });
    return starting.current = started;
  }, [room, attempt, begin]);
  const setMuted = useCallback((muted: boolean) => attempt(() => room ? current(room)?.setMuted(muted) : undefined), [room, attempt, current]);
  const stop = useCallback(() => attempt(() => room ? current(room)?.stop() : undefined), [room, attempt, current]);
  return { on: source !== null, muted, error, start, setMuted, stop };
}

function useRoomValue<T>(room: Room | null, read: (room: Room) => T, none: T): T {
  const subscribe = useCallback((changed: () => void) => {
    if (!room) return () => undefined;
    const names = ["changed", "connection", "microphoneChanged", "cameraChanged"] as const;
    const ends = names.map((name) => room.on(name, changed));
    return () => ends.forEach((end) => end());
  }, [room]);
  const snapshot = () => room ? read(room) : none;
  return useSyncExternalStore(subscribe, snapshot, () => none);
}
