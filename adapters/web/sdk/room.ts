import { Audio } from "./audio.js";
import type { Camera, CameraOptions } from "./camera.js";
import { ParlourError, plain, revived, type ErrorCode } from "./errors.js";
import { Emitter, type FromWorker, type RoomEvents, type ToWorker, type Unsubscribe, type WorkerEvent, type WorkerStatistics } from "./events.js";
import { check, Memory, startWorker, type JoinOptions } from "./join.js";
import { encoderModule, participantModule } from "./modules.js";
import { Microphone, STREAM, type MicrophoneOptions, type Wire } from "./microphone.js";
import {
  NOTHING, type CarriageName, type Changes, type Connection, type Grant, type Participant, type Policy, type State, type Statistics,
  type StreamName, type Waiting,
} from "./types.js";
import type { Screen, ScreenOptions } from "./screen.js";
import { Video, type Unnumbered } from "./video.js";
import type { Watch } from "./watch.js";

type Answer = { resolve(value: unknown): void; reject(error: ParlourError): void };

/** A room, and this page as one of its participants. */
export class Room {
  readonly #worker: Worker;
  readonly #audio: Audio;
  readonly #emitter = new Emitter<RoomEvents>();
  readonly #answers = new Map<number, Answer>();
  readonly #options: JoinOptions;
  readonly #memory: Memory;
  readonly #video: Video;
  #asked = 0;
  #state: State = NOTHING;
  #participants: ReadonlyMap<string, Participant> = new Map();
  #carriage: CarriageName | null = null;
  #microphone: Microphone | null = null;
  /** The microphone that is being turned on, or was last. */
  #starting: Promise<unknown> = Promise.resolve();
  /** Why the connection is not there yet, if something was tried in vain. */
  #delay: ParlourError | undefined;
  #settle: { resolve(): void; reject(error: ParlourError): void } | undefined;

