/**
 * Hooks for React.
 *
 * ```tsx
 * const { room, join, error } = useRoom();
 * const participants = useParticipants(room);
 * const microphone = useMicrophone(room);
 * return room
 *   ? <button onClick={() => microphone.setMuted(!microphone.muted)}>{participants.length} here</button>
 *   : <button onClick={() => join(ticket)}>Join</button>;
 * ```
 *
 * @packageDocumentation
 */
import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { ParlourError, Room, type Connection, type JoinOptions, type Microphone, type MicrophoneOptions, type Participant } from "./index.js";

/** What {@link useRoom} gives. */
export interface UseRoom {
  /** The room, once it is joined. */
  readonly room: Room | null;
  readonly connection: Connection | null;
  /** Why joining failed, or the room was closed. */
  readonly error: ParlourError | null;
  /** Joins: call it in a click, so that sound may play. */
  join(ticket: string, options?: JoinOptions): Promise<void>;
  leave(): Promise<void>;
}

/** One room for as long as the component is there. */
export function useRoom(): UseRoom {
  const [room, setRoom] = useState<Room | null>(null);
  const [error, setError] = useState<ParlourError | null>(null);
  const current = useRef<Room | null>(null);
  const isHere = useRef(true);
  useEffect(() => {
    isHere.current = true;
    return () => {
      isHere.current = false;
      void current.current?.leave();
    };
  }, []);
  const join = useCallback(async (ticket: string, options?: JoinOptions) => {
    setError(null);
    try {
      await current.current?.leave();
      const joined = await Room.join(ticket, options);
      if (!isHere.current) return void joined.leave();
      joined.on("closed", ({ reason, message }) => {
        if (current.current !== joined) return;
        current.current = null;
        setRoom(null);
        if (reason !== "left") setError(new ParlourError(reason as ParlourError["code"], message));
      });
      current.current = joined;
      setRoom(joined);
    } catch (failed) {
      if (isHere.current) setError(failed as ParlourError);
    }
  }, []);
  const leave = useCallback(async () => {
    await current.current?.leave();
    current.current = null;
    setRoom(null);
  }, []);
  const connection = useRoomValue(room, (room) => room.connection, null);
  return { room, connection, error, join, leave };
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
export interface UseMicrophone {
  readonly on: boolean;
  readonly muted: boolean;
  readonly error: ParlourError | null;
  start(options?: MicrophoneOptions): Promise<void>;
  setMuted(muted: boolean): Promise<void>;
  stop(): Promise<void>;
}

/** The page's microphone in the room. */
export function useMicrophone(room: Room | null): UseMicrophone {
  const [microphone, setMicrophone] = useState<Microphone | null>(null);
  const [muted, setMutedState] = useState(false);
  const [error, setError] = useState<ParlourError | null>(null);
  useEffect(() => () => setMicrophone(null), [room]);
  const attempt = useCallback(async (action: () => Promise<void>) => {
    setError(null);
    try {
      await action();
    } catch (failed) {
      setError(failed as ParlourError);
    }
  }, []);
  const start = useCallback((options?: MicrophoneOptions) => attempt(async () => {
    const started = await room?.microphone(options);
    setMicrophone(started ?? null);
    setMutedState(started?.muted ?? false);
  }), [room, attempt]);
  const setMuted = useCallback((muted: boolean) => attempt(async () => {
    await microphone?.setMuted(muted);
    if (microphone) setMutedState(muted);
  }), [microphone, attempt]);
  const stop = useCallback(() => attempt(async () => {
    await microphone?.stop();
    setMicrophone(null);
  }), [microphone, attempt]);
  return { on: microphone !== null, muted, error, start, setMuted, stop };
}

function useRoomValue<T>(room: Room | null, read: (room: Room) => T, none: T): T {
  const subscribe = useCallback((changed: () => void) => {
    if (!room) return () => undefined;
    const ends = [room.on("changed", changed), room.on("connection", changed)];
    return () => ends.forEach((end) => end());
  }, [room]);
  const snapshot = () => room ? read(room) : none;
  return useSyncExternalStore(subscribe, snapshot, () => none);
}
