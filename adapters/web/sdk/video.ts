/** The pictures of a room in the page: its camera, its screen, and what it watches. */
import { CAMERA, Camera, type CameraOptions, type PictureWire } from "./camera.js";
import { ParlourError, plain, type PlainError } from "./errors.js";
import type { Emitter, FromWorker, RoomEvents, ToWorker } from "./events.js";
import { SCREEN, Screen, type ScreenOptions } from "./screen.js";
import type { Participant, StreamName } from "./types.js";
import { Watch } from "./watch.js";

/** What the page asks of the worker, without its number. @internal */
export type Unnumbered = Extract<ToWorker, { id: number }> extends infer Asked ? Asked extends { id: number } ? Omit<Asked, "id"> : never : never;

/** What the pictures need of their room. @internal */
export interface RoomWire {
  readonly emitter: Emitter<RoomEvents>;
  ask(asked: Unnumbered): Promise<unknown>;
  post(message: ToWorker, transfer: Transferable[]): void;
  participant(id: string): Participant | undefined;
  isJoined(): boolean;
}

/** @internal */
export class Video {
  readonly #wire: RoomWire;
  readonly #watches = new Map<number, Watch>();
  #camera: Camera | null = null;
  #screen: Screen | null = null;
  /** The camera and the screen that are being turned on, or were last. */
  #starting: Promise<unknown> = Promise.resolve();
  #count = 0;

  constructor(wire: RoomWire) {
    this.#wire = wire;
  }

  get camera(): Camera | null {
    return this.#camera;
  }

  get screen(): Screen | null {
    return this.#screen;
  }

  startCamera(options: CameraOptions): Promise<Camera> {
    return this.#next(async () => {
      await this.#camera?.stop();
      const camera = await Camera.start(this.#wireOf<Camera>("cameraLost", (camera, isOver) => {
        if (this.#camera === camera) this.#setCamera(isOver ? null : camera);
      }), options);
      this.#setCamera(camera);
      return camera;
    });
  }

  async startScreen(options: ScreenOptions): Promise<Screen> {
    // Not one after the other: the browser asks only in the user's gesture.
    const screen = await Screen.start(this.#wireOf<Screen>("screenLost", (screen, isOver) => {
      if (this.#screen === screen) this.#setScreen(isOver ? null : screen);
    }), options, () => this.#screen?.stop());
    this.#setScreen(screen);
    return screen;
  }

  watch(stream: StreamName): Watch {
    const number = ++this.#count, { participant, key } = stream, canvas = document.createElement("canvas");
    if (!canvas.transferControlToOffscreen) {
      throw new ParlourError("notSupported", "this browser cannot draw pictures in a worker: use a current Chrome, Edge, Firefox or Safari");
    }
    const published = () => this.#wire.participant(participant)?.streams.find((one) => one.key === key);
    const kind = kindOf(published()), offscreen = canvas.transferControlToOffscreen();
    const watch = new Watch({ participant, key }, canvas, {
      shown: (isShown) => this.#wire.post({ type: "watchShown", watch: number, isShown }, []),
      isLive: () => this.#wire.isJoined() && published()?.muted === false,
      stop: () => {
        if (this.#watches.delete(number)) this.#wire.post({ type: "unwatch", watch: number }, []);
      },
    });
    this.#watches.set(number, watch);
    this.#wire.post({ type: "watch", watch: number, stream: { participant, key }, kind, canvas: offscreen }, [offscreen]);
    return watch;
  }

  /** What the worker tells of pictures. */
  take(told: Extract<FromWorker, { type: "seen" | "watchFailed" | "picturesFailed" }>): void {
    if (told.type === "seen") this.#watches.get(told.watch)?.see(told.seen);
    else if (told.type === "watchFailed") this.#watches.get(told.watch)?.fail(told.error);
    else this.#fail(told.key, told.error);
  }

  /** A stream may be watched before it is there, and then be of another kind than was thought. */
  published({ participant, key }: StreamName): void {
    const kind = kindOf(this.#wire.participant(participant)?.streams.find((one) => one.key === key));
    for (const [watch, { stream }] of this.#watches) {
      if (stream.participant === participant && stream.key === key) this.#wire.post({ type: "watchKind", watch, kind }, []);
    }
  }

  /** The server does not, or no longer, take a stream. */
  refused(key: string): void {
    if (key === CAMERA) this.#camera?.release();
    if (key === SCREEN) this.#screen?.release();
  }

  /** Nothing is filmed any more. */
  release(): void {
    this.#camera?.release();
    this.#screen?.release();
  }

  /** The room is over. */
  close(): void {
    this.release();
    for (const watch of [...this.#watches.values()]) watch.stop();
  }

  #fail(key: string, error: PlainError): void {
    const source = key === CAMERA ? this.#camera : this.#screen;
    source?.stop().catch(() => undefined);
    this.#wire.emitter.emit(key === CAMERA ? "cameraLost" : "screenLost", { error });
  }

  #wireOf<Source>(event: "cameraLost" | "screenLost", changed: (source: Source, isOver: boolean) => void): PictureWire<Source> {
    const { ask, post, emitter } = this.#wire;
    return {
      publish: (key, kind, muted, settings) => ask({ type: "publishPictures", key, kind, muted, settings }),
      hasProcessor: () => ask({ type: "hasProcessor" }) as Promise<boolean>,
      unpublish: (key) => ask({ type: "unpublishPictures", key }),
      show: (key, frames) => post({ type: "showFrames", key, source: frames?.source ?? null }, frames?.transfer ?? []),
      command: (command) => ask({ type: "command", command }),
      lost: (error) => emitter.emit(event, { error: plain(error) }),
      changed: (source) => changed(source, false),
      released: (source) => changed(source, true),
    };
  }

  #setCamera(camera: Camera | null): void {
    this.#camera = camera;
    this.#wire.emitter.emit("cameraChanged", { camera });
  }

  #setScreen(screen: Screen | null): void {
    this.#screen = screen;
    this.#wire.emitter.emit("screenChanged", { screen });
  }

  #next<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#starting.then(work);
    this.#starting = done.catch(() => undefined);
    return done;
  }
}

const kindOf = (stream: { readonly kind: string } | undefined) => stream?.kind === "screen" ? "screen" : "video";