  private constructor(ticket: string, options: JoinOptions) {
    this.#options = options;
    this.#memory = new Memory(options.server);
    this.#video = new Video({
      emitter: this.#emitter,
      ask: (asked) => this.#ask(asked),
      post: (message, transfer) => this.#worker.postMessage(message, transfer),
      participant: (id) => this.#participants.get(id),
      isJoined: () => this.connection === "joined",
    });
    const { port1, port2 } = new MessageChannel();
    this.#audio = new Audio(port1, {
      needsGesture: (needed) => this.#emitter.emit("gestureNeeded", { needed }),
      failed: (error) => this.#emitter.emit("audioFailed", { error: plain(error) }),
    });
    let worker: Worker | undefined;
    try {
      this.#worker = worker = startWorker();
      this.#listen();
      const { transport = "auto", policy = "all", voices } = options;
      const start = {
        type: "start", ticket, server: options.server ?? null, options: { policy, ...(voices !== undefined && { slots: voices }) },
        seed: crypto.getRandomValues(new Uint8Array(32)), transport, prefer: this.#memory.carriage, audio: port2, page: location.href,
      } as const;
      participantModule().then(
        (module) => this.#worker.postMessage({ ...start, module } satisfies ToWorker, [port2]),
        (error: ParlourError) => this.#end(error),
      );
    } catch (cause) {
      this.#audio.close();
      worker?.terminate();
      throw new ParlourError("loadFailed", "the page cannot start a worker: allow it by worker-src", cause);
    }
    addEventListener("online", this.#networkChanged);
    addEventListener("pageshow", this.#shown);
    addEventListener("pagehide", this.#hidden);
  }

  #listen(): void {
    let hasSpoken = false;
    this.#worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      hasSpoken = true;
      this.#take(data);
    };
    this.#worker.onerror = ({ message: detail }) => {
      if (!hasSpoken) {
        const message = "worker.js cannot be loaded: serve it beside this module, and allow it by worker-src";
        return this.#end(new ParlourError("loadFailed", message));
      }
      const message = `the participant has failed: join again, and report this: ${detail}`;
      this.#end(new ParlourError("other", message));
      this.#emitter.emit("connection", { connection: "closed" });
      this.#emitter.emit("closed", { cause: "other", reason: "other", message });
    };
  }

  /**
   * Joins the room of a ticket. Call it in a click or key press: then sound may play at once; otherwise see
   * {@link needsGesture}.
   *
   * It resolves when the participant is in the room and knows who is there, or waits in the lobby ({@link connection}).
   *
   * @throws {@link ParlourError}: the ticket or an option is none, the server cannot be reached, or it refuses, and why.
   */
  static async join(ticket: string, options: JoinOptions = {}): Promise<Room> {
    check(ticket, options);
    const room = new Room(ticket, options);
    const timeout = options.timeout ?? 15_000;
    let timer;
    try {
      await new Promise<void>((resolve, reject) => {
        room.#settle = { resolve, reject };
        timer = setTimeout(() => {
          const message = `the server has not answered for ${timeout / 1_000} s: check the network, and that the server runs`;
          reject(room.#delay ?? new ParlourError("unreachable", message));
        }, timeout);
        room.#audio.ready.catch(reject);
      });
    } catch (error) {
      room.#end(error as ParlourError);
      throw error;
    } finally {
      clearTimeout(timer);
      room.#settle = undefined;
    }
    return room;
  }

  // Facts

  /** How this page is connected with the room. */
  get connection(): Connection {
    return this.#state.connection;
  }

  /** The id of this page's participant; `null` in the lobby. */
  get me(): string | null {
    return this.#state.me;
  }

  /** What this participant may do. */
  get grants(): readonly Grant[] {
    return this.#state.grants;
  }

  /** Those in the room by their ids, this page among them. A new map after each change. */
  get participants(): ReadonlyMap<string, Participant> {
    return this.#participants;
  }

  /** How many are in the room; of a very large one not all are in {@link participants}. */
  get count(): number {
    return this.#state.count;
  }

  /** The participant that is loudest now. */
  get activeSpeaker(): Participant | null {
    return this.#find(this.#state.activeSpeaker);
  }

  /** The participant that shares its screen; of several, the one that began last. */
  get presenter(): Participant | null {
    return this.#find(this.#state.presenter);
  }

  /** Those who speak now. */
  get speakers(): readonly Participant[] {
    return this.#state.speakers.flatMap((id) => this.#find(id) ?? []);
  }

  /** The participant to show large: pinned, or presenting, or the active speaker. */
  get main(): Participant | null {
    return this.#find(this.#state.main);
  }

  /** The participant that holds the floor, in rooms that use it. */
  get floor(): Participant | null {
    return this.#find(this.#state.floor);
  }

  /** Whether the session is recorded. Tell it to the user: in many places the law has you do so. */
  get isRecorded(): boolean {
    return this.#state.recorded;
  }

  /** Those who wait in the lobby, if this participant may admit them. */
  get lobby(): readonly Waiting[] {
    return this.#state.lobby;
  }

  /** How many wait in the lobby; not all of them may be in {@link lobby}. */
  get waiting(): number {
    return this.#state.waiting;
  }

  /** The id of the session, as the server's API and its webhooks name it; `null` before the first join. */
  get session(): string | null {
    return this.#state.session;
  }

  /** How datagrams travel now. */
  get carriage(): CarriageName | null {
    return this.#carriage;
  }

  /**
   * Whether the browser lets sound play only after a gesture of the user. Any click or key press on the page then unlocks it;
   * show a hint, or call {@link resumeAudio} in one.
   */
  get needsGesture(): boolean {
    return this.#audio.needsGesture;
  }

  /** Listens to an event. The result ends that. */
  on<Name extends keyof RoomEvents>(name: Name, listener: (event: RoomEvents[Name]) => void): Unsubscribe {
    return this.#emitter.on(name, listener);
  }

  // Sound

  /**
   * Turns the microphone on and publishes it. The browser asks the user at the first time. A room has one microphone: if it is on
   * already, it stops, and this one takes its place.
   *
   * @throws {@link ParlourError} with `microphoneDenied`, `microphoneMissing`, `microphoneBusy`, or the server's refusal.
   */
  microphone(options: MicrophoneOptions = {}): Promise<Microphone> {
    // One after the other, also if a button is pressed twice.
    const started = this.#starting.then(() => this.#start(options));
    this.#starting = started.catch(() => undefined);
    return started;
  }

  async #start(options: MicrophoneOptions): Promise<Microphone> {
    await this.#microphone?.stop();
    const wire: Wire = {
      audio: this.#audio,
      capture: async (key, bitrate, dtx) => void await this.#ask({ type: "capture", key, bitrate, dtx, module: await encoderModule() }),
      command: (command) => this.#command(command),
      lost: (error) => this.#emitter.emit("microphoneLost", { error: plain(error) }),
      muted: (microphone) => { if (this.#microphone === microphone) this.#setMicrophone(microphone); },
      released: (microphone) => { if (this.#microphone === microphone) this.#setMicrophone(null); },
    };
    const microphone = await Microphone.start(wire, options);
    this.#setMicrophone(microphone);
    return microphone;
  }

  #setMicrophone(microphone: Microphone | null): void {
    this.#microphone = microphone;
    this.#emitter.emit("microphoneChanged", { microphone });
  }

  /** The microphone that is on. */
  get currentMicrophone(): Microphone | null {
    return this.#microphone;
  }

  /** Lets sound play; works in a gesture of the user. */
  resumeAudio(): Promise<void> {
    return this.#audio.resume();
  }

  /** Plays by another speaker, of `devices().speakers`; the system's preferred one is `""`. */
  setSpeaker(deviceId: string): Promise<void> {
    return this.#audio.setSpeaker(deviceId);
  }

  /** Hears a stream, whatever the policy. */
  async subscribe(stream: StreamName): Promise<void> {
    await this.#command({ type: "subscribe", stream: { participant: stream.participant, key: stream.key } });
  }

  /** Does not hear a stream, whatever the policy: silences it for this page alone. */
  async unsubscribe(stream: StreamName): Promise<void> {
    await this.#command({ type: "unsubscribe", stream: { participant: stream.participant, key: stream.key } });
  }

  /** Says which streams to hear without asking for each. */
  async setPolicy(policy: Policy): Promise<void> {
    await this.#command({ type: "setSubscribePolicy", policy });
  }

  /** Keeps a place for a stream whoever else talks; `null` ends that. */
  async pin(stream: StreamName | null): Promise<void> {
    await this.#command({ type: "pin", stream: stream && { participant: stream.participant, key: stream.key } });
  }

  // Pictures

  /**
   * Turns the camera on and publishes it. The browser asks the user at the first time. A room has one camera: if it is on already,
   * it stops, and this one takes its place.
   *
   * @throws {@link ParlourError} with `cameraDenied`, `cameraMissing`, `cameraBusy`, `encoderMissing`, or the server's refusal.
   */
  camera(options: CameraOptions = {}): Promise<Camera> {
    return this.#video.startCamera(options);
  }

  /** The camera that is on, or muted. */
  get currentCamera(): Camera | null {
    return this.#video.camera;
  }

  /**
   * Shares a screen, a window or a tab, as the browser has the user choose: call it in a click or key press. It ends by
   * {@link Screen.stop}, or when the user ends it by the browser; the event `screenChanged` says so.
   *
   * @throws {@link ParlourError} with `screenDenied`, `screenFailed`, `encoderMissing`, or the server's refusal.
   */
  screen(options: ScreenOptions = {}): Promise<Screen> {
    return this.#video.startScreen(options);
  }

  /** What is shared now. */
  get currentScreen(): Screen | null {
    return this.#video.screen;
  }

  /**
   * Watches a stream of another participant: put the result's `canvas` into the page. It comes while the canvas can be seen, and
   * again if it ends and is published anew.
   */
  watch(stream: StreamName): Watch {
    return this.#video.watch(stream);
  }

  // Messages and attributes

  /**
   * Sends a message to those named, or to all others. At most 640 bytes.
   *
   * @returns How many it was sent to; 0 for one that may get lost (`reliable: false`).
   */
  async send(topic: string, body: string | Uint8Array, options: { to?: readonly string[]; reliable?: boolean } = {}): Promise<number> {
    const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
    const { to = [], reliable = true } = options;
    return Number(await this.#ask({ type: "message", to: [...to], topic, body: bytes, reliable }) ?? 0);
  }

  /** Gives an attribute a value of at most 64 bytes; an empty one removes it. Another's takes the grant `setAttributes`. */
  async setAttribute(key: string, value: string, participant?: string): Promise<void> {
    await this.#command({ type: "setAttribute", key, value, ...(participant !== undefined && { participant }) });
  }

  // The floor

  /** Asks for the right to speak, in rooms that use it. */
  async requestFloor(): Promise<void> {
    await this.#command({ type: "requestFloor" });
  }

  /** Gives it back. */
  async releaseFloor(): Promise<void> {
    await this.#command({ type: "releaseFloor" });
  }

  // Moderation

  /** Removes participants from the session. @returns How many. */
  kick(...participants: string[]): Promise<number> {
    return this.#moderate("kick", participants);
  }

  /** Silences participants. @returns How many. */
  censor(...participants: string[]): Promise<number> {
    return this.#moderate("censor", participants);
  }

  /** Lifts the silence. @returns How many. */
  uncensor(...participants: string[]): Promise<number> {
    return this.#moderate("uncensor", participants);
  }

  /** Lets participants in from the lobby. @returns How many. */
  admit(...participants: string[]): Promise<number> {
    return this.#moderate("admit", participants);
  }

  /** Turns participants away from the lobby. @returns How many. */
  deny(...participants: string[]): Promise<number> {
    return this.#moderate("deny", participants);
  }

  /** Ends the session for everybody. */
  async endSession(): Promise<void> {
    await this.#command({ type: "endSession" });
  }

  // The stay

  /** Replaces the token by a newer one for the same participant and room. */
  async refreshToken(token: string): Promise<void> {
    await this.#command({ type: "refreshToken", token });
  }

  /** Figures about the connection. */
  async statistics(): Promise<Statistics> {
    const [figures, slots] = await Promise.all([this.#ask({ type: "statistics" }), this.#audio.statistics()]);
    return { ...figures as WorkerStatistics, slots };
  }

  /** Leaves the room. It resolves when the server knows, or after a second. */
  async leave(): Promise<void> {
    if (this.connection === "closed") return;
    const closed = new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, 2_000);
      this.on("closed", () => { clearTimeout(timer); resolve(); });
    });
    this.#microphone?.release();
    this.#video.release();
    await this.#command({ type: "leave" }).catch(() => undefined);
    await closed;
    this.#end(new ParlourError("left", "this page has left the room: join it again"));
  }

  // Inside

  #find(id: string | null): Participant | null {
    return (id !== null && this.#participants.get(id)) || null;
  }

  async #moderate(action: string, participants: readonly string[]): Promise<number> {
    if (participants.length === 0) return 0;
    return Number(await this.#command({ type: "moderate", action, participants: [...participants] }));
  }

  #command(command: { type: string; [field: string]: unknown }): Promise<unknown> {
    return this.#ask({ type: "command", command });
  }

  #ask(asked: Unnumbered): Promise<unknown> {
    if (this.connection === "closed") return Promise.reject(new ParlourError("closed", "the room is closed: join it again"));
    const id = ++this.#asked;
    return new Promise((resolve, reject) => {
      this.#answers.set(id, { resolve, reject });
      this.#worker.postMessage({ ...asked, id });
    });
  }

  #take(told: FromWorker): void {
    if (told.type === "events") {
      this.#change(JSON.parse(told.changes) as Changes);
      for (const event of told.events) this.#happened(event);
      for (const message of told.messages) this.#emitter.emit("message", message);
      this.#emitter.emit("changed", {});
    } else if (told.type === "levels") {
      this.#emitter.emit("levels", { levels: JSON.parse(told.levels) as Record<string, number> });
    } else if (told.type === "answer") {
      const answer = this.#answers.get(told.id);
      this.#answers.delete(told.id);
      if (told.error) answer?.reject(revived(told.error));
      else answer?.resolve(told.value);
    } else if (told.type === "delayed") {
      this.#delay = revived(told.error);
    } else if (told.type === "carriage") {
      this.#delay = undefined;
      this.#carriage = told.carriage;
      this.#memory.carriage = told.carriage;
      this.#emitter.emit("carriageChanged", { carriage: told.carriage });
    } else if (told.type === "failed") {
      this.#settle?.reject(revived(told.error));
    } else {
      this.#video.take(told);
    }
  }

  #change({ gone = [], participants = [], ...changes }: Changes): void {
    const before = this.#state;
    const state = this.#state = { ...before, ...changes };
    if (gone.length || participants.length || changes.speakers || changes.me !== undefined) {
      const speakers = new Set(state.speakers);
      const all = new Map([...this.#participants, ...participants.map((other) => [other.id, other] as const)]);
      for (const id of gone) all.delete(id);
      // Those that are as before stay the same objects.
      const marked = (id: string, one: Omit<Participant, "isLocal" | "isSpeaking"> & Partial<Participant>): Participant => {
        const isLocal = id === state.me, isSpeaking = speakers.has(id);
        return one.isLocal === isLocal && one.isSpeaking === isSpeaking ? one as Participant : { ...one, isLocal, isSpeaking };
      };
      const ids = [...all.keys()].sort((one, other) => one < other ? -1 : 1);
      this.#participants = new Map(ids.map((id) => [id, marked(id, all.get(id)!)]));
    }
    if (before.connection !== state.connection) this.#emitter.emit("connection", { connection: state.connection });
  }

  #happened(event: WorkerEvent): void {
    const { type, ...rest } = event;
    if (type === "synchronized" || type === "waiting") this.#settle?.resolve();
    if (event.type === "closed") {
      this.#settle?.reject(new ParlourError(event.reason as ErrorCode, event.message));
      this.#emitter.emit("closed", event);
      this.#end(new ParlourError(event.reason as ErrorCode, event.message));
      return;
    }
    if (event.type === "publishRefused") {
      if (event.key === STREAM) this.#microphone?.release();
      this.#video.refused(event.key);
    }
    if (event.type === "streamPublished") this.#video.published(event.stream);
    if (type === "tokenExpiring") this.#refresh();
    this.#emitter.emit(type as keyof RoomEvents, rest as never);
  }

  #refresh(): void {
    const { refreshToken } = this.#options;
    if (refreshToken) refreshToken().then((token) => this.refreshToken(token)).catch(reportError);
  }

  readonly #networkChanged = () => this.#worker.postMessage({ type: "networkChanged" } satisfies ToWorker);

  /** Out of the browser's cache of pages: the connections are gone. */
  readonly #shown = ({ persisted }: PageTransitionEvent) => {
    if (!persisted) return;
    this.#networkChanged();
    void this.resumeAudio().catch(() => undefined);
  };

  readonly #hidden = ({ persisted }: PageTransitionEvent) => {
    // Said while there is time; a page that is kept comes back.
    if (!persisted) void this.#command({ type: "leave" }).catch(() => undefined);
  };

  /** Releases all that the page holds. */
  #end(error: ParlourError): void {
    this.#state = { ...this.#state, connection: "closed" };
    removeEventListener("online", this.#networkChanged);
    removeEventListener("pageshow", this.#shown);
    removeEventListener("pagehide", this.#hidden);
    this.#microphone?.release();
    this.#video.close();
    this.#audio.close();
    this.#worker.terminate();
    for (const { reject } of this.#answers.values()) reject(error);
    this.#answers.clear();
    this.#settle?.reject(error);
  }
}
